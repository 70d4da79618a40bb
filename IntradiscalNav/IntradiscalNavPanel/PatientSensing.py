"""Whether the patient is tracked: what the transform tree may assume, and what the operator is told."""

from slicer.i18n import tr as _


def patientSensor(isRegistered, isPatientTracked):
    """PatientSensor for the transform tree.

    Registered to a sensor on the patient, nothing else may stand in for it: a registration to the sensor is wrong for the tracker.
    """
    from IntradiscalNavLib.Streaming.TransformTree import PatientSensor

    if not isPatientTracked:
        return PatientSensor.NONE
    return PatientSensor.REQUIRED if isRegistered else PatientSensor.AUTO


def patientText(tree, isPatientTracked):
    """Warning when the patient is not tracked, empty when all is well; `tree` is the TransformTree or None."""
    if not isPatientTracked:
        return _("Patient not tracked: any motion of the patient goes unnoticed.")
    if tree is not None and tree.streamedNames and not tree.patientTracked:
        return _("Patient not tracked: no sensor on the patient arrives. If there is none, untick it in Fusion Registration.")
    return ""
