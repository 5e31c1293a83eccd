"""Named arrays and attributes out of .mat, .npz, .h5 and .hdf5 files.

MATLAB writes its version 7.3 as HDF5 with the axes in reverse; they are turned back here, so that
an array has the shape that MATLAB shows, whatever the version. Arrays inside HDF5 groups are named
by their path, "group/u". HDF5 arrays are read when they are indexed, and only that part.
"""

from __future__ import annotations

import math
import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io

from pinnx.errors import PinnxError

__all__ = ["ArrayFile", "open_arrays", "stored_bytes"]

READABLE = (".mat", ".npz", ".h5", ".hdf5")
NUMERIC = "biuf"  # dtype kinds: booleans and real numbers
MAX_LISTED = 24  # arrays listed in an error message: more would bury the first line
INDEXED_NAME = re.compile(r"(?P<name>[^\[\]]+?)\s*\[(?P<index>[^\[\]]*)\]")


@dataclass(frozen=True)
class ArrayFile:
    """The numeric arrays of one open file, with attributes of the file and of each array."""

    path: Path
    arrays: Mapping[str, Any]  # NumPy arrays or HDF5 datasets
    attributes: Mapping[str, Any] = field(default_factory=dict)
    reversed_axes: bool = False  # written by MATLAB through HDF5

    def read(self, role: str, reference: str) -> np.ndarray:
        """Return an array by its name, which may carry an index such as "velocity[..., 0]".

        Args:
            role: what the array is for, e.g. "u"; it begins the error message.
            reference: the name, with or without an index.

        Raises:
            PinnxError: no such array, a bad index, or damaged data.
        """
        name, index = reference.strip(), None
        if name not in self.arrays and (match := INDEXED_NAME.fullmatch(name)):
            name, index = match["name"], match["index"]
        if name not in self.arrays:
            raise PinnxError(f"{role}: no array {name!r} in {self.path.name}; it holds {self}")
        stored = self.arrays[name]
        try:
            if index is None or self.reversed_axes:
                array = np.asarray(stored).T if self.reversed_axes else np.asarray(stored)
                return array if index is None else array[_parse_index(role, index)]
            return np.asarray(stored[_parse_index(role, index)])
        except OSError as error:
            raise PinnxError(f"{self.path.name}: {name} is damaged: {error}") from None
        except (IndexError, TypeError, ValueError) as error:
            if isinstance(error, PinnxError):
                raise
            shape = list(stored.shape)
            raise PinnxError(f"{role}: index [{index}] does not fit {name} {shape}") from None

    def scalar(self, role: str, reference: str, *, owner: str | None = None) -> float:
        """Return one number: an array of one element, or an attribute ("@nu", "p@frame").

        Args:
            role: what the number is for, e.g. "nu".
            reference: name of the array or attribute.
            owner: array whose attributes "@name" looks at before those of the file.

        Raises:
            PinnxError: no such array or attribute, or not one finite real number.
        """
        holder, at, name = reference.partition("@")
        value = self._attribute(role, holder, name, owner) if at else self.read(role, reference)
        value = np.asarray(value)
        if value.size != 1 or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
            raise PinnxError(f"{role}: expected one number in {reference!r}, got {value.dtype} {list(value.shape)}")
        return float(value.item())

    def _attribute(self, role: str, holder: str, name: str, owner: str | None) -> Any:
        """Look into the array that is named, else into the owner and then the file."""
        tables = [self._attributes_of(holder)] if holder else [self._attributes_of(owner or ""), self.attributes]
        for table in tables:
            if name in table:
                return table[name]
        known = ", ".join(dict.fromkeys(key for table in tables for key in table)) or "none"
        place = f"{holder} of {self.path.name}" if holder else self.path.name
        raise PinnxError(f"{role}: no attribute {name!r} in {place}; it has {known}")

    def _attributes_of(self, reference: str) -> Mapping[str, Any]:
        if reference not in self.arrays and (match := INDEXED_NAME.fullmatch(reference)):
            reference = match["name"]
        return getattr(self.arrays.get(reference), "attrs", {})

    def __str__(self) -> str:
        """List the arrays with their shapes, as they are indexed here."""
        order = -1 if self.reversed_axes else 1
        listed = [f"{name} {list(a.shape[::order])}" for name, a in sorted(self.arrays.items())]
        more = [f"and {len(listed) - MAX_LISTED} more"] if len(listed) > MAX_LISTED else []
        return ", ".join(listed[:MAX_LISTED] + more) or "no numeric array"


