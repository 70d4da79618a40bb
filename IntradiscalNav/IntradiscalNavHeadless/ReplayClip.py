"""A film and key pictures of a replayed procedure."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import numpy as np

from IntradiscalNavHeadless.NavigationPictures import NavigationPictures
from IntradiscalNavHeadless.SceneReplay import SceneReplay


def writeClip(
    replay: SceneReplay,
    pictures: NavigationPictures,
    path: pathlib.Path,
    framesPerSecond: float = 10.0,
    speed: float = 1.0,
    onProgress: Callable[[float], None] | None = None,
) -> int:
    """Write an MP4 of all views; returns the number of frames.

    :raises RuntimeError: when imageio with ffmpeg isn't installed, or the film can't be written.
    """
    try:
        import imageio.v2 as imageio
    except ImportError as error:
        raise RuntimeError("Writing a clip needs imageio and ffmpeg: pip install 'intradiscalnav[clip]'.") from error
    count = max(1, int(replay.durationSec / speed * framesPerSecond))
    try:
        with imageio.get_writer(path, fps=framesPerSecond, macro_block_size=8) as writer:
            for frame in range(count):
                writer.append_data(_evenSized(pictures.mosaic(replay.seek(frame / framesPerSecond * speed))))
                if onProgress:
                    onProgress((frame + 1) / count)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise RuntimeError(f"The clip {path} can't be written: {error}") from error
    return count


def writeKeyPictures(replay: SceneReplay, pictures: NavigationPictures, folder: pathlib.Path) -> list[pathlib.Path]:
    """One picture of all views per phase, at its start, and one at the end."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    moments = [(entry.timeSec, entry.text) for entry in replay.timeline() if entry.name == "phase" and entry.text != "unknown"]
    moments.append((replay.durationSec, "end"))
    written = []
    for number, (timeSec, name) in enumerate(moments):
        path = folder / f"{number:02d}-{name.replace(' ', '-')}-{timeSec:05.1f}s.png"
        Image.fromarray(pictures.mosaic(replay.seek(timeSec))).save(path)
        written.append(path)
    return written


def _evenSized(picture: np.ndarray) -> np.ndarray:
    """Cropped to multiples of eight, which video codecs want."""
    rows, columns = (size - size % 8 for size in picture.shape[:2])
    return picture[:rows, :columns]
