"""The machine that a benchmark runs on: what it is, and what it can do at best, measured in the same run.

Limits: reading (a sum), writing (a fill), copying and the triad ``c = a + s b`` on arrays several times the last-level
cache, in GB/s of the bytes that the operation names (as STREAM counts: what a write brings into the cache unasked is
not added), and the rate of torch's own matrix product of large square matrices in GFLOP/s. That is the rate of the
BLAS behind torch, not the peak of the fused multiply-add units; a small matrix that stays in the cache may exceed it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import pinn_ext
from pinnx.runs.machine import describe_machine as machine_of
from pinnx.runs.machine import file_field

# Variables that change how fast threads and allocations are.
TUNING = ("OMP_", "GOMP_", "KMP_", "MKL_", "MALLOC_", "GLIBC_TUNABLES", "THP_MEM_ALLOC", "PINN_EXT_ISA", "PYTORCH_")

# Four times a cache of 480 MiB are arrays of 1.9 GB, and 8 s for each measurement: too long for --quick.
SMALL_ARRAY = 128 << 20


@dataclass(frozen=True)
class Limits:
    """Best of several repetitions; ``array_mib`` and ``matmul_size`` say of what."""

    read_gb_per_s: float
    write_gb_per_s: float
    copy_gb_per_s: float
    triad_gb_per_s: float
    matmul_gflop_per_s: float
    array_mib: int
    matmul_size: int


def measure_limits(device: torch.device, dtype: torch.dtype, quick: bool = False, *, repetitions: int = 7) -> Limits:
    """Measures the limits of this moment; the best counts, because a limit is what could have been.

    With `quick` the arrays are 128 MiB, whatever the cache: where it holds them, GB/s are those of the cache.
    """
    num_bytes = SMALL_ARRAY if quick else max(4 * last_level_cache_bytes(device), SMALL_ARRAY)
    count = num_bytes // dtype.itemsize
    a, b, c = (torch.ones(count, dtype=dtype, device=device) for _ in range(3))
    size = 8192 if device.type == "cuda" else 1024
    p, q = (torch.ones(size, size, dtype=dtype, device=device) for _ in range(2))
    product = torch.empty_like(p)
    array = a.nbytes

    def best(run: Callable[[], object]) -> float:
        run()
        return min(_seconds(run, device) for _ in range(repetitions))

    return Limits(
        read_gb_per_s=array / best(lambda: torch.sum(a)) / 1e9,
        write_gb_per_s=array / best(lambda: a.fill_(1.0)) / 1e9,
        copy_gb_per_s=2 * array / best(lambda: b.copy_(a)) / 1e9,
        triad_gb_per_s=3 * array / best(lambda: torch.add(a, b, alpha=2.0, out=c)) / 1e9,
        matmul_gflop_per_s=2 * size**3 / best(lambda: torch.mm(p, q, out=product)) / 1e9,
        array_mib=array >> 20,
        matmul_size=size,
    )


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def bare_traffic(bytes_read: int, bytes_written: int, device: torch.device) -> Callable[[], Sequence[Tensor]]:
    """Reads and writes as many bytes with torch and does nothing else: a copy, then a sum or a fill for the rest.

    On working sets that fit into a cache it runs at the cache's rate, so a share of it is fair at every size.
    """
    copied = min(bytes_read, bytes_written) // 4
    source, target = (torch.zeros(copied, device=device) for _ in range(2))
    rest = torch.zeros(abs(bytes_read - bytes_written) // 4, device=device)
    reads = bytes_read > bytes_written

    def run() -> Sequence[Tensor]:
        if copied:
            target.copy_(source)
        if rest.numel() == 0:
            return (target,)
        return (target, rest.sum() if reads else rest.fill_(0.0))

    return run


def last_level_cache_bytes(device: torch.device) -> int:
    """Size of the last-level cache; 32 MiB where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).L2_cache_size)
    sizes = []
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        match = re.fullmatch(r"(\d+)([KMG]?)", path.read_text().strip())
        if match:
            sizes.append(int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2]])
    return max(sizes, default=32 << 20)


def describe_machine(device: torch.device) -> dict[str, Any]:
    """The machine, its cache, and what tunes it."""
    machine: dict[str, Any] = {
        **machine_of(device),
        "last_level_cache_mib": last_level_cache_bytes(torch.device("cpu")) / 2**20,
        "torch_cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "environment": {k: v for k, v in sorted(os.environ.items()) if k.startswith(TUNING)},
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        machine |= {
            "gpu_multiprocessors": properties.multi_processor_count,
            "gpu_driver": file_field("/proc/driver/nvidia/version", r"Kernel Module.*?\s(\d+(?:\.\d+)+)"),
        }
    return machine


def describe_versions() -> dict[str, Any]:
    """Versions of what was run and what built it."""
    info = pinn_ext.build_info()
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torch_cuda": torch.version.cuda,
        "pinn_ext": info.version,
        "compiler": info.compiler,
        "cuda": info.cuda_version,
        "cuda_architectures": list(info.cuda_architectures),
    }


_SOURCE = Path(__file__).with_name("fma_peak.cpp")
_FLAGS = {  # as in cmake/instruction_sets.cmake
    "generic": "",
    "avx2": "-mavx2 -mfma",
    "avx512": "-mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -mprefer-vector-width=512",
}


def fma_peak(float64: bool, milliseconds: int) -> float:
    """GFLOP/s of fused multiply-adds in registers, on all threads and in the instruction set that the kernels use."""
    return float(_compiled().fma_peak(ctypes.c_bool(float64), ctypes.c_double(milliseconds * 1e-3)))


@cache
def _compiled() -> Any:
    isa = pinn_ext.build_info().active_instruction_set
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "fma_peak.so"
        command = [os.environ.get("CXX", "c++"), "-std=c++17", "-O3", "-fPIC", "-shared", "-fopenmp", "-Wno-psabi"]
        command += [*_FLAGS[isa].split(), f"-DPINN_ISA={isa}", f"-I{_SOURCE.parents[1] / 'csrc'}"]
        subprocess.run([*command, str(_SOURCE), "-o", str(library)], check=True)
        loaded = ctypes.CDLL(str(library))
    loaded.fma_peak.restype = ctypes.c_double
    return loaded


def watch_memory() -> tuple[int, str]:
    """Resident bytes now, and how their largest will be found."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew from the resident set of this moment
    except OSError:
        # Cannot fall below an earlier peak, that of loading the libraries, and then tells too little.
        return peak_memory("ru_maxrss"), "ru_maxrss"
    return status_bytes("VmRSS"), "VmHWM"


def peak_memory(method: str) -> int:
    """The most resident bytes since `watch_memory`, found as it says."""
    if method == "VmHWM":
        return status_bytes("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def status_bytes(field: str) -> int:
    """A number of kB in /proc/self/status, in bytes."""
    match = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if match is None:
        raise RuntimeError(f"/proc/self/status: expected a line {field}, found none")
    return int(match[1]) * 1024
