"""Memory of the process against memory that a test takes, and how busy a GPU is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pinnx.runs import machine
from pinnx.runs.machine import gpu_utilisation, memory_now, peak_memory_gib


def test_memory_that_is_taken_shows_and_goes_again() -> None:
    if not machine.RESIDENT.exists():
        pytest.skip("the system has no /proc")
    before = memory_now()["memory_gib"]
    taken = np.ones(2**25)  # 0.25 GiB, more than the allocator keeps
    during = memory_now()["memory_gib"]
    del taken
    assert during - before == pytest.approx(0.25, abs=0.02)
    assert memory_now()["memory_gib"] < during - 0.2
    assert peak_memory_gib() >= during - 0.02


def test_without_proc_the_peak_stands_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "RESIDENT", Path("/no/such/file"))
    assert memory_now()["memory_gib"] == pytest.approx(peak_memory_gib(), rel=0.01)


def test_a_busy_gpu_is_asked_and_one_without_nvml_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library of the device is a fake: torch's function is the boundary."""
    assert gpu_utilisation() == {}, "no GPU in use"
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "utilization", lambda: 87)
    assert gpu_utilisation() == {"gpu_utilisation": 87.0}

    def absent() -> int:
        raise ModuleNotFoundError("nvidia-ml-py does not seem to be installed")

    monkeypatch.setattr(torch.cuda, "utilization", absent)
    machine._warn_once.cache_clear()
    with pytest.warns(UserWarning, match=r"not recorded: nvidia-ml-py .*pip install 'pinn-ext\[gpu\]'"):
        assert gpu_utilisation() == {}
    assert gpu_utilisation() == {}, "without a second warning, which would be an error here"

    class NVMLError(Exception):
        pass

    def not_supported() -> int:
        raise NVMLError("Not Supported")

    monkeypatch.setattr(torch.cuda, "utilization", not_supported)
    with pytest.warns(UserWarning, match="not recorded: Not Supported"):
        assert gpu_utilisation() == {}
