"""Fixtures of every suite."""

import os
import pathlib

import pytest

DATA_VARIABLE = "INTRADISCAL_DATA"


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
