"""What every test may ask for: the folder of real data, and a seed that shows in the report."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

# Before torch is imported: threads that wait sleep, also in child processes. Where they spin, a suite beside another
# process takes many times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pytest

# A shell starts what runs in its background with Ctrl-C ignored, and the package keeps to that. Tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TESTS = Path(__file__).resolve().parent
# So that `import tolerances` works from every folder of tests, under any import mode of pytest.
sys.path.insert(0, str(TESTS))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real flows: the variable PINNX_DATA, or shared/data beside the repository."""
    named = os.environ.get("PINNX_DATA")
    beside = TESTS.parent.parent / "shared" / "data"
    for folder in ([Path(named)] if named else []) + [beside]:
        if folder.is_dir():
            return folder
    pytest.skip(f"real data: neither PINNX_DATA={named} nor ../shared/data is a folder")


@pytest.fixture
def cuda() -> str:
    """The device's name; skips where there is none, or no kernels for it, and fails where CUDA is required."""
    import torch

    import pinn_ext

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device (torch.cuda.is_available() is False)")
    if pinn_ext.build_info().cuda_version is None:
        if os.environ.get("PINN_EXT_REQUIRE_CUDA"):
            pytest.fail("PINN_EXT_REQUIRE_CUDA is set, but pinn_ext was built without CUDA")
        pytest.skip("pinn_ext was built without CUDA (set PINN_EXT_REQUIRE_CUDA to make this a failure)")
    return "cuda"


@pytest.fixture
def seed() -> int:
    """Seed of a random test: 0, or PINNX_TEST_SEED; pytest shows the line where a test fails."""
    value = int(os.environ.get("PINNX_TEST_SEED", "0"))
    print(f"seed {value} (set PINNX_TEST_SEED to change it)")
    return value


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """Random numbers from the seed of the test."""
    return np.random.default_rng(seed)
