"""What a run leaves behind when it has ended, fields.h5, and what it ran on.

fields.h5: x, y[, z] (the lines of a grid, or [n] for scattered points), t; u, v[, w], p and the group residual with
shape [T, *grid] or [T, n], without T where steady; the group reference with what is known, and the index sets of its
points. The attributes names and residual_names list the fields and the residuals in their order. Written whole or not
at all. Of it are made, on request:

fields.nc           netCDF 3 (64-bit offsets): dimensions t, x, y[, z] or n; axes and coordinates named as CF does
vtu/fields_K.vtu    one for each time K, for ParaView: a grid as quadrilaterals or hexahedra, points as vertices
"""

from __future__ import annotations

import importlib
import io
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import scipy.io
import torch
from numpy.typing import NDArray

import pinn_ext
from pinnx.data.layout import grid_lines, grid_points
from pinnx.data.snapshots import AXIS_NAMES
from pinnx.data.units import texts_of_units
from pinnx.errors import PinnxError
from pinnx.evals.evaluation import Evaluation, evaluate
from pinnx.jobs.cases.case import Case
from pinnx.jobs.cases.case_bodies import in_bodies
from pinnx.jobs.cases.output_points import OutputPoints
from pinnx.jobs.flows.flow_problem import FlowProblem
from pinnx.jobs.judging.ensemble import Ensemble
from pinnx.runs.files import atomic_write
from pinnx.runs.history import Convergence
from pinnx.runs.machine import peak_memory_gib
from pinnx.train.problem import Problem
from pinnx.train.trainer import Trainer

if TYPE_CHECKING:  # it loads SciPy's sparse solvers
    from pinnx.jobs.judging.second_opinion import SecondOpinion

__all__ = [
    "evaluate_output",
    "export_fields",
    "field_roles",
    "hdf5_in_memory",
    "require_packages",
    "training_figures",
    "versions",
    "write_fields",
]

# CF 1.8 has no standard names for the velocity of any fluid; those of coordinates it has.
NAMES = {"t": "time", "x": "projection_x_coordinate", "y": "projection_y_coordinate", "z": "height"}
LONG = {"u": "velocity along x", "v": "velocity along y", "w": "velocity along z", "p": "kinematic pressure"}


def evaluate_output(
    output: OutputPoints, problem: Problem, progress: Callable[[int, int], None] = lambda done, total: None
) -> Evaluation:
    """Fields and residuals at every output point and time, [T n, c], frame by frame.

    ``progress`` takes the frames that are done, and their number.
    """
    frames = []
    for frame in range(output.num_frames):
        frames.append(evaluate(problem.model, problem.terms, output.coordinates(frame)))
        progress(frame + 1, output.num_frames)
    return Evaluation(
        fields=np.concatenate([frame.fields for frame in frames]),
        residual=np.concatenate([frame.residual for frame in frames]),
        residual_names=frames[0].residual_names,
    )


def write_fields(
    path: Path,
    flow: FlowProblem,
    output: Evaluation,
    opinion: SecondOpinion | None = None,
    ensemble: Ensemble | None = None,
) -> None:
    """Writes fields.h5; fields of a classical solver stand in groups of their own, and what members say.

    Raises:
        OSError: it cannot be written.
    """
    case = flow.case
    with hdf5_in_memory(path) as file:
        _write(file, flow, output, {} if ensemble is None else ensemble.stored(flow.problem.fields))
        if case.reference is not None:
            _write_units(file, *case.reference.units)
        _write_sensors(file, case, flow.model.predict(case.coordinates))
        if opinion is not None:
            _write_opinion(file, case, opinion)


