"""The simulated patient in Slicer's Sample Data module: made on the spot, nothing is downloaded."""

import os

import slicer

SAMPLE_NAME = "SimulatedLumbarCT"


def makeSample(source=None):
    """Put the simulated CT and its segmentation into the scene; returns the nodes, as Sample Data wants them."""
    from IntradiscalNavLib.Simulation.LumbarPhantom import buildLumbarPhantom

    from .Rehearsal import addSimulatedPatient

    return list(addSimulatedPatient(buildLumbarPhantom()))


def registerSampleData():
    """Add the sample to Sample Data, where that module is there."""
    try:
        import SampleData
    except ImportError:
        return
    icons = os.path.join(os.path.dirname(slicer.util.modulePath("IntradiscalNav")), "Resources", "Icons")
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="IntradiscalNav",
        sampleName=SAMPLE_NAME,
        sampleDescription="Simulated lumbar CT of a prone patient with a marker plate on the back, and its segmentation",
        customDownloader=makeSample,
        thumbnailFileName=os.path.join(icons, "IntradiscalNav.png"),
    )
