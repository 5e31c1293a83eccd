"""The mean square Navier-Stokes residual of a network and all its gradients, in one pass over the points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from pinn_ext import _composed, _core
from pinn_ext._checks import (
    as_tensor,
    check_backward_precision,
    check_coordinates,
    check_mlp,
    check_same,
    check_spec_fits,
    check_tensor,
    describe,
)
from pinn_ext._library import address, launch_place, register_operator
from pinn_ext._paths import fused_serves
from pinn_ext.activation import Activation
from pinn_ext.jet import JetSpec
from pinn_ext.mlp import (
    BackwardPrecision,
    addresses,
    interleaved,
    invariant_parts,
    no_gradients,
    num_parameters,
    shape_of,
    split_gradient,
    workspace,
)
from pinn_ext.navier_stokes import check_flow, residual_size

__all__ = ["navier_stokes_loss"]


def navier_stokes_loss(
    x: Tensor,
    B: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    nu: float | Tensor,
    *,
    spec: JetSpec,
    activation: Activation,
    term_weights: Sequence[float] | Tensor,
    point_weights: Tensor | None = None,
    forcing: Tensor | Sequence[float] | None = None,
    steady: bool | None = None,
    count: float | None = None,
    return_residual: bool = False,
    thread_invariant: bool = False,
    backward_precision: BackwardPrecision = "full",
) -> tuple[Tensor, ...]:
    """``total = sum_i term_weights[i] term_i`` with ``term_i = sum_points point_weight residual_i^2 / count``.

    The residual is that of `navier_stokes_residual` on `mlp_jet`. Where a gradient is wanted, it is computed together
    with the loss, in the forward pass; the backward pass of the graph only scales it.

    Args:
        x: ``[n, d]``, as for `mlp_jet`.
        B: ``[d, m]``, as for `mlp_jet`.
        weights: as for `mlp_jet`; the outputs are u, v[, w], p.
        biases: as for `mlp_jet`.
        nu: kinematic viscosity: a number, a tensor of shape ``[]`` or ``[1]`` (learnable), or ``[n]`` (per point).
        spec: with ``first`` = ([time,] the 2 or 3 spatial coordinates), ``laplacian`` = the spatial coordinates.
        activation: as for `mlp_jet`.
        term_weights: ``[d + 1]``, one for each column of the residual. Pass a tensor where a CUDA graph is captured.
        point_weights: ``[n]``, None: ones.
        forcing: body force per unit mass, ``[n, d]``, ``[d]`` or d numbers; None: none.
        steady: leave the time derivative out. None: steady unless ``spec`` has the time.
        count: what the sums are divided by, > 0: the points of the whole step, where these are a part of them. None: n.
        return_residual: give the residual of every point too.
        thread_invariant: as for `mlp_jet`.
        backward_precision: as for `mlp_jet`. Loss and residual come out of the forward pass, which is in float32.

    Returns:
        ``(total, terms)`` or ``(total, terms, residual)``: ``total`` a scalar, differentiable once in ``B``,
        ``weights``, ``biases`` and ``nu``; ``terms`` ``[d + 1]`` and ``residual`` ``[n, d + 1]`` carry no graph.
        Memory does not grow with ``n`` but for the residual. A NaN in the input is one in the total.

    Raises:
        TypeError, ValueError: wrong type, shape, dtype or device; no points; ``x``, ``point_weights``, ``forcing`` or
            ``term_weights`` that require a gradient; a spec that does not carry what the equations need; a
            ``backward_precision`` that is not to be had here.
    """
    check_coordinates(x, B)
    check_mlp(x, B, weights, biases, activation)
    check_spec_fits(spec, x.shape[1])
    n, outputs = x.shape[0], biases[-1].shape[0]
    if n == 0:
        raise ValueError("x: expected at least one point, as a mean over none is no loss, got 0")
    nu, forcing, steady = check_flow(spec, outputs, n, nu, forcing, steady, "spec", "x", x)
    term_weights = as_tensor("term_weights", term_weights, "x", x)
    if term_weights.shape != (outputs,):
        raise ValueError(f"term_weights: expected shape [{outputs}], got {describe(term_weights)}")
    if point_weights is not None:
        check_tensor("point_weights", point_weights, (n,))
        check_same("point_weights", point_weights, "x", x)
    # Compared and no more: where torch.compile traces the sizes as symbols, a count made of them is one.
    if count is not None and not (isinstance(count, Real) and 0 < count < math.inf):
        raise ValueError(f"count: expected a number of points > 0, got {describe(count)}")
    _refuse_gradient("term_weights", term_weights)
    _refuse_gradient("point_weights", point_weights)
    _refuse_gradient("forcing", forcing)

    parameters = interleaved(weights, biases)
    want_B = want_nu = want_gradient = False
    if torch.is_grad_enabled():
        want_B, want_nu = B.requires_grad, nu.requires_grad
        want_gradient = want_B or want_nu or any([p.requires_grad for p in parameters])
    total, terms, residual, _ = _navier_stokes_loss(
        x,
        B,
        parameters,
        nu,
        term_weights,
        point_weights,
        forcing,
        spec.first,
        spec.laplacian_weights,
        activation,
        steady,
        None if count is None else float(count),
        return_residual,
        want_gradient,
        want_B,
        want_nu,
        invariant_parts(B, weights) if thread_invariant else 0,
        backward_precision,
    )
    return (total, terms, residual) if return_residual else (total, terms)


def _refuse_gradient(name: str, tensor: Tensor | None) -> None:
    if tensor is not None and tensor.requires_grad:
        raise ValueError(
            f"{name}: expected a tensor without requires_grad, as the loss is not differentiated in it (mlp_jet and "
            "navier_stokes_residual are)"
        )


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
    backward_precision: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    bfloat16 = check_backward_precision(backward_precision, x)
    shape = shape_of(x, B, parameters, first, weights, True, activation)
    if not fused_serves(shape, x):
        return _composed.navier_stokes_loss(
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
            address(x),
            address(B),
            addresses(parameters),
            address(nu),
            address(forcing),
            address(term_weights),
            address(point_weights),
            x.shape[0] if count is None else count,
            address(total),
            address(terms),
            address(residual) if want_residual else 0,
            address(gradient) if want_gradient else 0,
            address(scratch),
            shape,
            residual_size(x.shape[0], columns - 1, nu, forcing, len(first) == columns, steady),
            want_B,
            want_nu,
            parts,
            bfloat16,
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
    backward_precision: str,
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
    want_B, want_nu = ctx.options[-4:-2]  # what the gradient holds; the others count as constants
    want_parameters = ctx.needs_input_grad[2]
    inputs = [*parameters, *([B] if want_B else []), *([nu] if want_nu else [])]
    wanted = [*want_parameters, *([True] * (len(inputs) - len(parameters)))]
    scaled = _navier_stokes_loss_backward(v_total, inputs, gradient)
    pieces = split_gradient(scaled, inputs, wanted)
    v_nu = pieces.pop() if want_nu else None
    v_B = pieces.pop() if want_B else None
    return None, v_B, pieces, v_nu, *no_gradients(ctx.options)


# An operator of its own, of the inputs too, so that whoever differentiates the gradient once more is told.
def _backward_kernel(v_total: Tensor, inputs: list[Tensor], gradient: Tensor) -> Tensor:
    return gradient * v_total


def _backward_fake(v_total: Tensor, inputs: list[Tensor], gradient: Tensor) -> Tensor:
    return gradient.new_empty(gradient.shape)


_navier_stokes_loss = register_operator(
    "navier_stokes_loss(Tensor x, Tensor B, Tensor[] parameters, Tensor nu, Tensor term_weights, "
    "Tensor? point_weights, Tensor? forcing, int[] first, float[] weights, str activation, bool steady, float? count, "
    "bool want_residual, bool want_gradient, bool want_B, bool want_nu, int parts, str backward_precision) "
    "-> (Tensor, Tensor, Tensor, Tensor)",
    _kernel,
    _fake,
    backward=_autograd,
    setup_context=_setup,
)
_navier_stokes_loss_backward = register_operator(
    "navier_stokes_loss_backward(Tensor v_total, Tensor[] inputs, Tensor gradient) -> Tensor",
    _backward_kernel,
    _backward_fake,
)
