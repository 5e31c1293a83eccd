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


def _kernel(x: Tensor, *options: Any) -> Tensor:
    network = composed.Network(*options[:-1])
    shape = shape_of(x, *network[:-1])
    if network.products != "ieee" or not fused_supports(shape, x):
        return composed.mlp_jet(x, network)
    x, network = x.contiguous(), network.contiguous()
    out = network.empty_jet(x)
    if out.numel() == 0:
        return out
    scratch = workspace(x, shape, False, False)
    with launch_place(x) as place:
        views = network_of(x, network.B, network.parameters, shape)
        _core.mlp_jet(*place, network=views, out=array(out), workspace=array(scratch))
    return out


def _fake(x: Tensor, *options: Any) -> Tensor:
    return composed.Network(*options[:-1]).empty_jet(x)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, B, parameters, *ctx.options = inputs
    ctx.save_for_backward(x, B, *parameters)


def _autograd(ctx: Any, v_out: Tensor) -> tuple[Any, ...]:
    x, B, *parameters = ctx.saved_tensors
    want_B, want_parameters = ctx.needs_input_grad[1:3]
    *streams, parts = ctx.options
    flat = gradient_operator(v_out, x, B, parameters, *streams, want_B, parts)
    pieces = split_gradient(flat, [*parameters, *[B] * want_B], [*want_parameters, *[True] * want_B])
    v_B = pieces.pop() if want_B else None
    return None, v_B, pieces, *no_gradients(ctx.options)


def _backward_kernel(v_out: Tensor, x: Tensor, *options: Any) -> Tensor:
    *described, want_B, parts = options
    network = composed.Network(*described)
    shape = shape_of(x, *network[:-1])
    if network.products != "ieee" or not fused_supports(shape, x):
        return composed.mlp_jet_gradient(v_out, x, network, want_B)
    gradient = _backward_fake(v_out, x, *options)
    if v_out.numel() == 0:
        return gradient.zero_()
    v_out, x, network = v_out.contiguous(), x.contiguous(), network.contiguous()
    scratch = workspace(x, shape, True, want_B)
    with launch_place(x) as place:
        _core.mlp_jet_backward(
            *place,
            network=network_of(x, network.B, network.parameters, shape),
            v_out=array(v_out),
            gradient=array(gradient),
            workspace=array(scratch),
            want_B=want_B,
            parts=parts,
        )
    return gradient


def _backward_fake(v_out: Tensor, x: Tensor, B: Tensor, parameters: list[Tensor], *options: Any) -> Tensor:
    want_B = options[-2]
    return x.new_empty(num_parameters(parameters) + (B.numel() if want_B else 0))


_STREAMS = "int[] first, float[] weights, bool laplacian, str activation, str products"

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
