"""Recordings of PLUS (.igs.mha, .igs.nrrd, .seq.nrrd), reviewed as far as they go."""

from __future__ import annotations

import pathlib

import numpy as np

from IntradiscalNavLib.Recording.RecordedProcedure import PoseSeries, RecordedProcedure
from IntradiscalNavLib.Simulation.PlusRecording import readPlusRecording

ENDINGS = (".igs.mha", ".igs.nrrd", ".seq.nrrd", ".seq.mha", ".mha")


def readForeignRecording(path: pathlib.Path | str) -> RecordedProcedure:
    """A PLUS recording as a recorded procedure: poses and image times; there is no plan, no guidance and no registration in it.

    :raises ValueError: naming the file and what is wrong with it.
    """
    recording = readPlusRecording(pathlib.Path(path))
    times = np.asarray(recording.timestampsSec, float)
    times = times - times[0] if len(times) else times
    poses = {}
    for name, matrices in recording.transforms.items():
        finite = np.array([bool(np.isfinite(matrix).all()) for matrix in matrices])
        statuses = np.array([status == "OK" for status in recording.statuses.get(name, ("OK",) * len(matrices))], bool)
        order = np.argsort(times, kind="stable")
        usable = np.where(finite[:, None, None], matrices, np.eye(4))
        poses[name] = PoseSeries(name, times[order], usable[order], (finite & statuses)[order])
    images = times if recording.imageFrames is not None else np.zeros(0)
    return RecordedProcedure(
        durationSec=float(times.max()) if len(times) else 0.0,
        poses=poses,
        fixedTransforms={},
        plans={},
        guidance=(),
        events=(),
        imageCount=len(images),
        imageTimesSec=images,
    )
