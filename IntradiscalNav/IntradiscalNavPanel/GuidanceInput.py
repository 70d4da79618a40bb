"""What the guidance needs, out of the plan, the anatomy and the registration."""

import numpy as np

LIMITS_MM = {"dura": 4.0, "vessel": 5.0, "bowel": 5.0, "kidney": 5.0}
NERVE_REACH_MM = 30.0
"""Nerves farther from the path than this can't be reached by a needle that strays within its uncertainty."""


def riskStructures(anatomy, entryRas, targetRas, rootLimitMm, tables=None):
    """Modelled nerves near the path, vessels, bowel and kidneys of the segmentation, each with its limit.

    :param tables: distance tables by name, made once for several paths of one anatomy; filled here
    """
    from IntradiscalNavLib.Guidance.StructureClearance import RiskStructure
    from IntradiscalNavLib.Guidance.StructureDistance import distanceFromFunction, distanceFromMask
    from IntradiscalNavLib.Planning.StructureNames import StructureKind

    tables = {} if tables is None else tables
    entry, target = np.asarray(entryRas, float), np.asarray(targetRas, float)
    along = np.linspace(0, 1, 40)[:, None] * (entry - target) + target
    structures = []
    for nerve in anatomy.nerves:
        points = np.asarray(nerve.pointsRas, float)
        if np.linalg.norm(points[:, None] - along[None], axis=2).min() <= NERVE_REACH_MM:
            if nerve.name not in tables:
                bounds = np.stack([points.min(axis=0) - 25, points.max(axis=0) + 25], axis=1)
                tables[nerve.name] = distanceFromFunction(nerve.name, nerve.distanceMm, bounds, 1.5)
            structures.append(RiskStructure(tables[nerve.name], LIMITS_MM["dura"] if nerve.kind == "dura" else rootLimitMm))
    for kind in (StructureKind.VESSEL, StructureKind.BOWEL, StructureKind.KIDNEY):
        if kind.value not in tables:
            mask = np.isin(anatomy.labels, anatomy.labelValues(kind))
            tables[kind.value] = distanceFromMask(kind.value, mask, anatomy.ijkToRas, spacingMm=2.0) if mask.any() else None
        if tables[kind.value] is not None:
            structures.append(RiskStructure(tables[kind.value], LIMITS_MM[kind.value]))
    return tuple(structures)


def tipErrorModel(fit, patientTracked):
    """TipErrorModel that starts from a registration (RigidFit, SurfaceFit or None)."""
    from IntradiscalNavLib.Guidance.TipUncertainty import RegistrationCovariance, SensorNoise, TipErrorModel

    if fit is None:
        return TipErrorModel()
    return TipErrorModel(
        registration=RegistrationCovariance(fit.covariance, fit.centerTo),
        referenceNoise=SensorNoise() if patientTracked else None,
        referenceOriginRas=fit.fromToTo[:3, 3] if patientTracked else None,
    )


def needlePlan(needle, needleTipToNeedle):
    """NeedlePlan of a PlannedNeedle and its tip calibration."""
    from IntradiscalNavLib.Guidance.ActiveNeedle import NeedlePlan
    from IntradiscalNavLib.Guidance.Guidance import NeedleShape
    from IntradiscalNavLib.Guidance.PathFrame import pathFrame

    path = pathFrame(needle.entryRas, needle.targetRas)
    return NeedlePlan(needle.name, needle.targetName, path, NeedleShape(lengthMm=needle.lengthMm), needleTipToNeedle)