@contextmanager
def open_arrays(path: str | os.PathLike[str]) -> Iterator[ArrayFile]:
    """Open a .mat, .npz, .h5 or .hdf5 file for the length of a with block.

    Raises:
        PinnxError: no such file, another kind of file, or a file that is damaged.
    """
    path = Path(path)
    if path.suffix.lower() not in READABLE:
        raise PinnxError(f"{path}: expected a file that ends in {', '.join(READABLE)}")
    if not path.is_file():
        raise PinnxError(f"{path}: no such file")
    if path.suffix.lower() == ".npz":
        yield ArrayFile(path, _load_npz(path))
    elif path.suffix.lower() == ".mat" and not h5py.is_hdf5(path):
        yield ArrayFile(path, _load_mat(path))
    else:
        try:
            file = h5py.File(path, "r")
        except OSError as error:
            raise PinnxError(f"{path}: cannot be opened as HDF5: {error}") from None
        with file:
            reversed_axes = path.suffix.lower() == ".mat"
            yield ArrayFile(path, _datasets(file), dict(file.attrs), reversed_axes)


def stored_bytes(path: str | os.PathLike[str], names: Sequence[str]) -> int:
    """Return the bytes that reading these arrays takes; of .npz and older .mat files, which are read whole, all.

    Args:
        path: a .mat, .npz, .h5 or .hdf5 file.
        names: of arrays, with or without an index, which does not count; those that are not there take nothing.

    Raises:
        PinnxError: no such file, or one that cannot be read.
    """
    path = Path(path)
    if path.is_file() and path.suffix.lower() == ".npz":
        try:
            with zipfile.ZipFile(path) as archive:
                return sum(entry.file_size for entry in archive.infolist())
        except (OSError, zipfile.BadZipFile) as error:
            raise PinnxError(f"{path}: cannot be read as npz: {error}") from None
    if path.is_file() and path.suffix.lower() == ".mat" and not h5py.is_hdf5(path):
        try:
            return sum(8 * math.prod(shape) for _, shape, _ in scipy.io.whosmat(path))
        except Exception as error:  # SciPy lets zlib, index and type errors of damaged files through
            raise PinnxError(f"{path}: cannot be read as a MATLAB file: {error}") from None
    with open_arrays(path) as file:
        bare = {name if name in file.arrays else name.partition("[")[0].strip() for name in names}
        return sum(int(file.arrays[name].nbytes) for name in bare if name in file.arrays)


def _load_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        # Opened here: NumPy leaves a file open that turns out to be no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return _numeric({name: archive[name] for name in archive.files})
    except Exception as error:  # a damaged archive fails anywhere in zipfile, zlib or NumPy
        raise PinnxError(f"{path}: cannot be read as npz: {error}") from None


def _load_mat(path: Path) -> dict[str, np.ndarray]:
    try:
        return _numeric(scipy.io.loadmat(path))
    except Exception as error:  # SciPy lets zlib, index and type errors of damaged files through
        raise PinnxError(f"{path}: cannot be read as a MATLAB file: {error}") from None


def _numeric(content: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {
        name: value for name, value in content.items() if isinstance(value, np.ndarray) and value.dtype.kind in NUMERIC
    }


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in NUMERIC:
            found[name] = item

    file.visititems(visit)
    return found


def _parse_index(role: str, text: str) -> tuple[Any, ...]:
    """Turn "..., 0" or "::2, 1" into a NumPy index, without evaluating anything."""
    index: list[Any] = []
    for part in (piece.strip() for piece in text.split(",")):
        if part == "...":
            index.append(Ellipsis)
        elif re.fullmatch(r"-?\d+", part):
            index.append(int(part))
        elif re.fullmatch(r"(-?\d+)?:(-?\d+)?(:(-?\d+)?)?", part):
            index.append(slice(*(int(x) if x else None for x in part.split(":"))))
        else:
            raise PinnxError(f"{role}: expected an index such as [..., 0], got [{text}]")
    return tuple(index)
