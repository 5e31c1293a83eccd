"""Opens .mat, .npz, .nc, .h5 and .hdf5 files, folders of .npy files, Zarr, meshes and tables as named arrays.

MATLAB writes its version 7.3 as HDF5 with the axes in reverse; `matlab_dataset` turns them back, so that an array has
the shape that MATLAB shows, whatever the version. Arrays inside HDF5 groups, MATLAB structs and cells are named by
their path: "group/u", "cells/1". netCDF 4 is HDF5, netCDF 3 a format of its own; both end in .nc. The .npy files of a
folder are memory maps, named by their stems. `extra_formats` reads meshes and Zarr, `table_fields` tables, `raw_arrays`
files without a header.
"""

from __future__ import annotations

import math
import os
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import scipy.io

from pinnx.data.array_files import ArrayFile
from pinnx.data.extra_formats import MESHES, is_zarr, mesh_arrays, zarr_arrays
from pinnx.data.matlab_dataset import MatlabDataset
from pinnx.data.raw_arrays import RawArray, raw_arrays, raw_hint
from pinnx.data.stored_numbers import PLAIN, REAL, TIMES, Packing, packing_of, text_of
from pinnx.data.table_fields import TABLES, table_fields
from pinnx.errors import PinnxError, damage_named

__all__ = ["HDF5", "open_array", "open_arrays", "stored_bytes"]

HDF5 = (".h5", ".hdf5", ".nc")
MATLAB_ARRAY, MATLAB_COMPRESSED = 14, 15
# How netCDF marks a dimension that has no coordinates.
NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable"


@contextmanager
def open_arrays(path: str | os.PathLike[str], raw: Sequence[RawArray] = ()) -> Iterator[ArrayFile]:
    """Open a file of arrays, a folder of .npy files or a Zarr store for the length of a with block.

    Args:
        path: the file or folder.
        raw: the arrays of files without a header; then these are all. Lines alone, without a file, are added to the
            arrays of the path, such as coordinates that it does not have.

    Raises:
        PinnxError: no such file, another kind of file, or a file that is damaged; a line that the file has.
    """
    path = Path(path)
    if any(array.line is None for array in raw):
        yield ArrayFile(path, raw_arrays(path, raw), stated=True)
        return
    with _opened(path) as file:
        lines = raw_arrays(path, raw)
        if twice := sorted(lines.keys() & file.arrays.keys()):
            raise PinnxError(f"data.raw: expected lines that {path.name} does not have, got {', '.join(twice)}")
        yield replace(file, arrays={**file.arrays, **lines}) if lines else file


@contextmanager
def _opened(path: Path) -> Iterator[ArrayFile]:
    """The arrays that a path has itself."""
    kind = path.suffix.lower()
    if os.path.isdir(path):
        yield _open_folder(path)
        return
    if kind not in READERS:
        raise PinnxError(
            f"{path}: expected a file that ends in {', '.join(READERS)}, a folder of .npy files or a Zarr store"
            + (f"; {raw_hint(path)}" if path.is_file() and kind != ".npy" else "")
        )
    if not os.path.isfile(path):
        raise PinnxError(f"{path}: no such file")
    read = READERS[kind]
    if read is not None and not (kind in (".mat", ".nc") and h5py.is_hdf5(path)):
        yield read(path)
    else:
        with damage_named(path.name, "cannot be opened as HDF5"):
            file = h5py.File(path, "r")
        with file:
            with damage_named(path.name, "cannot be opened as HDF5"):
                opened = _open_hdf5(path, file)
            yield opened


def open_array(path: str, stack: ExitStack) -> tuple[Any, Packing]:
    """Open one array as it is stored, "FILE.npy" or "FILE::ARRAY", and how its numbers are packed.

    Args:
        path: the file, and after :: the name of the array.
        stack: closes it.

    Raises:
        PinnxError: as `open_arrays`; no such array, or one with an index.
    """
    file, found, name = path.rpartition("::")
    if not found and path.endswith(".npy"):
        with damage_named(path, "cannot be mapped as npy"):
            return np.load(path, mmap_mode="r", allow_pickle=False), PLAIN
    if not found:
        raise PinnxError(f"path: expected FILE.npy or FILE::ARRAY, got {path!r}")
    arrays = stack.enter_context(open_arrays(file))
    bare, index = arrays.named("path", name)
    if index is not None:
        raise PinnxError(f"path: expected a whole array, got {name}")
    return arrays.arrays[bare], arrays.packing(bare)


