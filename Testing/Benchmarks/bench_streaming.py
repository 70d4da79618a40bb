"""Latency and loss of our OpenIGTLink client beside pyigtl's, on loopback, in one run.

One sender (our server, its own process) serves our client, then pyigtl's (each its own process too), case by case and round by round, so
that all meet the same machine. Latency runs from just before a message is encoded and sent to the moment its handler is called; both
processes read the same clock. pyigtl has no handler: "pyigtl thread" times its messages where its receiving thread stores them, which no
user of it can observe without patching it; "pyigtl" is what its documented call, wait_for_message, hands out. Neither checks checksums.

python Testing/Benchmarks/bench_streaming.py [--rounds 2] [--seconds 2]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time

import numpy as np

CASES = {
    "transform 50 Hz": ("TRANSFORM", 50.0, None),
    "transform 200 Hz": ("TRANSFORM", 200.0, None),
    "transform 1000 Hz": ("TRANSFORM", 1000.0, None),
    "image 640x480 30 Hz": ("IMAGE", 30.0, (480, 640)),
    "image 1024x768 30 Hz": ("IMAGE", 30.0, (768, 1024)),
}
BARS_MS = {"TRANSFORM": (0.3, 3.0), "IMAGE": (1.0, 3.0)}
"""p50 and p99 that must be reached."""


def send(kind: str, rateHz: float, rows: int, columns: int, seconds: float) -> None:
    """Child process: wait for a client, send at the rate, number the messages, say how many there were."""
    from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage, StringMessage, TransformMessage
    from IntradiscalNavLib.Streaming.OpenIGTLinkServer import OpenIGTLinkServer

    pixels = np.random.default_rng(1).integers(0, 255, (1, max(rows, 1), max(columns, 1)), np.uint8)
    with OpenIGTLinkServer() as server:
        print(server.port, flush=True)
        if not server.waitForClient(20.0):
            sys.exit("no client came")
        time.sleep(0.3)
        count = int(rateHz * seconds)
        begin = time.perf_counter()
        for number in range(count):
            pause = begin + number / rateHz - time.perf_counter()
            if pause > 0:
                time.sleep(pause)
            matrix = np.eye(4)
            matrix[0, 3] = number
            now = time.time()
            if kind == "IMAGE":
                server.send(ImageMessage("Stream", pixels, matrix, timestampSec=now))
            else:
                server.send(TransformMessage("Stream", matrix, timestampSec=now))
        time.sleep(0.2)
        server.send(StringMessage("End", str(count)))
        time.sleep(0.5)


def receiveOurs(port: int) -> list[tuple[float, float]]:
    """(latency, x of the matrix) per message."""
    from IntradiscalNavLib.Streaming.OpenIGTLinkClient import OpenIGTLinkClient
    from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import OpenIGTLinkMessage

    got: list[tuple[float, float]] = []
    end = threading.Event()

    def handle(message: OpenIGTLinkMessage) -> None:
        now = time.time()
        if message.deviceName == "Stream":
            matrix = message.matrix if message.messageType == "TRANSFORM" else message.ijkToFrame
            got.append((now - message.timestampSec, float(matrix[0, 3])))
        elif message.deviceName == "End":
            end.set()

    with OpenIGTLinkClient(port=port, onMessage=handle, keepMessages=False):
        end.wait(60.0)
    return got


def receivePyigtlCall(port: int) -> list[tuple[float, float]]:
    """pyigtl as its documentation says: a loop on wait_for_message."""
    import pyigtl

    got: list[tuple[float, float]] = []
    client = pyigtl.OpenIGTLinkClient("127.0.0.1", port)
    stopAt = time.monotonic() + 60.0
    while time.monotonic() < stopAt:
        message = client.wait_for_message("Stream", timeout=0.5)
        now = time.time()
        if message is not None:
            matrix = message.matrix if message.message_type == "TRANSFORM" else message.ijk_to_world_matrix
            got.append((now - message.timestamp, float(matrix[0, 3])))
        elif got:
            break
    client.communication_thread_stop_requested = True
    return got


def receivePyigtl(port: int) -> list[tuple[float, float]]:
    """The same with pyigtl's client; its dictionary of messages tells of each arrival."""
    import pyigtl

    got: list[tuple[float, float]] = []
    end = threading.Event()

    class Arrivals(dict):  # type: ignore[type-arg]
        def __setitem__(self, name, message):  # type: ignore[no-untyped-def]
            now = time.time()
            if name == "Stream":
                matrix = message.matrix if message.message_type == "TRANSFORM" else message.ijk_to_world_matrix
                got.append((now - message.timestamp, float(matrix[0, 3])))
            elif name == "End":
                end.set()
            dict.__setitem__(self, name, message)

    client = pyigtl.OpenIGTLinkClient("127.0.0.1", port)
    client.incoming_messages = Arrivals()
    end.wait(60.0)
    client.communication_thread_stop_requested = True
    return got


