"""PLUS device-set configurations (XML): coordinate definitions, devices, and what the server is told to send.

Structure: PlusLib user manual, http://perk-software.cs.queensu.ca/plus/doc/nightly/user/Configuration.html (PlusConfiguration 2.x).
"""

from __future__ import annotations

import pathlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from FusionRegistrationLib.RigidTransform import FloatArray
from TranslatedText.Translation import tr as _

DEFAULT_PORT = 18944


@dataclass(frozen=True)
class PlusDevice:
    """A device element: its identifier, its type (``AuroraTracker`` in PLUS's words) and the tools it reports."""

    deviceId: str
    deviceType: str
    attributes: Mapping[str, str]
    toolIds: tuple[str, ...]
    toolReferenceFrame: str


@dataclass(frozen=True)
class PlusServerSettings:
    """A PlusOpenIGTLinkServer element: what every client gets unless it asks for something else."""

    port: int
    sendValidTransformsOnly: bool
    messageTypes: tuple[str, ...]
    transformNames: tuple[str, ...]
    imageNames: tuple[str, ...]
    outputChannelId: str


@dataclass(frozen=True, eq=False)
class PlusConfiguration:
    """A configuration that was read. ``coordinateDefinitions`` maps ``FromToTo`` to a 4x4 matrix (mm; pixels for Image)."""

    path: pathlib.Path
    coordinateDefinitions: Mapping[str, FloatArray]
    coordinateErrors: Mapping[str, float]
    devices: tuple[PlusDevice, ...]
    servers: tuple[PlusServerSettings, ...]


def readPlusConfiguration(path: str | pathlib.Path) -> PlusConfiguration:
    """Read a configuration or a calibration result of PLUS.

    :raises ValueError: naming the file and what is wrong: not XML, no PLUS file, a matrix that is not 16 numbers.
    """
    path = pathlib.Path(path)
    try:
        root = ElementTree.parse(path).getroot()
    except OSError as error:
        raise ValueError(
            _("The PLUS configuration {path} cannot be read: {strerror}.").format(path=path, strerror=error.strerror or error)
        ) from error
    except ElementTree.ParseError as error:
        raise ValueError(_("{path} is not XML ({error}). Choose a PLUS device-set file.").format(path=path, error=error)) from error
    if not root.tag.startswith(("Plus", "ProbeCalibration")):
        raise ValueError(
            _("{path} is not a PLUS configuration: its outermost element is {tag}, not PlusConfiguration.").format(path=path, tag=root.tag)
        )
    matrices: dict[str, FloatArray] = {}
    errors: dict[str, float] = {}
    for holder in ("CoordinateDefinitions", "CalibrationResults"):
        for element in root.iterfind(f".//{holder}/Transform"):
            name, matrix = _readTransform(element, path)
            matrices[name] = matrix
            if "Error" in element.attrib:
                errors[name] = float(element.attrib["Error"])
    return PlusConfiguration(
        path,
        matrices,
        errors,
        tuple(_readDevice(element) for element in root.iterfind("./DataCollection/Device")),
        tuple(_readServer(element) for element in root.iterfind("./PlusOpenIGTLinkServer")),
    )


def _readTransform(element: ElementTree.Element, path: pathlib.Path) -> tuple[str, FloatArray]:
    name = f"{element.get('From', '')}To{element.get('To', '')}"
    text = element.get("Matrix", "")
    try:
        matrix = np.array([float(word) for word in text.split()]).reshape(4, 4)
    except ValueError:
        raise ValueError(_("{path}: the matrix of {name} is not 16 numbers.").format(path=path, name=name)) from None
    if not np.isfinite(matrix).all():
        raise ValueError(_("{path}: the matrix of {name} holds NaN or infinite values.").format(path=path, name=name))
    return name, matrix


def _readDevice(element: ElementTree.Element) -> PlusDevice:
    sources = element.iterfind("./DataSources/DataSource")
    tools = tuple(source.get("Id", "") for source in sources if source.get("Type") == "Tool")
    return PlusDevice(
        element.get("Id", ""), element.get("Type", ""), dict(element.attrib), tools, element.get("ToolReferenceFrame", "Tracker")
    )


def _readServer(element: ElementTree.Element) -> PlusServerSettings:
    client = element.find("./DefaultClientInfo")
    types: tuple[str, ...] = ()
    transforms: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    if client is not None:
        types = tuple(message.get("Type", "") for message in client.iterfind("./MessageTypes/Message"))
        transforms = tuple(transform.get("Name", "") for transform in client.iterfind("./TransformNames/Transform"))
        images = tuple(
            f"{image.get('Name', '')}_{image.get('EmbeddedTransformToFrame', '')}" for image in client.iterfind("./ImageNames/Image")
        )
    return PlusServerSettings(
        int(element.get("ListeningPort", str(DEFAULT_PORT))),
        element.get("SendValidTransformsOnly", "TRUE").upper() != "FALSE",
        types,
        transforms,
        images,
        element.get("OutputChannelId", ""),
    )
