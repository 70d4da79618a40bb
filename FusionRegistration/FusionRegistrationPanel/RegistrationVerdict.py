"""What a registration says to the operator: the error at the targets first, the fit second."""

import dataclasses
import json

from slicer.i18n import tr as _


@dataclasses.dataclass(frozen=True)
class RegistrationVerdict:
    """state: 'missing', 'doubtful' or 'done'; text: why, in plain words, a sentence a line."""

    state: str
    text: str


def readFit(textNode):
    """RigidFit or SurfaceFit out of the text node that keeps it; None without one.

    :raises ValueError: if the node is damaged
    """
    from FusionRegistrationLib.RigidFit import RigidFit
    from FusionRegistrationLib.SurfaceFit import SurfaceFit

    if textNode is None or not textNode.GetText():
        return None
    try:
        content = json.loads(textNode.GetText())
        kind, values = content["kind"], content["fit"]
        return RigidFit.fromDict(values) if kind == "RigidFit" else SurfaceFit.fromDict(values)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"The registration kept in {textNode.GetName()} can't be read: {error}") from error


def writeFit(textNode, fit):
    textNode.SetText(json.dumps({"kind": type(fit).__name__, "fit": fit.toDict()}))


def verdictOf(fit, passLimitMm, patientTracked):
    """Verdict on a fit (None: there is none) against the pass line in mm."""
    if fit is None:
        return RegistrationVerdict("missing", _("Not registered."))
    lines, doubtful = [], False
    for name, error in sorted(fit.predictedTre.items(), key=lambda item: -item[1].p95Mm):
        passed = error.p95Mm <= passLimitMm
        doubtful = doubtful or not passed
        text = (
            _("{name}: expected error {rms:.1f} mm, {p95:.1f} mm in 95 %.")
            if passed
            else _("{name}: expected error {rms:.1f} mm, {p95:.1f} mm in 95 %: above the pass line.")
        )
        lines.append(text.format(name=name, rms=error.rmsMm, p95=error.p95Mm))
    if not fit.predictedTre:
        doubtful = True
        lines.append(_("No target: choose targets to see the error where it matters."))
    if not patientTracked:
        doubtful = True
        lines.append(_("Patient not tracked: any motion of the patient goes unnoticed."))
    doubts = [*getattr(fit, "doubts", ()), *fit.warnings]
    doubtful = doubtful or bool(doubts)
    lines += doubts
    if hasattr(fit, "freMm"):
        lines.append(_("The points agree within {fre:.2f} mm (FRE); that is not the accuracy.").format(fre=fit.freMm))
    else:
        lines.append(_("{share:.0f} % of the scanned bone lies on the CT surface.").format(share=100 * fit.inlierShare))
    return RegistrationVerdict("doubtful" if doubtful else "done", "\n".join(lines))
