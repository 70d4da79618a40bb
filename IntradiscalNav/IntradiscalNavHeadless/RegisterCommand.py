"""``intradiscalnav register CT``: tracker space to the CT, from a marker plate or from touched points, with the error at the targets."""

from __future__ import annotations

import csv
import json
import pathlib
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from FusionRegistrationLib.MarkerPlate import MarkerPlate, registerPlate
from FusionRegistrationLib.PointMatching import matchPoints
from FusionRegistrationLib.RegistrationVerdict import judgeRegistration
from FusionRegistrationLib.RigidFit import RigidFit, fitRigid

EXIT_NOT_REGISTERED = 1
POSTERIOR = (0.0, -1.0, 0.0)


def register(
    ct: Annotated[pathlib.Path, typer.Argument(help="CT with the markers: DICOM folder, NIfTI, NRRD or MetaImage.")],
    plate: Annotated[pathlib.Path | None, typer.Option(help="Marker plate definition (JSON): balls in the frame of its sensor.")] = None,
    points: Annotated[pathlib.Path | None, typer.Option(help="Markers touched with the stylus: CSV of x,y,z in Reference, mm.")] = None,
    target: Annotated[list[str] | None, typer.Option(help="NAME=R,A,S: predict the error there, e.g. disc=2.1,-45,12.")] = None,
    output: Annotated[pathlib.Path | None, typer.Option(help="JSON file for the whole result.")] = None,
    asJson: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Register. Ends with code 1 when the markers don't fit in exactly one way; nothing is guessed then."""
    from FusionRegistrationLib.MarkerDetection import detectMarkers
    from IntradiscalNavHeadless.PlanInput import readCt

    if (plate is None) == (points is None):
        raise ValueError("Give either --plate or --points: what is to be registered to the CT?")
    console = Console(stderr=asJson)
    targets = dict(_parseTarget(text) for text in target or [])
    volume = readCt(ct)
    detection = detectMarkers(volume.voxels, volume.ijkToRas)
    centers = np.array([marker.centerRas for marker in detection.markers]).reshape(-1, 3)
    for warning in (*volume.warnings, *detection.warnings):
        console.print(f"[yellow]{warning}[/yellow]", highlight=False)
    console.print(f"{len(centers)} markers found in {ct}")
    if len(centers) < 3:
        raise ValueError(f"Only {len(centers)} markers were found in {ct}: at least three are needed. Is the plate in the scanned region?")
    fit, message = _fitPlate(plate, centers, targets) if plate is not None else _fitPoints(points, centers, targets)
    if fit is None:
        console.print(f"[bold red]Not registered.[/bold red] {message}", highlight=False)
        raise typer.Exit(EXIT_NOT_REGISTERED)
    content: dict[str, Any] = {"message": message, "markersRas": centers.tolist(), **fit.toDict()}
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if asJson:
        print(json.dumps(content))
        return
    console.print(message, highlight=False)
    verdict = judgeRegistration(fit)
    console.print(f"[bold]{verdict.text}[/bold]", highlight=False)
    table = Table("marker", "residual mm", "left out, error mm")
    for name, residual, without in zip(fit.pointNames, fit.residualsMm, fit.leaveOneOutMm):
        table.add_row(name, f"{residual:.2f}", f"{without:.2f}")
    console.print(table)
    console.print(
        "ReferenceToRas:\n" + "\n".join("  " + " ".join(f"{value:10.5f}" for value in row) for row in fit.fromToTo), highlight=False
    )


def _fitPlate(path: pathlib.Path, centers: np.ndarray, targets: dict[str, np.ndarray]) -> tuple[RigidFit | None, str]:
    result = registerPlate(MarkerPlate.load(path), centers, outwardRas=POSTERIOR, targets=targets)
    return result.fit, result.message


def _fitPoints(path: pathlib.Path | None, centers: np.ndarray, targets: dict[str, np.ndarray]) -> tuple[RigidFit | None, str]:
    assert path is not None
    touched = readPoints(path)
    match = matchPoints(touched, centers)
    if not match.found:
        return None, match.message
    pairs = np.array(match.pairs)
    names = [f"M{index + 1}" for index in pairs[:, 1]]
    return fitRigid(touched[pairs[:, 0]], centers[pairs[:, 1]], names=names, targets=targets), match.message


def readPoints(path: pathlib.Path) -> np.ndarray:
    """Points (n, 3) of a CSV file: the last three columns of each row; a heading row is skipped.

    :raises ValueError: naming the file and the row that can't be read.
    """
    if not path.is_file():
        raise ValueError(f"There is no file {path}.")
    points = []
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.reader(file), 1):
            cells = [cell.strip() for cell in row if cell.strip()]
            if not cells or cells[0].startswith("#"):
                continue
            try:
                points.append([float(cell) for cell in cells[-3:]])
            except ValueError:
                if number == 1:
                    continue
                raise ValueError(f"{path}, row {number}: {', '.join(cells)} are no three numbers (x, y, z in mm).") from None
            if len(points[-1]) != 3:
                raise ValueError(f"{path}, row {number}: three numbers (x, y, z in mm) are needed.")
    if len(points) < 3:
        raise ValueError(f"{path} holds {len(points)} points: at least three are needed.")
    return np.array(points)


def _parseTarget(text: str) -> tuple[str, np.ndarray]:
    name, _, numbers = text.partition("=")
    try:
        place = np.array([float(part) for part in numbers.split(",")])
    except ValueError:
        place = np.zeros(0)
    if not name or place.shape != (3,):
        raise ValueError(f"A target is written NAME=R,A,S in mm, for example disc=2.1,-45,12; got {text!r}.")
    return name, place
