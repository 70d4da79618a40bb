"""Our PLUS templates use no element that a real configuration does not, and real configurations pass the check."""

import pathlib
import xml.etree.ElementTree as ElementTree

import pytest

from IntradiscalNavLib.Streaming.PlusConfiguration import readPlusConfiguration
from IntradiscalNavLib.Streaming.PlusConfigurationCheck import checkPlusConfiguration
from IntradiscalNavLib.Streaming.TransformTreeCheck import Severity

pytestmark = pytest.mark.realdata
TEMPLATES = pathlib.Path(__file__).resolve().parents[2] / "Resources" / "PlusConfigurations"


def paths(element, prefix=""):
    here = f"{prefix}/{element.tag}"
    yield here
    for child in element:
        yield from paths(child, here)


def testReplayTemplateUsesTheElementsOfARealOne(realData):
    real = set()
    for file in (realData / "tracked/plus").glob("PlusDeviceSet*.xml"):
        real |= set(paths(ElementTree.parse(file).getroot()))
    ours = set(paths(ElementTree.parse(TEMPLATES / "PlusDeviceSet_IntradiscalNav_Replay.xml").getroot()))
    # Those real ones were made for calibration and hold no server.
    assert {path for path in ours - real if "PlusOpenIGTLinkServer" not in path} == set()


def testRealConfigurationsAreReadAndCheckedWithoutFalseAlarm(realData):
    files = sorted((realData / "tracked/plus").glob("PlusDeviceSet*.xml"))
    assert len(files) == 3
    for file in files:
        configuration = readPlusConfiguration(file)
        assert configuration.coordinateDefinitions
        errors = {finding.code for finding in checkPlusConfiguration(configuration) if finding.severity is Severity.ERROR}
        assert errors <= {"no-server"}, (file.name, errors)
