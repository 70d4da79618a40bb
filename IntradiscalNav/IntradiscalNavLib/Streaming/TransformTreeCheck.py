"""What is wrong with a tree of frames, in words for the user. A wrong tree is the most frequent mistake of the field."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from FusionRegistrationLib.RigidTransform import FloatArray, rotationAngleDeg, whyNotRigid
from IntradiscalNavLib.Streaming.ToolStatus import ToolStatus
from IntradiscalNavLib.Streaming.TransformName import isPixelFrame, parseTransformName
from IntradiscalNavLib.Streaming.TransformTree import TransformTree, TreeBranch
from TranslatedText.Translation import tr as _


class Severity(enum.Enum):
    """NOTE: worth knowing. WARNING: numbers are less true than they look. ERROR: numbers would be wrong or are missing."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class TreeFinding:
    """One thing that was found: a stable ``code`` for programs, ``text`` what it is, ``remedy`` what to do."""

    severity: Severity
    code: str
    text: str
    remedy: str


@dataclass(frozen=True)
class ExpectedTools:
    """Tools that a procedure uses and the calibration each needs below it."""

    tools: tuple[str, ...] = ("Probe", "Needle")
    calibrations: tuple[str, ...] = ("ImageToProbe", "NeedleTipToNeedle")


def checkTree(
    tree: TransformTree, expected: ExpectedTools | None = None, statuses: Mapping[str, ToolStatus] | None = None
) -> tuple[TreeFinding, ...]:
    """Everything that is wrong or odd, worst first."""
    wanted = expected or ExpectedTools()
    findings = [
        *_patientFindings(tree),
        *_nameFindings(tree),
        *_toolFindings(tree, wanted, statuses or {}),
        *_matrixFindings(tree),
        *_loopFindings(tree),
    ]
    order = (Severity.ERROR, Severity.WARNING, Severity.NOTE)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


def _patientFindings(tree: TransformTree) -> Iterable[TreeFinding]:
    frames = tree.frames
    if tree.streamedNames and not tree.patientTracked:
        yield TreeFinding(
            Severity.WARNING,
            "patient-not-tracked",
            _("The patient is not tracked: no transform to {reference} arrives, poses are relative to the tracker.").format(
                reference=frames.reference
            ),
            _(
                "Fix a sensor to the patient, call it {reference} in the PLUS configuration and send "
                "{reference}To{tracker} or tools relative to it. Until then every movement of the patient is an error, and "
                "poses are suspect at best."
            ).format(reference=frames.reference, tracker=frames.tracker),
        )
    if f"{frames.reference}To{frames.world}" not in tree.fixedNames:
        yield TreeFinding(
            Severity.NOTE,
            "not-registered",
            _("{reference}To{world} is not known: the CT is not registered.").format(reference=frames.reference, world=frames.world),
            _("Register the CT."),
        )


def _nameFindings(tree: TransformTree) -> Iterable[TreeFinding]:
    for name in tree.unusableNames:
        yield TreeFinding(
            Severity.WARNING,
            "unusable-name",
            _("The transform {name} cannot be placed: its name is not of the form FromToTo.").format(name=name),
            _("Rename it in the PLUS configuration, for example ProbeToTracker."),
        )
    bases = (tree.frames.tracker, tree.frames.reference)
    for name in tree.streamedNames:
        parsed = parseTransformName(name, tree.frameNames)
        if parsed is None:
            continue
        if parsed.fromFrame == tree.frames.tracker and parsed.toFrame not in bases:
            yield TreeFinding(
                Severity.NOTE,
                "inverted-name",
                _("{name} is streamed from the tracker to the tool; the program turns it round.").format(name=name),
                _("If the tool moves the wrong way, the sender means {text}.").format(text=parsed.inverse.text),
            )
        if parsed.inverse.text in tree.streamedNames and parsed.fromFrame < parsed.toFrame:
            yield TreeFinding(
                Severity.WARNING,
                "both-directions",
                _("{name} and {text} are both streamed.").format(name=name, text=parsed.inverse.text),
                _("Send one of them: the other follows from it."),
            )
    for frame in tree.frameNames:
        close = [other for other in tree.frameNames if other != frame and other.lower() == frame.lower()]
        if close and frame < close[0]:
            yield TreeFinding(
                Severity.ERROR,
                "case-differs",
                _("The frames {frame} and {close} differ only in capital letters and are taken as two.").format(
                    frame=frame, close=close[0]
                ),
                _("Use one spelling in the PLUS configuration and in the calibration files."),
            )


