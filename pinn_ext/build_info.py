"""What was compiled into this installation, and which path runs here."""

from __future__ import annotations

from dataclasses import dataclass

from pinn_ext import _core

__all__ = ["BuildInfo", "build_info"]


@dataclass(frozen=True)
class BuildInfo:
    """What was compiled in.

    Attributes:
        version: version of the distribution.
        compiler: the C++ compiler's name and version.
        instruction_sets: the CPU paths in this build, slowest first.
        active_instruction_set: the path in use: the best this CPU has, or what ``PINN_EXT_ISA`` names.
        openmp: date of the OpenMP specification (yyyymm), None in a build with one thread.
        threads: threads that the CPU kernels use now (``torch.set_num_threads``).
        cuda_version: version of the CUDA compiler, None in a build for the CPU alone.
        cuda_architectures: architectures in the form of CMake's ``CUDA_ARCHITECTURES``.
        fused: for ``"cpu float32"``, ``"cpu float64"``, ``"cuda float32"`` and ``"cuda float64"``, which networks
            ``mlp_jet`` and ``navier_stokes_loss`` take through all layers in one kernel; the others go layer by layer
            (composed), in bounded memory too. None where this build has no kernels.
    """

    version: str
    compiler: str
    instruction_sets: tuple[str, ...]
    active_instruction_set: str
    openmp: int | None
    threads: int
    cuda_version: str | None
    cuda_architectures: tuple[str, ...]
    fused: dict[str, str | None]


def build_info() -> BuildInfo:
    """What was compiled in: CPU instruction sets, CUDA version and architectures."""
    info = _core.build_info()
    cuda = bool(info["cuda_version"])
    return BuildInfo(
        version=info["version"],
        compiler=info["compiler"],
        instruction_sets=tuple(info["instruction_sets"]),
        active_instruction_set=info["active_instruction_set"],
        openmp=info["openmp"],
        threads=info["threads"],
        cuda_version=info["cuda_version"] or None,
        cuda_architectures=tuple(a for a in info["cuda_architectures"].split(",") if a),
        fused={
            "cpu float32": "every width",
            "cpu float64": "every width",
            "cuda float32": _cuda_limits() if cuda else None,
            "cuda float64": "no width: composed" if cuda else None,
        },
    )


def _cuda_limits() -> str:
    """What the fused CUDA kernels take, from the kernels' own constants."""
    return (
        f"widths up to {_core.MAX_FUSED_WIDTH}, {_core.MAX_FUSED_OUTPUTS} outputs and {_core.MAX_FUSED_STREAMS} "
        "streams, else composed"
    )
