"""Checks of what users pass in. Each error names the argument, what was wanted and what came."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pinn_ext import _core
from pinn_ext.jet import JetSpec

__all__ = [
    "as_tensor",
    "check_coordinates",
    "check_mlp",
    "check_not_negative",
    "check_same",
    "check_spec_fits",
    "check_tensor",
    "describe",
]

DTYPES = (torch.float32, torch.float64)
MOST_LETTERS = 160
ACTIVATIONS = tuple(_core.Activation.__members__)


def describe(value: object) -> str:
    """A short name for whatever came, for error messages."""
    if isinstance(value, Tensor):
        return f"{list(value.shape)} {str(value.dtype).removeprefix('torch.')} on {value.device}"
    if isinstance(value, np.ndarray):
        return f"{type(value).__name__} {list(value.shape)} {value.dtype}"
    text = " ".join(repr(value).split())  # of a list it may be long, and have several lines
    return f"{type(value).__name__} {text if len(text) <= MOST_LETTERS else text[:MOST_LETTERS] + '...'}"


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
    fits = value.dim() == len(shape) and value.dtype in DTYPES
    if fits:  # a loop: every call of every function comes through here
        for want, size in zip(shape, value.shape, strict=True):
            if not isinstance(want, str) and want != size:
                fits = False
    if not fits:
        raise ValueError(f"{name}: expected {_wanted(shape)}, got {describe(value)}")
    if value.device.type not in ("cpu", "cuda"):
        raise ValueError(f"{name}: expected a tensor on cpu or cuda, got {describe(value)}")
    if value.layout is not torch.strided:
        raise ValueError(f"{name}: expected a dense tensor, got {describe(value)} ({value.layout})")


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


def as_tensor(name: str, value: object, like_name: str, like: Tensor) -> Tensor:
    """Numbers as a tensor like ``like``; a tensor as it is. Raises where it is neither, or of another dtype, device."""
    if not isinstance(value, Tensor):
        if isinstance(value, int | float):
            # Filled on the device: a copy from the host could not be captured into a CUDA graph.
            return like.new_full((), value)
        if isinstance(value, list | tuple) and any(isinstance(v, Tensor) and v.requires_grad for v in value):
            # Numbers are copied out of it, and its gradient would end there.
            raise ValueError(
                f"{name}: expected numbers or one tensor, got a {type(value).__name__} with a tensor that requires a "
                "gradient (torch.stack keeps it)"
            )
        try:
            value = torch.as_tensor(value, dtype=like.dtype, device=like.device)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(f"{name}: expected numbers or a tensor, got {describe(value)}") from error
    check_same(name, value, like_name, like)
    return value


def check_not_negative(name: str, value: object) -> None:
    """Raises where a number, or one of a list, is negative or not finite.

    A tensor is not looked at, as that would wait for its device.
    """
    for number in value if isinstance(value, list | tuple) else (value,):
        # Compared and no more: where torch.compile traces numbers as symbols, it is one.
        if isinstance(number, int | float) and not 0 <= number < math.inf:
            raise ValueError(f"{name}: expected a finite number >= 0, got {number}")


def check_spec_fits(spec: JetSpec, d: int) -> None:
    """Raises where ``spec`` is none, or asks for a coordinate that ``x`` does not have."""
    if not isinstance(spec, JetSpec):
        raise TypeError(f"spec: expected a JetSpec, got {describe(spec)}")
    beyond = [i for i in spec.first if i >= d]
    if beyond:
        raise ValueError(f"spec: expected coordinates below {d}, the columns of x, got {beyond}")


def check_mlp(x: Tensor, B: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], activation: str) -> None:
    """Raises unless weights and biases are a network behind the features of ``B``, all like ``x``."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation: expected one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    try:
        num_weights, num_biases = len(weights), len(biases)
    except TypeError as error:
        raise TypeError(
            "weights, biases: expected sequences of tensors, one for each layer, "
            f"got {type(weights).__name__} and {type(biases).__name__}"
        ) from error
    if not 1 <= num_weights <= _core.MAX_LINEAR_LAYERS or num_biases != num_weights:
        raise ValueError(
            f"weights, biases: expected 1 to {_core.MAX_LINEAR_LAYERS} weights with one bias each, "
            f"got {num_weights} and {num_biases}"
        )
    if x.requires_grad:
        raise ValueError(
            "x: expected points without requires_grad: their derivatives are in the jet, and nothing is "
            "differentiable in x; got requires_grad=True"
        )
    dtype, device = x.dtype, x.device
    width = 2 * B.shape[1]
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        # One comparison for each property of a tensor that fits; the messages are for one that does not.
        if not (isinstance(weight, Tensor) and isinstance(bias, Tensor) and weight.dim() == 2 and bias.dim() == 1):
            _reject_layer(layer, weight, bias, width, x)
        out, columns = weight.shape
        if (
            columns != width
            or out == 0
            or bias.shape[0] != out
            or weight.dtype is not dtype
            or bias.dtype is not dtype
            or weight.device != device
            or bias.device != device
            or weight.layout is not torch.strided
            or bias.layout is not torch.strided
        ):
            _reject_layer(layer, weight, bias, width, x)
        width = out


def _reject_layer(layer: int, weight: object, bias: object, width: int, x: Tensor) -> None:
    names = f"weights[{layer}]", f"biases[{layer}]"
    check_tensor(names[0], weight, ("out", width))
    assert isinstance(weight, Tensor)
    if weight.shape[0] == 0:
        raise ValueError(f"{names[0]}: expected at least one row, got {describe(weight)}")
    check_same(names[0], weight, "x", x)
    check_tensor(names[1], bias, (weight.shape[0],))
    assert isinstance(bias, Tensor)
    check_same(names[1], bias, "x", x)
    raise AssertionError(f"{names}: rejected without a reason")
