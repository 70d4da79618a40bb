"""Names, numbers and terminology of segments."""

import pytest

from IntradiscalNavLib.Planning.StructureNames import (
    TOTAL_SEGMENTATOR_CLASSES,
    StructureKind,
    discBelow,
    nameStructures,
    structureFromName,
    structureFromTerminology,
)


@pytest.mark.parametrize(
    ("name", "kind", "level", "side"),
    [
        ("vertebrae_L4", "vertebra", "L4", ""),
        ("L5", "vertebra", "L5", ""),
        ("Vertebra L3", "vertebra", "L3", ""),
        ("sacrum", "vertebra", "sacrum", ""),
        ("vertebrae_S1", "vertebra", "S1", ""),
        ("T12", "vertebra", "T12", ""),
        ("disc_L4_L5", "disc", "L4-L5", ""),
        ("L5/S1 disk", "disc", "L5-S1", ""),
        ("intervertebral disc L3", "disc", "L3-L4", ""),
        ("L4-L5", "disc", "L4-L5", ""),
        ("Left L5 root", "root", "L5", "left"),
        ("root_L4_right", "root", "L4", "right"),
        ("L4 nerve", "root", "L4", ""),
        ("dural sac", "dura", "", ""),
        ("spinal_cord", "dura", "", ""),
        ("kidney_left", "kidney", "", "left"),
        ("iliac_artery_left", "vessel", "", "left"),
        ("iliac_vena_right", "vessel", "", "right"),
        ("aorta", "vessel", "", ""),
        ("hip_right", "ilium", "", "right"),
        ("colon", "bowel", "", ""),
        ("Sigmoid", "bowel", "", ""),
        ("iliopsoas_left", "ignored", "", "left"),
        ("rib_left_12", "rib", "", "left"),
        ("liver", "organ", "", ""),
    ],
)
def test_namesAreUnderstood(name, kind, level, side):
    found = structureFromName(name)
    assert found is not None
    assert (found.kind.value, found.level, found.side) == (kind, level, side)


@pytest.mark.parametrize("name", ["", "Segment_1", "foo", "thing of interest"])
def test_otherNamesAreNotGuessed(name):
    assert structureFromName(name) is None


def test_terminologyOfSlicerIsUnderstood():
    entry = (
        "Segmentation category and type - DICOM master list~SCT^123037004^Anatomical Structure~SCT^11994002^L4 vertebra~^^"
        "~Anatomic codes~^^~^^"
    )
    found = structureFromTerminology(entry)
    assert found is not None
    assert (found.kind, found.level) == (StructureKind.VERTEBRA, "L4")
    byMeaning = structureFromTerminology("x~SCT^123037004^Anatomical Structure~SCT^999^Lumbar nerve root~SCT^7771000^Left~x~^^~^^")
    assert byMeaning is not None
    assert (byMeaning.kind, byMeaning.side) == (StructureKind.ROOT, "left")
    assert structureFromTerminology("x~SCT^49755003^Morphologically Altered Structure~SCT^4147007^Mass~^^~x~^^~^^") is None


def test_totalSegmentatorNumbersFollowItsTable():
    # From TotalSegmentator v2's class table.
    for number, name in (
        (25, "sacrum"),
        (26, "vertebrae_S1"),
        (27, "vertebrae_L5"),
        (31, "vertebrae_L1"),
        (32, "vertebrae_T12"),
        (43, "vertebrae_T1"),
    ):
        assert TOTAL_SEGMENTATOR_CLASSES[number] == name
    assert TOTAL_SEGMENTATOR_CLASSES[92] == "rib_left_1"
    assert TOTAL_SEGMENTATOR_CLASSES[115] == "rib_right_12"
    named = nameStructures([0, 27, 2, 18])
    assert named.assumedNumbering
    assert named.byLabel[27].level == "L5"
    assert named.byLabel[2].kind is StructureKind.KIDNEY
    assert named.byLabel[18].kind is StructureKind.BOWEL


def test_unknownNamesAreReported():
    named = nameStructures([1, 2], {1: "L4", 2: "something else"})
    assert named.unknownNames == ("something else",)
    assert named.byLabel[2].kind is StructureKind.IGNORED


def test_terminologyHelpsWhereTheNameSaysNothing():
    entry = "x~SCT^123037004^Anatomical Structure~SCT^49668003^L5 vertebra~^^~x~^^~^^"
    named = nameStructures([1], {1: "Segment_1"}, {1: entry})
    assert named.byLabel[1].level == "L5"
    assert not named.unknownNames


def test_discBelow():
    assert discBelow("L5") == "L5-S1"
    assert discBelow("T12") == "T12-L1"
    assert discBelow("S1") == ""
    assert discBelow("nonsense") == ""
