"""``mlp_jet`` as a torch operator: kernel, fake, autograd."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pinn_ext import _core
from pinn_ext._impl import composed
from pinn_ext._impl.network import (
    fused_supports,
    network_of,
    no_gradients,
    num_parameters,
    shape_of,
    split_gradient,
    workspace,
)
from pinn_ext._impl.operator import array, launch_place, register_operator

__all__ = ["gradient_operator", "jet_operator"]


def _kernel(
    x: Tensor,
    B: Tensor,
    parameters: list[Tensor],
    first: list[int],
    weights: list[float],
    laplacian: bool,
    activation: str,
    parts: int,
) -> Tensor:
    shape = shape_of(x, B, parameters, first, weights, laplacian, activation)
    if not fused_supports(shape, x):
        return composed.mlp_jet(x, B, parameters, first, weights, laplacian, activation)
    x, B = x.contiguous(), B.contiguous()
    parameters = [p.contiguous() for p in parameters]
    out = _fake(x, B, parameters, first, weights, laplacian, activation, parts)
    if out.numel() == 0:
        return out
    scratch = workspace(x, shape, False, False)
    with launch_place(x) as place:
        _core.mlp_jet(*place, network_of(x, B, parameters, shape), out=array(out), workspace=array(scratch))
    return out


def _fake(
    x: Tensor,
    B: Tensor,
    parameters: list[Tensor],
    first: list[int],
    weights: list[float],
    laplacian: bool,
    activation: str,
    parts: int,
) -> Tensor:
    return x.new_empty((1 + len(first) + int(laplacian), x.shape[0], parameters[-1].shape[0]))


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, B, parameters, *ctx.options = inputs
    ctx.save_for_backward(x, B, *parameters)


def _autograd(ctx: Any, v_out: Tensor) -> tuple[Any, ...]:
    x, B, *parameters = ctx.saved_tensors
    want_B, want_parameters = ctx.needs_input_grad[1], ctx.needs_input_grad[2]
    *streams, parts = ctx.options
    flat = gradient_operator(v_out, x, B, parameters, *streams, want_B, parts)
    inputs, wanted = [*parameters], [*want_parameters]
    if want_B:
        inputs, wanted = [*parameters, B], [*want_parameters, True]
    v_parameters = split_gradient(flat, inputs, wanted)
    v_B = v_parameters.pop() if want_B else None
    return None, v_B, v_parameters, *no_gradients(ctx.options)


def _backward_kernel(
    v_out: Tensor,
    x: Tensor,
    B: Tensor,
    parameters: list[Tensor],
    first: list[int],
    weights: list[float],
    laplacian: bool,
    activation: str,
    want_B: bool,
    parts: int,
) -> Tensor:
    shape = shape_of(x, B, parameters, first, weights, laplacian, activation)
    if not fused_supports(shape, x):
        return composed.mlp_jet_gradient(v_out, x, B, parameters, first, weights, laplacian, activation, want_B)
    size = num_parameters(parameters) + (B.numel() if want_B else 0)
    if v_out.numel() == 0:
        return x.new_zeros(size)
    v_out, x, B = v_out.contiguous(), x.contiguous(), B.contiguous()
    parameters = [p.contiguous() for p in parameters]
    gradient = x.new_empty(size)
    scratch = workspace(x, shape, True, want_B)
    with launch_place(x) as place:
        _core.mlp_jet_backward(
            *place,
            network_of(x, B, parameters, shape),
            v_out=array(v_out),
            gradient=array(gradient),
            workspace=array(scratch),
            want_B=want_B,
            parts=parts,
        )
    return gradient


def _backward_fake(
    v_out: Tensor,
    x: Tensor,
    B: Tensor,
    parameters: list[Tensor],
    first: list[int],
    weights: list[float],
    laplacian: bool,
    activation: str,
    want_B: bool,
    parts: int,
) -> Tensor:
    return x.new_empty(num_parameters(parameters) + (B.numel() if want_B else 0))


_STREAMS = "int[] first, float[] weights, bool laplacian, str activation"

jet_operator = register_operator(
    f"mlp_jet(Tensor x, Tensor B, Tensor[] parameters, {_STREAMS}, int parts) -> Tensor",
    _kernel,
    _fake,
    backward=_autograd,
    setup_context=_setup,
)
gradient_operator = register_operator(
    f"mlp_jet_backward(Tensor v_out, Tensor x, Tensor B, Tensor[] parameters, {_STREAMS}, bool want_B, int parts) "
    "-> Tensor",
    _backward_kernel,
    _backward_fake,
)
