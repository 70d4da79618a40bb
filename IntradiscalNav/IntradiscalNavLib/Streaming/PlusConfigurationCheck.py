"""Mistakes in a PLUS configuration, found before PlusServer is started with it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable

import numpy as np

from IntradiscalNavLib.Streaming.PlusConfiguration import PlusConfiguration
from IntradiscalNavLib.Streaming.TransformName import imageFrame, parseTransformName
from IntradiscalNavLib.Streaming.TransformTree import TransformTree
from IntradiscalNavLib.Streaming.TransformTreeCheck import Severity, TreeFinding, checkTree
from TranslatedText.Translation import tr as _


def checkPlusConfiguration(configuration: PlusConfiguration) -> tuple[TreeFinding, ...]:
    """Everything that keeps the server from sending what is asked of it, and what this program needs from it."""
    root = ElementTree.parse(configuration.path).getroot()
    findings = [*_channelFindings(root), *_serverFindings(configuration), *_transformFindings(configuration, root)]
    order = (Severity.ERROR, Severity.WARNING, Severity.NOTE)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


def _channelFindings(root: ElementTree.Element) -> Iterable[TreeFinding]:
    channels = [channel.get("Id", "") for channel in root.iterfind("./DataCollection/Device/OutputChannels/OutputChannel")]
    for name in sorted({channel for channel in channels if channels.count(channel) > 1}):
        yield TreeFinding(
            Severity.ERROR, "channel-twice", _("Two output channels are called {name}.").format(name=name), _("Give each its own Id.")
        )
    for channel in root.iterfind("./DataCollection/Device/InputChannels/InputChannel"):
        if channel.get("Id", "") not in channels:
            yield TreeFinding(
                Severity.ERROR,
                "channel-unknown",
                _("The input channel {channelId} is no device's output channel.").format(channelId=channel.get("Id", "")),
                _("Use one of {names}.").format(names=", ".join(channels)),
            )
    for server in root.iterfind("./PlusOpenIGTLinkServer"):
        if server.get("OutputChannelId", "") not in channels:
            yield TreeFinding(
                Severity.ERROR,
                "channel-unknown",
                _("The server sends channel {channelId}, which no device has.").format(channelId=server.get("OutputChannelId", "")),
                _("Set OutputChannelId to one of {names}.").format(names=", ".join(channels)),
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
                    _("Channel {channelId} takes {name}, which {deviceId} does not have.").format(
                        channelId=channel.get("Id", ""), name=name, deviceId=device.get("Id", "")
                    ),
                    _("Add it to DataSources."),
                )


def _serverFindings(configuration: PlusConfiguration) -> Iterable[TreeFinding]:
    if not configuration.servers:
        yield TreeFinding(
            Severity.ERROR, "no-server", _("There is no PlusOpenIGTLinkServer element: nothing is sent."), _("Add one, see the templates.")
        )
    for server in configuration.servers:
        if server.sendValidTransformsOnly:
            yield TreeFinding(
                Severity.NOTE,
                "silent-when-lost",
                _("On port {port} lost tools fall silent instead of reporting their status.").format(port=server.port),
                _('Set SendValidTransformsOnly="FALSE".'),
            )
        if server.transformNames and "TRANSFORM" not in server.messageTypes:
            yield TreeFinding(
                Severity.ERROR,
                "type-missing",
                _("TransformNames are listed, but MessageTypes has no TRANSFORM."),
                _('Add <Message Type="TRANSFORM"/>.'),
            )
        if server.imageNames and "IMAGE" not in server.messageTypes:
            yield TreeFinding(
                Severity.ERROR,
                "type-missing",
                _("ImageNames are listed, but MessageTypes has no IMAGE."),
                _('Add <Message Type="IMAGE"/>.'),
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
                    Severity.ERROR,
                    "unusable-name",
                    _("{name} is not of the form FromToTo.").format(name=name),
                    _("Write it as in ProbeToReference."),
                )
            elif not replays and tree.resolve(parsed.fromFrame, parsed.toFrame) is None:
                yield TreeFinding(
                    Severity.ERROR,
                    "path-not-found",
                    _("{name} cannot be made from the tools and coordinate definitions of this file.").format(name=name),
                    _("Add the missing tool or transform."),
                )
        for name in server.imageNames:
            frames = imageFrame(name)
            if frames is not None and not replays and tree.resolve(*frames) is None:
                yield TreeFinding(
                    Severity.ERROR,
                    "image-unplaced",
                    _("The image {image} cannot be brought to {frame}: PlusServer will send no image.").format(
                        image=frames[0], frame=frames[1]
                    ),
                    _("Add a transform from {frames} to the probe to CoordinateDefinitions.").format(frames=frames[0]),
                )
        if replays or not server.transformNames:
            continue
        received = {frame for _unused, parsed in wanted if parsed is not None for frame in (parsed.fromFrame, parsed.toFrame)}
        if tree.frames.reference not in received:
            yield TreeFinding(
                Severity.WARNING,
                "patient-not-tracked",
                _("No transform of {reference} is sent: the patient is not tracked.").format(reference=tree.frames.reference),
                _("Fix a sensor to the patient and send its transform."),
            )
    codes = ("pixel-size", "image-degenerate", "image-sheared", "not-rigid", "identity-calibration")
    yield from (finding for finding in checkTree(tree) if finding.code in codes)
