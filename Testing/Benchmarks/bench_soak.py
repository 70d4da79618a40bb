"""Soak: a full-rate stream through guidance and views for minutes or hours; nothing may grow.

A sender process streams four tools at 100 Hz and a 640x480 image at 30 Hz; tools go out of view now and then, the image changes its size
once a minute, and the server drops its clients now and then. Here the client receives, the scene is written 25 times a second, two needles
are guided in turn, all views are updated (not rendered), pictures are held for comparison, poses and numbers are recorded, as in the
product. Memory, nodes, observers, latency and the cost of a tick are sampled; their slopes are printed with their 95 % ranges.

Slopes are medians over all pairs of samples (Theil 1950, Sen 1968): a single step, as of memory that is taken once, doesn't make a slope.
What grows up to a bound, the histories of the tools (500 changes each), is counted apart.

python Testing/Benchmarks/bench_soak.py [--minutes 2]     60 for an hour
"""

from __future__ import annotations

import argparse
import gc
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

import numpy as np

TOOLS = ("ReferenceToTracker", "ProbeToTracker", "NeedleToTracker", "StylusToTracker")


def send(seconds: float) -> None:
    """Child process: the stream."""
    from FusionRegistrationLib.RigidTransform import rigidFrom, rotationFromVector
    from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage, TransformMessage
    from IntradiscalNavLib.Streaming.OpenIGTLinkServer import OpenIGTLinkServer

    rng = np.random.default_rng(1)
    pictures = {shape: rng.integers(0, 255, (8, *shape), np.uint8) for shape in ((480, 640), (464, 600))}
    with OpenIGTLinkServer() as server:
        print(server.port, flush=True)
        begin = time.perf_counter()
        tick = 0
        while (elapsed := time.perf_counter() - begin) < seconds:
            pause = tick / 100.0 - elapsed
            if pause > 0:
                time.sleep(pause)
            now = time.time()
            for index, tool in enumerate(TOOLS):
                angle = 0.3 * np.sin(0.5 * elapsed + index)
                matrix = rigidFrom(rotationFromVector(np.array([angle, 0.1, 0.2])), [20 * angle, 10 * index, 5]) if index else np.eye(4)
                matrix[:3, 3] += rng.normal(size=3) * 0.05 + 0.5
                lost = index == 2 and int(elapsed) % 10 == 7
                metadata = {"TransformStatus": "OUT_OF_VIEW" if lost else "OK", "TransformValid": "0" if lost else "1"}
                server.send(TransformMessage(tool, np.eye(4) if lost else matrix, timestampSec=now, metadata=metadata))
            if tick % 10 in (0, 3, 7):
                shape = (464, 600) if int(elapsed) % 60 >= 50 else (480, 640)
                geometry = np.diag([0.1, 0.1, 0.1, 1.0])
                server.send(ImageMessage("Image_Reference", pictures[shape][tick % 8][np.newaxis], geometry, timestampSec=now))
            if tick and tick % 4500 == 0:
                server.dropClients()
            tick += 1