@contextmanager
def hdf5_in_memory(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file that is written whole when the block has ended, or not at all.

    Raises:
        OSError: it cannot be written.
    """
    content = io.BytesIO()  # HDF5 crashes the process where a disk is full; a plain write says so
    with h5py.File(content, "w") as file:
        yield file
    with atomic_write(path) as partial:
        partial.write_bytes(content.getbuffer())


def _write(file: h5py.File, flow: FlowProblem, found: Evaluation, more: Mapping[str, NDArray[np.float32]]) -> None:
    case, names = flow.case, flow.problem.fields
    output, dim = case.output, case.dim
    place = output.grid_shape or (len(output.points),)
    shape = place if output.times is None else (output.num_frames, *place)
    axes = AXIS_NAMES[:dim]
    file.attrs.update(
        **{"nu": flow.nu, **flow.equations.found()},
        steady=case.steady,
        grid=output.grid_shape is not None,
        source=case.source,
        pressure="kinematic" if "p" in case.measured else "kinematic, up to a constant at each time",
        axes=",".join((*(() if case.steady else ("t",)), *(axes if output.grid_shape else ("n",)))),
        names=",".join(names),
        residual_names=",".join(found.residual_names),
        **field_roles(dim, pressure_measured="p" in case.measured),
    )
    if output.times is not None:
        file["t"] = output.times
    columns = output.points.T if output.grid_shape is None else grid_lines(output.points, output.grid_shape)
    for name, column in zip(axes, columns, strict=True):
        file[name] = column
    store = {name: column.reshape(shape) for name, column in zip(names, found.fields.T, strict=True)}
    residual = zip(found.residual_names, found.residual.T, strict=True)
    store |= {f"residual/{name}": column.reshape(shape) for name, column in residual}
    store |= {name: column.reshape(shape) for name, column in more.items()}
    if case.reference is not None:
        velocity = case.reference.velocity.reshape(-1, dim)
        store |= {f"reference/{name}": velocity[:, i].reshape(shape) for i, name in enumerate(names[:dim])}
        for name, indices in case.reference.index_sets.items():
            file[f"index_sets/{name}"] = indices
    if case.bodies:
        gap = np.full((1, 2), np.nan)
        lines = [line for body in case.bodies for line in body.lines]
        file["outlines"] = np.concatenate([part for line in lines for part in (line, line[:1], gap)])
    known = case.in_flow.reshape(place)
    for name, values in store.items():
        stored = np.where(known, values, np.nan).astype(np.float32)
        file.create_dataset(name, data=stored, compression="gzip", compression_opts=1)
    if case.reference is not None and case.reference.pressure is not None:
        assert case.reference.pressure_frames is not None
        pressure = np.where(known, case.reference.pressure.reshape(-1, *place), np.nan)
        if case.steady:
            file["reference/p"] = pressure[0].astype(np.float32)
        else:
            file["reference/p"] = pressure.astype(np.float32)
            file["reference/p_frames"] = case.reference.pressure_frames


def _write_units(file: h5py.File, length: str, time: str) -> None:
    """The units of the data, where the file had them: of each array, and of the flow."""
    file.attrs.update({name: unit for name, unit in (("length_unit", length), ("time_unit", time)) if unit})
    for name, text in texts_of_units(length, time).items():
        for stored in (name, f"reference/{name}"):
            if stored in file:
                file[stored].attrs["units"] = text


def field_roles(dim: int, *, pressure_measured: bool = False) -> dict[str, str]:
    """Attributes of fields.h5: the components of the velocity, and whether the pressure has an absolute value."""
    vector, free = ",".join("uvw"[:dim]), "" if pressure_measured else "p"
    return {"vector": vector, "vector_name": "velocity", "length_name": "speed", "up_to_constant": free}


def _write_opinion(file: h5py.File, case: Case, opinion: SecondOpinion) -> None:
    """The solver's fields at the output points, and those solved from the network's field, on a grid of their own."""
    if opinion.fields is not None:
        shape = case.output.grid_shape or (len(case.output.points),)
        for name, column in zip("uvp", opinion.fields.T, strict=True):
            column = np.where(in_bodies(case.output.points, case.bodies, case.bounds), np.nan, column)
            file[f"solver/{name}"] = column.reshape(shape).astype(np.float32)
    if opinion.polished is not None:
        polished = opinion.polished
        for name, values in {"x": polished.x, "y": polished.y, **polished.columns}.items():
            file[f"polished/{name}"] = values
        file["polished"].attrs.update(mass=polished.mass, momentum=polished.momentum)


def _write_sensors(file: h5py.File, case: Case, fields: NDArray[np.float64]) -> None:
    """What was measured, and what was reconstructed there."""
    velocity = fields[:, : case.dim]
    columns = dict(zip("uvw", zip(case.velocity.T, velocity.T, strict=True), strict=False))
    if case.pressure is not None:
        columns["p"] = (case.pressure, fields[:, case.dim])
    if case.speed is not None:
        columns["speed"] = (case.speed, np.linalg.norm(velocity, axis=1))
    columns = {name: columns[name] for name in columns if name in case.measured}
    group = file.create_group("sensors")
    group.attrs["names"] = ",".join(columns)
    group["coordinates"] = case.coordinates
    measured, reconstructed = (np.column_stack(pair) for pair in zip(*columns.values(), strict=True))
    group["measured"], group["reconstructed"] = measured, reconstructed
    if case.deviations:
        group["deviations"] = np.column_stack([case.deviations[name] for name in columns])


def require_packages(formats: Sequence[str]) -> None:
    """Refuse a format before the training whose package is not there.

    Raises:
        PinnxError: meshio is not installed.
    """
    if "vtu" in formats:
        try:
            importlib.import_module("meshio")
        except ImportError:
            raise PinnxError(
                "evals.formats: expected the package meshio for vtu: pip install 'pinn-ext[mesh]', got none"
            ) from None


def export_fields(path: Path, formats: Sequence[str]) -> None:
    """Write the fields of a fields.h5 beside it, in formats out of vtu and netcdf."""
    with h5py.File(path) as file:
        axes = str(file.attrs["axes"]).split(",")
        lines = {name: file[name][()] for name in ("t", *AXIS_NAMES) if name in file}
        fields = {name: file[name][()] for name in str(file.attrs["names"]).split(",")}
        source = str(file.attrs["source"])
        units = {name: str(file[name].attrs["units"]) for name in (*lines, *fields) if "units" in file[name].attrs}
    if "netcdf" in formats:
        _write_netcdf(path.with_suffix(".nc"), axes, lines, fields, source, units)
    if "vtu" in formats:
        (path.parent / "vtu").mkdir(exist_ok=True)
        frames = len(lines.get("t", [0]))
        for frame in range(frames):
            values = {name: field[frame] if "t" in lines else field for name, field in fields.items()}
            _write_vtu(path.parent / "vtu" / f"fields_{frame:04d}.vtu", axes, lines, values)


def _write_netcdf(
    path: Path,
    axes: Sequence[str],
    lines: dict[str, NDArray[np.float64]],
    fields: dict[str, NDArray[np.float32]],
    source: str,
    units: dict[str, str],
) -> None:
    shape = next(iter(fields.values())).shape
    with atomic_write(path) as partial, scipy.io.netcdf_file(partial, "w", version=2) as file:
        file.Conventions, file.source = "CF-1.8", source
        for axis, size in zip(axes, shape, strict=True):
            file.createDimension(axis, size)
        for name, line in lines.items():
            variable = file.createVariable(name, "f8", (name if name in axes else "n",))
            variable[:] = line
            variable.axis, variable.standard_name = name.upper(), NAMES[name]
        for name, field in fields.items():
            variable = file.createVariable(name, "f4", tuple(axes))
            variable[:] = field
            variable.long_name, variable._FillValue = LONG.get(name, name), np.float32(np.nan)
            if "n" in axes:
                variable.coordinates = " ".join(axis for axis in lines if axis != "t")
        for name, unit in units.items():
            file.variables[name].units = unit


def _write_vtu(
    path: Path, axes: Sequence[str], lines: dict[str, NDArray[np.float64]], fields: dict[str, NDArray[np.float32]]
) -> None:
    import meshio

    space = [axis for axis in AXIS_NAMES if axis in lines]
    if "n" in axes:
        places = [lines[axis] for axis in space]
        cells = [("vertex", np.arange(len(places[0]))[:, None])]
    else:
        places = list(grid_points([lines[axis] for axis in space]).T)
        number = np.arange(len(places[0])).reshape([len(lines[axis]) for axis in space])
        low, high = slice(None, -1), slice(1, None)
        around = [(low, low), (high, low), (high, high), (low, high)]
        corners = around if len(space) == 2 else [(*c, end) for end in (low, high) for c in around]
        kind = "quad" if len(space) == 2 else "hexahedron"
        cells = [(kind, np.stack([number[corner].reshape(-1) for corner in corners], axis=1))]
    flat = np.zeros(len(places[0]))
    components = [fields[name].reshape(-1) if name in fields else flat for name in "uvw"]
    others = {name: field.reshape(-1) for name, field in fields.items() if name not in "uvw"}
    points = np.stack([*places, *[flat] * (3 - len(space))], axis=1)
    data = {"velocity": np.stack(components, axis=1), **others}
    with atomic_write(path) as partial:
        meshio.write(partial, meshio.Mesh(points, cells, point_data=data), file_format="vtu")


def training_figures(trainer: Trainer, rows: Iterable[Mapping[str, float]]) -> dict[str, Any]:
    """What a training took, on what, and how fast its losses fell by the rows of its history.

    ``wall_s`` is set by the caller.
    """
    return {
        "wall_s": 0.0,
        "train_s": trainer.train_s,
        "steps": trainer.step,
        "steps_per_s": trainer.step / trainer.train_s,
        "epochs_per_hour": 3600.0 * trainer.step / trainer.train_s,
        "peak_memory_gib": peak_memory_gib(),
        "convergence_rate": Convergence(iter(rows), window=None).rate,
        "versions": versions(trainer.problem.model.frequencies.device),
    }


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
