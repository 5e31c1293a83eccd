"""Opens meshes: legacy files of VTK; and what libraries of extras read, meshes through meshio (mesh) and pyvista
(openfoam), Zarr through zarr (zarr).

XML files of VTK that are structured, or that meshio does not read, go to pyvista; structured ones keep their axes.
A mesh has its points as the arrays x, y and z, and each field at the points by its own name, vectors as [n, 3]:
"U[..., 0]". A case of OpenFOAM, CASE.foam, has its cells at their centres in place of points, and all its times,
[T, n, 3].
Arrays of Zarr stay in their store until they are indexed.
"""

from __future__ import annotations

import base64
import importlib
import importlib.util
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pinnx.data.legacy_vtk import read_legacy_vtk
from pinnx.data.stored_numbers import REAL
from pinnx.errors import PinnxError, damage_named

__all__ = ["MESHES", "is_zarr", "mesh_arrays", "zarr_arrays"]

LEGACY = ".vtk"
# Endings, and the module of meshio for each: meshio.read itself ends the process where a file is damaged.
BY_MESHIO = {".vtu": "vtu", ".xdmf": "xdmf"}
# What pyvista alone reads, through VTK.
BY_PYVISTA = (".foam", ".vts", ".vtr", ".vti", ".vtp")
MESHES = (LEGACY, *BY_MESHIO, *BY_PYVISTA)
CELLS = "a field of cells; turn it into one of points first"
ZARR_MARKS = ("zarr.json", ".zgroup", ".zarray")


def is_zarr(path: Path) -> bool:
    """Say whether a folder is a Zarr store, of version 2 or 3."""
    return any((path / mark).is_file() for mark in ZARR_MARKS)


def mesh_arrays(path: Path) -> dict[str, Any]:
    """Return the points and the fields of a mesh; of other things there are, what they are.

    Raises:
        PinnxError: the library that reads it is not installed, or the file is damaged.
    """
    kind = path.suffix.lower()
    if kind == LEGACY:
        found = read_legacy_vtk(path)
        return found.of_file | dict.fromkeys(found.of_cells, CELLS) | _named(found.points, found.fields)
    if kind == ".foam":
        return _foam(path)
    if kind in BY_PYVISTA:
        return _by_pyvista(path)
    meshio = _library("meshio", "mesh", path)
    try:
        with damage_named(path.name, f"cannot be read as {kind[1:].upper()}"):
            if kind == ".xdmf" and 'CollectionType="Temporal"' in path.read_text(errors="replace"):
                return _series(path)
            mesh = importlib.import_module(f"meshio.{BY_MESHIO[kind]}").read(str(path))
            if not isinstance(mesh, meshio.Mesh):
                raise TypeError(f"it holds {type(mesh).__name__}")
    except PinnxError:
        if kind != ".vtu" or importlib.util.find_spec("pyvista") is None:
            raise
        return _by_pyvista(path)
    fields = {name: np.asarray(values) for name, values in mesh.point_data.items()}
    return dict.fromkeys(mesh.cell_data, CELLS) | _named(np.asarray(mesh.points), fields)


def _series(path: Path) -> dict[str, Any]:
    """The times of an XDMF file, as FEniCS writes them: fields [T, n, ...]."""
    from meshio.xdmf import TimeSeriesReader

    with TimeSeriesReader(str(path)) as reader:
        points, _ = reader.read_points_cells()
        frames = [reader.read_data(number)[:2] for number in range(reader.num_steps)]
    common = set.intersection(*(set(fields) for _, fields in frames))
    joined = {name: np.stack([fields[name] for _, fields in frames]) for name in sorted(common)}
    return _named(np.asarray(points), joined) | {"t": np.array([time for time, _ in frames], dtype=np.float64)}


