"""The peak of this CPU's multiply-add units, by a program that is compiled when it is first needed (fma_peak.cpp)."""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch  # noqa: F401  # its OpenMP runtime, and with it its number of threads, is the one that the program uses

import pinn_ext

__all__ = ["fma_peak"]

_SOURCE = Path(__file__).with_suffix(".cpp")
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
