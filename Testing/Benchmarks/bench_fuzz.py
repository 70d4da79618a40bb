"""Damaged OpenIGTLink messages into the reader, the tool status and the transform tree: no crash, no growth, no wrong number shown as good.

Each message is damaged at random (flipped bits, foreign bytes, cuts, doublings, absurd sizes) and followed by the next. What comes out of
the reader must carry exactly the numbers that were sent (the checksum covers the content), or nothing.

python Testing/Benchmarks/bench_fuzz.py [--messages 1000000]
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import numpy as np

from IntradiscalNavLib.Simulation.DamagedStream import damagedStream
from IntradiscalNavLib.Streaming.OpenIGTLinkCodec import MessageReader, encodeMessage
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import (
    ImageMessage,
    OpenIGTLinkMessage,
    Point,
    PointMessage,
    StatusMessage,
    StringMessage,
    TrackedTool,
    TrackingDataMessage,
    TransformMessage,
)
from IntradiscalNavLib.Streaming.ToolStatus import ToolStatusMonitor
from IntradiscalNavLib.Streaming.TransformTree import TransformTree

POSE = np.eye(4)
POSE[:3, 3] = [11.0, 22.0, 33.0]


def templates() -> list[bytes]:
    """Good messages of every kind, both header versions."""
    messages: list[OpenIGTLinkMessage] = [
        TransformMessage("NeedleToReference", POSE, metadata={"TransformStatus": "OK", "TransformValid": "1"}),
        ImageMessage("Image_Reference", np.full((1, 6, 8), 7, np.uint8), POSE),
        StringMessage("Note", "text"),
        StatusMessage(""),
        PointMessage("Points", (Point("L4", (1.0, 2.0, 3.0)),)),
        TrackingDataMessage("Tracking", (TrackedTool("NeedleToReference", POSE),)),
    ]
    return [encodeMessage(message, version) for message in messages for version in (1, 2)]


def isTrue(message: OpenIGTLinkMessage) -> bool:
    """Whether a message that came out carries the numbers that went in."""
    if isinstance(message, TransformMessage):
        return np.array_equal(message.matrix, POSE)
    if isinstance(message, ImageMessage):
        return bool((message.voxels == 7).all()) and np.allclose(message.ijkToFrame, POSE)
    if isinstance(message, TrackingDataMessage):
        return all(np.array_equal(tool.matrix, POSE) for tool in message.tools)
    if isinstance(message, PointMessage):
        return all(point.positionMm == (1.0, 2.0, 3.0) for point in message.points)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    good = templates()
    reader, monitor, tree = MessageReader(maxBodyBytes=100_000), ToolStatusMonitor(), TransformTree()
    accepted = wrong = 0
    memory: list[int] = []
    begin = time.perf_counter()
    report = max(1, options.messages // 10)
    for number in range(options.messages):
        stream = damagedStream(rng, good[number % len(good)]) if number % 5 else good[number % len(good)]
        for message in reader.feed(stream):
            accepted += 1
            wrong += not isTrue(message)
            monitor.update(message)
            if isinstance(message, TransformMessage) and not monitor.lastWasInvalid(message.deviceName):
                tree.update(message.deviceName, message.matrix, message.timestampSec)
        if number % 1000 == 0:
            monitor.statuses()
        if number % report == report - 1:
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
            print(f"{number + 1:>9} messages: {accepted} accepted, {reader.problemCount} left out, {memory[-1]} MB", flush=True)
    seconds = time.perf_counter() - begin
    growthMb = memory[-1] - memory[len(memory) // 3] if len(memory) > 2 else 0
    result = {
        "benchmark": "fuzz",
        "messages": options.messages,
        "accepted": accepted,
        "leftOut": reader.problemCount,
        "wrongShownAsGood": wrong,
        "names": len(monitor.names),
        "peakMemoryGrowthMb": growthMb,
        "perSecond": round(options.messages / seconds),
    }
    print(f"{wrong} wrong numbers came out; peak memory grew by {growthMb} MB after the first third; {result['perSecond']} messages/s")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
