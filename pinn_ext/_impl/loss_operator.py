"""``navier_stokes_loss`` as a torch operator: kernel, fake, autograd.

The gradient is computed with the loss and kept, flat: all parameters in the order of the layers, then ``B``, then
``nu``. The backward pass scales it.
"""

from __future__ import annotations

from collections.abc import Sequence
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

__all__ = ["loss_operator", "scale_operator"]


def _gradient_size(B: Tensor, parameters: Sequence[Tensor], nu: Tensor, want_B: bool, want_nu: bool) -> int:
    return num_parameters(parameters) + (B.numel() if want_B else 0) + (nu.numel() if want_nu else 0)


def _kernel(
    x: Tensor,
    B: Tensor,
    parameters: list[Tensor],
    nu: Tensor,
    term_weights: Tensor,
    point_weights: Tensor | None,
    forcing: Tensor | None,
    first: list[int],
    weights: list[float],
    activation: str,
    steady: bool,
    count: float | None,
    want_residual: bool,
    want_gradient: bool,
    want_B: bool,
    want_nu: bool,
    parts: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    shape = shape_of(x, B, parameters, first, weights, True, activation)
    if not fused_supports(shape, x):
        return composed.navier_stokes_loss(
            x,
            B,
            parameters,
            nu,
            term_weights,
            point_weights,
            forcing,
            first,
            weights,
            True,
            activation,
            steady,
            x.shape[0] if count is None else count,
            want_residual,
            want_gradient,
            want_B,
            want_nu,
        )
    x, B, nu, term_weights = x.contiguous(), B.contiguous(), nu.contiguous(), term_weights.contiguous()
    parameters = [p.contiguous() for p in parameters]
    point_weights = None if point_weights is None else point_weights.contiguous()
    forcing = None if forcing is None else forcing.contiguous()
    columns = term_weights.shape[0]
    total, terms = x.new_empty(()), x.new_empty(columns)
    residual = x.new_empty((x.shape[0], columns) if want_residual else 0)
    gradient = x.new_empty(_gradient_size(B, parameters, nu, want_B, want_nu) if want_gradient else 0)
    scratch = workspace(x, shape, want_gradient, want_B)
    with launch_place(x) as place:
        _core.navier_stokes_loss(
            *place,
            network_of(x, B, parameters, shape),
            nu=array(nu),
            forcing=array(forcing),
            steady=steady,
            term_weights=array(term_weights),
            point_weights=array(point_weights),
            count=x.shape[0] if count is None else count,
            total=array(total),
            terms=array(terms),
            residual=array(residual) if want_residual else None,
            gradient=array(gradient) if want_gradient else None,
            workspace=array(scratch),
            want_B=want_B,
            want_nu=want_nu,
            parts=parts,
        )
    return total, terms, residual, gradient


def _fake(
    x: Tensor,
    B: Tensor,
    parameters: list[Tensor],
    nu: Tensor,
    term_weights: Tensor,
    point_weights: Tensor | None,
    forcing: Tensor | None,
    first: list[int],
    weights: list[float],
    activation: str,
    steady: bool,
    count: float | None,
    want_residual: bool,
    want_gradient: bool,
    want_B: bool,
    want_nu: bool,
    parts: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    columns = term_weights.shape[0]
    return (
        x.new_empty(()),
        x.new_empty(columns),
        x.new_empty((x.shape[0], columns) if want_residual else 0),
        x.new_empty(_gradient_size(B, parameters, nu, want_B, want_nu) if want_gradient else 0),
    )


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    _, B, parameters, nu, *_ = inputs
    _, terms, residual, gradient = output
    ctx.mark_non_differentiable(terms, residual, gradient)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(gradient, B, nu, *parameters)
    ctx.options = inputs[4:]


def _autograd(ctx: Any, v_total: Tensor | None, *_: None) -> tuple[Any, ...]:
    if v_total is None:
        return None, None, [None] * len(ctx.needs_input_grad[2]), None, *no_gradients(ctx.options)
    gradient, B, nu, *parameters = ctx.saved_tensors
    want_B, want_nu = ctx.options[-3:-1]  # what the gradient holds; the others count as constants
    want_parameters = ctx.needs_input_grad[2]
    inputs = [*parameters, *([B] if want_B else []), *([nu] if want_nu else [])]
    wanted = [*want_parameters, *([True] * (len(inputs) - len(parameters)))]
    scaled = scale_operator(v_total, inputs, gradient)
    pieces = split_gradient(scaled, inputs, wanted)
    v_nu = pieces.pop() if want_nu else None
    v_B = pieces.pop() if want_B else None
    return None, v_B, pieces, v_nu, *no_gradients(ctx.options)


# An operator of its own, of the inputs too, so that differentiating the gradient once more raises an error.
def _backward_kernel(v_total: Tensor, inputs: list[Tensor], gradient: Tensor) -> Tensor:
    return gradient * v_total


def _backward_fake(v_total: Tensor, inputs: list[Tensor], gradient: Tensor) -> Tensor:
    return gradient.new_empty(gradient.shape)


loss_operator = register_operator(
    "navier_stokes_loss(Tensor x, Tensor B, Tensor[] parameters, Tensor nu, Tensor term_weights, "
    "Tensor? point_weights, Tensor? forcing, int[] first, float[] weights, str activation, bool steady, float? count, "
    "bool want_residual, bool want_gradient, bool want_B, bool want_nu, int parts) "
    "-> (Tensor, Tensor, Tensor, Tensor)",
    _kernel,
    _fake,
    backward=_autograd,
    setup_context=_setup,
)
scale_operator = register_operator(
    "navier_stokes_loss_backward(Tensor v_total, Tensor[] inputs, Tensor gradient) -> Tensor",
    _backward_kernel,
    _backward_fake,
)
