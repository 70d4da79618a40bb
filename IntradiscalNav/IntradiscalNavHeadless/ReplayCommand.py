"""``intradiscalnav replay FILE``: stream a PLUS recording over OpenIGTLink as PlusServer does."""

from __future__ import annotations

import pathlib
import time
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Simulation.PlusRecording import PlusRecording, readPlusRecording
from IntradiscalNavLib.Simulation.ReplayServer import ReplayOptions, ReplayServer
from IntradiscalNavLib.Streaming.PlusConfiguration import DEFAULT_PORT, readPlusConfiguration


def replay(
    file: Annotated[pathlib.Path, typer.Argument(help="Recording made by PLUS: .igs.mha, .mha, .igs.nrrd, .seq.nrrd.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")] = DEFAULT_PORT,
    config: Annotated[
        pathlib.Path | None, typer.Option(help="PLUS configuration or calibration result with ImageToProbe and the like.")
    ] = None,
    speed: Annotated[float, typer.Option(min=0.0, help="2 is twice as fast as recorded, 0 as fast as possible.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="End after the last frame instead of starting again.")] = False,
    sendInvalid: Annotated[bool, typer.Option("--send-invalid", help="Send lost tools as identity with status, not as silence.")] = False,
    imageFrame: Annotated[str, typer.Option(help="Frame the image's pose is given in.")] = "Reference",
    oldFrames: Annotated[int, typer.Option(min=0, help="Frames 1-2 s old that the first client gets at once, as from PlusServer.")] = 0,
    forSec: Annotated[float, typer.Option("--for", min=0.0, help="End after so many seconds; 0 goes on until stopped.")] = 0.0,
) -> None:
    """Stream a recording to every client that connects, as PlusServer replays it."""
    console = Console()
    recording = readPlusRecording(file)
    calibrations = dict(readPlusConfiguration(config).coordinateDefinitions) if config is not None else {}
    if recording.imageFrames is not None and "ImageToProbe" not in calibrations and imageFrame != "Image":
        console.print("No ImageToProbe calibration given (--config): the image is sent in pixels, as Image_Image.", style="yellow")
        imageFrame = "Image"
    options = ReplayOptions(speed=speed, loop=not once, imageFrame=imageFrame, sendInvalid=sendInvalid, oldFrames=oldFrames)
    server = ReplayServer(recording, port, calibrations=usableCalibrations(calibrations, recording), options=options)
    with server:
        console.print(describeRecording(recording))
        console.print(f"Transforms: {', '.join(server.transformNames)}")
        console.print(f"[bold]Listening on 127.0.0.1:{server.port}[/bold]. Stop with Ctrl+C.", highlight=False)
        end = time.monotonic() + forSec if forSec > 0 else float("inf")
        try:
            while time.monotonic() < end:
                if server.waitUntilFinished(min(0.5, max(0.0, end - time.monotonic()))):
                    # The last bytes are on their way to the clients; closing at once would cut them off.
                    time.sleep(0.5)
                    break
        except KeyboardInterrupt:
            pass
    console.print(f"Sent {server.sentFrameCount} frames.")


def usableCalibrations(calibrations: dict[str, FloatArray], recording: PlusRecording) -> dict[str, FloatArray]:
    """Calibrations without those that were recorded per frame: the recording leads."""
    return {name: matrix for name, matrix in calibrations.items() if name not in recording.transforms}


def describeRecording(recording: PlusRecording) -> str:
    """One line for the user: frames, rate, size of the pictures."""
    rate = (recording.frameCount - 1) / recording.durationSec if recording.durationSec > 0 else float("nan")
    size = "no pictures"
    if recording.imageFrames is not None:
        size = f"pictures {recording.imageFrames.shape[2]} x {recording.imageFrames.shape[1]}"
    rateText = f"{rate:.1f} per second" if np.isfinite(rate) else "no rate"
    return f"{recording.path.name}: {recording.frameCount} frames, {rateText}, {recording.durationSec:.0f} s, {size}"
