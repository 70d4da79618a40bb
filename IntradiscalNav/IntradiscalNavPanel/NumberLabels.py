"""Which guidance number is shown in which labels of the panel."""

from IntradiscalNavLib.Guidance.DisplayedGuidance import GuidanceNumber

NUMBER_LABELS = {
    GuidanceNumber.TIP_TO_TARGET: "tipToTarget",
    GuidanceNumber.DEPTH_LEFT: "depthLeft",
    GuidanceNumber.LATERAL: "lateral",
    GuidanceNumber.SHAFT_ANGLE: "shaftAngle",
    GuidanceNumber.OUT_OF_PLANE: "outOfPlane",
    GuidanceNumber.UNCERTAINTY: "uncertainty",
}
