"""Fits on disk: one .npz for each, named by the fingerprint of what it was learned from.

    fingerprint    blake2b of the snapshots, of every parameter and of the version of the package: other
                   bits, another shape, dtype or parameter, another name
    file           <fingerprint>.npz with all that `SensorSelector.fit` learns; snapshots that are their
                   own basis are not stored again, they are at hand whenever the fingerprint is known

A file is used only when it reads without error and names its own fingerprint; otherwise it is ignored
with a warning, and replaced. It appears whole or not at all, so that processes may share a folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from pinnx import __version__
from pinnx.data.blocks import BLOCK_BYTES, BlocksSource, Progress, SnapshotSource
from pinnx.errors import PinnxError
from pinnx.runs.files import atomic_write

__all__ = ["SelectionCache", "fingerprint", "learned", "restore"]

# What a fit learns, but for the basis.
LEARNED = ("selected_sensors_", "r_diagonal_", "rank_", "log_volume_", "n_features_in_", "n_snapshots_",
           "basis_method_", "num_passes_")  # fmt: skip
# A file that a process left behind when it was killed while writing; no write takes an hour.
STALE_S = 3600.0


@dataclass(frozen=True, init=False)
class SelectionCache:
    """Fits in one folder, by fingerprint.

    Args:
        folder: where; None takes the variable PINNX_CACHE, else pinnx/selections in the user's
            cache folder (XDG_CACHE_HOME, or ~/.cache). It is made when something is written.

    Raises:
        PinnxError: something else.
    """

    folder: Path

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        if folder is not None and not isinstance(folder, str | os.PathLike):
            got = type(folder).__name__
            raise PinnxError(f"cache: expected None, a folder or a SelectionCache, got {got}")
        object.__setattr__(self, "folder", _default_folder() if folder is None else Path(folder).expanduser())

    def load(self, key: str) -> dict[str, np.ndarray] | None:
        """Return the arrays of a fit; None where there is none, or, with a warning, one that is damaged."""
        path = self.folder / f"{key}.npz"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                kept = {name: archive[name] for name in archive.files}
            if kept.pop("fingerprint", "") != key:
                raise ValueError("the file of another fit")
        except FileNotFoundError:
            return None
        except Exception as error:  # a damaged archive fails anywhere in zipfile, zlib or NumPy
            _warn(f"{path}: cannot be read ({error}); computed anew")
            return None
        return kept

    def save(self, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write a fit in place of any before it; warns where it cannot be written, as a full disk loses no result."""
        path = self.folder / f"{key}.npz"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for old in self.folder.glob("*.part"):
                with contextlib.suppress(OSError):  # another process may have removed or finished it
                    if time.time() - old.stat().st_mtime > STALE_S:
                        old.unlink()
            with atomic_write(path, concurrent=True) as partial, partial.open("wb") as file:
                np.savez(file, fingerprint=np.array(key), **arrays)
        except OSError as error:
            _warn(f"{path}: cannot be written ({error.strerror}); not kept")


def fingerprint(
    source: SnapshotSource, parameters: Mapping[str, Any], memory_limit: int | None, progress: Progress | None
) -> str:
    """Return the name of a fit; streamed snapshots are read for it once.

    Args:
        source: the snapshots.
        parameters: of the selector, but for those of memory and cache: None, numbers, texts, arrays,
            and lists and mappings of such.
        memory_limit: counts where snapshots are streamed, as the result says how they were read.
        progress: called as progress("hashing", done, T) while snapshots are streamed.

    Raises:
        PinnxError: snapshots that cannot be read before they are used, or a parameter without content.
    """
    if isinstance(source, BlocksSource):
        raise PinnxError(
            "cache: expected an array or a dataset, whose content tells whether it was seen before, got blocks out of "
            "an iterable with a memory_limit"
        )
    digest, done = hashlib.blake2b(digest_size=32), 0
    for block in source.rows():
        for part in block.split(max(1, BLOCK_BYTES // (block[0].nbytes or 1))):
            digest.update(memoryview(part.cpu().contiguous().numpy()).cast("B"))
        done += len(block)
        if progress is not None and not source.in_memory:
            progress("hashing", done, source.num_snapshots)
    source.num_passes = 0
    # Results of two kinds of device agree to rounding only.
    how = [__version__, source.device.type, None if source.in_memory else memory_limit]
    shape = [str(source.dtype), done, source.n, source.c if source.vector else None]
    for value in (how, shape, parameters):
        digest.update(_content("parameters", value).encode())
    return digest.hexdigest()


def learned(selector: Any) -> dict[str, np.ndarray]:
    """Return what a cache keeps of a selector that is fitted."""
    kept = {name: np.asarray(getattr(selector, name)) for name in LEARNED}
    if selector.singular_values_ is not None:
        kept["singular_values_"] = selector.singular_values_
    if selector.basis_method_ != "identity":
        kept |= {"basis_": np.moveaxis(selector.basis_, -1, 0), "mean_": selector.mean_}
    return kept


def restore(selector: Any, kept: Mapping[str, np.ndarray]) -> None:
    """Give a selector what `learned` took, all but a basis of method "identity" and its mean."""
    for name in LEARNED:
        setattr(selector, name, kept[name] if kept[name].ndim else kept[name].item())
    selector.singular_values_ = kept.get("singular_values_")
    if "basis_" in kept:
        selector.basis_, selector.mean_ = np.moveaxis(kept["basis_"], 0, -1), kept["mean_"]


def _content(name: str, value: Any) -> str:
    """Spell out a value, its type and the name of each part, so that no two different ones have the same text."""
    if value is None or isinstance(value, bool | int | float | complex | str):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, Mapping):
        parts = [f"{key!r}: {_content(f'{name}[{key!r}]', value[key])}" for key in sorted(value, key=repr)]
        return f"{{{', '.join(parts)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_content(f'{name}[{index}]', item) for index, item in enumerate(value))}]"
    array = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value)
    if array.dtype.kind not in "biufc":
        raise PinnxError(f"{name}: expected numbers, texts or arrays to hash, got {type(value).__name__}")
    return f"{array.dtype.str} {array.shape} {hashlib.blake2b(array.tobytes()).hexdigest()}"


def _default_folder() -> Path:
    named = os.environ.get("PINNX_CACHE")
    if named:
        return Path(named).expanduser()
    # An XDG folder that is not absolute is to be ignored, says the standard.
    shared = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(shared) if Path(shared).is_absolute() else Path.home() / ".cache") / "pinnx" / "selections"


def _warn(message: str) -> None:
    warnings.warn(f"cache: {message}", RuntimeWarning, stacklevel=4)
