"""What a run takes of its machine: the memory that this process holds, and how busy the GPU is."""

from __future__ import annotations

import functools
import os
import resource
import sys
import warnings
from pathlib import Path

import torch

__all__ = ["gpu_utilisation", "memory_now", "peak_memory_gib"]

RESIDENT = Path("/proc/self/statm")


def memory_now() -> dict[str, float]:
    """The resident memory, ``memory_gib``, and what torch has reserved on a GPU in use, ``gpu_memory_gib``.

    Where the system has no /proc, the most memory so far stands for the resident memory.
    """
    pages = RESIDENT.read_text().split()[1] if RESIDENT.exists() else None
    host = _peak_bytes() if pages is None else int(pages) * os.sysconf("SC_PAGE_SIZE")
    found = {"memory_gib": host / 2**30}
    if torch.cuda.is_initialized():
        found["gpu_memory_gib"] = torch.cuda.memory_reserved() / 2**30
    return found


def peak_memory_gib() -> float:
    """The most memory that this process has held, on the CPU, or on the GPU where that is more."""
    device = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return float(max(_peak_bytes(), device)) / 2**30


def gpu_utilisation() -> dict[str, float]:
    """Per cent of the last second or so in which a GPU in use computed, ``gpu_utilisation``, as NVML has it.

    Empty without a GPU, and where NVML is absent or does not tell, as of a part of a GPU: a warning, once.
    """
    if not torch.cuda.is_initialized():
        return {}
    try:
        return {"gpu_utilisation": float(torch.cuda.utilization())}
    except Exception as error:  # NVML's own class of errors is there only where its package is
        _warn_once(str(error))
        return {}


@functools.cache
def _warn_once(reason: str) -> None:
    warnings.warn(
        f"the GPU's utilisation is not recorded: {reason} (it needs nvidia-ml-py: pip install 'pinn-ext[gpu]')",
        stacklevel=3,
    )


def _peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
