"""Recordings of PLUS (.igs.mha, .igs.nrrd, .seq.nrrd), reviewed as far as they go."""

from __future__ import annotations

import pathlib

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Recording.RecordedProcedure import PoseSeries, RecordedProcedure
from IntradiscalNavLib.Simulation.PlusRecording import readPlusRecording
from TranslatedText.Translation import tr as _

ENDINGS = (".igs.mha", ".igs.nrrd", ".seq.nrrd", ".seq.mha", ".mha")


def readForeignRecording(path: pathlib.Path | str) -> RecordedProcedure:
    """A PLUS recording as a recorded procedure: poses and image times; there is no plan, no guidance and no registration in it.

    :raises ValueError: naming the file and what is wrong with it.
    """
    recording = readPlusRecording(pathlib.Path(path))
    times, remarks = _withoutJumps(np.asarray(recording.timestampsSec, float))
    poses = {}
    for name, matrices in recording.transforms.items():
        finite = np.array([bool(np.isfinite(matrix).all()) for matrix in matrices])
        statuses = np.array([status == "OK" for status in recording.statuses.get(name, ("OK",) * len(matrices))], bool)
        usable = np.where(finite[:, None, None], matrices, np.eye(4))
        poses[name] = PoseSeries(name, times, usable, finite & statuses)
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
        remarks=remarks,
    )


def _withoutJumps(stamps: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], tuple[str, ...]]:
    """Seconds since the first frame, frames in file order; where the clock was set back, the usual step between frames is taken instead."""
    if not len(stamps):
        return stamps, ()
    steps = np.diff(stamps)
    back = steps < 0
    if not back.any():
        return stamps - stamps[0], ()
    usual = float(np.median(steps[~back])) if (~back).any() else 0.0
    times = np.concatenate([[0.0], np.cumsum(np.where(back, usual, steps))])
    remark = _("the clock of the recording was set back {sum} times, by {min:.3f} s at most; times after that are estimated").format(
        sum=int(back.sum()), min=-steps.min()
    )
    return times, (remark,)