def receive(peer: str, port: int) -> None:
    """Child process: receive until the end, print the figures."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    begin = time.perf_counter()
    receivers = {"ours": receiveOurs, "pyigtl": receivePyigtlCall, "pyigtl thread": receivePyigtl}
    got = receivers[peer](port)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu = (usage.ru_utime + usage.ru_stime - before.ru_utime - before.ru_stime) / (time.perf_counter() - begin)
    print(json.dumps({"latencies": [latency for latency, _ in got], "numbers": [number for _, number in got], "cpu": cpu}), flush=True)


def runCase(peer: str, kind: str, rateHz: float, shape: tuple[int, int] | None, seconds: float) -> dict[str, object]:
    """One sender and one receiver, from start to end."""
    rows, columns = shape or (0, 0)
    script = [sys.executable, __file__]
    sender = subprocess.Popen(
        [*script, "--role", "send", "--kind", kind, "--rate", str(rateHz), "--shape", f"{rows}x{columns}", "--seconds", str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert sender.stdout is not None
    try:
        port = sender.stdout.readline().strip()
        command = [*script, "--role", "receive", "--peer", peer, "--port", port]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120, check=True).stdout
    finally:
        sender.wait(30)
        sender.stdout.close()
    result: dict[str, object] = json.loads(output.strip().splitlines()[-1])
    result["sent"] = int(rateHz * seconds)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--role", choices=["main", "send", "receive"], default="main")
    parser.add_argument("--peer", default="ours")
    parser.add_argument("--kind", default="TRANSFORM")
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--shape", default="0x0")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    if options.role == "send":
        rows, columns = (int(word) for word in options.shape.split("x"))
        send(options.kind, options.rate, rows, columns, options.seconds)
        return
    if options.role == "receive":
        receive(options.peer, options.port)
        return
    figures: dict[str, dict[str, dict[str, float]]] = {}
    print(f"{'case':<22} {'client':<14} {'received':>13} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'max ms':>8} {'cpu':>5}")
    allMet = True
    for name, (kind, rateHz, shape) in CASES.items():
        collected: dict[str, list[dict[str, object]]] = {"ours": [], "pyigtl": [], "pyigtl thread": []}
        for _ in range(options.rounds):
            for peer, results in collected.items():
                results.append(runCase(peer, kind, rateHz, shape, options.seconds))
        figures[name] = {}
        for peer, results in collected.items():
            latencies = 1000.0 * np.concatenate([np.array(result["latencies"], float) for result in results])
            sent = sum(int(str(result["sent"])) for result in results)
            distinct = sum(len(set(result["numbers"])) for result in results)  # type: ignore[call-overload]
            p50, p95, p99 = (float(value) for value in np.percentile(latencies, [50, 95, 99]))
            cpu = float(np.median([float(str(result["cpu"])) for result in results]))
            figures[name][peer] = {"p50Ms": p50, "p95Ms": p95, "p99Ms": p99, "sent": sent, "received": distinct, "cpu": cpu}
            row = f"{name:<22} {peer:<14} {distinct:>6}/{sent:<6} {p50:>8.3f} {p95:>8.3f} {p99:>8.3f} {latencies.max():>8.2f}"
            print(f"{row} {100 * cpu:>4.0f}%", flush=True)
        bar50, bar99 = BARS_MS[kind]
        ours = figures[name]["ours"]
        met = ours["p50Ms"] <= bar50 and ours["p99Ms"] <= bar99 and ours["received"] == ours["sent"]
        allMet = allMet and met
        print(f"{'':<22} bar: p50 <= {bar50} ms, p99 <= {bar99} ms, nothing lost: {'met' if met else 'NOT MET'}")
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    print(f"Load of the machine during the run: {load:.1f} per core; above 1, other programs take part in these latencies.")
    print(json.dumps({"benchmark": "streaming", "loadPerCore": load, "allMet": allMet, "cases": figures}))


if __name__ == "__main__":
    main()
