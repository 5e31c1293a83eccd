"""Numbers that checks are given: arrays of NumPy or torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.errors import PinnxError

__all__ = ["as_array"]


def as_array(name: str, values: Any) -> NDArray[np.float64]:
    """An array as float64 on the host.

    Raises:
        PinnxError: none, or numbers that are not finite; ``name`` says of what.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or not np.isfinite(array).all():
        raise PinnxError(f"{name}: expected finite numbers, got {array.size} with NaN, infinity or none")
    return array
