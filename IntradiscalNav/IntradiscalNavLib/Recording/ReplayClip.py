"""A film and key pictures of a replayed procedure. The views are drawn by whoever has them: off-screen here, the windows in Slicer."""

from __future__ import annotations

import importlib.util
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Recording.ProcedureTimeline import TimelineEntry
from TranslatedText.Translation import tr as _

Picture = npt.NDArray[np.uint8]
PictureAt = Callable[[float], Picture]
"""Shows the replay at a time (s) and gives all views as one picture (rows, columns, 3), top row first."""


def whyNoClip() -> str:
    """Why no film can be written here; empty if it can."""
    missing = [name for name in ("imageio", "imageio_ffmpeg") if importlib.util.find_spec(name) is None]
    return _("Writing a clip needs {names}: pip install imageio imageio-ffmpeg.").format(names=" and ".join(missing)) if missing else ""


def writeClip(
    pictureAt: PictureAt,
    durationSec: float,
    path: pathlib.Path,
    framesPerSecond: float = 10.0,
    speed: float = 1.0,
    onProgress: Callable[[float], None] | None = None,
) -> int:
    """Write an MP4 of all views; returns the number of frames.

    :raises RuntimeError: when imageio with ffmpeg isn't installed, or the film can't be written.
    """
    why = whyNoClip()
    if why:
        raise RuntimeError(why)
    import imageio.v2 as imageio

    count = max(1, int(durationSec / speed * framesPerSecond))
    try:
        with imageio.get_writer(path, fps=framesPerSecond, macro_block_size=8) as writer:
            for frame in range(count):
                writer.append_data(_evenSized(pictureAt(frame / framesPerSecond * speed)))
                if onProgress:
                    onProgress((frame + 1) / count)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise RuntimeError(_("The clip {path} can't be written: {error}").format(path=path, error=error)) from error
    return count


def writeKeyPictures(
    pictureAt: PictureAt, timeline: Sequence[TimelineEntry], durationSec: float, folder: pathlib.Path
) -> list[pathlib.Path]:
    """One picture of all views per phase, at its start, and one at the end, as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    moments = [(entry.timeSec, entry.text) for entry in timeline if entry.name == "phase" and entry.text != "unknown"]
    moments.append((durationSec, "end"))
    written = []
    for number, (timeSec, name) in enumerate(moments):
        path = folder / f"{number:02d}-{name.replace(' ', '-')}-{timeSec:05.1f}s.png"
        writePng(pictureAt(timeSec), path)
        written.append(path)
    return written


def writePng(picture: Picture, path: pathlib.Path) -> None:
    """Write a picture (rows, columns, 3), top row first.

    :raises OSError: when it can't be written.
    """
    import vtk
    from vtkmodules.util.numpy_support import numpy_to_vtk

    rows, columns, _unused = picture.shape
    image: Any = vtk.vtkImageData()
    image.SetDimensions(columns, rows, 1)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(picture[::-1]).reshape(-1, 3), deep=True))
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(image)
    writer.Write()
    if writer.GetErrorCode() or not path.is_file():
        raise OSError(
            _("The picture {path} can't be written: check the free space and the permissions of {parent}.").format(
                path=path, parent=path.parent
            )
        )


def _evenSized(picture: Picture) -> Picture:
    """Cropped to multiples of eight, which video codecs want."""
    rows, columns = (size - size % 8 for size in picture.shape[:2])
    return picture[:rows, :columns]
