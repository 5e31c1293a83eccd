"""The case of a run as its own folder holds it: a run can be judged where its data file is gone.

Measurements, places, times and index sets stand in fields.h5 in float64, as they were read; the reference, which only
errors are taken against, in float32.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pinnx.config import Config
from pinnx.data.measured_rows import Measurements
from pinnx.data.snapshots import AXIS_NAMES, Snapshots
from pinnx.errors import PinnxError, damage_named
from pinnx.jobs.cases.case import Case, make_case
from pinnx.jobs.cases.load_case import measured_case
from pinnx.runs.folder import RunFolder
from pinnx.sensors.sensor_set import SensorSet

__all__ = ["stored_case"]

REFERENCE, INDEX_SETS = "reference", "index_sets"


def stored_case(config: Config, folder: RunFolder) -> Case:
    """The case of a run, without its data.

    Raises:
        PinnxError: the run has no fields.h5, or one that is damaged.
    """
    if not folder.fields.is_file():
        raise PinnxError(f"{folder.path}: expected the data of the run, or fields.h5 in its folder, found neither")
    with damage_named(folder.fields, "expected the fields of a run, got"), h5py.File(folder.fields, "r") as file:
        measured = _measurements(file)
        if REFERENCE not in file:
            return measured_case(config, measured)
        snapshots = _snapshots(file, measured.dim)
    return make_case(config, sensors=SensorSet.read_csv(folder.sensors), measured=measured, reference=snapshots)


def _measurements(file: h5py.File) -> Measurements:
    group = file["sensors"]
    names = str(group.attrs["names"]).split(",")
    columns = dict(zip(names, group["measured"][()].T, strict=True))
    dim = sum(name in file for name in AXIS_NAMES)
    velocity = [columns.get(name, np.full(len(group["coordinates"]), np.nan)) for name in ("u", "v", "w")[:dim]]
    return Measurements(
        group["coordinates"][()],
        np.stack(velocity, axis=1),
        source=str(file.attrs["source"]),
        pressure=columns.get("p"),
        speed=columns.get("speed"),
    )


def _snapshots(file: h5py.File, dim: int) -> Snapshots:
    """The reference; holes are where it has no number."""
    lines: list[NDArray[np.float64]] = [file[name][()] for name in AXIS_NAMES[:dim]]
    shape = tuple(len(line) for line in lines) if file.attrs["grid"] else None
    places = np.meshgrid(*lines, indexing="ij") if shape else lines
    points = np.stack([column.reshape(-1) for column in places], axis=1)
    times = file["t"][()] if "t" in file else None
    group: Any = file[REFERENCE]
    velocity = np.stack([_frames(group[name], points) for name in ("u", "v", "w")[:dim]], axis=2)
    holes = np.isnan(velocity).any(axis=(0, 2))
    frames = None
    if "p" in group:
        frames = group["p_frames"][()] if "p_frames" in group else np.arange(1)
    return Snapshots(
        points,
        np.nan_to_num(velocity),
        times=times,
        pressure=None if frames is None else np.nan_to_num(_frames(group["p"], points)),
        pressure_frames=frames,
        nu=float(file.attrs["nu"]),
        grid_shape=shape,
        index_sets={name: item[()] for name, item in file.get(INDEX_SETS, {}).items()},
        holes=holes if holes.any() else None,
        source=str(file.attrs["source"]),
        units=(str(file.attrs.get("length_unit", "")), str(file.attrs.get("time_unit", ""))),
    )


def _frames(stored: Any, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """A field as [frames, n]."""
    return np.asarray(stored[()], dtype=np.float64).reshape(-1, len(points))
