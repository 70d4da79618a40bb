"""Recording at full rate, saving, loading, reviewing: losses, memory, disk, time.

    python Testing/Benchmarks/bench_recording.py [--minutes 2]

640x480 images at 30 Hz and four tools at 60 Hz go into the recorder as fast as they are due; the images are speckled (they don't compress
well), from a fixed seed. Batch review is timed with one and with two worker processes, interleaved.
"""

import argparse
import json
import pathlib
import resource
import statistics
import tempfile
import time

import numpy as np

from IntradiscalNavHeadless.ReviewBatch import reviewMany
from IntradiscalNavHeadless.SceneHost import startHost
from IntradiscalNavLib.Recording.CaseFolder import CaseFolder
from IntradiscalNavLib.Recording.RecordedProcedure import takeApart
from IntradiscalNavLib.Recording.RecordFormat import ImageRecord, PoseRecord, PoseValidity
from IntradiscalNavLib.Recording.RecordingReader import RecordingReader
from IntradiscalNavLib.Recording.RecordingWriter import RecordingSettings, RecordingWriter
from IntradiscalNavLib.Recording.SequenceExport import SequenceSpan, exportToSequences

TOOLS = ("ProbeToReference", "NeedleToReference", "StylusToReference", "ReferenceToTracker")


CASES = 64
"""So many that the second or so in which a worker starts does not count."""


def residentMb() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def record(folder: pathlib.Path, minutes: float, compress: bool) -> dict[str, float]:
    rng = np.random.default_rng(11)
    pictures = [np.clip(rng.rayleigh(30, (1, 480, 640)), 0, 255).astype(np.uint8) for _ in range(8)]
    for picture in pictures:
        picture[:, :, :110] = picture[:, :, -110:] = 0  # outside the fan
    writer = RecordingWriter(folder, RecordingSettings(compressImages=compress))
    writer.addEvent("FixedTransform", {"name": "ReferenceToRas", "matrix": np.eye(4).tolist()})
    writer.addEvent("Plan", {"needle": "n", "target": "t", "entryRas": [60.0, -80, 0], "targetRas": [0.0, 0, 0]})
    memory, sent, images, late = [], 0, 0, 0
    start = time.monotonic()
    end = start + 60 * minutes
    pose = np.eye(4)
    while time.monotonic() < end:
        due = int((time.monotonic() - start) * 60)
        late = max(late, due - sent)
        while sent < due:
            pose = pose.copy()
            pose[:3, 3] = [60 - sent * 0.005, -80 + sent * 0.006, 0.01 * (sent % 7)]
            for tool in TOOLS:
                writer.addPose(tool, pose, time.time(), PoseValidity.VALID)
            if sent % 2 == 0:
                writer.addImage("Image_Reference", pictures[images % 8], np.eye(4), time.time(), PoseValidity.VALID)
                images += 1
            sent += 1
        memory.append(residentMb())
        time.sleep(0.004)
    state = writer.stop()
    reader = RecordingReader(folder)
    kept = {"poses": 0, "images": 0}
    wrong = 0
    for entry in reader:
        if isinstance(entry, PoseRecord):
            kept["poses"] += 1
        elif isinstance(entry, ImageRecord):
            wrong += not np.array_equal(entry.pixels, pictures[kept["images"] % 8])
            kept["images"] += 1
    quarter = max(1, len(memory) // 4)
    return {
        "minutes": minutes,
        "offeredImages": images,
        "readImages": kept["images"],
        "wrongImages": wrong,
        "offeredPoses": sent * len(TOOLS),
        "readPoses": kept["poses"],
        "dropped": state.droppedImages + state.droppedPoses,
        "mbPerMinute": state.bytesWritten / 1e6 / minutes,
        "memoryFirstQuarterMb": statistics.median(memory[:quarter]),
        "memoryLastQuarterMb": statistics.median(memory[-quarter:]),
        "longestLagTicks": late,
    }


def saveAndLoad(recording: pathlib.Path, folder: pathlib.Path) -> dict[str, float]:
    host = startHost()
    host.clear()
    start = time.perf_counter()
    exportToSequences(host.scene, RecordingReader(recording), SequenceSpan(0.0, 30.0, maximumRateHz=30.0))
    filled = time.perf_counter()
    scene = host.saveScene(folder / "scene.mrb")
    saved = time.perf_counter()
    host.clear()
    host.loadScene(scene)
    loaded = time.perf_counter()
    host.clear()
    return {
        "fillSec": filled - start,
        "saveSec": saved - filled,
        "loadSec": loaded - saved,
        "sceneMb": scene.stat().st_size / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=2.0, help="length of each recording; 60 for an hour")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        rows = {}
        for compress in (False, True):
            case = CaseFolder(folder / f"case-{compress}")
            minutes = options.minutes if not compress else min(0.5, options.minutes)
            rows["zlib" if compress else "raw"] = record(case.newRecordingFolder(), minutes, compress)
        names = list(rows["raw"])
        print(f"{'recording':<24}{'raw':>14}{'zlib':>14}")
        for each in names:
            print(f"{each:<24}{rows['raw'][each]:>14.1f}{rows['zlib'][each]:>14.1f}")
        recording = folder / "case-False" / "recording-01"
        scene = saveAndLoad(recording, folder)
        print("\n30 s of it as a scene: " + ", ".join(f"{key} {value:.2f}" for key, value in scene.items()))
        start = time.perf_counter()
        takeApart(RecordingReader(recording, withPixels=False))
        readSec = time.perf_counter() - start
        cases = [folder / "case-True"] * CASES
        times: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(2):
            for workers in (1, 2):
                start = time.perf_counter()
                results = reviewMany(cases, workers=workers)
                times[workers].append(time.perf_counter() - start)
                assert not any(result.problem for result in results), results[0].problem
        one, two = (statistics.median(times[workers]) for workers in (1, 2))
        print(f"review: {readSec / options.minutes:.2f} s per recorded minute read")
        print(f"batch: {CASES} cases {one:.1f} s with 1, {two:.1f} s with 2 workers, {one / two:.2f} times faster")
    figures = {
        "raw": rows["raw"],
        "zlib": rows["zlib"],
        "scene": scene,
        "reviewSecPerMinute": readSec / options.minutes,
        "batchSpeedUp": one / two,
        "lost": sum(row["offeredImages"] - row["readImages"] + row["offeredPoses"] - row["readPoses"] for row in rows.values()),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