def stored_bytes(path: str | os.PathLike[str], names: Sequence[str], raw: Sequence[RawArray] = ()) -> int:
    """Return the bytes that reading these arrays takes; of files that are read whole, all.

    Args:
        path: a .mat, .npz, .nc, .h5 or .hdf5 file.
        names: of arrays, with or without an index, which does not count; those that are not there take nothing.
        raw: as of `open_arrays`.

    Raises:
        PinnxError: no such file, or one that cannot be read.
    """
    path = Path(path)
    if os.path.isfile(path) and path.suffix.lower() == ".npz":
        with damage_named(path.name, "cannot be read as npz"), zipfile.ZipFile(path) as archive:
            return sum(entry.file_size for entry in archive.infolist())
    if os.path.isfile(path) and path.suffix.lower() == ".mat" and not h5py.is_hdf5(path):
        with damage_named(path.name, "cannot be read as a MATLAB file"):
            return sum(8 * math.prod(shape) for _, shape, _ in scipy.io.whosmat(path))
    with open_arrays(path, raw) as file:
        bare = {name if name in file.arrays else name.partition("[")[0].strip() for name in names}
        return sum(int(file.arrays[name].nbytes) for name in bare if name in file.arrays)


def _open_folder(path: Path) -> ArrayFile:
    if is_zarr(path):
        content, attributes, of_arrays = zarr_arrays(path)
        return ArrayFile(path, *_sorted_out(content), attributes, of_arrays)
    mapped: dict[str, Any] = {}
    for file in sorted(path.glob("*.npy")):
        with damage_named(file.name, "cannot be mapped as npy"):
            mapped[file.stem] = np.load(file, mmap_mode="r", allow_pickle=False)
    if not mapped:
        raise PinnxError(f"{path}: expected a folder of .npy files or a Zarr store, got neither")
    return ArrayFile(path, *_sorted_out(mapped))


def _load_mesh(path: Path) -> ArrayFile:
    return ArrayFile(path, *_sorted_out(mesh_arrays(path)))


def _load_npz(path: Path) -> ArrayFile:
    content: dict[str, Any] = {}
    if h5py.is_hdf5(path):
        raise PinnxError(f"{path.name}: expected an npz file, got HDF5; rename it to end in .h5")
    # Opened here: NumPy leaves a file open that turns out to be no archive.
    with (
        damage_named(path.name, "cannot be read as npz"),
        path.open("rb") as file,
        np.load(file, allow_pickle=False) as archive,
    ):
        for name in archive.files:
            try:
                content[name] = archive[name]
            except ValueError as error:
                if "allow_pickle" not in str(error):
                    raise
                content[name] = "Python objects"
    return ArrayFile(path, *_sorted_out(content))


def _load_mat(path: Path) -> ArrayFile:
    content: dict[str, Any] = {}
    with damage_named(path.name, "cannot be read as a MATLAB file"):
        if scipy.io.matlab.matfile_version(path)[0] == 1:
            with path.open("rb") as file:
                _require_types(file)
        for name, value in scipy.io.loadmat(path).items():
            if not name.startswith("__"):
                _unfold(content, name, value)
    return ArrayFile(path, *_sorted_out(content), matlab=True)


