"""What a registration says to the operator: the error at the targets first, the fit second."""

import dataclasses
import json

import slicer
from slicer.i18n import tr as _


@dataclasses.dataclass(frozen=True)
class RegistrationVerdict:
    """state: 'missing', 'doubtful' or 'done'; text: why, in plain words, a sentence a line."""

    state: str
    text: str


def listMarkers(pointsNode, detection):
    """Make the points those of a MarkerDetection; one in doubt has a question mark behind its name, and the reason in its description."""
    slicer.util.updateMarkupsControlPointsFromArray(pointsNode, detection.centersRas, world=True)
    for index, marker in enumerate(detection.markers):
        doubt = _(": might be no marker, {doubt}").format(doubt=marker.doubt) if marker.doubt else ""
        pointsNode.SetNthControlPointLabel(index, f"M{index + 1}{'?' if doubt else ''}")
        pointsNode.SetNthControlPointDescription(index, f"{marker.diameterMm:.1f} mm{doubt}")


def markerDoubts(pointsNode):
    """What is to be looked at among the markers found in the CT, a point a line; empty where all are sure or none were found."""
    count = pointsNode.GetNumberOfControlPoints() if pointsNode is not None else 0
    doubtful = [index for index in range(count) if pointsNode.GetNthControlPointLabel(index).endswith("?")]
    lines = [f"{pointsNode.GetNthControlPointLabel(index)} {pointsNode.GetNthControlPointDescription(index)}" for index in doubtful]
    return "\n".join([*lines, _("Look at it in the CT; delete the point if it is none.")] if lines else [])


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


def isMarkerFit(textNode):
    """Whether the fit kept is one of paired points; by how `writeFit` begins, because a fit of bone holds thousands of points."""
    return textNode is not None and (textNode.GetText() or "").startswith('{"kind": "RigidFit"')


def writeFit(textNode, fit):
    textNode.SetText(json.dumps({"kind": type(fit).__name__, "fit": fit.toDict()}))


def verdictOf(fit, passLimitMm, patientTracked, doubtReasons=()):
    """Verdict on a fit (None: there is none) against the pass line in mm; `doubtReasons` say why it is doubtful now."""
    from FusionRegistrationLib.RegistrationVerdict import VerdictLevel, judgeRegistration

    if fit is None:
        return RegistrationVerdict("missing", _("Not registered."))
    if hasattr(fit, "freMm"):
        judged = judgeRegistration(fit, limitMm=passLimitMm, doubtReasons=tuple(doubtReasons), patientTracked=patientTracked)
        good = judged.level is VerdictLevel.GOOD and not doubtReasons and patientTracked
        return RegistrationVerdict("done" if good else "doubtful", "\n".join([*doubtReasons, judged.headline, *judged.details]))
    return _surfaceVerdict(fit, passLimitMm, patientTracked, doubtReasons)


def _surfaceVerdict(fit, passLimitMm, patientTracked, doubtReasons):
    lines = list(doubtReasons)
    errors = sorted(fit.predictedTre.items(), key=lambda item: -item[1].p95Mm)
    for name, error in errors:
        text = _("Expected error at {name}: {rms:.1f} mm, below {p95:.1f} mm in 95 % of cases.")
        lines.append(text.format(name=name, rms=error.rmsMm, p95=error.p95Mm))
    if not errors:
        lines.append(_("No target: choose targets to see the error where it matters."))
    if not patientTracked:
        lines.append(_("Patient not tracked: any motion of the patient goes unnoticed."))
    lines += [*fit.doubts, *fit.warnings]
    lines.append(_("{share:.0f} % of the scanned bone lies on the CT surface.").format(share=100 * fit.inlierShare))
    good = errors and errors[0][1].p95Mm <= passLimitMm and patientTracked and fit.trusted and not doubtReasons
    return RegistrationVerdict("done" if good else "doubtful", "\n".join(lines))
