"""The part of the logic that verifies: known points are touched and compared with the CT; and the doubt about the registration."""

import json

import numpy as np
import slicer
from slicer.i18n import tr as _

from .DoubtRecord import readDoubt, writeDoubt
from .RegistrationRules import RegistrationAction


class Verifying:
    """Mixed into the logic, which holds the fit and the stylus."""

    def verify(self, parameterNode):
        """Compare the stylus tip with the nearest known point, together with the points touched since the registration.

        A point touched again counts with its new place. Keeps and returns the RegistrationVerification of all of them.
        """
        from FusionRegistrationLib.RegistrationVerdict import DEFAULT_LIMIT_MM, LIMIT_SOURCE
        from FusionRegistrationLib.RegistrationVerification import verifyRegistration

        self._require(parameterNode, RegistrationAction.Verify)
        fit, tip = self.fitOf(parameterNode), self._tipInReference(parameterNode)
        places = slicer.util.arrayFromMarkupsControlPoints(parameterNode.knownPoints, world=True)
        rotation, shift = fit.fromToTo[:3, :3], fit.fromToTo[:3, 3]
        nearest = int(np.argmin(np.linalg.norm(places - (rotation @ tip + shift), axis=1)))
        name = parameterNode.knownPoints.GetNthControlPointLabel(nearest)
        names, known, touched = [name], [places[nearest]], [tip]
        before = self.verificationOf(parameterNode)
        if before is not None:
            for index in (index for index, other in enumerate(before.names) if other != name):
                names.append(before.names[index])
                known.append(before.knownRas[index])
                touched.append(rotation.T @ (before.knownRas[index] + before.errorVectorsRas[index] - shift))
        limitMm = parameterNode.passLimitMm
        result = verifyRegistration(
            fit.fromToTo,
            touched,
            known,
            names=names,
            limitMm=limitMm,
            limitSource=LIMIT_SOURCE if limitMm == DEFAULT_LIMIT_MM else _("chosen by the operator"),
            registrationPointsRas=getattr(fit, "toPoints", None),
        )
        if parameterNode.verification is None:
            parameterNode.verification = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "RegistrationVerification")
        parameterNode.verification.SetText(json.dumps(result.toDict()))
        return result

    def verificationOf(self, parameterNode):
        """The RegistrationVerification of the present registration, also after the scene was loaded again; None without one.

        :raises ValueError: what is kept is damaged
        """
        from FusionRegistrationLib.RegistrationVerification import RegistrationVerification

        node = parameterNode.verification
        if node is None or not node.GetText():
            return None
        try:
            return RegistrationVerification.fromDict(json.loads(node.GetText()))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                _("The verification kept in {name} can't be read: {error}").format(name=node.GetName(), error=error)
            ) from error

    def _forgetVerification(self, parameterNode):
        """What was measured and doubted belongs to the former registration."""
        if parameterNode.verification is not None:
            parameterNode.verification.SetText("")
        writeDoubt(parameterNode, ())

    # --- doubt

    def setDoubt(self, parameterNode, reasons):
        """Whoever watches the reference says why the registration is in doubt; empty: it isn't."""
        writeDoubt(parameterNode, reasons)

    def doubtReasons(self, parameterNode):
        """Sentences why the registration is in doubt; they stay until it is confirmed or made anew."""
        return readDoubt(parameterNode.doubt)

    def confirmRegistration(self, parameterNode):
        """The operator has checked the registration: the doubt ends."""
        self._require(parameterNode, RegistrationAction.Confirm)
        writeDoubt(parameterNode, ())
