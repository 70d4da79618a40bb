"""Fixtures of the bone-surface suites: the simulated patient and its surfaces, built once."""

import pathlib
import sys

import pytest

# The benchmark's seeded cases serve as test data too.
sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "Testing" / "Benchmarks"))


@pytest.fixture(scope="session")
def phantom():
    from IntradiscalNavLib.Simulation.LumbarPhantom import buildLumbarPhantom

    return buildLumbarPhantom()


@pytest.fixture(scope="session")
def phantomSurface(phantom):
    """Surface from the phantom's HU alone."""
    from FusionRegistrationLib.BoneSurfaceCt import extractPosteriorBoneSurface

    return extractPosteriorBoneSurface(phantom.voxels, phantom.ijkToRas).prepare()


@pytest.fixture(scope="session")
def phantomLabelSurface(phantom):
    """Surface from the phantom's vertebra labels."""
    from FusionRegistrationLib.BoneSurfaceCt import extractPosteriorBoneSurfaceFromLabels
    from IntradiscalNavLib.Simulation.PhantomLabels import VERTEBRA_LABELS

    return extractPosteriorBoneSurfaceFromLabels(phantom.labels, phantom.ijkToRas, {v: k for k, v in VERTEBRA_LABELS.items()}).prepare()


@pytest.fixture(scope="session")
def spineCases(phantom):
    """(spine, dense points, surface) of the phantom's L1-L5."""
    from SpineMeshes import spineOfLabels, surfaceOf
    from SurfaceCases import DenseSpine

    spine = spineOfLabels(phantom.labels, phantom.ijkToRas)
    return spine, DenseSpine(spine, perMm2=2.0), surfaceOf(spine, 0.9).prepare()
