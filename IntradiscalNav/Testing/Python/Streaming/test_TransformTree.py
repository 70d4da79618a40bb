"""The tree of frames: any naming, the same poses; and what the check finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from FusionRegistrationLib.RigidTransform import rigidFrom, rotationFromVector
from IntradiscalNavLib.Streaming.ToolStatus import ToolState, ToolStatusMonitor
from IntradiscalNavLib.Streaming.TransformName import imageFrame, parseTransformName
from IntradiscalNavLib.Streaming.TransformTree import PatientSensor, TransformTree
from IntradiscalNavLib.Streaming.TransformTreeCheck import ExpectedTools, Severity, checkTree, describeTree


def randomRigid(rng):
    return rigidFrom(rotationFromVector(rng.normal(size=3)), rng.normal(size=3) * 200)


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("ProbeToTracker", (), ("Probe", "Tracker")),
        ("StylusTipToStylus", (), ("StylusTip", "Stylus")),
        ("ToolToReference", (), ("Tool", "Reference")),
        ("Needle2ToTracker", (), ("Needle2", "Tracker")),
        ("GoToPointToTracker", (), ("GoToPoint", "Tracker")),
        ("ProbeToGoToPoint", ("Probe",), ("Probe", "GoToPoint")),
        ("Sensor1To2", (), ("Sensor1", "2")),
        ("Tracker", (), None),
        ("ToTracker", (), None),
        ("ProbeTo", (), None),
        ("Torso", (), None),
        ("", (), None),
    ],
)
def testNames(text, known, expected):
    parsed = parseTransformName(text, known)
    assert (None if parsed is None else (parsed.fromFrame, parsed.toFrame)) == expected


def testNamesCutByHeaderVersion1AreCompleted():
    known = ("Reference", "Tracker", "Ras")
    assert parseTransformName("PedicleGuideTipToRef", known).text == "PedicleGuideTipToReference"
    assert parseTransformName("PedicleGuideTipToR", known).toFrame == "R", "not of 20 bytes: not cut"
    assert parseTransformName("PedicleGuideTipLToRe", ("Reference", "Reticle")).toFrame == "Re", "two frames begin so"
    tree = TransformTree()
    matrix = randomRigid(np.random.default_rng(1))
    tree.update("PedicleGuideTipToRef", matrix, 1.0)
    resolved = tree.resolve("PedicleGuideTip", "Reference")
    assert np.allclose(resolved.matrix, matrix) and resolved.streamedNames == ("PedicleGuideTipToRef",)
    assert tree.branches()[1].name == "PedicleGuideTipToReference"


def testWhatIsSetHereLeadsOverWhatIsStreamedUnderTheSameName():
    tree = TransformTree()
    ours, theirs = (randomRigid(np.random.default_rng(seed)) for seed in (1, 2))
    tree.setFixed("ReferenceToRas", ours)
    tree.update("ReferenceToRas", theirs, 1.0)
    assert np.allclose(tree.resolve("Reference", "Ras").matrix, ours)


def testImageNames():
    assert imageFrame("Image_Reference") == ("Image", "Reference")
    assert imageFrame("My_Image_Reference") == ("My_Image", "Reference")
    assert imageFrame("Image") is None and imageFrame("_Reference") is None


@given(st.integers(0, 2**32), st.permutations(["Probe", "Needle", "Stylus"]), st.lists(st.sampled_from("TRIB"), min_size=3, max_size=3))
@settings(max_examples=60, deadline=None)
def testEveryNamingGivesTheSamePoses(seed, tools, namings):
    """T: ToTracker, R: ToReference, I: the inverse TrackerToTool, B: both ToTracker and ToReference."""
    rng = np.random.default_rng(seed)
    truth = {tool: randomRigid(rng) for tool in tools}
    referenceToTracker, referenceToRas = randomRigid(rng), randomRigid(rng)
    tree = TransformTree()
    tree.setFixed("ReferenceToRas", referenceToRas)
    for tool, naming in zip(tools, namings):
        toolToTracker = referenceToTracker @ truth[tool]
        if naming in "TB":
            tree.update(f"{tool}ToTracker", toolToTracker, 5.0)
        if naming in "RB":
            tree.update(f"{tool}ToReference", truth[tool], 5.0)
        if naming == "I":
            tree.update(f"TrackerTo{tool}", np.linalg.inv(toolToTracker), 5.0)
    tree.update("ReferenceToTracker", referenceToTracker, 5.0)
    for tool in tools:
        assert np.allclose(tree.resolve(tool, "Ras").matrix, referenceToRas @ truth[tool], atol=1e-8)
        assert np.allclose(tree.resolve("Ras", tool).matrix, np.linalg.inv(referenceToRas @ truth[tool]), atol=1e-8)
    names = [branch.name for branch in tree.branches()]
    assert names[0] == "ReferenceToRas" and sorted(names[1:]) == sorted(f"{tool}ToReference" for tool in tools)
    assert not [finding for finding in checkTree(tree, ExpectedTools(tuple(tools), ())) if finding.severity is Severity.ERROR]


def testPosesOfOneTimeAreComposedWhenThePatientMoves():
    """Probe and reference move together: relative to each other they stand still, whatever arrived last."""
    rng = np.random.default_rng(2)
    probeToReference = randomRigid(rng)
    tree = TransformTree()
    for step in range(1, 20):
        referenceToTracker = rigidFrom(np.eye(3), [10.0 * step, 0, 0])
        tree.update("ReferenceToTracker", referenceToTracker, float(step))
        resolved = tree.resolve("Probe", "Reference")
        if resolved is not None:
            # The reference of this time is here, the probe's is not yet: the last common time counts.
            assert resolved.timestampSec == step - 1
            assert np.allclose(resolved.matrix, probeToReference, atol=1e-9)
        tree.update("ProbeToTracker", referenceToTracker @ probeToReference, float(step))
        assert np.allclose(tree.resolve("Probe", "Reference").matrix, probeToReference, atol=1e-9)


def okStatuses(tree):
    monitor = ToolStatusMonitor()
    for index in range(30):
        for name in tree.streamedNames:
            monitor.updatePose(name, randomRigid(np.random.default_rng(0)), 100.0 + 0.02 * index, 0.0, "OK", True)
    return monitor.statuses(100.6)


def testWithoutAPatientSensorTheTrackerStandsInAndNothingIsGood():
    rng = np.random.default_rng(3)
    probeToTracker, registration = randomRigid(rng), randomRigid(rng)
    tree = TransformTree()
    tree.setFixed("ReferenceToRas", registration)
    tree.update("ProbeToTracker", probeToTracker)
    # One pose alone says nothing: the reference's may be the next message of the same frame.
    assert tree.resolve("Probe", "Ras") is None
    for _ in range(10):
        tree.update("ProbeToTracker", probeToTracker)
    assert not tree.patientTracked and tree.trackerStandsIn
    resolved = tree.resolve("Probe", "Ras")
    assert np.allclose(resolved.matrix, registration @ probeToTracker)
    # A sensor that is just not seen cannot be told from none: suspect at best.
    assert resolved.patientAssumed and resolved.state(okStatuses(tree)) is ToolState.SUSPECT
    assert "patient-not-tracked" in [f.code for f in checkTree(tree, ExpectedTools(("Probe",), ()))]
    # The sensor appears in the middle: from now on poses are relative to it.
    tree.update("ReferenceToTracker", rigidFrom(np.eye(3), [1, 2, 3.0]))
    assert tree.patientTracked and not tree.trackerStandsIn
    resolved = tree.resolve("Probe", "Reference")
    assert np.allclose(resolved.matrix, rigidFrom(np.eye(3), [-1, -2, -3.0]) @ probeToTracker)
    assert not resolved.patientAssumed


def testTheUserCanSayThatThereIsNoPatientSensorOrThatThereMustBe():
    rng = np.random.default_rng(3)
    probeToTracker = randomRigid(rng)
    tree = TransformTree(patientSensor=PatientSensor.NONE)
    tree.update("ProbeToTracker", probeToTracker)
    resolved = tree.resolve("Probe", "Reference")
    assert np.allclose(resolved.matrix, probeToTracker)
    assert not resolved.patientAssumed and resolved.state(okStatuses(tree)) is ToolState.OK
    tree.patientSensor = PatientSensor.REQUIRED
    for _ in range(50):
        tree.update("ProbeToTracker", probeToTracker)
    assert tree.resolve("Probe", "Reference") is None
    assert np.allclose(tree.resolve("Probe", "Tracker").matrix, probeToTracker)


def testOurCalibrationLeadsAndDisagreementIsFound():
    rng = np.random.default_rng(4)
    probeToReference = randomRigid(rng)
    imageToProbe = np.diag([0.1, 0.1, 0.1, 1.0])
    tree = TransformTree()
    tree.setFixed("ImageToProbe", imageToProbe)
    tree.update("ProbeToReference", probeToReference, 1.0)
    tree.update("ImageToReference", probeToReference @ imageToProbe, 1.0)
    assert "ways-disagree" not in [finding.code for finding in checkTree(tree, ExpectedTools(("Probe",), ()))]
    other = imageToProbe.copy()
    other[0, 3] = 5.0
    tree.update("ImageToReference", probeToReference @ other, 2.0)
    tree.update("ProbeToReference", probeToReference, 2.0)
    assert np.allclose(tree.resolve("Image", "Reference").matrix, probeToReference @ imageToProbe)
    (finding,) = [finding for finding in checkTree(tree, ExpectedTools(("Probe",), ())) if finding.code == "ways-disagree"]
    assert "5.0 mm" in finding.text
    assert [branch.name for branch in tree.branches()] == ["ReferenceToRas", "ProbeToReference", "ImageToProbe"]


def testFindingsNameTheMistakes():
    tree = TransformTree()
    tree.update("probeToReference", np.eye(4))
    tree.update("Needle", np.eye(4))
    tree.update("StylusToReference", np.diag([1, 1, -1.0, 1]))
    tree.setFixed("NeedleTipToNeedle", np.eye(4))
    tree.setFixed("ImageToProbe", np.diag([1.0, 30.0, 1, 1]))
    findings = {finding.code: finding for finding in checkTree(tree, ExpectedTools(("Probe", "Needle"), ("StylusTipToStylus",)))}
    assert "mirrored" in findings["not-rigid"].text
    assert "Needle " in findings["unusable-name"].text
    assert "30" in findings["pixel-size"].text
    assert findings["identity-calibration"].severity is Severity.WARNING
    assert findings["case-differs"].severity is Severity.ERROR
    assert "probe" in findings["tool-unreachable"].text or "Needle" in findings["tool-unreachable"].text
    assert all(finding.remedy for finding in findings.values())


def testMissingCalibrationAndDeadToolAreFound():
    rng = np.random.default_rng(5)
    tree = TransformTree()
    monitor = ToolStatusMonitor()
    tree.update("NeedleToReference", randomRigid(rng), 1.0)
    monitor.updatePose("NeedleToReference", randomRigid(rng), 100.0, 0.0, "OUT_OF_VIEW", False)
    findings = checkTree(tree, ExpectedTools(("Needle",), ("NeedleTipToNeedle",)), monitor.statuses(100.0))
    assert {"calibration-missing", "tool-not-live"} <= {finding.code for finding in findings}
    assert findings[0].severity is Severity.ERROR


def testStateOfAComposedTransformIsThatOfItsWorstPart():
    rng = np.random.default_rng(6)
    tree = TransformTree()
    monitor = ToolStatusMonitor()
    for name, status in (("NeedleToTracker", "OK"), ("ReferenceToTracker", "MISSING")):
        tree.update(name, randomRigid(rng), 1.0)
        monitor.updatePose(name, randomRigid(rng), 100.0, 0.0, status, status == "OK")
    resolved = tree.resolve("Needle", "Reference")
    assert resolved.state(monitor.statuses(100.5)) is ToolState.INVALID
    assert resolved.state({}) is ToolState.MISSING


def testBadFixedTransformsAreRefused():
    tree = TransformTree()
    with pytest.raises(ValueError, match="invertible"):
        tree.setFixed("ImageToProbe", np.zeros((4, 4)))
    with pytest.raises(ValueError, match="FromToTo"):
        tree.setFixed("Calibration", np.eye(4))
    tree.setFixed("ReferenceToRas", np.eye(4))
    tree.remove("ReferenceToRas")
    assert tree.resolve("Reference", "Ras") is None


def testDescription():
    tree = TransformTree()
    tree.update("ProbeToReference", np.eye(4))
    tree.setFixed("ImageToProbe", np.diag([0.1, 0.1, 0.1, 1]))
    text = describeTree(tree, {"ProbeToReference": "STALE"})
    assert text.splitlines() == [
        "Ras",
        "└─ ReferenceToRas (not known)",
        "   └─ ProbeToReference (streamed, STALE)",
        "      └─ ImageToProbe (known)",
    ]


@given(st.text(max_size=30), st.text(max_size=30))
@settings(max_examples=100, deadline=None)
def testAnyNameIsHarmless(first, second):
    tree = TransformTree()
    tree.update(first, np.full((4, 4), np.nan))
    tree.update(second, np.eye(4))
    for branch in tree.branches():
        tree.resolve(branch.fromFrame, branch.toFrame)
    checkTree(tree)
