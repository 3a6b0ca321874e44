"""Fixtures of the training tests."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from mathcode_assets_tests.training.packed_folder import write_packed_folder

MISSING = [name for name in ("torch", "transformers", "deepspeed") if importlib.util.find_spec(name) is None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs torch where it is not installed, saying so."""
    if MISSING:
        skip = pytest.mark.skip(reason=f"training needs {', '.join(MISSING)}: pip install 'mathcode-assets[train]'")
        for item in items:
            if item.get_closest_marker("train"):
                item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def quiet_single_thread() -> Iterator[None]:
    """One thread, no hub, no compiled operators; the process that workers are forked from inherits it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "OMP_NUM_THREADS": "1",
            "DS_ACCELERATOR": "cpu",
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 packed sequences of 32 tokens."""
    return write_packed_folder(tmp_path_factory.mktemp("packed"))
