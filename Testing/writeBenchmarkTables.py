"""Runs benchmarks and keeps what they print in Docs/Benchmarks, as printed.

python Testing/writeBenchmarkTables.py [NAME ...]        e.g. fiducials markers; all without names
"""

import os
import pathlib
import platform
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
TIMEOUT_SEC = 900


def machine() -> str:
    load = f", load average {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}{load}"


def main(names: list[str]) -> int:
    folder = REPOSITORY / "Docs" / "Benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [REPOSITORY / "Testing" / "Benchmarks" / f"bench_{name}.py" for name in names]
    failed = 0
    for script in chosen or sorted((REPOSITORY / "Testing" / "Benchmarks").glob("bench_*.py")):
        print("running", script.name, flush=True)
        head = f"{script.name}, {time.strftime('%Y-%m-%d')}, {machine()}\n\n"
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=TIMEOUT_SEC, env=environment)
        except subprocess.TimeoutExpired:
            print(f"  took longer than {TIMEOUT_SEC} s", flush=True)
            failed += 1
            continue
        if done.returncode:
            print(done.stderr.strip().splitlines()[-1:], flush=True)
        failed += done.returncode != 0
        if done.stdout.strip():
            (folder / f"{script.stem.removeprefix('bench_')}.txt").write_text(head + done.stdout, encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
