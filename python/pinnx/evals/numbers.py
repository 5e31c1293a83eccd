"""Numbers that checks are given: arrays of NumPy or torch, and scales."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.errors import PinnxError

__all__ = ["as_array", "as_scale"]


def as_array(name: str, values: Any) -> NDArray[np.float64]:
    """An array as float64 on the host.

    Raises:
        PinnxError: none, or numbers that are masked, complex or not finite; ``name`` says of what.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = (values.double() if values.is_floating_point() else values).numpy()  # NumPy has no bfloat16
    if masked := int(np.ma.count_masked(values)) if isinstance(values, np.ma.MaskedArray) else 0:
        raise PinnxError(f"{name}: expected a number everywhere, got {masked} that are masked")
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise PinnxError(f"{name}: expected real numbers, got {array.dtype}")
    array = array.astype(np.float64)
    if array.size == 0 or not np.isfinite(array).all():
        raise PinnxError(f"{name}: expected finite numbers, got {array.size} with NaN, infinity or none")
    return array


def as_scale(name: str, value: float | None) -> float | None:
    """A scale that is given, or None.

    Raises:
        PinnxError: a scale that is not finite and > 0: relative to it every error, or none, would keep its limit.
    """
    if value is not None and not (math.isfinite(value) and value > 0):
        raise PinnxError(f"{name}: expected a finite number > 0, got {value}")
    return value