def residentMb() -> float:
    """Memory of this process now (not its peak)."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20


class ObserverCount:
    """How many observers were ever added to an object: VTK numbers them."""

    def __init__(self) -> None:
        self._own: dict[int, int] = {}

    def added(self, node: Any) -> int:
        tag = int(node.AddObserver("UserEvent", lambda caller, event: None))
        node.RemoveObserver(tag)
        self._own[id(node)] = self._own.get(id(node), 0) + 1
        return tag - self._own[id(node)]


def slope(times: list[float], values: list[float]) -> tuple[float, float, float]:
    """Slope per minute and its 95 % range, by Theil and Sen."""
    from scipy.stats import theilslopes

    result = theilslopes(values, np.array(times) / 60.0)
    return float(result.slope), float(result.low_slope), float(result.high_slope)


def historyObjects(monitor: Any) -> int:
    """Python objects in the bounded histories of the tools: each change and its reasons."""
    changes = [change for name in monitor.statuses() for change in monitor.history(name)]
    kept = [item for change in changes for item in (change, change.reasons)]
    return sum(gc.is_tracked(item) for item in kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--role", choices=["main", "send"], default="main")
    options = parser.parse_args()
    options.seconds = 60.0 * options.minutes if options.seconds is None else options.seconds
    if options.role == "send":
        send(options.seconds + 30.0)
        return
    from SoakedGuidance import SoakedGuidance

    from IntradiscalNavHeadless.SceneHost import startHost
    from IntradiscalNavLib.Streaming.LiveStream import LiveStream
    from IntradiscalNavLib.Streaming.OpenIGTLinkClient import OpenIGTLinkClient
    from IntradiscalNavLib.Streaming.SceneStream import SceneStream

    scene = startHost().scene
    command = [sys.executable, __file__, "--role", "send", "--seconds", str(options.seconds)]
    folder = tempfile.TemporaryDirectory()
    guidance: SoakedGuidance | None = None
    sender = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert sender.stdout is not None
    client = OpenIGTLinkClient(port=int(sender.stdout.readline()), firstRetrySec=0.05)
    live = LiveStream(client, SceneStream(scene))
    live.sceneStream.setCalibration("ImageToProbe", np.diag([0.1, 0.1, 0.1, 1.0]))
    live.sceneStream.setCalibration("NeedleTipToNeedle", np.eye(4))
    live.sceneStream.setRegistration(np.eye(4))
    observers = ObserverCount()
    samples: dict[str, list[float]] = {}
    names = ("memory MB", "nodes", "observers added", "python objects", "threads", "latency p50 ms", "latency p99 ms", "tick p50 ms")
    times: list[float] = []
    latencies: list[float] = []
    ticks: list[float] = []
    live.start()
    begin = time.perf_counter()
    sampleSec = max(2.0, min(10.0, options.seconds / 40.0))
    nextSample = min(300.0, 0.35 * options.seconds)  # caches and histories fill before
    print("   time  " + "  ".join(f"{name:>15}" for name in names), flush=True)
    number = 0
    received = 0
    while (elapsed := time.perf_counter() - begin) < options.seconds:
        number += 1
        time.sleep(max(0.0, begin + number / 25.0 - time.perf_counter()))
        turnBegin = time.perf_counter()
        update = live.tick()
        if guidance is None and live.sceneStream.node("Image_Reference") is not None and live.sceneStream.node("NeedleToReference"):
            guidance = SoakedGuidance(live, pathlib.Path(folder.name))
        if guidance is not None:
            guidance.turn(update, time.monotonic())
        ticks.append(1000.0 * (time.perf_counter() - turnBegin))
        offset = time.time() - time.monotonic()
        received += len(live.lastMessages)
        latencies += [1000.0 * (m.arrivalSec + offset - m.timestampSec) for m in live.lastMessages if m.timestampSec]
        if elapsed < nextSample or not latencies:
            continue
        nextSample = elapsed + sampleSec
        gc.collect()
        for _ in range(2):  # what came in the meantime is no growth
            live.tick()
            received += len(live.lastMessages)
        objects = len(gc.get_objects()) - historyObjects(live.sceneStream.monitor)
        nodes = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
        watched = (*TOOLS, "Image_Reference", "ReferenceToRas", "ProbeToReference", "NeedleToReference")
        streamed = [node for node in (live.sceneStream.node(name) for name in watched) if node is not None]
        values = (
            residentMb(),
            len(nodes),
            sum(observers.added(node) for node in streamed),
            objects,
            threading.active_count(),
            float(np.percentile(latencies, 50)),
            float(np.percentile(latencies, 99)),
            float(np.percentile(ticks, 50)),
        )
        # What arrived while these samples were taken waited for them: it says nothing about the stream.
        live.tick()
        received += len(live.lastMessages)
        latencies, ticks = [], []
        times.append(elapsed)
        for name, value in zip(names, values):
            samples.setdefault(name, []).append(float(value))
        print(f"{elapsed:>6.0f} s " + "  ".join(f"{value:>15.2f}" for value in values), flush=True)
    dropped = sum(count for (kind, _), count in client.droppedCounts.items() if kind == "TRANSFORM")
    status = client.status
    live.stop()
    liveTurns = guidance.liveTurns if guidance is not None else 0
    if guidance is not None:
        guidance.close()
    folder.cleanup()
    sender.kill()
    sender.wait(10)
    figures: dict[str, Any] = {"benchmark": "soak", "seconds": options.seconds, "messages": received, "transformsDropped": dropped}
    figures["connections"] = status.connectCount
    figures["guidedTurns"] = liveTurns
    # What counts as growth: surely above 0, and more than would matter in an hour.
    matters = {"memory MB": 0.5, "nodes": 0.02, "observers added": 0.02, "python objects": 20.0, "threads": 0.02}
    flat = True
    print(f"\n{'':<18} {'slope per minute':>18} {'95 % range':>24}")
    for name in names:
        gradient, low, high = slope(times, samples[name])
        matter = matters.get(name, 0.02 * abs(float(np.mean(samples[name]))))
        grows = low > 0.0 and gradient > matter
        flat = flat and not grows
        figures[name] = {"slopePerMinute": gradient, "low": low, "high": high, "last": samples[name][-1]}
        print(f"{name:<18} {gradient:>18.4f} {low:>11.4f} .. {high:<9.4f}  {'GROWS' if grows else 'flat'}")
    figures["allFlat"] = flat
    print(f"{number} turns, {liveTurns} of them with live numbers")
    print(f"{received} messages, {status.connectCount} connections, {dropped} transforms dropped")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
