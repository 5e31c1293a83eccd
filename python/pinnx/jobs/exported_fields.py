"""Fields of a run in formats of other programs, on request: made of fields.h5.

fields.nc           netCDF 3 (64-bit offsets): dimensions t, x, y[, z] or n; axes and coordinates named as CF does
vtu/fields_K.vtu    one for each time K, for ParaView: a grid as quadrilaterals or hexahedra, points as vertices
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import scipy.io
from numpy.typing import NDArray

from pinnx.data.layout import grid_points
from pinnx.data.snapshots import AXIS_NAMES
from pinnx.errors import PinnxError
from pinnx.runs.files import atomic_write

__all__ = ["export_fields", "require_packages"]

# CF 1.8 has no standard names for the velocity of any fluid; those of coordinates it has.
NAMES = {"t": "time", "x": "projection_x_coordinate", "y": "projection_y_coordinate", "z": "height"}
LONG = {"u": "velocity along x", "v": "velocity along y", "w": "velocity along z", "p": "kinematic pressure"}


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
