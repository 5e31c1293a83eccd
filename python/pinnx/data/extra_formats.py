"""Opens what libraries of extras read: meshes through meshio (mesh) and pyvista (openfoam), Zarr through zarr (zarr).

A mesh has its points as the arrays x, y and z, and each field at the points by its own name, vectors as [n, 3]:
"U[..., 0]". A case of OpenFOAM, CASE.foam, has its cells at their centres in place of points, and all its times,
[T, n, 3].
Arrays of Zarr stay in their store until they are indexed.
"""

from __future__ import annotations

import base64
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pinnx.data.stored_numbers import REAL
from pinnx.errors import PinnxError, damage_named

__all__ = ["BY_PYVISTA", "MESHES", "is_zarr", "mesh_arrays", "zarr_arrays"]

# Endings, and the module of meshio for each: meshio.read itself ends the process where a file is damaged.
MESHES = {".vtk": "vtk", ".vtu": "vtu", ".xdmf": "xdmf"}
# What pyvista reads, through VTK.
BY_PYVISTA = (".foam",)
ZARR_MARKS = ("zarr.json", ".zgroup", ".zarray")


def is_zarr(path: Path) -> bool:
    """Say whether a folder is a Zarr store, of version 2 or 3."""
    return any((path / mark).is_file() for mark in ZARR_MARKS)


def mesh_arrays(path: Path) -> dict[str, Any]:
    """Return the points and the fields of a mesh; of other things there are, what they are.

    Raises:
        PinnxError: meshio is not installed, or the file is damaged.
    """
    if path.suffix.lower() in BY_PYVISTA:
        return _by_pyvista(path)
    meshio = _library("meshio", "mesh", path)
    with damage_named(path.name, f"cannot be read as {path.suffix[1:].upper()}"):
        mesh = importlib.import_module(f"meshio.{MESHES[path.suffix.lower()]}").read(str(path))
        if not isinstance(mesh, meshio.Mesh):
            raise TypeError(f"it holds {type(mesh).__name__}")
    content: dict[str, Any] = {name: "a field of cells; turn it into one of points first" for name in mesh.cell_data}
    return content | _named(np.asarray(mesh.points), {name: np.asarray(a) for name, a in mesh.point_data.items()})


def _by_pyvista(path: Path) -> dict[str, Any]:
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
    content: dict[str, Any] = dict(zip("xyz", points.T, strict=False))
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
