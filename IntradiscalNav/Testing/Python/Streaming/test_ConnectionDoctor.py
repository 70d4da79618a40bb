"""The doctor's advice for the mistakes that people make with PLUS."""

import numpy as np
import pytest

from IntradiscalNavLib.Streaming.ConnectionDoctor import (
    ConnectionDoctor,
    ExpectedDevice,
    Verdict,
    expectedDevices,
    expectedFromConfiguration,
)
from IntradiscalNavLib.Streaming.OpenIGTLinkClient import ConnectionFailure, ConnectionState, ConnectionStatus
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage, TransformMessage
from IntradiscalNavLib.Streaming.PlusConfiguration import readPlusConfiguration

OK = {"TransformStatus": "OK", "TransformValid": "1"}
CONNECTED = ConnectionStatus(ConnectionState.CONNECTED, "connected", 0.0, 1, 1, 0, 1.0)


def stream(doctor, names, metadata=OK, image=None, imageMetadata=None, beginSec=1000.0, count=40):
    for index in range(count):
        now = beginSec + 0.05 * index
        for name in names:
            doctor.note(TransformMessage(name, np.eye(4), timestampSec=1.79e9 + now, arrivalSec=now, metadata=metadata))
        if image:
            voxels, more = np.zeros((1, 2, 2), np.uint8), imageMetadata or {"Timestamp": "1"}
            doctor.note(ImageMessage(image, voxels, np.eye(4), timestampSec=1.79e9 + now, arrivalSec=now, metadata=more))
    return beginSec + 0.05 * (count - 1) + 0.01


def line(diagnosis, name):
    return next(entry for entry in diagnosis.lines if entry.name == name)


def testHealthy():
    doctor = ConnectionDoctor(expectedDevices())
    now = stream(doctor, ["ProbeToReference", "NeedleToReference"], image="Image_Reference")
    diagnosis = doctor.diagnose(CONNECTED, now)
    assert diagnosis.isHealthy, diagnosis
    assert line(diagnosis, "ProbeToReference").rateHz == pytest.approx(20.0, rel=0.01)


def testTrackerNamingWithAReferenceIsHealthyToo():
    doctor = ConnectionDoctor(expectedDevices())
    now = stream(doctor, ["ProbeToTracker", "NeedleToTracker", "ReferenceToTracker"], image="Image_Reference")
    assert doctor.diagnose(CONNECTED, now).isHealthy


def testNoReference():
    doctor = ConnectionDoctor(expectedDevices(image=None))
    now = stream(doctor, ["ProbeToTracker", "NeedleToTracker"])
    advice = line(doctor.diagnose(CONNECTED, now), "ProbeToReference").advice
    assert "ReferenceToTracker" in advice and "not tracked" in advice


@pytest.mark.parametrize(
    ("arriving", "words"),
    [
        ("probeToReference", ("capital letters",)),
        ("ReferenceToProbe", ("inverse",)),
        ("ProbToReference", ("ProbToReference", "rename")),
        ("ZebraToHorse", ('<Transform Name="ProbeToReference"/>', "SendValidTransformsOnly")),
    ],
)
def testWrongNames(arriving, words):
    doctor = ConnectionDoctor([ExpectedDevice("TRANSFORM", "ProbeToReference")])
    diagnosis = doctor.diagnose(CONNECTED, stream(doctor, [arriving]))
    entry = line(diagnosis, "ProbeToReference")
    assert entry.verdict is Verdict.PROBLEM
    assert all(word in entry.advice for word in words), entry.advice
    assert line(diagnosis, arriving).verdict is Verdict.EXTRA


def testToolThatWentSilent():
    doctor = ConnectionDoctor([ExpectedDevice("TRANSFORM", "NeedleToReference")])
    now = stream(doctor, ["NeedleToReference"]) + 7.0
    entry = line(doctor.diagnose(CONNECTED, now), "NeedleToReference")
    assert entry.verdict is Verdict.PROBLEM and "7.0 s" in entry.advice


def testToolOutOfView():
    doctor = ConnectionDoctor([ExpectedDevice("TRANSFORM", "NeedleToReference")])
    now = stream(doctor, ["NeedleToReference"], {"TransformStatus": "OUT_OF_VIEW", "TransformValid": "0"})
    entry = line(doctor.diagnose(CONNECTED, now), "NeedleToReference")
    assert entry.verdict is Verdict.WARNING and "view" in entry.advice and entry.status == "OUT_OF_VIEW"


def testLongNameThatWasCut():
    doctor = ConnectionDoctor([ExpectedDevice("TRANSFORM", "PedicleGuideTipToReference")])
    now = stream(doctor, ["PedicleGuideTipToReference"[:20]])
    assert line(doctor.diagnose(CONNECTED, now), "PedicleGuideTipToReference").verdict is Verdict.GOOD


def testNoImage():
    doctor = ConnectionDoctor([ExpectedDevice("IMAGE", "Image_Reference")])
    advice = line(doctor.diagnose(CONNECTED, stream(doctor, ["ProbeToReference"])), "Image_Reference").advice
    assert "ImageToProbe" in advice and 'EmbeddedTransformToFrame="Reference"' in advice
    now = stream(doctor, [], image="Image_Tracker")
    assert "Image_Tracker" in line(doctor.diagnose(CONNECTED, now), "Image_Reference").advice


