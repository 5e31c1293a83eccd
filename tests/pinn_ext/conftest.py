"""Shared set-up of the kernel tests: import paths, markers, warnings that are errors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
for folder in (HERE.parent, HERE):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

pytest.register_assert_rewrite("cases")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gpu: needs a CUDA device and a CUDA build")
    config.addinivalue_line("markers", "slow: takes more than a few seconds")
    if "error" not in config.getini("filterwarnings"):
        config.addinivalue_line("filterwarnings", "error")
