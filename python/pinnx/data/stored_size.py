"""How much memory the arrays of a file will take, told without reading them."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import h5py
import scipy.io

from pinnx.data.array_files import open_arrays
from pinnx.errors import PinnxError

__all__ = ["stored_bytes"]


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
