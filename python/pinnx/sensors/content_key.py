"""One name for data and parameters: a hash of their content.

key    blake2b over the content of the data and over every parameter, with the version of the
       package: other bits, another shape, dtype or parameter, another key
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.errors import PinnxError

__all__ = ["DIGEST_BYTES", "selection_key"]

DIGEST_BYTES = 32
# Data are hashed in blocks of rows of this size, so that threads can share the work (blake2b reads
# about 1 GB/s each) and a file larger than memory is never held. A constant: it is part of the key.
BLOCK_BYTES = 2**24


def selection_key(data: Any, **parameters: Any) -> str:
    """Return the name of what is computed from these data with these parameters.

    Args:
        data: an array, or anything with shape, dtype and rows that can be sliced (an HDF5 dataset,
            a memory map, a tensor); read whole, in blocks of rows. Memory order and
            strides do not count, values, shape and dtype do.
        parameters: None, booleans, numbers, texts, arrays, and lists, tuples and mappings of such.
            1, 1.0 and True are three different parameters; a list and a tuple are not.

    Returns:
        64 hexadecimal digits, the same in every process and on every machine of one byte order.

    Raises:
        PinnxError: data or a parameter that has no content to hash (objects, functions).
    """
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in _encoded({"version": _version(), "data": data, "parameters": parameters}, "data"):
        digest.update(part)
    return digest.hexdigest()


def _encoded(value: Any, name: str) -> Iterator[bytes]:
    """A value as bytes of which no two different values have the same: kind, size, content."""
    if value is None or isinstance(value, bool | int | float | complex | str):
        text = f"{type(value).__name__} {value!r}".encode()
        yield f"{len(text)}:".encode() + text
    elif isinstance(value, Mapping):
        yield f"mapping {len(value)}:".encode()
        for key in sorted(value, key=lambda item: (type(item).__name__, str(item))):
            yield from _encoded(key, name)
            yield from _encoded(value[key], str(key))
    elif isinstance(value, list | tuple):
        yield f"list {len(value)}:".encode()
        for item in value:
            yield from _encoded(item, name)
    elif isinstance(value, np.generic):
        yield from _encoded(np.asarray(value), name)
    elif hasattr(value, "shape") and hasattr(value, "dtype"):
        yield from _encoded_array(value, name)
    else:
        raise PinnxError(f"{name}: expected numbers, texts or arrays to hash, got {type(value).__name__}")


def _encoded_array(array: Any, name: str) -> Iterator[bytes]:
    shape = tuple(int(size) for size in array.shape)
    sample = np.asarray(_on_host(array[:0] if shape else array))
    if sample.dtype.kind not in "biufcU":
        raise PinnxError(f"{name}: expected an array of numbers to hash, got {sample.dtype}")
    yield f"array {sample.dtype.str} {shape}:".encode()
    if not shape or 0 in shape:
        yield np.asarray(_on_host(array)).tobytes()
        return
    row_bytes = sample.dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
    step = max(1, BLOCK_BYTES // row_bytes)

    def digest(rows: NDArray[Any]) -> bytes:
        return hashlib.blake2b(memoryview(rows).cast("B"), digest_size=DIGEST_BYTES).digest()

    # Files are read by this thread alone (HDF5 is not safe in several); the others hash, as many
    # blocks ahead as there are threads.
    num_threads = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(num_threads) as pool:
        ahead: list[Any] = []
        for begin in range(0, shape[0], step):
            rows = np.ascontiguousarray(_on_host(array[begin : begin + step]))
            ahead.append(pool.submit(digest, rows if rows.dtype.kind != "U" else rows.view(np.uint8)))
            if len(ahead) > num_threads:
                yield ahead.pop(0).result()
        for future in ahead:
            yield future.result()


def _on_host(array: Any) -> Any:
    """A tensor as NumPy takes it, wherever it lies and whether or not it asks for gradients."""
    return array.detach().cpu() if hasattr(array, "detach") else array


def _version() -> str:
    try:
        return version("pinn-ext")
    except PackageNotFoundError:
        return "0+uninstalled"
