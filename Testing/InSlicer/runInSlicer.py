"""Runs inside the Slicer application (--python-script): the pytest suites, then Slicer ends with pytest's exit status.

Environment: INTRADISCALNAV_REPOSITORY, INTRADISCALNAV_TEST_PACKAGES (folder with pytest), INTRADISCALNAV_TEST_REPORT (JUnit XML).
"""

import os
import pathlib
import sys
import traceback
import types

REPOSITORY = pathlib.Path(os.environ["INTRADISCALNAV_REPOSITORY"])
# at the end: what Slicer ships comes first
sys.path.append(os.environ["INTRADISCALNAV_TEST_PACKAGES"])
for folder in ("Testing/InSlicer", "Testing", "IntradiscalNav", "FusionRegistration", "ProcedureLog"):
    sys.path.insert(0, str(REPOSITORY / folder))

import slicer  # noqa: E402
from SuiteChoice import SUITES, isForSlicer  # noqa: E402


class ChosenSuites:
    """pytest plug-in that leaves out what isn't for Slicer."""

    def pytest_ignore_collect(self, collection_path):
        return True if collection_path.suffix == ".py" and not isForSlicer(collection_path) else None


def useApplicationAsHost():
    """The suites ask for `startHost()`, `PanelHost.start()` and `PythonQtStyle.slotErrors`: give them the application."""
    from ApplicationHost import ApplicationHost, ApplicationPanelHost

    import IntradiscalNavHeadless

    host, panels = ApplicationHost(), ApplicationPanelHost()
    sceneHost = types.ModuleType("IntradiscalNavHeadless.SceneHost")
    sceneHost.startHost = lambda: host
    sys.modules["IntradiscalNavHeadless.SceneHost"] = IntradiscalNavHeadless.SceneHost = sceneHost
    panelHost = types.ModuleType("PanelHost")
    panelHost.start = lambda: panels
    sys.modules["PanelHost"] = panelHost
    style = types.ModuleType("PythonQtStyle")
    style.slotErrors = []
    sys.modules["PythonQtStyle"] = style

    def keep(kind, error, trace):
        # PythonQt reports an exception in a slot through sys.excepthook
        style.slotErrors.append(error)
        traceback.print_exception(kind, error, trace)

    sys.excepthook = keep


def main():
    import pytest

    useApplicationAsHost()
    arguments = ["-c", str(REPOSITORY / "pyproject.toml"), "--rootdir", str(REPOSITORY), "-p", "no:cacheprovider", "-m", "not realdata"]
    arguments += [f"--junitxml={os.environ['INTRADISCALNAV_TEST_REPORT']}", *(str(REPOSITORY / suite) for suite in SUITES)]
    return int(pytest.main(arguments, plugins=[ChosenSuites()]))


status = 99
try:
    status = main()
finally:
    slicer.util.exit(status)
