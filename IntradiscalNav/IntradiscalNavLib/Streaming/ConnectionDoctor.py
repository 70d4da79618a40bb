"""Why does nothing, or the wrong thing, arrive? Expected against received, with what to change in the PLUS configuration.

The doctor watches all messages (``note``), and answers in lines a user can act on (``diagnose``). It knows what a real PlusServer does:
lost tools are silent by default, names are cut to 20 characters, images need a chain of transforms to their frame, metadata need version 2.
"""

from __future__ import annotations

import difflib
import enum
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from IntradiscalNavLib.Streaming.OpenIGTLinkClient import ConnectionFailure, ConnectionState, ConnectionStatus
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import (
    ImageMessage,
    OpenIGTLinkMessage,
    TrackingDataMessage,
    TransformMessage,
)
from IntradiscalNavLib.Streaming.PlusConfiguration import PlusConfiguration
from IntradiscalNavLib.Streaming.StreamClock import StreamClock, StreamTiming
from IntradiscalNavLib.Streaming.ToolStatus import STATUS_MEANINGS
from IntradiscalNavLib.Streaming.TransformName import parseTransformName
from TranslatedText.Translation import tr as _

MAX_STREAMS = 256
NAME_BYTES = 20
FORGET_SEC = 30.0
"""What nobody expects and has been silent for so long is no longer listed: it may belong to an earlier server."""


class Verdict(enum.Enum):
    """GOOD: as expected. EXTRA: arrives, though nobody asked for it. WARNING, PROBLEM: see the advice."""

    GOOD = "good"
    EXTRA = "extra"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class ExpectedDevice:
    """A device that should arrive: ``messageType`` TRANSFORM or IMAGE, ``optional`` ones (a stylus) are not missed."""

    messageType: str
    name: str
    optional: bool = False


@dataclass(frozen=True)
class DeviceLine:
    """One device, expected or received, for the table."""

    messageType: str
    name: str
    verdict: Verdict
    rateHz: float | None
    ageSec: float | None
    status: str
    advice: str


@dataclass(frozen=True)
class Diagnosis:
    """``summary`` is one sentence; ``lines`` the table; ``advice`` further things to do, most urgent first."""

    summary: str
    lines: tuple[DeviceLine, ...]
    advice: tuple[str, ...]

    @property
    def isHealthy(self) -> bool:
        return not self.advice and all(line.verdict in (Verdict.GOOD, Verdict.EXTRA) for line in self.lines)


@dataclass
class _Stream:
    clock: StreamClock = field(default_factory=StreamClock)
    status: str = ""
    sawMetadata: bool = False


