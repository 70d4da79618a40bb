"""Runs the pytest suites inside a real Slicer and fails when any failed, or when none ran.

    python Testing/runSlicerTests.py /path/to/Slicer [--no-install]

Packages that only tests need (pytest and the like) go to build/slicer-packages with Slicer's own pip; Slicer itself stays as it is.
"""

import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
MODULES = ("FusionRegistration", "ProcedureLog", "IntradiscalNav")
PACKAGES = ("pytest", "pytest-timeout", "hypothesis", "pyigtl", "pynetdicom", "fastcrc", "reportlab", "pillow", "typer", "rich")
TIMEOUT_SEC = 3600


class SuiteFailure(RuntimeError):
    """Why the run doesn't count as passed."""


def pythonOf(slicer: pathlib.Path) -> pathlib.Path:
    """PythonSlicer of an installation."""
    for candidate in (
        slicer.parent / "bin" / "PythonSlicer",
        slicer.parent / "bin" / "PythonSlicer.exe",
        slicer.parent.parent / "bin" / "PythonSlicer",
    ):
        if candidate.is_file():
            return candidate
    raise SuiteFailure(f"There is no PythonSlicer beside {slicer}: give the Slicer program of an installation.")


def installPackages(slicer: pathlib.Path, folder: pathlib.Path) -> None:
    command = [str(pythonOf(slicer)), "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(folder), *PACKAGES]
    if subprocess.run(command).returncode:
        raise SuiteFailure("pip could not install pytest for Slicer's Python; see its messages above.")


def checkReport(report: pathlib.Path, exitCode: int) -> str:
    """A line about what ran.

    :raises SuiteFailure: if no report was written, no test ran, any failed, or Slicer ended with an error
    """
    if not report.is_file():
        raise SuiteFailure(f"Slicer ended with {exitCode} and wrote no test report: no test ran.")
    counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        for name in counts:
            counts[name] += int(suite.get(name, 0))
    summary = ", ".join(f"{value} {name}" for name, value in counts.items())
    if counts["tests"] - counts["skipped"] <= 0:
        raise SuiteFailure(f"No test ran inside Slicer ({summary}).")
    if counts["failures"] or counts["errors"] or exitCode:
        raise SuiteFailure(f"Tests failed inside Slicer ({summary}; exit status {exitCode}).")
    return f"inside {report.parent.name}: {summary}"


def main(arguments: list[str]) -> int:
    if not arguments or not pathlib.Path(arguments[0]).is_file():
        print(
            f"There is no Slicer program {arguments[0] if arguments else ''!r}. Call make slicer-test SLICER=/path/to/Slicer",
            file=sys.stderr,
        )
        return 2
    slicer = pathlib.Path(arguments[0]).resolve()
    build = REPOSITORY / "build"
    packages, report = build / "slicer-packages", build / "slicer-tests.xml"
    build.mkdir(exist_ok=True)
    report.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "INTRADISCALNAV_REPOSITORY": str(REPOSITORY),
        "INTRADISCALNAV_TEST_PACKAGES": str(packages),
        "INTRADISCALNAV_TEST_REPORT": str(report),
    }
    command = [str(slicer), "--no-splash", "--testing", "--ignore-slicerrc", "--additional-module-paths"]
    command += [str(REPOSITORY / module) for module in MODULES]
    command += ["--python-script", str(REPOSITORY / "Testing" / "InSlicer" / "runInSlicer.py")]
    try:
        if "--no-install" not in arguments:
            installPackages(slicer, packages)
        try:
            exitCode = subprocess.run(command, env=environment, timeout=TIMEOUT_SEC).returncode
        except subprocess.TimeoutExpired:
            raise SuiteFailure(f"Slicer did not end within {TIMEOUT_SEC} s.") from None
        print(checkReport(report, exitCode))
    except SuiteFailure as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
