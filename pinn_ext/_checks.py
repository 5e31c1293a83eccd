"""Checks of what users pass in. Each error names the argument, what was wanted and what came."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pinn_ext import _core

__all__ = ["check_coordinates", "check_same", "check_spec_fits", "check_tensor", "describe"]

DTYPES = (torch.float32, torch.float64)


def describe(value: object) -> str:
    """A short name for whatever came, for error messages."""
    if isinstance(value, Tensor):
        return f"{list(value.shape)} {str(value.dtype).removeprefix('torch.')} on {value.device}"
    return f"{type(value).__name__} {value!r}"


def _wanted(shape: Sequence[int | str]) -> str:
    # Called where a check has failed and nowhere else: a size that torch.compile traces as a symbol has no text.
    return f"shape [{', '.join(str(s) for s in shape)}] float32 or float64"


def check_tensor(name: str, value: object, shape: Sequence[int | str]) -> None:
    """Raises unless ``value`` is a float32 or float64 tensor on CPU or CUDA of the given shape.

    Args:
        name: the argument's name.
        value: what came.
        shape: one entry per axis; a number must match, a letter stands for any size.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: expected a tensor of {_wanted(shape)}, got {describe(value)}")
    fits = value.dim() == len(shape) and all(
        isinstance(want, str) or want == size for want, size in zip(shape, value.shape, strict=True)
    )
    if not fits or value.dtype not in DTYPES:
        raise ValueError(f"{name}: expected {_wanted(shape)}, got {describe(value)}")
    if value.device.type not in ("cpu", "cuda"):
        raise ValueError(f"{name}: expected a tensor on cpu or cuda, got {describe(value)}")


def check_same(name: str, value: Tensor, other_name: str, other: Tensor) -> None:
    """Raises unless two tensors share dtype and device; nothing is converted behind the user's back."""
    if value.dtype != other.dtype or value.device != other.device:
        wanted = f"{str(other.dtype).removeprefix('torch.')} on {other.device}"
        raise ValueError(f"{name}: expected {wanted} like {other_name}, got {describe(value)}")


def check_coordinates(x: Tensor, B: Tensor) -> None:
    """Raises unless ``x`` is [n, d] and ``B`` [d, m] with 1 <= d <= MAX_COORDINATES and m >= 1."""
    check_tensor("x", x, ("n", "d"))
    d = x.shape[1]
    if not 1 <= d <= _core.MAX_COORDINATES:
        raise ValueError(f"x: expected 1 to {_core.MAX_COORDINATES} coordinates, got {describe(x)}")
    check_tensor("B", B, (d, "m"))
    if B.shape[1] == 0:
        raise ValueError(f"B: expected at least one frequency, got {describe(B)}")
    check_same("B", B, "x", x)


def check_spec_fits(first: Sequence[int], d: int) -> None:
    """Raises where a jet asks for a coordinate that ``x`` does not have."""
    beyond = [i for i in first if i >= d]
    if beyond:
        raise ValueError(f"spec: expected coordinates below {d}, the columns of x, got {beyond}")
