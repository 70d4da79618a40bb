"""The part of the logic that registers by points: the fit, and what is wrong with the points."""

import numpy as np
import slicer

from .FusionRegistrationParameterNode import FLE_AXES, FleDirection
from .RegistrationRules import RegistrationAction
from .VolumeFrame import ijkToRasOf


def localisationError(fle):
    """Arguments of `fitRigid` that say what a FlePack knows of the localisation error."""
    axis = FLE_AXES.get(fle.direction)
    if axis is None:
        return {"isotropicFle": fle.direction is FleDirection.Even}
    if fle.ratio <= 1.0:
        return {"longAxisTo": axis}
    return {"toCovariances": np.eye(3) + (fle.ratio**2 - 1.0) * np.outer(axis, axis)}


class PointRegistration:
    """Mixed into the logic, which accepts the fit."""

    def registerPoints(self, parameterNode):
        """Fit the points on the patient to those in the CT and set `referenceToRas`; returns the RigidFit.

        :raises ValueError: if something is missing, the points don't match or fix no pose
        """
        from FusionRegistrationLib.PointMatching import matchPoints
        from FusionRegistrationLib.RigidFit import fitRigid

        self._require(parameterNode, RegistrationAction.RegisterPoints)
        severe = [problem.message for problem in self.pointProblems(parameterNode) if problem.severe]
        if severe:
            raise ValueError("\n".join(severe))
        ctPoints = slicer.util.arrayFromMarkupsControlPoints(parameterNode.ctPoints, world=True)
        reference = slicer.util.arrayFromMarkupsControlPoints(parameterNode.referencePoints)
        names = [parameterNode.ctPoints.GetNthControlPointLabel(index) for index in range(len(ctPoints))]
        if parameterNode.matching.anyOrder:
            match = matchPoints(reference, ctPoints, toleranceMm=parameterNode.matching.toleranceMm)
            if not match.found:
                raise ValueError(match.message)
            pairs = np.array(match.pairs)
            reference, ctPoints, names = reference[pairs[:, 0]], ctPoints[pairs[:, 1]], [names[index] for index in pairs[:, 1]]
        fit = fitRigid(
            reference,
            ctPoints,
            targets=self.targetsOf(parameterNode),
            names=names,
            robust=parameterNode.matching.robust,
            **localisationError(parameterNode.fle),
        )
        self._accept(parameterNode, fit)
        return fit

    def pointProblems(self, parameterNode):
        """PointProblems of the two lists of points as they are, the severe ones among them forbid a registration; empty while a list is.

        Named are NaN, duplicates, other units, LPS taken for RAS, swapped lists, points outside the CT or on the wrong side of the
        targets, and with a fixed order another order or a mirrored axis.
        """
        from FusionRegistrationLib.PointInputChecks import CtRegion, checkPointLists

        nodes = parameterNode.referencePoints, parameterNode.ctPoints
        if any(node is None or not node.GetNumberOfControlPoints() for node in nodes):
            return ()
        region, volume = None, parameterNode.ctVolume
        if volume is not None and volume.GetImageData() is not None:
            region = CtRegion(volume.GetImageData().GetDimensions(), ijkToRasOf(volume))
        targets = list(self.targetsOf(parameterNode).values())
        return checkPointLists(
            slicer.util.arrayFromMarkupsControlPoints(nodes[0]),
            slicer.util.arrayFromMarkupsControlPoints(nodes[1], world=True),
            names=[nodes[1].GetNthControlPointLabel(index) for index in range(nodes[1].GetNumberOfControlPoints())],
            ctRegion=region,
            targetRas=np.mean(targets, axis=0) if targets else None,
            paired=not parameterNode.matching.anyOrder,
        )
