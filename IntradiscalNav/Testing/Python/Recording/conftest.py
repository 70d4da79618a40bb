"""A recorded case whose errors are known by construction."""

import numpy as np
import pytest

from IntradiscalNavLib.Recording.CaseFolder import CaseFolder
from IntradiscalNavLib.Recording.RecordFormat import PoseValidity
from IntradiscalNavLib.Recording.RecordingWriter import RecordingWriter

ENTRY, TARGET = np.array([60.0, -80.0, 0.0]), np.zeros(3)


def recordCase(folder, lateral):
    case = CaseFolder(folder)
    writer = RecordingWriter(case.newRecordingFolder())
    z = (TARGET - ENTRY) / np.linalg.norm(TARGET - ENTRY)
    x = np.array([0.0, 0.0, 1.0])
    writer.addEvent("FixedTransform", {"name": "ReferenceToRas", "matrix": np.eye(4).tolist()})
    writer.addEvent("Plan", {"needle": "disc", "target": "L4-L5", "entryRas": ENTRY.tolist(), "targetRas": TARGET.tolist()})
    start = writer.startMonotonicNs
    for index, depth in enumerate(np.linspace(-10, 100, 60)):
        pose = np.eye(4)
        pose[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
        pose[:3, 3] = ENTRY + depth * z + lateral * x
        writer.addPose("NeedleToReference", pose, 0.0, PoseValidity.VALID, start + index * 50_000_000)
    writer.stop()
    return case


@pytest.fixture(scope="session")
def caseRecorder():
    """Function (folder, lateralMm): records a straight insertion beside its plan."""
    return recordCase
