"""What a run leaves behind when it has ended, fields.h5, and what it ran on.

fields.h5: x, y[, z] (the lines of a grid, or [n] for scattered points), t; u, v[, w], p and the group residual with
shape [T, *grid] or [T, n], without T where steady; the group reference with what is known. Written whole or not at all.
"""

from __future__ import annotations

import platform
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

import pinn_ext
from pinnx.data.snapshots import AXIS_NAMES
from pinnx.evals.flow import FlowFields, evaluate_flow
from pinnx.jobs.case import Case
from pinnx.models.fourier_network import FourierNetwork
from pinnx.physics.navier_stokes import NavierStokes
from pinnx.runs.files import atomic_write

__all__ = ["evaluate_output", "peak_memory_gib", "versions", "write_fields"]

COMPONENTS = ("u", "v", "w")


def evaluate_output(case: Case, network: FourierNetwork, equations: NavierStokes) -> FlowFields:
    """Fields and residuals at every output point and time, [T n, d + 1], frame by frame."""
    frames = [
        evaluate_flow(network, equations, case.output.coordinates(frame)) for frame in range(case.output.num_frames)
    ]
    return FlowFields(
        fields=np.concatenate([frame.fields for frame in frames]),
        residual=np.concatenate([frame.residual for frame in frames]),
    )


def write_fields(path: Path, case: Case, flow: FlowFields, residual_names: tuple[str, ...], nu: float) -> None:
    """Writes fields.h5.

    Args:
        path: where.
        case: the output points and the reference.
        flow: fields and residuals at the output points, frame by frame.
        residual_names: of the columns of the residual.
        nu: the viscosity that belongs to the fields; the one found, where it was learned.
    """
    with atomic_write(path) as partial, h5py.File(partial, "w") as file:
        _write(file, case, flow, residual_names, nu)


def _write(file: h5py.File, case: Case, flow: FlowFields, residual_names: tuple[str, ...], nu: float) -> None:
    output, dim = case.output, case.dim
    place = output.grid_shape or (len(output.points),)
    shape = place if output.times is None else (output.num_frames, *place)
    names = AXIS_NAMES[:dim]
    file.attrs.update(
        nu=nu,
        steady=case.steady,
        grid=output.grid_shape is not None,
        source=case.source,
        pressure="kinematic, up to a constant at each time",
        axes=",".join((*(() if case.steady else ("t",)), *(names if output.grid_shape else ("n",)))),
    )
    if output.times is not None:
        file["t"] = output.times
    for axis, name in enumerate(names):
        column = output.points[:, axis]
        if output.grid_shape is not None:
            column = np.moveaxis(column.reshape(place), axis, 0).reshape(place[axis], -1)[:, 0]
        file[name] = column
    store = {name: column.reshape(shape) for name, column in zip((*COMPONENTS[:dim], "p"), flow.fields.T, strict=True)}
    store |= {f"residual/{name}": c.reshape(shape) for name, c in zip(residual_names, flow.residual.T, strict=True)}
    if case.reference is not None:
        velocity = case.reference.velocity.reshape(-1, dim)
        store |= {f"reference/{name}": velocity[:, i].reshape(shape) for i, name in enumerate(COMPONENTS[:dim])}
    for name, values in store.items():
        file.create_dataset(name, data=values.astype(np.float32), compression="gzip", compression_opts=1)
    if case.reference is not None and case.reference.pressure is not None:
        assert case.reference.pressure_frames is not None
        pressure = case.reference.pressure.reshape(-1, *place)
        if case.steady:
            file["reference/p"] = pressure[0].astype(np.float32)
        else:
            file["reference/p"] = pressure.astype(np.float32)
            file["reference/p_frames"] = case.reference.pressure_frames


def peak_memory_gib() -> float:
    """The most memory that this process has held, on the CPU, or on the GPU where that is more."""
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, KiB elsewhere
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    device = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return float(max(host, device)) / 2**30


def versions(device: torch.device) -> Mapping[str, Any]:
    """What ran: packages, and what the kernels ran on."""
    info = pinn_ext.build_info()
    return {
        "pinn_ext": info.version,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "instruction_set": info.active_instruction_set,
        "threads": torch.get_num_threads(),
        "device": str(device),
        "machine": f"{platform.system()} {platform.machine()}",
    }