def _by_pyvista(path: Path) -> dict[str, Any]:
    """Points and fields; of a structured grid as arrays [n_z, n_y, n_x], without axes of one line."""
    pyvista = _library("pyvista", "openfoam", path)
    with damage_named(path.name, f"cannot be read as {path.suffix[1:].upper()}"):
        if b"</VTKFile>" not in path.read_bytes()[-64:]:
            raise ValueError("it does not end with </VTKFile>")
        with warnings.catch_warnings(), pyvista.VtkErrorCatcher(send_to_logging=False) as caught:
            warnings.simplefilter("ignore")
            mesh = pyvista.read(str(path))
        if caught.error_events:
            raise ValueError("VTK finds errors in it")
        if not isinstance(mesh, pyvista.DataSet) or not mesh.n_points:
            raise TypeError(f"it holds {type(mesh).__name__} without points")
        shape = tuple(n for n in getattr(mesh, "dimensions", (mesh.n_points,))[::-1] if n > 1)
        points = np.array(mesh.points).reshape(*shape, 3)
        fields = {name: np.array(a).reshape(*shape, *np.shape(a)[1:]) for name, a in mesh.point_data.items()}
    return dict.fromkeys(mesh.cell_data, CELLS) | _named(points, fields)


def _foam(path: Path) -> dict[str, Any]:
    pyvista = _library("pyvista", "openfoam", path)
    with damage_named(path.name, "cannot be read"):
        reader = pyvista.OpenFOAMReader(str(path))
        reader.cell_to_point_creation = False
        times, frames = list(reader.time_values), []
        for time in times:
            reader.set_active_time_value(time)
            cells = reader.read()["internalMesh"]
            frames.append(({name: np.array(a) for name, a in cells.cell_data.items()}, cells.cell_centers().points))
        common = set.intersection(*(set(fields) for fields, _ in frames))
        if any(not np.array_equal(places, frames[0][1]) for _, places in frames):
            raise ValueError("its mesh moves")
        fields = {name: np.stack([fields[name] for fields, _ in frames]) for name in sorted(common)}
    return _named(np.array(frames[0][1]), fields) | {"t": np.array(times)}


def _named(points: np.ndarray, fields: dict[str, np.ndarray]) -> dict[str, Any]:
    """Coordinates and fields by name; a field that is called x must not hide the place of the points."""
    content: dict[str, Any] = dict(zip("xyz", np.moveaxis(points, -1, 0), strict=False))
    for name, values in fields.items():
        content[f"{name} (field)" if name in content else name] = values
    return content


def zarr_arrays(path: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the arrays of a Zarr store by path, the attributes of the store, and those of each array.

    Chunks that were never written would be read as the fill value; such an array is named, and not given, unless that
    value marks what is missing.

    Raises:
        PinnxError: zarr is not installed, or the store is damaged.
    """
    zarr = _library("zarr", "zarr", path)
    with damage_named(path.name, "cannot be opened as Zarr"):
        store = zarr.open(str(path), mode="r")
        found = dict(store.members(max_depth=None)) if isinstance(store, zarr.Group) else {path.stem: store}
        arrays = {name: item for name, item in found.items() if isinstance(item, zarr.Array)}
        attributes = {name: _attributes(array) for name, array in arrays.items()}
        content: dict[str, Any] = {}
        for name, array in arrays.items():
            unwritten = array.nchunks - array.nchunks_initialized
            # Lines of coordinates may be one chunk of zeros, which Zarr does not write either.
            marked = array.fill_value != array.fill_value or array.fill_value == attributes[name].get("_FillValue")
            if unwritten and not marked and array.ndim > 1 and array.dtype.kind in REAL:
                content[name] = (
                    f"{unwritten:,} of {array.nchunks:,} chunks that were never written; zeros that are meant need "
                    "write_empty_chunks=True"
                )
            else:
                content[name] = array
        return content, dict(store.attrs), attributes


def _attributes(array: Any) -> dict[str, Any]:
    """The attributes of an array, with _FillValue from where xarray has it: the fill value, in format 3 base64."""
    attributes, fill = dict(array.attrs), array.fill_value
    if array.metadata.zarr_format == 2 and fill is not None and fill != 0:  # 0 is what Zarr itself fills with
        attributes.setdefault("_FillValue", fill)
    if isinstance(attributes.get("_FillValue"), str):
        attributes["_FillValue"] = np.frombuffer(base64.b64decode(attributes["_FillValue"]), "<f8")
    return attributes


def _library(name: str, extra: str, path: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise PinnxError(
            f"{path.name}: expected the package {name}, which reads such files: pip install 'pinn-ext[{extra}]'"
        ) from None
