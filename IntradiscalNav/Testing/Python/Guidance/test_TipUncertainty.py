"""Tip uncertainty: quantiles against Monte Carlo and closed forms; coverage of the truth by trials that simulate the chain itself."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from FusionRegistrationLib.RigidTransform import rigidFrom, rotationFromVector, transformPoints
from IntradiscalNavLib.Guidance.Guidance import NeedleShape, computeGuidance
from IntradiscalNavLib.Guidance.PathFrame import pathFrame
from IntradiscalNavLib.Guidance.TipUncertainty import (
    ELLIPSOID_95,
    BendingLaw,
    RegistrationCovariance,
    SensorNoise,
    TipErrorModel,
    normalRadius,
    rigidErrorAt,
    tipUncertainty,
)

TRIALS = 4000


def test_radiusClosedForms():
    assert normalRadius([1, 1, 1]) == pytest.approx(math.sqrt(7.814727903251179), rel=1e-6)  # chi-square, 3 degrees of freedom
    assert normalRadius([2, 2]) == pytest.approx(2 * math.sqrt(-2 * math.log(0.05)), rel=1e-6)  # Rayleigh
    assert normalRadius([0, 0, 3]) == pytest.approx(3 * 1.959963984540054, rel=2e-3)
    assert normalRadius([0, 1, 1]) == pytest.approx(math.sqrt(-2 * math.log(0.05)), rel=2e-3)
    assert normalRadius([0, 0, 0]) == 0.0
    assert normalRadius([1, 1, 1], 0.5) == pytest.approx(math.sqrt(2.365973884375338), rel=1e-6)


@pytest.mark.parametrize("sigmas", [(1, 0.5, 0.2), (3, 3, 0.3), (0.4, 2.0, 0.4), (1.0, 0.1), (5.0, 0.01, 0.01)])
def test_radiusAgainstMonteCarlo(sigmas):
    lengths = np.linalg.norm(np.random.default_rng(0).normal(size=(400_000, len(sigmas))) * sigmas, axis=1)
    assert np.mean(lengths <= normalRadius(sigmas)) == pytest.approx(0.95, abs=0.0015)


@given(st.lists(st.floats(0.01, 10), min_size=3, max_size=3), st.floats(0.1, 10))
@settings(deadline=None, max_examples=40)
def test_radiusScalesAndIgnoresOrder(sigmas, factor):
    radius = normalRadius(sigmas)
    assert normalRadius([factor * s for s in sigmas[::-1]]) == pytest.approx(factor * radius, rel=1e-6)
    assert 1.9599 * max(sigmas) <= radius * 1.001 <= 1.001 * ELLIPSOID_95 * max(sigmas) * 1.001


def test_rigidErrorHasALeverArm():
    """0.31 degrees about X at 150 mm is 0.81 mm across (the figure quoted for hub sensors), nothing at the centre."""
    covariance = np.zeros((6, 6))
    covariance[0, 0] = np.radians(0.31) ** 2
    registration = RegistrationCovariance(covariance, np.array([5.0, 6.0, 7.0]))
    np.testing.assert_allclose(rigidErrorAt([5, 6, 7], registration), 0, atol=1e-15)
    error = rigidErrorAt([5, 6, 157], registration)
    assert math.sqrt(error[1, 1]) == pytest.approx(0.8116, abs=1e-3)
    assert error[0, 0] == 0.0


def test_rigidErrorAgainstFiniteRotations():
    rng = np.random.default_rng(1)
    root = rng.normal(size=(6, 6)) * np.array([[0.002] * 3 + [0.3] * 3]).T
    covariance, center, point = root @ root.T, np.array([10.0, -20.0, 30.0]), np.array([60.0, -90.0, 0.0])
    twists = rng.multivariate_normal(np.zeros(6), covariance, size=20_000)
    moved = np.array([rotationFromVector(t[:3]) @ (point - center) + center + t[3:] for t in twists])
    predicted = rigidErrorAt(point, RegistrationCovariance(covariance, center))
    np.testing.assert_allclose(np.cov(moved.T), predicted, atol=0.04 * np.trace(predicted))


def test_bendingIsQuadraticAndMatchesThePublishedNeedle():
    law = BendingLaw()
    assert law.deflection95Mm(80) == pytest.approx(8.89)
    assert law.deflection95Mm(40) == pytest.approx(8.89 / 4)
    assert law.deflection95Mm(-10) == 0.0
    uncertainty = tipUncertainty(
        [0, 0, 0], [0, 0, 1], [0, 0, -150], 80, TipErrorModel(needleNoise=SensorNoise(0, 0), tipCalibrationMm=0, bending=law)
    )
    assert uncertainty.lateral95Mm == pytest.approx(8.89, rel=1e-3)
    assert uncertainty.radius95Mm == pytest.approx(8.89, rel=2e-3)
    np.testing.assert_allclose(uncertainty.covariance[2], 0, atol=1e-12, err_msg="bending moves the tip across the shaft, not along it")
    assert not uncertainty.includesRegistration


def sampleTrial(rng, model, path, needle, poseOfSensor):
    """One trial of the physical chain: true tip, and the tip that would be displayed.

    A reference on the patient, a needle sensor at the hub, a bent needle (arc of a circle in a random direction); the tracker sees both
    sensors with noise, the registration is off by a rigid error.
    """
    hub, rotation = poseOfSensor
    # True needle: an arc of constant curvature in the inserted part, straight outside.
    entryDepth = max(needle.lengthMm - path.lengthMm + 25.0, 0.0)
    inserted = needle.lengthMm - entryDepth
    sigma = model.bending.lateralSigmaMm(inserted)
    bend = rng.normal(size=2) * sigma
    deflection = np.hypot(*bend)
    # Circular arc of that arc length with that sagitta at its end: r (1 - cos(l / r)) = deflection, solved for the curvature.
    curvature = 0.0
    if deflection > 1e-9:
        curvature = 2 * deflection / inserted**2
        for _ in range(20):
            curvature = curvature * deflection / ((1 - math.cos(inserted * curvature)) / curvature)
    reach = math.sin(inserted * curvature) / curvature if curvature > 0 else inserted
    side = bend / deflection if deflection > 0 else bend
    trueTip = hub + rotation @ np.array([*(side * deflection), entryDepth + reach])
    # What the system sees.
    noise = model.needleNoise
    measuredRotation = rotationFromVector(rng.normal(size=3) * np.radians(noise.orientationDeg)) @ rotation
    measuredHub = hub + rng.normal(size=3) * noise.positionMm
    tipInSensor = np.array([0, 0, needle.lengthMm]) + rng.normal(size=3) * model.tipCalibrationMm
    displayed = measuredHub + measuredRotation @ tipInSensor
    reference = rigidFrom(
        rotationFromVector(rng.normal(size=3) * np.radians(model.referenceNoise.orientationDeg)),
        rng.normal(size=3) * model.referenceNoise.positionMm,
    )
    displayed = transformPoints(reference, displayed - model.referenceOriginRas) + model.referenceOriginRas
    twist = rng.multivariate_normal(np.zeros(6), model.registration.covariance)
    center = model.registration.centerRas
    displayed = rotationFromVector(twist[:3]) @ (displayed - center) + center + twist[3:]
    return trueTip, displayed, measuredRotation[:, 2], inserted


@pytest.mark.parametrize(
    ("name", "bending", "orientationDeg", "depthMm"),
    [
        ("stiff needle", BendingLaw(0.7, 80), 0.3, 90.0),
        ("bending 22 G", BendingLaw(8.89, 80), 0.1, 75.0),
        ("shallow, noisy", BendingLaw(3.0, 80), 0.8, 40.0),
    ],
)
def test_statedUncertaintyCoversTheTruth(name, bending, orientationDeg, depthMm):
    """The 95 % sphere and the 95 % ellipsoid hold the true tip in 93-97 % of trials."""
    rng = np.random.default_rng(7)
    root = rng.normal(size=(6, 6)) * np.array([[0.004] * 3 + [0.35] * 3]).T
    target = np.array([3.0, -5.0, 20.0])
    entry = target + depthMm * np.array([0.66, -0.74, 0.1]) / np.linalg.norm([0.66, -0.74, 0.1])
    path = pathFrame(entry, target)
    needle = NeedleShape(150.0)
    model = TipErrorModel(
        registration=RegistrationCovariance(root @ root.T / 2, np.array([10.0, -60.0, 30.0])),
        needleNoise=SensorNoise(0.35, orientationDeg),
        referenceNoise=SensorNoise(0.3, 0.15),
        referenceOriginRas=np.array([0.0, -95.0, 60.0]),
        tipCalibrationMm=0.25,
        bending=bending,
    )
    rotation = path.pathToRas[:3, :3]
    hub = target - rotation[:, 2] * (needle.lengthMm + 25.0)
    inSphere = inEllipsoid = 0
    for _ in range(TRIALS):
        trueTip, displayed, shaft, inserted = sampleTrial(rng, model, path, needle, (hub, rotation))
        uncertainty = tipUncertainty(displayed, shaft, displayed - needle.lengthMm * shaft, inserted, model)
        difference = trueTip - displayed
        inSphere += np.linalg.norm(difference) <= uncertainty.radius95Mm
        inEllipsoid += difference @ np.linalg.solve(uncertainty.covariance, difference) <= ELLIPSOID_95**2
    assert 0.93 <= inSphere / TRIALS <= 0.97, f"{name}: sphere {inSphere / TRIALS:.3f}"
    assert 0.93 <= inEllipsoid / TRIALS <= 0.97, f"{name}: ellipsoid {inEllipsoid / TRIALS:.3f}"


def test_guidanceCarriesTheUncertaintyOfItsOwnDepth():
    path = pathFrame([0, -100, 0], [0, 0, 0])
    model = TipErrorModel(registration=RegistrationCovariance(np.diag([1e-6] * 3 + [0.04] * 3), np.zeros(3)))
    radii = []
    for depth in (-20, 20, 60, 95):
        pose = rigidFrom(path.pathToRas[:3, :3], [0, -100 + depth, 0])
        radii.append(computeGuidance(pose, path, errorModel=model).uncertainty.radius95Mm)
    assert radii == sorted(radii), "deeper in tissue the needle bends more, so less is known"
    assert computeGuidance(np.eye(4), path).uncertainty is None, "without an error model nothing is claimed"


def test_badCovarianceIsRefused():
    with pytest.raises(ValueError, match="6x6"):
        RegistrationCovariance(np.eye(3), np.zeros(3))
    with pytest.raises(ValueError, match="negative"):
        RegistrationCovariance(np.diag([1, 1, 1, 1, 1, -1.0]), np.zeros(3))
    with pytest.raises(ValueError, match="standard deviations"):
        normalRadius([1.0])
