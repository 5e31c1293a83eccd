"""What a measurement was made on: processor, cores, memory, GPU, system."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

import torch

import pinn_ext

__all__ = ["describe_machine", "file_field"]


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
