"""Arrays of NumPy, torch and whatever NumPy takes, as tensors: any byte order, any strides, no masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinnx.errors import PinnxError

__all__ = ["DTYPES", "as_tensor", "has_rows", "unmasked"]

DTYPES = {np.dtype(np.float32): torch.float32, np.dtype(np.float64): torch.float64}


def has_rows(X: Any) -> bool:
    """Say whether something has a shape, a dtype and rows to slice."""
    return all(hasattr(X, name) for name in ("shape", "dtype", "__getitem__"))


def as_tensor(array: Any) -> Tensor:
    """Return an array as a float32 or float64 tensor, sharing memory where it can.

    Raises:
        PinnxError: not real numbers.
    """
    if isinstance(array, Tensor):
        tensor = array.detach()
    else:
        values = unmasked("X", array)
        if values.dtype.kind not in "biuf":
            raise PinnxError(f"X: expected real numbers, got {values.dtype} of shape {list(values.shape)}")
        if values.dtype.newbyteorder("=") not in DTYPES:
            values = values.astype(np.float64)
        # torch takes no other byte order, no negative strides, and warns of memory that is read-only.
        native = values.dtype.isnative and all(stride >= 0 for stride in values.strides)
        if not native:
            values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
        tensor = torch.from_numpy(values if values.flags.writeable else np.asarray(_Shared(values)))
    if tensor.is_complex() or tensor.layout is not torch.strided:
        raise PinnxError(f"X: expected dense real numbers, got {tensor.dtype} {tensor.layout}")
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.double()


def unmasked(name: str, array: Any) -> np.ndarray:
    """Return an array as NumPy's, which drops a mask without a word.

    Raises:
        PinnxError: masked values.
    """
    count = int(np.ma.count_masked(array)) if isinstance(array, np.ma.MaskedArray) else 0
    if count:
        raise PinnxError(
            f"{name}: expected values everywhere, got {count:,} of {array.size:,} masked; give filled(nan), and places "
            "without values as forbidden"
        )
    return np.asarray(array)


class _Shared:
    """Memory of a read-only array, such as a memory map, for torch; nothing here writes into X."""

    def __init__(self, values: np.ndarray) -> None:
        self._keeps = values
        self.__array_interface__ = values.__array_interface__ | {"data": (values.ctypes.data, False)}
