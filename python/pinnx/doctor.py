"""What is installed and what was found, each with a remedy where something is missing.

A finding that is not ok keeps pinnx from working. A remedy may also stand beside one that is ok: CUDA, for example, is
not needed, but would be faster.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

__all__ = ["Finding", "findings"]

PACKAGES = ("numpy", "scipy", "h5py", "pydantic", "pyyaml", "rich", "matplotlib", "safetensors")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    found: str
    ok: bool = True
    remedy: str = ""


def findings() -> Iterator[Finding]:
    """Looks at Python, torch, the kernels, the instruction set, threads, CUDA and the packages."""
    yield Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library that torch loads is missing
        yield Finding("torch", str(error), ok=False, remedy="pip install torch")
    else:
        yield Finding("torch", f"{torch.__version__} with {torch.get_num_threads()} threads")
        yield from _kernels()
    for package in PACKAGES:
        try:
            yield Finding(package, metadata.version(package))
        except metadata.PackageNotFoundError:
            yield Finding(package, "not installed", ok=False, remedy=f"pip install {package}")


def _kernels() -> Iterator[Finding]:
    try:
        import pinn_ext
    except ImportError as error:
        yield Finding("kernels", str(error), ok=False, remedy="pip install --force-reinstall pinn-ext")
        return
    except RuntimeError as error:  # PINN_EXT_ISA names an instruction set that this CPU does not have
        yield Finding("kernels", str(error), ok=False, remedy="unset PINN_EXT_ISA")
        return
    info = pinn_ext.build_info()
    yield Finding("kernels", f"pinn_ext {info.version}, built by {info.compiler}")
    best = info.instruction_sets[-1]
    yield Finding(
        "instruction set",
        f"{info.active_instruction_set} (of {', '.join(info.instruction_sets)})",
        remedy=""
        if info.active_instruction_set == best
        else f"{best} is not used: this CPU lacks it, or PINN_EXT_ISA is set",
    )
    yield _threads(info.openmp, info.threads)
    yield _cuda(info.cuda_version, info.cuda_architectures)


def _threads(openmp: int | None, threads: int) -> Finding:
    if openmp is None:
        return Finding(
            "threads", "1 (built without OpenMP)", remedy="rebuild with a compiler that has OpenMP, such as g++"
        )
    sleeping = os.environ.get("OMP_WAIT_POLICY", "").upper() == "PASSIVE"
    how = "those that wait sleep" if sleeping else "those that wait spin: slow beside other processes"
    return Finding(
        "threads", f"{threads} (OpenMP {openmp}, the runtime of torch; {how}); a run measures how many to use"
    )


def _cuda(compiled: str | None, architectures: tuple[str, ...]) -> Finding:
    import torch

    built = (
        f"kernels compiled by CUDA {compiled} for {', '.join(architectures)}"
        if compiled
        else "no CUDA kernels in this build"
    )
    if not torch.cuda.is_available():
        why = "torch is a CPU build" if torch.version.cuda is None else "torch finds no device"
        return Finding("cuda", f"{built}; {why}; the CPU is used")
    device = torch.cuda.get_device_name(0)
    if compiled is None:
        return Finding(
            "cuda",
            f"{device}, but {built}; the CPU is used",
            remedy="put nvcc on the PATH and rebuild: pip install --force-reinstall --no-deps "
            "-C cmake.define.PINN_EXT_CUDA=ON .",
        )
    return Finding("cuda", f"{device}; {built}; torch with CUDA {torch.version.cuda}")
