"""The self tests that Slicer runs (slicer_add_python_unittest) pass on the headless scene too."""

import importlib.util
import pathlib
import unittest

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["FusionRegistration", "ProcedureLog", "IntradiscalNav"])
def test_selfTestsPass(panels, name):
    panels.load(name)
    path = REPOSITORY / name / "Testing" / "Python" / f"{name}SelfTest.py"
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    result = unittest.TestResult()
    suite.run(result)
    assert not result.errors and not result.failures, "\n".join(text for _test, text in result.errors + result.failures)
    assert result.testsRun == suite.countTestCases() >= 4
