"""Fixtures of every suite."""

import os
import pathlib

import pytest

DATA_VARIABLE = "INTRADISCAL_DATA"
os.environ.setdefault("COLUMNS", "160")  # tables of the commands are not to be wrapped by the width of whoever runs the tests


@pytest.fixture(scope="session")
def realData() -> pathlib.Path:
    """Folder of the real CT, recordings and dose reports; the test is skipped where it isn't given."""
    folder = os.environ.get(DATA_VARIABLE, "")
    if not folder:
        pytest.skip(f"set the environment variable {DATA_VARIABLE} to the folder of the real data to run this test")
    path = pathlib.Path(folder)
    if not (path / "tracked").is_dir():
        pytest.fail(f"{DATA_VARIABLE}={folder} holds no folder 'tracked'")
    return path


_skippedRealData: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Where the data is given, a skipped real-data test is a failure: nobody would notice otherwise."""
    if report.skipped and "realdata" in report.keywords and os.environ.get(DATA_VARIABLE):
        _skippedRealData.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _skippedRealData and not hasattr(session.config, "workerinput"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _skippedRealData:
        terminalreporter.write_line(f"{DATA_VARIABLE} is set, but these real-data tests were skipped:", red=True)
        for nodeid in _skippedRealData:
            terminalreporter.write_line(f"  {nodeid}", red=True)


@pytest.fixture
def host():
    """The scene without the application (`startHost`), empty before and after."""
    from IntradiscalNavHeadless.SceneHost import startHost

    started = startHost()
    started.clear()
    yield started
    started.clear()


@pytest.fixture
def scene(host):
    """The empty MRML scene of the host."""
    return host.scene
