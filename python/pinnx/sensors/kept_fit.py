"""A fit in the cache: under which name, and what of it.

key       content of the snapshots, every parameter, and how the snapshots are read
entry     all attributes of `SensorSelector.fit`; snapshots that are their own basis are not
          stored again, they are at hand whenever the key is known
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from pinnx.errors import PinnxError
from pinnx.sensors.cache import Arrays, SelectionCache
from pinnx.sensors.content_key import DIGEST_BYTES, selection_key
from pinnx.sensors.fit_progress import Progress
from pinnx.sensors.snapshot_source import BlocksSource, SnapshotSource

__all__ = ["as_cache", "fit_key", "kept_of_fit", "recall_fit"]

# What a fit learns, but for the basis.
LEARNED = ("selected_sensors_", "r_diagonal_", "rank_", "log_volume_", "n_features_in_", "n_snapshots_",
           "basis_method_", "num_passes_")  # fmt: skip


def as_cache(given: Any) -> SelectionCache | None:
    """Return the cache that a user names: None, a folder, or a cache.

    Raises:
        PinnxError: something else.
    """
    if given is None or isinstance(given, SelectionCache):
        return given
    if isinstance(given, str | os.PathLike):
        return SelectionCache(given)
    raise PinnxError(f"cache: expected None, a folder or a SelectionCache, got {type(given).__name__}")


def fit_key(
    source: SnapshotSource, parameters: Mapping[str, Any], memory_limit: int | None, progress: Progress | None
) -> str:
    """Return the name of a fit; streamed snapshots are read for it once.

    Args:
        source: the snapshots.
        parameters: of the selector, but for those of memory and cache.
        memory_limit: counts where it decides how the snapshots are read, which is told in the result.
        progress: told how far reading has got; None: nobody.

    Raises:
        PinnxError: snapshots whose content cannot be told before they are used, or a parameter without content.
    """
    if isinstance(source, BlocksSource):
        raise PinnxError(
            "cache: expected an array or a dataset, whose content tells whether it was seen before, got blocks out of "
            "an iterable with a memory_limit"
        )
    if source.in_memory:
        (matrix,) = source.rows()
        shape = (len(matrix), source.n, source.c) if source.vector else (len(matrix), source.n)
        content, limit = matrix.reshape(shape), None
    else:
        content, limit = _digest(source, progress), memory_limit
    source.num_passes = 0
    device = source.device.type  # results of two kinds of device agree to rounding only
    return selection_key(content, what="SensorSelector.fit", memory_limit=limit, device=device, parameters=parameters)


def kept_of_fit(selector: Any) -> Arrays:
    """Return what a cache keeps of a selector that is fitted."""
    kept = {name: np.asarray(getattr(selector, name)) for name in LEARNED}
    if selector.singular_values_ is not None:
        kept["singular_values_"] = selector.singular_values_
    if selector.basis_method_ != "identity":
        kept |= {"basis_": np.moveaxis(selector.basis_, -1, 0), "mean_": selector.mean_}
    return kept


def recall_fit(selector: Any, kept: Arrays) -> None:
    """Give a selector what `kept_of_fit` took, all but a basis of method "identity" and its mean."""
    for name in LEARNED:
        setattr(selector, name, kept[name] if kept[name].ndim else kept[name].item())
    selector.singular_values_ = kept.get("singular_values_")
    if "basis_" in kept:
        selector.basis_, selector.mean_ = np.moveaxis(kept["basis_"], 0, -1), kept["mean_"]


def _digest(source: SnapshotSource, progress: Progress | None) -> np.ndarray:
    """The content of streamed snapshots, hashed in the order of rows, whatever the blocks."""
    digest, done = hashlib.blake2b(digest_size=DIGEST_BYTES), 0
    total = source.num_snapshots
    for block in source.rows():
        digest.update(memoryview(block.numpy()).cast("B"))
        done += len(block)
        if progress is not None:
            progress("hashing", done, total)
    shape = np.array([done, source.n, source.c if source.vector else 0], dtype=np.int64)
    digest.update(f"{source.dtype} {shape.tolist()}".encode())
    return np.frombuffer(digest.digest(), dtype=np.uint8)