def _toolFindings(tree: TransformTree, wanted: ExpectedTools, statuses: Mapping[str, ToolStatus]) -> Iterable[TreeFinding]:
    base = tree.frames.reference
    for tool in wanted.tools:
        resolved = tree.resolve(tool, base)
        if resolved is None:
            nearby = [name for name in tree.frameNames if tool.lower() in name.lower() and name != tool]
            hint = _(" Frames of similar name arrive: {names}.").format(names=", ".join(sorted(nearby))) if nearby else ""
            yield TreeFinding(
                Severity.ERROR,
                "tool-unreachable",
                _("{tool} cannot be brought to {base}: no chain of transforms leads there.{hint}").format(tool=tool, base=base, hint=hint),
                _("Send {tool}To{base}, or {tool}To{tracker} together with {base}To{tracker}.").format(
                    tool=tool, base=base, tracker=tree.frames.tracker
                ),
            )
        else:
            lost = [name for name in resolved.streamedNames if name in statuses and not statuses[name].isLive]
            for name in lost:
                yield TreeFinding(
                    Severity.WARNING,
                    "tool-not-live",
                    _("{tool} depends on {name}, which is not live.").format(tool=tool, name=name),
                    "; ".join(statuses[name].reasons),
                )
    for name in wanted.calibrations:
        parsed = parseTransformName(name, tree.frameNames)
        if parsed is None or parsed.toFrame not in wanted.tools:
            continue
        if tree.resolve(parsed.fromFrame, parsed.toFrame) is None:
            yield TreeFinding(
                Severity.ERROR,
                "calibration-missing",
                _("The calibration {name} is missing: where {fromFrame} is on {toFrame} is not known.").format(
                    name=name, fromFrame=parsed.fromFrame, toFrame=parsed.toFrame
                ),
                _("Calibrate the tool, or load the PLUS configuration that holds the calibration."),
            )


def _matrixFindings(tree: TransformTree) -> Iterable[TreeFinding]:
    for name in (*tree.streamedNames, *tree.fixedNames):
        matrix = tree.matrix(name)
        if matrix is None:
            continue
        parsed = parseTransformName(name, tree.frameNames)
        fromPixels, toPixels = (isPixelFrame(frame) for frame in (parsed.fromFrame, parsed.toFrame)) if parsed else (False, False)
        if fromPixels and not toPixels:
            yield from _imageFindings(name, matrix)
        if fromPixels or toPixels:
            continue
        reason = whyNotRigid(matrix)
        if reason:
            yield TreeFinding(
                Severity.ERROR,
                "not-rigid",
                _("{name} is no rigid transform: {reason}.").format(name=name, reason=reason),
                _("Check the calibration or the sender."),
            )
        elif name in tree.fixedNames and np.array_equal(matrix, np.eye(4)):
            yield TreeFinding(
                Severity.WARNING,
                "identity-calibration",
                _("{name} is the identity.").format(name=name),
                _("It is probably a placeholder: calibrate the tool."),
            )


def _imageFindings(name: str, matrix: FloatArray) -> Iterable[TreeFinding]:
    if not np.isfinite(matrix).all() or abs(float(np.linalg.det(matrix[:3, :3]))) < 1e-12:
        yield TreeFinding(
            Severity.ERROR, "image-degenerate", _("{name} has no volume or holds NaN.").format(name=name), _("Calibrate the probe again.")
        )
        return
    pixelMm = np.linalg.norm(matrix[:3, :2], axis=0)
    if (pixelMm > 0.8).any() or (pixelMm < 0.005).any():
        yield TreeFinding(
            Severity.ERROR,
            "pixel-size",
            _("{name} gives pixels of {pixelMm:.3g} x {pixelMm2:.3g} mm.").format(name=name, pixelMm=pixelMm[0], pixelMm2=pixelMm[1]),
            _("Ultrasound pixels are 0.03 to 0.5 mm: the calibration lacks its scale or belongs to another image size."),
        )
    cosine = float(matrix[:3, 0] @ matrix[:3, 1] / (pixelMm[0] * pixelMm[1]))
    angle = float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
    if abs(angle - 90.0) > 5.0:
        yield TreeFinding(
            Severity.WARNING,
            "image-sheared",
            _("The axes of {name} meet at {angle:.1f} deg instead of 90.").format(name=name, angle=angle),
            _("Calibrate the probe again."),
        )


def _loopFindings(tree: TransformTree, limitMm: float = 1.0, limitDeg: float = 0.5) -> Iterable[TreeFinding]:
    """Transforms that are known in two ways must agree: what a sender composed against the same made from its parts."""
    for name in tree.streamedNames:
        parsed = parseTransformName(name, tree.frameNames)
        direct = tree.matrix(name)
        if parsed is None or direct is None:
            continue
        other = tree.resolveWithout(name)
        if other is None or not np.isfinite(direct).all():
            continue
        distanceMm = float(np.linalg.norm(other.matrix[:3, 3] - direct[:3, 3]))
        turnDeg = 0.0 if name.startswith("Image") else rotationAngleDeg(np.linalg.inv(direct) @ other.matrix)
        if distanceMm > limitMm or turnDeg > limitDeg:
            yield TreeFinding(
                Severity.WARNING,
                "ways-disagree",
                _("{name} as streamed and as made of {names} differ by {distanceMm:.1f} mm and {turnDeg:.1f} deg.").format(
                    name=name, names=", ".join(other.usedNames), distanceMm=distanceMm, turnDeg=turnDeg
                ),
                _("The sender uses another calibration than this program, or a name is wrong: use the same on both sides."),
            )


def describeTree(tree: TransformTree, states: Mapping[str, str] | None = None) -> str:
    """The tree as indented text, root first, with the state of each transform where given."""
    branches = tree.branches()
    children: dict[str, list[TreeBranch]] = {}
    for branch in branches:
        children.setdefault(branch.parentName, []).append(branch)
    lines = [tree.frames.world]

    def add(parentName: str, depth: int) -> None:
        for branch in children.get(parentName, []):
            kind = "streamed" if branch.streamed else ("known" if branch.name in tree.fixedNames else "not known")
            state = (states or {}).get(branch.name, "")
            lines.append("   " * depth + f"└─ {branch.name} ({kind}{', ' + state if state else ''})")
            add(branch.name, depth + 1)

    add("", 0)
    return "\n".join(lines)
