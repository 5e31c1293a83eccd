"""The memory that this process holds."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import torch

__all__ = ["memory_now", "peak_memory_gib"]

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


def _peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
