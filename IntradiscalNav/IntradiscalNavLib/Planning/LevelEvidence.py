"""Why a level is called what it is called: what the operator is shown and confirms before planning (transitional vertebrae)."""

from __future__ import annotations

from IntradiscalNavLib.Planning.SpineAnatomy import SpineAnatomy
from IntradiscalNavLib.Planning.StructureNames import StructureKind
from TranslatedText.Translation import tr as _


def levelEvidence(anatomy: SpineAnatomy, level: str) -> tuple[str, ...]:
    """Facts for and against the name of a level, most telling first.

    :raises ValueError: for a level that cannot be planned.
    """
    disc = anatomy.disc(level)
    names = list(anatomy.vertebrae)
    upper, lower = level.split("-")
    facts: list[str] = []
    if "S1" in names:
        above = names.index("S1") - names.index(lower)
        facts.append(
            _("{level} is the disc on the sacrum").format(level=level)
            if above == 0
            else _("{level} lies {above} disc{value} above the lumbosacral disc").format(
                level=level, above=above, value="s" if above > 1 else ""
            )
        )
    else:
        facts.append(_("the sacrum is not segmented: nothing to count from below"))
    thoracic = [name for name in names if name.startswith("T")]
    if thoracic:
        below = names.index(upper) - names.index(thoracic[-1])
        ribs = any(structure.kind is StructureKind.RIB for structure in anatomy.structures.values())
        facts.append(
            f"{upper} is vertebra {below} under {thoracic[-1]}"
            + (_(", whose ribs are segmented") if ribs else _(" (ribs not segmented: count them)"))
        )
    else:
        facts.append(_("no thoracic vertebra is segmented: nothing to count from above"))
    lumbar = [name for name in names if name.startswith("L")]
    if "S1" in names and thoracic and len(lumbar) != 5:
        facts.append(_("{count} lumbar vertebrae instead of 5: a transitional vertebra or a wrong label").format(count=len(lumbar)))
    if "L6" in names or "T13" in names:
        facts.append(_("a transitional vertebra (L6 or T13) is labelled"))
    if lower == "S1" and disc.heightMm < 5.0:
        facts.append(
            _("the lumbosacral disc is only {heightMm:.1f} mm high: a sacralised vertebra looks like this").format(heightMm=disc.heightMm)
        )
    return tuple(facts)