class ConnectionDoctor:
    """Watches a connection. ``note`` may be called from the receiving thread.

    :param expected: see :func:`expectedDevices` for the usual set.
    :param configuration: the PLUS configuration the server runs, where it is at hand: then advice names its lines.
    """

    def __init__(self, expected: Iterable[ExpectedDevice] = (), configuration: PlusConfiguration | None = None) -> None:
        self.expected = tuple(expected)
        self.configuration = configuration
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._ignoredNames = 0
        self._lock = threading.Lock()

    def note(self, message: OpenIGTLinkMessage) -> None:
        """Take in a message."""
        with self._lock:
            stream = self._streams.get(message.key)
            if stream is None:
                if len(self._streams) >= MAX_STREAMS:
                    self._ignoredNames += 1
                    return
                stream = self._streams[message.key] = _Stream()
            stream.clock.note(message.arrivalSec or time.monotonic(), message.timestampSec)
            stream.sawMetadata = stream.sawMetadata or bool(message.metadata)
            if isinstance(message, TransformMessage):
                stream.status = message.transformStatus
            elif isinstance(message, ImageMessage):
                lost = [
                    f"{key.removesuffix('TransformStatus')} {value}"
                    for key, value in message.metadata.items()
                    if key.endswith("TransformStatus") and value != "OK"
                ]
                stream.status = ", ".join(lost)
            elif isinstance(message, TrackingDataMessage):
                stream.status = f"{len(message.tools)} tools"

    def diagnose(self, connection: ConnectionStatus, nowSec: float | None = None) -> Diagnosis:
        """The state of affairs at a monotonic time (default now)."""
        now = time.monotonic() if nowSec is None else nowSec
        with self._lock:
            streams = {key: (stream.clock.timing(now), stream.status, stream.sawMetadata) for key, stream in self._streams.items()}
        if connection.state not in (ConnectionState.CONNECTED, ConnectionState.SILENT):
            lines = tuple(DeviceLine(d.messageType, d.name, Verdict.PROBLEM, None, None, "", "") for d in self.expected if not d.optional)
            return Diagnosis(_("Not connected: {reason}.").format(reason=connection.reason), lines, (self._connectAdvice(connection),))
        lines = tuple(self._expectedLine(device, streams) for device in self.expected)
        known = {(device.messageType, device.name) for device in self.expected}
        lines += tuple(
            DeviceLine(messageType, name, Verdict.EXTRA, timing.rateHz, timing.ageSec, status, "")
            for (messageType, name), (timing, status, _unused) in sorted(streams.items())
            if (messageType, name) not in known and messageType not in ("STATUS", "STRING") and timing.ageSec < FORGET_SEC
        )
        advice = tuple(self._generalAdvice(connection, streams))
        bad = [line.name for line in lines if line.verdict is Verdict.PROBLEM]
        odd = [line.name for line in lines if line.verdict is Verdict.WARNING]
        if bad:
            summary = _("Connected, but not usable as it should be: {names}.").format(names=", ".join(bad))
        elif odd or advice:
            summary = _("Connected, with remarks{value}.").format(value=": " + ", ".join(odd) if odd else "")
        else:
            summary = _("Connected; everything expected arrives.")
        return Diagnosis(summary, lines, advice)

    @staticmethod
    def _connectAdvice(connection: ConnectionStatus) -> str:
        if connection.failure is ConnectionFailure.REFUSED:
            return _(
                "Start PlusServer (Plus Server Launcher, Launch server) and wait for 'Server status: Ready'; compare the port with "
                'ListeningPort="18944" of the PlusOpenIGTLinkServer element.'
            )
        if connection.failure is ConnectionFailure.UNKNOWN_HOST:
            return _("Type the address of the PLUS computer as numbers, or localhost when it is this one.")
        if connection.failure is ConnectionFailure.NO_ANSWER:
            return _("Check the address and let TCP port 18944 through the firewall of the PLUS computer.")
        return _("Look into the log of PlusServer; a device that cannot be reached ends it right after its start.")

    def _expectedLine(self, device: ExpectedDevice, streams: dict[tuple[str, str], tuple[StreamTiming, str, bool]]) -> DeviceLine:
        found = streams.get((device.messageType, device.name)) or streams.get((device.messageType, device.name[:NAME_BYTES]))
        if found is None:
            return self._composedLine(device, streams) or self._missingLine(device, streams)
        timing, status, _unused = found
        verdict, advice = Verdict.GOOD, ""
        if timing.ageSec > 1.0:
            verdict = Verdict.WARNING if device.optional else Verdict.PROBLEM
            advice = _("Arrived before, silent for {ageSec:.1f} s: ").format(ageSec=timing.ageSec) + (
                _('the tool is not seen (PlusServer says nothing about lost tools unless SendValidTransformsOnly="FALSE").')
                if device.messageType == "TRANSFORM"
                else _("the video source delivers no frames; is the ultrasound frozen or the cable out?")
            )
        elif status and status != "OK" and device.messageType == "TRANSFORM":
            verdict = Verdict.WARNING
            advice = f"{STATUS_MEANINGS.get(status, status).capitalize()}."
        elif status and device.messageType == "IMAGE":
            verdict = Verdict.WARNING
            advice = _("The picture comes with a pose that is not valid: {status}.").format(status=status)
        return DeviceLine(device.messageType, device.name, verdict, timing.rateHz, timing.ageSec, status or ("OK" if found else ""), advice)

    def _missingLine(self, device: ExpectedDevice, streams: dict[tuple[str, str], tuple[StreamTiming, str, bool]]) -> DeviceLine:
        advice = self._missingAdvice(device, streams)
        verdict = Verdict.PROBLEM
        if device.optional:
            verdict = Verdict.WARNING if advice else Verdict.GOOD
        return DeviceLine(device.messageType, device.name, verdict, None, None, "", advice)

    def _composedLine(self, device: ExpectedDevice, streams: dict[tuple[str, str], tuple[StreamTiming, str, bool]]) -> DeviceLine | None:
        """A tool that comes relative to another frame than expected is as good, when the expected frame comes relative to that too."""
        parsed = parseTransformName(device.name, ())
        if device.messageType != "TRANSFORM" or parsed is None:
            return None
        for (messageType, name), (timing, status, _unused) in streams.items():
            other = parseTransformName(name, ())
            if messageType != "TRANSFORM" or other is None or other.fromFrame != parsed.fromFrame or timing.ageSec > 1.0:
                continue
            link = f"{parsed.toFrame}To{other.toFrame}"
            if ("TRANSFORM", link) in streams:
                advice, verdict = _("Made of {name} and {link}.").format(name=name, link=link), Verdict.GOOD
                if status not in ("", "OK"):
                    verdict, advice = Verdict.WARNING, f"{STATUS_MEANINGS.get(status, status).capitalize()}."
            else:
                verdict = Verdict.WARNING
                advice = _("{name} arrives, but no {link}: the patient is not tracked. Send {link} as well.").format(name=name, link=link)
            return DeviceLine(device.messageType, device.name, verdict, timing.rateHz, timing.ageSec, status or "OK", advice)
        return None

    def _missingAdvice(self, device: ExpectedDevice, streams: dict[tuple[str, str], tuple[StreamTiming, str, bool]]) -> str:
        sameType = [name for messageType, name in streams if messageType == device.messageType]
        if device.messageType == "IMAGE":
            return self._missingImageAdvice(device, sameType)
        folded = {name.lower(): name for name in sameType}
        if device.name.lower() in folded:
            return _("{folded} arrives: same name, other capital letters. Correct the Id in the configuration.").format(
                folded=folded[device.name.lower()]
            )
        parsed = parseTransformName(device.name, ())
        if parsed is not None:
            inverse = parsed.inverse.text
            if inverse in sameType:
                return _("{inverse} arrives instead, the inverse; the program turns it round. Better send {deviceName}.").format(
                    inverse=inverse, deviceName=device.name
                )
        close = difflib.get_close_matches(device.name, sameType, 1, 0.75)
        if close:
            return _("{close} arrives: rename it to {deviceName} in the configuration, or choose it here.").format(
                close=close[0], deviceName=device.name
            )
        configured = self._configuredAdvice(device)
        if configured:
            return configured
        if sameType and not device.optional:
            return _(
                'Add <Transform Name="{deviceName}"/> to TransformNames of the PlusOpenIGTLinkServer element; if it is there, '
                'the tool is not seen by the tracker (SendValidTransformsOnly="FALSE" would say so).'
            ).format(deviceName=device.name)
        if device.optional:
            return ""
        return _('No transform arrives at all: <Message Type="TRANSFORM"/> must stand in MessageTypes, and the tracker must be connected.')

    def _configuredAdvice(self, device: ExpectedDevice) -> str:
        """Advice from the configuration itself, empty where it has the device."""
        if self.configuration is None or not self.configuration.servers:
            return ""
        sent = {name for server in self.configuration.servers for name in server.transformNames}
        if device.name not in sent and sent:
            file = self.configuration.path.name
            return _('{file} does not send it: add <Transform Name="{deviceName}"/> to TransformNames (it sends {names}).').format(
                file=file, deviceName=device.name, names=", ".join(sorted(sent))
            )
        if device.name in sent and any(server.sendValidTransformsOnly for server in self.configuration.servers):
            return _("The configuration sends it while the tool is seen: bring the tool into the tracker's view, check its port and cable.")
        return ""

    def _missingImageAdvice(self, device: ExpectedDevice, images: list[str]) -> str:
        if images:
            return _("The image {images} arrives: choose it here, or set EmbeddedTransformToFrame so that {deviceName} is sent.").format(
                images=images[0], deviceName=device.name
            )
        if device.optional:
            return ""
        image, _unused, frame = device.name.rpartition("_")
        return _(
            'No image arrives. MessageTypes needs <Message Type="IMAGE"/>, ImageNames needs <Image Name="{image}" '
            'EmbeddedTransformToFrame="{frame}"/>, and PLUS must know every transform from {image} to {frame}: without {image}ToProbe in '
            "CoordinateDefinitions, or while the probe was never seen, it sends no image at all."
        ).format(image=image, frame=frame)

    def _generalAdvice(self, connection: ConnectionStatus, streams: dict[tuple[str, str], tuple[StreamTiming, str, bool]]) -> Iterable[str]:
        if connection.state is ConnectionState.SILENT:
            yield _("{capitalize}. Look at the device's own software and at the log of PlusServer.").format(
                capitalize=connection.reason.capitalize()
            )
        transforms = {key: value for key, value in streams.items() if key[0] == "TRANSFORM"}
        live = [timing for timing, _status, _sawMetadata in streams.values() if timing.ageSec < 2.0 and timing.messageCount > 20]
        if transforms and not any(sawMetadata for _timing, _status, sawMetadata in transforms.values()):
            yield _(
                "No tool status arrives (header version 1): a lost tool may come as the identity without a flag. Use PlusServer 2.8 or "
                "newer; it sends status to clients that ask with version 2, as this program does."
            )
        delayed = max((timing.delaySec for timing in live), default=0.0)
        if delayed > 0.3:
            yield _(
                "Messages arrive {delayed:.1f} s late and the delay is above its best: the network or this computer does not keep up. "
                "Lower the frame rate or clip the image (ClipRectangleSize)."
            ).format(delayed=delayed)
        if connection.problemCount:
            yield _("{problemCount} damaged messages were left out: check the cable or the sender.").format(
                problemCount=connection.problemCount
            )
        if self._ignoredNames:
            yield _("More than {maxStreams} device names arrive; further ones are ignored.").format(maxStreams=MAX_STREAMS)


def expectedDevices(
    tools: Iterable[str] = ("Probe", "Needle"), optionalTools: Iterable[str] = ("Stylus",), image: str | None = "Image_Reference"
) -> tuple[ExpectedDevice, ...]:
    """The usual set: tools relative to the patient's reference, and the ultrasound image."""
    devices = [ExpectedDevice("TRANSFORM", f"{tool}ToReference") for tool in tools]
    devices += [ExpectedDevice("TRANSFORM", f"{tool}ToReference", True) for tool in optionalTools]
    if image is not None:
        devices.append(ExpectedDevice("IMAGE", image))
    return tuple(devices)


def expectedFromConfiguration(configuration: PlusConfiguration) -> tuple[ExpectedDevice, ...]:
    """What a PLUS configuration says its server sends."""
    devices = []
    for server in configuration.servers:
        types = {messageType.upper() for messageType in server.messageTypes}
        if "TRANSFORM" in types:
            devices += [ExpectedDevice("TRANSFORM", name) for name in server.transformNames]
        if "IMAGE" in types:
            devices += [ExpectedDevice("IMAGE", name) for name in server.imageNames]
    return tuple(devices)
