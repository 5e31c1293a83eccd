"""A cache of results on disk: what was once computed from these data with these parameters.

    key    blake2b over the content of the data and over every parameter, with the version of the
           package: other bits, another shape, dtype or parameter, another key
    entry  one file, <key>.sel:  magic, blake2b of all that follows, key, an .npz archive

An entry is believed only when its checksum and its key agree with what is asked for; otherwise it
is ignored with a warning, computed again and replaced. A file appears whole or not at all (written
beside its place under a name of its own, then moved there), so that processes may share a folder:
two that miss at once both compute, and write the same. Nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.errors import PinnxError

__all__ = ["SelectionCache", "selection_key"]

MAGIC = b"pinnx selection 1\n"
SUFFIX, UNFINISHED = ".sel", ".part"
DIGEST_BYTES = 32
# Data are hashed in blocks of rows of this size, so that threads can share the work (blake2b reads
# about 1 GB/s each) and a file larger than memory is never held. A constant: it is part of the key.
BLOCK_BYTES = 2**24
# A file that a process left behind when it was killed while writing; no write takes an hour.
STALE_S = 3600.0

Arrays = dict[str, NDArray[Any]]


def selection_key(data: Any, **parameters: Any) -> str:
    """Return the name of what is computed from these data with these parameters.

    Args:
        data: an array, or anything with shape, dtype and rows that can be sliced (an HDF5 dataset,
            a memory map, a tensor on the CPU); read whole, in blocks of rows. Memory order and
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


class SelectionCache:
    """Results by key, in one folder.

    Args:
        folder: where; None takes the variable PINNX_CACHE, else pinnx/selections in the user's
            cache folder (XDG_CACHE_HOME, or ~/.cache). It is made when something is written.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = _default_folder() if folder is None else Path(folder).expanduser()

    def __repr__(self) -> str:
        return f"SelectionCache({str(self.folder)!r})"

    def path_of(self, key: str) -> Path:
        """Where the entry of a key lies, whether there is one or not.

        Raises:
            PinnxError: no key of `selection_key`.
        """
        if len(key) != 2 * DIGEST_BYTES or not set(key) <= set("0123456789abcdef"):
            raise PinnxError(f"key: expected {2 * DIGEST_BYTES} hexadecimal digits of selection_key, got {key!r}")
        return self.folder / f"{key}{SUFFIX}"

    def get(self, key: str) -> Arrays | None:
        """Return the arrays of an entry; None where there is none that can be believed.

        Warns where there is one that is damaged or cannot be read.
        """
        path = self.path_of(key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _warn(f"{path}: cannot be read ({error.strerror}); computed anew")
            return None
        try:
            return _unpack(content, key)
        except _DamagedError as damage:
            _warn(f"{path}: {damage}; computed anew")
            return None

    def put(self, key: str, arrays: Mapping[str, Any]) -> Arrays:
        """Write an entry, whole or not at all, in place of any before it.

        Warns where it cannot be written; a full disk takes nobody's result.

        Args:
            key: of `selection_key`.
            arrays: arrays, numbers or texts by name; no objects.

        Returns:
            The arrays as `get` will return them.

        Raises:
            PinnxError: values that are no arrays of numbers or texts.
        """
        path = self.path_of(key)
        content, kept = _pack(key, arrays)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_stale()
            handle, name = tempfile.mkstemp(prefix=f"{key[:16]}-", suffix=UNFINISHED, dir=self.folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())  # a file that was moved into place before its bytes would be empty
                os.replace(name, path)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)
                raise
        except OSError as error:
            _warn(f"{path}: cannot be written ({error.strerror}); not kept")
        return kept

    def get_or_compute(self, key: str, compute: Callable[[], Mapping[str, Any]]) -> Arrays:
        """Return the entry of a key, computed and written where there is none that can be believed.

        Args:
            key: of `selection_key`, over all that ``compute`` depends on.
            compute: returns the arrays; what it raises passes, and nothing is written then.
        """
        found = self.get(key)
        return self.put(key, compute()) if found is None else found

    def clear(self) -> int:
        """Remove all entries and return how many there were; other files stay."""
        entries = [path for path in self.folder.glob(f"*{SUFFIX}") if path.is_file()] if self.folder.is_dir() else []
        for path in entries:
            path.unlink(missing_ok=True)
        return len(entries)

    def _remove_stale(self) -> None:
        for path in self.folder.glob(f"*{UNFINISHED}"):
            with contextlib.suppress(OSError):  # another process may have removed or finished it
                if time.time() - path.stat().st_mtime > STALE_S:
                    path.unlink()


class _DamagedError(Exception):
    """Says what is wrong with an entry."""


def _pack(key: str, arrays: Mapping[str, Any]) -> tuple[bytes, Arrays]:
    kept: Arrays = {}
    for name, value in arrays.items():
        array = np.asarray(value)
        if array.dtype.kind not in "biufcU":
            raise PinnxError(f"{name}: expected an array of numbers or texts to keep, got {array.dtype}")
        kept[name] = array
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **kept)
    body = key.encode() + buffer.getvalue()
    return MAGIC + hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest() + body, kept


def _unpack(content: bytes, key: str) -> Arrays:
    head = len(MAGIC) + DIGEST_BYTES
    if not content.startswith(MAGIC):
        raise _DamagedError("no entry of this cache" if content else "an empty file")
    body = content[head:]
    if hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest() != content[len(MAGIC) : head]:
        raise _DamagedError("truncated or altered, its checksum does not agree")
    if body[: len(key)] != key.encode():
        raise _DamagedError("the entry of another key")
    with np.load(io.BytesIO(body[len(key) :]), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


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
    sample = np.asarray(array[:0] if shape else array)
    if sample.dtype.kind not in "biufcU":
        raise PinnxError(f"{name}: expected an array of numbers to hash, got {sample.dtype}")
    yield f"array {sample.dtype.str} {shape}:".encode()
    if not shape or 0 in shape:
        yield np.asarray(array).tobytes()
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
            rows = np.ascontiguousarray(array[begin : begin + step])
            ahead.append(pool.submit(digest, rows if rows.dtype.kind != "U" else rows.view(np.uint8)))
            if len(ahead) > num_threads:
                yield ahead.pop(0).result()
        for future in ahead:
            yield future.result()


def _default_folder() -> Path:
    named = os.environ.get("PINNX_CACHE")
    if named:
        return Path(named).expanduser()
    # An XDG folder that is not absolute is to be ignored, says the standard.
    shared = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(shared) if Path(shared).is_absolute() else Path.home() / ".cache") / "pinnx" / "selections"


def _version() -> str:
    try:
        return version("pinn-ext")
    except PackageNotFoundError:
        return "0+uninstalled"


def _warn(message: str) -> None:
    warnings.warn(f"cache: {message}", RuntimeWarning, stacklevel=4)
