"""A cache of results on disk: what was once computed from these data with these parameters.

    key    of `selection_key`: a hash of the content of the data and of every parameter
    entry  one file, <key>.sel:  magic, blake2b of all that follows, key, an .npz archive

An entry is believed only when its checksum and its key agree with what is asked for; otherwise it
is ignored with a warning, computed again and replaced. A file appears whole or not at all (written
beside its place under a name of its own, then moved there), so that processes may share a folder:
two that miss at once both compute, and write the same. Nothing is unpickled, and nothing is held in
memory but the arrays themselves.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pinnx.errors import PinnxError
from pinnx.runs.files import atomic_write
from pinnx.sensors.content_key import DIGEST_BYTES

__all__ = ["SelectionCache"]

MAGIC = b"pinnx selection 1\n"
SUFFIX, UNFINISHED = ".sel", ".part"
# A file that a process left behind when it was killed while writing; no write takes an hour.
STALE_S = 3600.0
# What is hashed at a time.
PIECE_BYTES = 2**20

Arrays = dict[str, NDArray[Any]]


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

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SelectionCache) and self.folder == other.folder

    def __hash__(self) -> int:
        return hash(self.folder)

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
            with path.open("rb") as file:
                return _read_entry(file, key)
        except FileNotFoundError:
            return None
        except OSError as error:
            _warn(f"{path}: cannot be read ({error.strerror}); computed anew")
            return None
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
        kept = {name: _plain(name, value) for name, value in arrays.items()}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_stale()
            with atomic_write(path, concurrent=True) as partial, partial.open("wb") as file:
                _write_entry(file, key, kept)
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


def _plain(name: str, value: Any) -> NDArray[Any]:
    array = np.asarray(value)
    if array.dtype.kind not in "biufcU":
        raise PinnxError(f"{name}: expected an array of numbers or texts to keep, got {array.dtype}")
    return array


class _Hashed:
    """A file that is hashed while it is written; it cannot go back, so that what is hashed is what is there."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.blake2b(digest_size=DIGEST_BYTES)

    def write(self, content: Any) -> int:
        self.digest.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()


def _write_entry(file: BinaryIO, key: str, arrays: Arrays) -> None:
    file.write(MAGIC + bytes(DIGEST_BYTES))
    body = _Hashed(file)
    body.write(key.encode())
    with zipfile.ZipFile(body, "w") as archive:  # type: ignore[call-overload]
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    file.seek(len(MAGIC))
    file.write(body.digest.digest())


def _read_entry(file: BinaryIO, key: str) -> Arrays:
    magic = file.read(len(MAGIC))
    if magic != MAGIC:
        raise _DamagedError("no entry of this cache" if magic else "an empty file")
    wanted = file.read(DIGEST_BYTES)
    begin = file.tell()
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    while piece := file.read(PIECE_BYTES):
        digest.update(piece)
    if digest.digest() != wanted:
        raise _DamagedError("truncated or altered, its checksum does not agree")
    file.seek(begin)
    if file.read(len(key)) != key.encode():
        raise _DamagedError("the entry of another key")
    with np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _default_folder() -> Path:
    named = os.environ.get("PINNX_CACHE")
    if named:
        return Path(named).expanduser()
    # An XDG folder that is not absolute is to be ignored, says the standard.
    shared = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(shared) if Path(shared).is_absolute() else Path.home() / ".cache") / "pinnx" / "selections"


def _warn(message: str) -> None:
    warnings.warn(f"cache: {message}", RuntimeWarning, stacklevel=4)
