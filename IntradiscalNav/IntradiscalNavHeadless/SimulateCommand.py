"""``intradiscalnav simulate``: a simulated PlusServer with a patient, tools and ultrasound, for rehearsal without hardware."""

from __future__ import annotations

from typing import Annotated

import typer


def simulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes any free one.")] = 18944,
    rate: Annotated[float, typer.Option(min=1.0, max=500.0, help="Frames per second.")] = 30.0,
    seed: Annotated[int, typer.Option(help="Seed of noise, hand motion and patient.")] = 1,
    randomPatient: Annotated[bool, typer.Option("--random-patient", help="Draw the patient's size and posture from the seed.")] = False,
    distortionMm: Annotated[float, typer.Option("--distortion-mm", min=0.0, help="Distortion of the tracker's field.")] = 0.0,
    breathingMm: Annotated[float, typer.Option("--breathing-mm", min=0.0, help="Rise of the back with each breath.")] = 0.0,
    bendingMm: Annotated[float, typer.Option("--bending-mm", min=0.0, help="Deflection of the needle 80 mm deep.")] = 0.9,
    image: Annotated[bool, typer.Option(help="Stream ultrasound images.")] = True,
    forSec: Annotated[float, typer.Option("--for", min=0.0, help="End after so many seconds; 0 goes on until stopped.")] = 0.0,
) -> None:
    """Stream a simulated procedure as PlusServer does. The first line printed is JSON: port, calibrations, marker plate."""
    from IntradiscalNavLib.Simulation.SimulatedPlus import main

    options = {
        "--port": port,
        "--rate": rate,
        "--seed": seed,
        "--distortion-mm": distortionMm,
        "--breathing-mm": breathingMm,
        "--bending-mm": bendingMm,
        "--lifetime": forSec or 1e9,
    }
    flags = [*(["--random-patient"] if randomPatient else []), *([] if image else ["--no-image"])]
    code = main([text for name, value in options.items() for text in (name, str(value))] + flags)
    if code:
        raise typer.Exit(code)
