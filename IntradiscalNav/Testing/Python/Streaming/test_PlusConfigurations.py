"""The PLUS configurations that ship with the program, and the check of a user's own."""

import pathlib
import xml.etree.ElementTree as ElementTree

import pytest

from IntradiscalNavLib.Streaming.ConnectionDoctor import expectedFromConfiguration
from IntradiscalNavLib.Streaming.PlusConfiguration import readPlusConfiguration
from IntradiscalNavLib.Streaming.PlusConfigurationCheck import checkPlusConfiguration
from IntradiscalNavLib.Streaming.TransformTreeCheck import Severity

FOLDER = pathlib.Path(__file__).resolve().parents[4] / "Resources" / "PlusConfigurations"
TEMPLATES = sorted(FOLDER.glob("*.xml"))

# What configurations shipped with PLUS 2.9 use: children and attributes of each element that occurs in the templates.
STRUCTURE = {
    "PlusConfiguration": ({"DataCollection", "CoordinateDefinitions", "PlusOpenIGTLinkServer"}, {"version"}),
    "DataCollection": ({"DeviceSet", "Device"}, {"StartupDelaySec"}),
    "DeviceSet": (set(), {"Name", "Description"}),
    "Device": ({"DataSources", "InputChannels", "OutputChannels"}, None),
    "DataSources": ({"DataSource"}, set()),
    "DataSource": (set(), {"Type", "Id", "PortName", "PortUsImageOrientation", "ClipRectangleOrigin", "ClipRectangleSize"}),
    "InputChannels": ({"InputChannel"}, set()),
    "InputChannel": (set(), {"Id"}),
    "OutputChannels": ({"OutputChannel"}, set()),
    "OutputChannel": ({"DataSource"}, {"Id", "VideoDataSourceId"}),
    "CoordinateDefinitions": ({"Transform"}, set()),
    "Transform": (set(), {"From", "To", "Matrix", "Name"}),
    "PlusOpenIGTLinkServer": (
        {"DefaultClientInfo"},
        {
            "ListeningPort",
            "OutputChannelId",
            "SendValidTransformsOnly",
            "MaxNumberOfIgtlMessagesToSend",
            "MaxTimeSpentWithProcessingMs",
            "KeepAliveIntervalSec",
        },
    ),
    "DefaultClientInfo": ({"MessageTypes", "TransformNames", "ImageNames"}, set()),
    "MessageTypes": ({"Message"}, set()),
    "Message": (set(), {"Type"}),
    "TransformNames": ({"Transform"}, set()),
    "ImageNames": ({"Image"}, set()),
    "Image": (set(), {"Name", "EmbeddedTransformToFrame"}),
}
COMMON = {"Id", "Type", "AcquisitionRate", "LocalTimeOffsetSec", "ToolReferenceFrame"}
DEVICES = {
    "AuroraTracker": {"SerialPort", "BaudRate"},
    "Ascension3DG": {"FilterAcWideNotch"},
    "FakeTracker": {"Mode"},
    "MmfVideo": {"FrameSize", "VideoFormat", "CaptureDeviceId"},
    "VirtualMixer": set(),
    "VirtualCapture": {"BaseFilename", "EnableCapturingOnStart"},
    "SavedDataSource": {"SequenceFile", "UseData", "UseOriginalTimestamps", "RepeatEnabled"},
}


def testTheTemplatesThatArePromisedAreThere():
    types = {device.deviceType for path in TEMPLATES for device in readPlusConfiguration(path).devices}
    assert {"AuroraTracker", "Ascension3DG", "SavedDataSource", "FakeTracker", "MmfVideo"} <= types


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def testTemplateHasTheStructureOfRealConfigurations(path):
    root = ElementTree.parse(path).getroot()
    assert root.tag == "PlusConfiguration"
    for element in root.iter():
        children, attributes = STRUCTURE[element.tag]
        assert {child.tag for child in element} <= children, element.tag
        allowed = attributes if attributes is not None else COMMON | DEVICES[element.get("Type")]
        assert set(element.attrib) <= allowed, (element.tag, element.attrib)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def testTemplateSendsWhatItCanMakeAndSaysWhatIsLeftToDo(path):
    configuration = readPlusConfiguration(path)
    findings = checkPlusConfiguration(configuration)
    # The only thing left to do is to put in the calibration of the user's own probe.
    assert {finding.code for finding in findings} <= {"pixel-size"}
    assert configuration.servers[0].port == 18944 and not configuration.servers[0].sendValidTransformsOnly
    expected = {device.name for device in expectedFromConfiguration(configuration)}
    assert {"ReferenceToTracker", "ProbeToReference"} <= expected
    if "ImageToProbe" in configuration.coordinateDefinitions:
        assert "Image_Reference" in expected
        assert "pixel-size" in {finding.code for finding in findings}, "a placeholder must never pass for a calibration"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('OutputChannelId="TrackedVideoStream"', 'OutputChannelId="Nothing"', "channel-unknown"),
        ('<InputChannel Id="VideoStream" />', '<InputChannel Id="Film" />', "channel-unknown"),
        ('<DataSource Type="Tool" Id="Needle" PortName="2" />', "", "source-unknown"),
        ('<DataSource Type="Tool" Id="Needle" PortName="2" />', "", "path-not-found"),
        ('<Message Type="IMAGE" />', "", "type-missing"),
        ('<Message Type="TRANSFORM" />', "", "type-missing"),
        ('<Transform Name="NeedleToReference" />', '<Transform Name="Needle" />', "unusable-name"),
        ('From="Image" To="Probe"', 'From="Picture" To="Probe"', "image-unplaced"),
        ('SendValidTransformsOnly="FALSE"', "", "silent-when-lost"),
        ('<OutputChannel Id="VideoStream"', '<OutputChannel Id="TrackerStream"', "channel-twice"),
        ("PlusOpenIGTLinkServer", "PlusOtherServer", "no-server"),
    ],
)
def testMistakesAreFound(tmp_path, old, new, code):
    text = (FOLDER / "PlusDeviceSet_IntradiscalNav_NdiAurora.xml").read_text()
    assert old in text
    path = tmp_path / "Mine.xml"
    path.write_text(text.replace(old, new))
    findings = checkPlusConfiguration(readPlusConfiguration(path))
    assert code in {finding.code for finding in findings}, findings
    assert all(finding.text and finding.remedy for finding in findings)


def testPatientThatIsNotTracked(tmp_path):
    text = (FOLDER / "PlusDeviceSet_IntradiscalNav_NdiAurora.xml").read_text()
    for tool in ("Probe", "Needle", "Stylus"):
        text = text.replace(f"{tool}ToReference", f"{tool}ToTracker")
    path = tmp_path / "Mine.xml"
    path.write_text(text.replace('<Transform Name="ReferenceToTracker" />', ""))
    findings = checkPlusConfiguration(readPlusConfiguration(path))
    assert ("patient-not-tracked", Severity.WARNING) in {(finding.code, finding.severity) for finding in findings}