def testImageOfALostProbe():
    doctor = ConnectionDoctor([ExpectedDevice("IMAGE", "Image_Reference")])
    now = stream(doctor, [], image="Image_Reference", imageMetadata={"ProbeToTrackerTransformStatus": "MISSING"})
    entry = line(doctor.diagnose(CONNECTED, now), "Image_Reference")
    assert entry.verdict is Verdict.WARNING and "ProbeToTracker MISSING" in entry.advice


def testVersion1IsPointedOut():
    doctor = ConnectionDoctor([ExpectedDevice("TRANSFORM", "ProbeToReference")])
    diagnosis = doctor.diagnose(CONNECTED, stream(doctor, ["ProbeToReference"], metadata={}))
    assert any("identity" in advice for advice in diagnosis.advice)


def testDelayIsPointedOut():
    doctor = ConnectionDoctor([ExpectedDevice("TRANSFORM", "ProbeToReference")])
    stream(doctor, ["ProbeToReference"])
    for index in range(40):
        now = 1002.0 + 0.05 * index
        doctor.note(TransformMessage("ProbeToReference", np.eye(4), timestampSec=1.79e9 + now - 0.02 * index, arrivalSec=now, metadata=OK))
    assert any("late" in advice for advice in doctor.diagnose(CONNECTED, 1004.0).advice)


@pytest.mark.parametrize(
    ("reason", "failure", "words"),
    [
        ("no connection to h:1: nobody listens there (...)", ConnectionFailure.REFUSED, "ListeningPort"),
        ("no connection to h:1: the host name is not known", ConnectionFailure.UNKNOWN_HOST, "address"),
        ("no connection to h:1: no answer (...)", ConnectionFailure.NO_ANSWER, "firewall"),
        ("connection lost: the server closed it", None, "log of PlusServer"),
    ],
)
def testNotConnected(reason, failure, words):
    doctor = ConnectionDoctor(expectedDevices())
    state = ConnectionState.LOST if failure is None else ConnectionState.CONNECTING
    diagnosis = doctor.diagnose(ConnectionStatus(state, reason, 0.0, 0, 0, 0, None, failure))
    assert words in diagnosis.advice[0] and reason in diagnosis.summary and not diagnosis.isHealthy


def testSilentAndDamaged():
    doctor = ConnectionDoctor()
    silent = ConnectionStatus(ConnectionState.SILENT, "no data for 3.0 s", 0.0, 1, 1, 17, 1.0)
    advice = doctor.diagnose(silent).advice
    assert advice[0].startswith("No data for 3.0 s") and any("17 damaged" in text for text in advice)


def testAdviceNamesTheLineOfTheConfiguration(tmp_path):
    path = tmp_path / "Mine.xml"
    path.write_text(
        """<PlusConfiguration version="2.9"><PlusOpenIGTLinkServer ListeningPort="18950" OutputChannelId="C"><DefaultClientInfo>
        <MessageTypes><Message Type="TRANSFORM"/><Message Type="IMAGE"/></MessageTypes>
        <TransformNames><Transform Name="ProbeToReference"/></TransformNames>
        <ImageNames><Image Name="Image" EmbeddedTransformToFrame="Reference"/></ImageNames>
        </DefaultClientInfo></PlusOpenIGTLinkServer></PlusConfiguration>"""
    )
    configuration = readPlusConfiguration(path)
    assert configuration.servers[0].port == 18950 and configuration.servers[0].sendValidTransformsOnly
    assert {(d.messageType, d.name) for d in expectedFromConfiguration(configuration)} == {
        ("TRANSFORM", "ProbeToReference"),
        ("IMAGE", "Image_Reference"),
    }
    doctor = ConnectionDoctor(
        [ExpectedDevice("TRANSFORM", "NeedleToReference"), ExpectedDevice("TRANSFORM", "ProbeToReference")], configuration
    )
    diagnosis = doctor.diagnose(CONNECTED, stream(doctor, ["ZebraToHorse"]))
    assert "Mine.xml does not send it" in line(diagnosis, "NeedleToReference").advice
    assert "view" in line(diagnosis, "ProbeToReference").advice


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not xml", "not XML"),
        ("<Other/>", "outermost element"),
        (
            "<PlusConfiguration><CoordinateDefinitions>"
            '<Transform From="A" To="B" Matrix="1 2"/></CoordinateDefinitions></PlusConfiguration>',
            "16 numbers",
        ),
    ],
)
def testBadConfigurations(tmp_path, text, words):
    path = tmp_path / "bad.xml"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        readPlusConfiguration(path)
    with pytest.raises(ValueError, match="cannot be read"):
        readPlusConfiguration(tmp_path / "none.xml")


def testEndlessNamesDoNotGrowTheDoctor():
    doctor = ConnectionDoctor()
    for index in range(1000):
        doctor.note(TransformMessage(f"T{index}", np.eye(4), arrivalSec=1.0))
    diagnosis = doctor.diagnose(CONNECTED, 1.0)
    assert len(diagnosis.lines) <= 256 and any("ignored" in text for text in diagnosis.advice)
