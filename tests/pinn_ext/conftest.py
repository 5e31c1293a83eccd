"""Lets the kernel tests import what they share under any import mode of pytest; the number of threads is put back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parent))
pytest.register_assert_rewrite("cases", "agreement")


@pytest.fixture
def restored_threads() -> Iterator[None]:
    """The number of threads is after the test what it was before."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
