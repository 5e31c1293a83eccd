"""Activations on jets: value, first derivatives and Laplacian through the chain rule, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from pinn_ext import _core
from pinn_ext._impl.checks import check_tensor
from pinn_ext._impl.network import jet_streams
from pinn_ext._impl.operator import array, launch_place, register_operator
from pinn_ext.jet import Jet

__all__ = ["ACTIVATIONS", "Activation", "activation_jet"]

Activation = Literal["tanh", "sine", "silu", "gelu"]
ACTIVATIONS: tuple[str, ...] = get_args(Activation)


def activation_jet(jet: Jet, activation: Activation) -> Jet:
    """The jet of ``f(z)``: ``f(z)``, ``f'(z) z_j`` and ``f''(z) sum_j w_j z_j^2 + f'(z) lap z``.

    Args:
        jet: the jet of ``z``, ``[s, n, c]``, float32 or float64.
        activation: ``"tanh"``, ``"sine"`` (``sin z``), ``"silu"`` (``z / (1 + exp(-z))``) or ``"gelu"``
            (``z (1 + erf(z / sqrt 2)) / 2``, the exact form).

    Returns:
        A jet of the same shape, differentiable once in ``jet``. The backward pass recomputes ``f`` and its three
        derivatives from ``z``, so only the input is kept.

    Raises:
        TypeError, ValueError: wrong type, shape, dtype or device; an unknown activation.
    """
    check_tensor("jet.data", jet.data, ("s", "n", "c"))
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation: expected one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    spec = jet.spec
    data = _activation_jet(jet.data, spec.first, spec.laplacian_weights, spec.has_laplacian, activation)
    return Jet(data, spec)


def activation_jet_kernel(
    data: Tensor, first: Sequence[int], weights: Sequence[float], laplacian: bool, activation: str
) -> Tensor:
    data = data.contiguous()
    out = torch.empty_like(data)
    with launch_place(data) as place:
        _core.activation_jet(
            *place,
            z=array(data),
            out=array(out),
            count=data.shape[1] * data.shape[2],
            streams=jet_streams(first, weights, laplacian),
            activation=getattr(_core.Activation, activation),
        )
    return out


def _fake(data: Tensor, *options: Any) -> Tensor:
    return data.new_empty(data.shape)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    data, *ctx.options = inputs
    ctx.save_for_backward(data)


def _autograd(ctx: Any, v_out: Tensor) -> tuple[Tensor | None, ...]:
    (data,) = ctx.saved_tensors
    return _activation_jet_backward(v_out, data, *ctx.options), None, None, None, None


def activation_jet_backward_kernel(
    v_out: Tensor,
    data: Tensor,
    first: Sequence[int],
    weights: Sequence[float],
    laplacian: bool,
    activation: str,
) -> Tensor:
    v_out, data = v_out.contiguous(), data.contiguous()
    v_data = torch.empty_like(data)
    with launch_place(data) as place:
        _core.activation_jet_backward(
            *place,
            v_out=array(v_out),
            z=array(data),
            v_z=array(v_data),
            count=data.shape[1] * data.shape[2],
            streams=jet_streams(first, weights, laplacian),
            activation=getattr(_core.Activation, activation),
        )
    return v_data


def _backward_fake(v_out: Tensor, data: Tensor, *options: Any) -> Tensor:
    return _fake(data)


_STREAMS = "int[] first, float[] weights, bool laplacian, str activation"

_activation_jet = register_operator(
    f"activation_jet(Tensor data, {_STREAMS}) -> Tensor",
    activation_jet_kernel,
    _fake,
    backward=_autograd,
    setup_context=_setup,
)
_activation_jet_backward = register_operator(
    f"activation_jet_backward(Tensor v_out, Tensor data, {_STREAMS}) -> Tensor",
    activation_jet_backward_kernel,
    _backward_fake,
)
