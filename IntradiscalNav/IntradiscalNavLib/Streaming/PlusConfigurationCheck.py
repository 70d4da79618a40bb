"""Mistakes in a PLUS configuration, found before PlusServer is started with it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable

import numpy as np

from IntradiscalNavLib.Streaming.PlusConfiguration import PlusConfiguration
from IntradiscalNavLib.Streaming.TransformName import imageFrame, parseTransformName
from IntradiscalNavLib.Streaming.TransformTree import TransformTree
from IntradiscalNavLib.Streaming.TransformTreeCheck import Severity, TreeFinding, checkTree


def checkPlusConfiguration(configuration: PlusConfiguration) -> tuple[TreeFinding, ...]:
    """Everything that keeps the server from sending what is asked of it, and what this program needs from it."""
    root = ElementTree.parse(configuration.path).getroot()
    findings = [*_channelFindings(root), *_serverFindings(configuration), *_transformFindings(configuration, root)]
    order = (Severity.ERROR, Severity.WARNING, Severity.NOTE)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


def _channelFindings(root: ElementTree.Element) -> Iterable[TreeFinding]:
    channels = [channel.get("Id", "") for channel in root.iterfind("./DataCollection/Device/OutputChannels/OutputChannel")]
    for name in sorted({channel for channel in channels if channels.count(channel) > 1}):
        yield TreeFinding(Severity.ERROR, "channel-twice", f"Two output channels are called {name}.", "Give each its own Id.")
    for channel in root.iterfind("./DataCollection/Device/InputChannels/InputChannel"):
        if channel.get("Id", "") not in channels:
            yield TreeFinding(
                Severity.ERROR,
                "channel-unknown",
                f"The input channel {channel.get('Id', '')} is no device's output channel.",
                f"Use one of {', '.join(channels)}.",
            )
    for server in root.iterfind("./PlusOpenIGTLinkServer"):
        if server.get("OutputChannelId", "") not in channels:
            yield TreeFinding(
                Severity.ERROR,
                "channel-unknown",
                f"The server sends channel {server.get('OutputChannelId', '')}, which no device has.",
                f"Set OutputChannelId to one of {', '.join(channels)}.",
            )
    for device in root.iterfind("./DataCollection/Device"):
        sources = {source.get("Id", "") for source in device.iterfind("./DataSources/DataSource")}
        for channel in device.iterfind("./OutputChannels/OutputChannel"):
            wanted = {source.get("Id", "") for source in channel.iterfind("./DataSource")}
            wanted |= {channel.get("VideoDataSourceId", "")} - {""}
            for name in sorted(wanted - sources):
                yield TreeFinding(
                    Severity.ERROR,
                    "source-unknown",
                    f"Channel {channel.get('Id', '')} takes {name}, which {device.get('Id', '')} does not have.",
                    "Add it to DataSources.",
                )


def _serverFindings(configuration: PlusConfiguration) -> Iterable[TreeFinding]:
    if not configuration.servers:
        yield TreeFinding(
            Severity.ERROR, "no-server", "There is no PlusOpenIGTLinkServer element: nothing is sent.", "Add one, see the templates."
        )
    for server in configuration.servers:
        if server.sendValidTransformsOnly:
            yield TreeFinding(
                Severity.NOTE,
                "silent-when-lost",
                f"On port {server.port} lost tools fall silent instead of reporting their status.",
                'Set SendValidTransformsOnly="FALSE".',
            )
        if server.transformNames and "TRANSFORM" not in server.messageTypes:
            yield TreeFinding(
                Severity.ERROR,
                "type-missing",
                "TransformNames are listed, but MessageTypes has no TRANSFORM.",
                'Add <Message Type="TRANSFORM"/>.',
            )
        if server.imageNames and "IMAGE" not in server.messageTypes:
            yield TreeFinding(
                Severity.ERROR, "type-missing", "ImageNames are listed, but MessageTypes has no IMAGE.", 'Add <Message Type="IMAGE"/>.'
            )


def _transformFindings(configuration: PlusConfiguration, root: ElementTree.Element) -> Iterable[TreeFinding]:
    tree = TransformTree()
    for device in configuration.devices:
        for tool in device.toolIds:
            # A place of its own for every tool, so that nothing is found to coincide by accident.
            matrix = np.eye(4)
            matrix[0, 3] = 1.0 + len(tree.streamedNames)
            tree.update(f"{tool}To{device.toolReferenceFrame}", matrix)
    for name, matrix in configuration.coordinateDefinitions.items():
        tree.setFixed(name, matrix)
    replays = any(device.deviceType == "SavedDataSource" for device in configuration.devices)
    for server in configuration.servers:
        wanted = [(name, parseTransformName(name, tree.frameNames)) for name in server.transformNames]
        for name, parsed in wanted:
            if parsed is None:
                yield TreeFinding(
                    Severity.ERROR, "unusable-name", f"{name} is not of the form FromToTo.", "Write it as in ProbeToReference."
                )
            elif not replays and tree.resolve(parsed.fromFrame, parsed.toFrame) is None:
                yield TreeFinding(
                    Severity.ERROR,
                    "path-not-found",
                    f"{name} cannot be made from the tools and coordinate definitions of this file.",
                    "Add the missing tool or transform.",
                )
        for name in server.imageNames:
            frames = imageFrame(name)
            if frames is not None and not replays and tree.resolve(*frames) is None:
                yield TreeFinding(
                    Severity.ERROR,
                    "image-unplaced",
                    f"The image {frames[0]} cannot be brought to {frames[1]}: PlusServer will send no image.",
                    f"Add a transform from {frames[0]} to the probe to CoordinateDefinitions.",
                )
        if replays or not server.transformNames:
            continue
        received = {frame for _, parsed in wanted if parsed is not None for frame in (parsed.fromFrame, parsed.toFrame)}
        if tree.frames.reference not in received:
            yield TreeFinding(
                Severity.WARNING,
                "patient-not-tracked",
                f"No transform of {tree.frames.reference} is sent: the patient is not tracked.",
                "Fix a sensor to the patient and send its transform.",
            )
    codes = ("pixel-size", "image-degenerate", "image-sheared", "not-rigid", "identity-calibration")
    yield from (finding for finding in checkTree(tree) if finding.code in codes)
