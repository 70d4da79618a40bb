"""The part of the logic that verifies: known points are touched and compared with the CT."""

import json

import numpy as np
import slicer

from .RegistrationRules import RegistrationAction


class Verifying:
    """Mixed into the logic, which holds the fit and the stylus."""

    def verify(self, parameterNode):
        """Compare the stylus tip with the nearest known point; keeps and returns the RegistrationVerification."""
        from FusionRegistrationLib.RegistrationVerification import verifyRegistration

        self._require(parameterNode, RegistrationAction.Verify)
        fit, tip = self.fitOf(parameterNode), self._tipInReference(parameterNode)
        known = slicer.util.arrayFromMarkupsControlPoints(parameterNode.knownPoints, world=True)
        inRas = fit.fromToTo[:3, :3] @ tip + fit.fromToTo[:3, 3]
        nearest = int(np.argmin(np.linalg.norm(known - inRas, axis=1)))
        name = parameterNode.knownPoints.GetNthControlPointLabel(nearest)
        registered = getattr(fit, "toPoints", None)
        result = verifyRegistration(
            fit.fromToTo, [tip], known[[nearest]], names=[name], limitMm=parameterNode.passLimitMm, registrationPointsRas=registered
        )
        if parameterNode.verification is None:
            parameterNode.verification = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "RegistrationVerification")
        parameterNode.verification.SetText(json.dumps(result.toDict()))
        return result
