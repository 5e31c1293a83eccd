"""The machine of a run or a measurement: what it is, the memory that this process holds, how busy the GPU is."""

from __future__ import annotations

import functools
import os
import platform
import re
import resource
import sys
import warnings
from pathlib import Path
from typing import Any

import torch

import pinn_ext

__all__ = ["describe_machine", "file_field", "gpu_utilisation", "memory_now", "peak_memory_gib"]


def describe_machine(device: torch.device) -> dict[str, Any]:
    """The machine, and where it is the device the GPU; None where the system does not tell."""
    info = pinn_ext.build_info()
    machine: dict[str, Any] = {
        "device": device.type,
        "cpu": file_field("/proc/cpuinfo", r"model name\s*:\s*(.+)") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "kernel_threads": info.threads,
        "memory_gib": round(int(file_field("/proc/meminfo", r"MemTotal:\s*(\d+) kB") or 0) / 2**20, 1) or None,
        "instruction_set": info.active_instruction_set,
        "system": f"{platform.system()} {platform.release()}",
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        machine |= {"gpu": properties.name, "gpu_memory_gib": round(properties.total_memory / 2**30, 1)}
    return machine


def file_field(path: str, pattern: str) -> str | None:
    """The first group of a pattern in a file; None where there is no such file or no match."""
    try:
        match = re.search(pattern, Path(path).read_text())
    except OSError:
        return None
    return match[1].strip() if match else None


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
