"""The same procedure gives the same numbers from its raw recording and from a reloaded scene."""

import numpy as np
import pytest
import slicer

from FusionRegistrationLib.RigidTransform import invertRigid, rigidFrom, rotationFromVector
from IntradiscalNavLib.Recording.ForeignRecording import readForeignRecording
from IntradiscalNavLib.Recording.NavigationMetrics import PlannedPath
from IntradiscalNavLib.Recording.ProcedureReview import reviewProcedure
from IntradiscalNavLib.Recording.RecordedProcedure import takeApart
from IntradiscalNavLib.Recording.RecordFormat import ImageRecord, JsonRecord, PoseRecord, PoseValidity, RecordKind
from IntradiscalNavLib.Recording.SequenceExport import exportToSequences
from IntradiscalNavLib.Recording.SequenceImport import readSequences, sequenceBrowsers

PLAN = PlannedPath((60.0, -80.0, 10.0), (0.0, 0.0, 0.0))
REFERENCE_TO_RAS = rigidFrom(rotationFromVector([0.2, -0.1, 0.3]), [10, 20, 30])
TIP = rigidFrom(np.eye(3), [0, 0, 150])


def records(lateral=2.0, count=150):
    z = PLAN.direction
    x = np.cross(z, [0, 0, 1.0])
    x /= np.linalg.norm(x)
    made = [
        JsonRecord(RecordKind.EVENT, "FixedTransform", 0, {"name": "ReferenceToRas", "matrix": REFERENCE_TO_RAS.tolist()}),
        JsonRecord(RecordKind.EVENT, "FixedTransform", 0, {"name": "NeedleTipToNeedle", "matrix": TIP.tolist()}),
        JsonRecord(
            RecordKind.EVENT, "Plan", 0, {"needle": "disc", "target": "L4-L5", "entryRas": PLAN.entryRas, "targetRas": PLAN.targetRas}
        ),
    ]
    depths = np.linspace(-15, PLAN.lengthMm - 1.0, count)
    for index, depth in enumerate(depths):
        tipToRas = rigidFrom(np.stack([x, np.cross(z, x), z], axis=1), np.array(PLAN.entryRas) + depth * z + lateral * x)
        needleToReference = invertRigid(REFERENCE_TO_RAS) @ tipToRas @ invertRigid(TIP)
        timeNs = index * 40_000_000
        invalid = 60 <= index < 75
        validity = PoseValidity.INVALID if invalid else PoseValidity.VALID
        made.append(PoseRecord("NeedleToReference", timeNs, 0.0, np.eye(4) if invalid else needleToReference, validity))
        if index % 3 == 0:
            made.append(ImageRecord("Image_Reference", timeNs, 0.0, np.zeros((1, 4, 5), np.uint8), np.eye(4), PoseValidity.VALID))
        guidance = {"phase": "advancing" if depth > 0 else "aligning", "outOfPlaneMm": 1.0, "clearancesMm": {"root L4": 20.0 - 0.1 * depth}}
        made.append(JsonRecord(RecordKind.GUIDANCE, "Guidance", timeNs, guidance))
    return made


def test_reviewOfARecordingMeasuresTheKnownErrors():
    review = reviewProcedure("case", takeApart(records()), registration={"freMm": 0.3})
    assert review.missing == ()
    assert review.navigation.entryErrorMm == pytest.approx(2.0, abs=1e-6)
    assert review.navigation.finalTipToTargetMm == pytest.approx(np.hypot(2, 1), abs=1e-6)
    assert review.invisibleShare["NeedleToReference"] == pytest.approx(0.1)
    assert review.navigation.timePerPhaseSec.keys() == {"aligning", "advancing"}
    assert review.navigation.leastClearanceMm["root L4"] == pytest.approx(20 - 0.1 * (PLAN.lengthMm - 1), abs=0.1)
    assert review.perkTutor.pathLengthMm == pytest.approx(PLAN.lengthMm + 14.0, abs=1e-6)
    assert review.toDict()["navigation"]["finalLateralMm"] == pytest.approx(2.0, abs=1e-6)
    assert review.row()["finalLateralMm"] == pytest.approx(2.0, abs=1e-6)


def test_sceneGivesTheSameNumbersAsTheRecording(host, tmp_path):
    made = records()
    exportToSequences(host.scene, made)
    path = host.saveScene(tmp_path / "scene.mrb")
    host.clear()
    host.loadScene(path)
    (browser,) = sequenceBrowsers(slicer.mrmlScene)
    fixed = [record for record in made if isinstance(record, JsonRecord)]
    fromScene = reviewProcedure("case", takeApart([*fixed, *readSequences(browser)])).toDict()
    direct = reviewProcedure("case", takeApart(made)).toDict()
    for name, value in direct["navigation"].items():
        if isinstance(value, float):
            # Slicer's transform sequence files keep six significant digits: micrometres here.
            assert fromScene["navigation"][name] == pytest.approx(value, rel=1e-5, abs=1e-3), name
    assert fromScene["streams"] == direct["streams"]
    assert fromScene["imageCount"] == direct["imageCount"]
    assert fromScene["invisibleShare"] == direct["invisibleShare"]


def test_missingPartsAreNamedNotGuessed():
    only = [record for record in records() if isinstance(record, PoseRecord)]
    review = reviewProcedure("case", takeApart(only))
    assert review.navigation is None
    assert any("registration" in text for text in review.missing)
    assert any("no plan" in text for text in review.missing)
    nothing = reviewProcedure("case", takeApart([]))
    assert any("NeedleToReference" in text for text in nothing.missing)


@pytest.mark.realdata
def test_plusRecordingIsReviewedAsFarAsItGoes(realData):
    recorded = readForeignRecording(realData / "tracked/plus/SpinePhantomFreehand.igs.mha")
    review = reviewProcedure("spine", recorded)
    assert review.imageCount == 21
    assert review.streams["ProbeToTracker"] == 21
    assert review.durationSec == pytest.approx(20 / 10.8, rel=0.1)
    assert any("NeedleToReference" in text for text in review.missing)