def _require_types(file: BinaryIO) -> None:
    """Refuse elements of a MATLAB 5 file whose type does not exist: SciPy looks it up without a check, and crashes.

    An element is its type and its size, 4 bytes each, then its data up to a multiple of 8 bytes; an array consists of
    elements. Those that are compressed have a checksum of their own.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(126)
    order = "<" if file.read(2) == b"IM" else ">"
    spans = [(128, size)]
    while spans:
        begin, end = spans.pop()
        while begin + 8 <= end:
            file.seek(begin)
            kind, length = struct.unpack(f"{order}II", file.read(8))
            if kind >> 16:  # a small element: its data is in place of its size
                kind, length = kind & 0xFFFF, 0
            if not 1 <= kind <= 18:
                raise ValueError(f"an element of type {kind} at byte {begin}")
            if kind == MATLAB_ARRAY:
                spans.append((begin + 8, min(begin + 8 + length, end)))
            begin += 8 + (length if kind == MATLAB_COMPRESSED else -(-length // 8) * 8)


def _unfold(content: dict[str, Any], name: str, value: Any) -> None:
    """Add a variable of MATLAB; the fields of a struct and the cells of a cell array by names of their own."""
    if getattr(value, "dtype", np.dtype(bool)).names and value.size == 1:
        for part in value.dtype.names:
            _unfold(content, f"{name}/{part}", value.reshape(-1)[0][part])
    elif isinstance(value, np.ndarray) and value.dtype.kind == "O":
        for number, cell in enumerate(value.reshape(-1, order="F"), start=1):
            _unfold(content, f"{name}/{number}", cell)
    else:
        content[name] = value


def _load_netcdf3(path: Path) -> ArrayFile:
    with damage_named(path.name, "cannot be read as netCDF"), scipy.io.netcdf_file(path, mmap=False) as file:
        content = {name: np.array(variable.data) for name, variable in file.variables.items()}
        attributes = {name: dict(variable._attributes) for name, variable in file.variables.items()}
        own = dict(file._attributes)
    return ArrayFile(path, *_sorted_out(content), attributes=own, of_arrays=attributes)


def _open_hdf5(path: Path, file: h5py.File) -> ArrayFile:
    matlab = path.suffix.lower() == ".mat"
    content: dict[str, Any] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if not isinstance(item, h5py.Dataset) or name.startswith("#refs#"):
            return
        try:
            kind = item.dtype
        except TypeError:
            kind = None
        if kind is None:
            content[name] = "a type that NumPy does not have"
        elif text_of(item.attrs.get("NAME", "")).startswith(NO_VARIABLE):
            content[name] = "a dimension of netCDF without coordinates"
        elif unwritten := _unwritten(item):
            content[name] = unwritten
        elif matlab and kind == h5py.ref_dtype:
            cells = enumerate(item[...].reshape(-1), start=1)
            content.update({f"{name}/{number}": file[cell] for number, cell in cells})
        else:
            content[name] = item

    file.visititems(visit)
    arrays, others = _sorted_out(content)
    of_arrays = {name: item.attrs for name, item in arrays.items()}
    words = {word for table in of_arrays.values() for word in text_of(table.get("coordinates", "")).split()}
    named = ", ".join(sorted(words & set(arrays)))
    if named:
        others = {
            name: what if what not in content.values() else f"{what}; the file names {named} as coordinates"
            for name, what in others.items()
        }
    if matlab:
        arrays = {name: MatlabDataset(item) for name, item in arrays.items()}
    return ArrayFile(path, arrays, others, dict(file.attrs), of_arrays, matlab)


def _unwritten(dataset: h5py.Dataset) -> str:
    """What of a field was never written, and would be read as its fill value; "" where nothing is missing.

    A fill value that marks what is missing is read as NaN: `stored_numbers` sees it.
    """
    what, fill = "", dataset.fillvalue
    if dataset.ndim < 2 or dataset.dtype.kind not in "iuf" or not dataset.size:
        return what
    if dataset.chunks is not None:
        sizes = zip(dataset.shape, dataset.chunks, strict=True)
        wanted, found = math.prod(-(-size // chunk) for size, chunk in sizes), dataset.id.get_num_chunks()
        what = f"{wanted - found:,} of {wanted:,} chunks that were never written" if found < wanted else ""
    elif dataset.is_virtual:
        return _lost_sources(dataset)
    elif dataset.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS and not dataset.external:
        what = "an array that was never written" if dataset.id.get_offset() is None else ""
    marked = what and (fill != fill or fill in packing_of(dataset.name, dataset.dtype, dataset.attrs, fill).missing)
    return "" if marked else what


def _lost_sources(dataset: h5py.Dataset) -> str:
    """Which files of a virtual dataset are not where HDF5 looks for them; their parts would be read as fill values."""
    names = {source.file_name for source in dataset.virtual_sources()} - {"."}
    own = Path(dataset.file.filename).parent
    prefixes = [own, Path(), *map(Path, os.environ.get("HDF5_VDS_PREFIX", "").split(":"))]
    lost = sorted(
        name
        for name in names
        if "%b" not in name and not any((at / part).is_file() for at in prefixes for part in (name, Path(name).name))
    )
    return f"a virtual dataset without {len(lost)} of its {len(names)} files: {', '.join(lost[:3])}" if lost else ""


def _sorted_out(content: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Arrays of real numbers or times, and of what else there is, what it is."""
    arrays, others = {}, {}
    for name, value in content.items():
        if getattr(value, "shape", None) is not None and getattr(value, "dtype", np.dtype("O")).kind in REAL + TIMES:
            arrays[name] = value
        elif isinstance(value, str):
            others[name] = value
        elif names := getattr(getattr(value, "dtype", None), "names", None):
            others[name] = f"a table with the fields {', '.join(names)}; store each as an array of its own"
        else:
            others[name] = (
                f"{getattr(value, 'dtype', type(value).__name__)} {list(getattr(value, 'shape', None) or ())}"
            )
    return arrays, others


# Endings, and what reads the whole of such a file; None: HDF5, which stays open.
READERS: dict[str, Callable[[Path], ArrayFile] | None] = {
    ".mat": _load_mat,
    ".npz": _load_npz,
    **dict.fromkeys(HDF5),
    ".nc": _load_netcdf3,
    **dict.fromkeys(MESHES, _load_mesh),
    **dict.fromkeys(TABLES, table_fields),
}
