"""The mean square Navier-Stokes residual of a network and all its gradients, in one pass over the points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor

from pinn_ext._impl.checks import (
    as_tensor,
    check_coordinates,
    check_mlp,
    check_not_negative,
    check_same,
    check_spec_fits,
    check_tensor,
    describe,
)
from pinn_ext._impl.loss_operator import loss_operator
from pinn_ext._impl.network import interleaved, invariant_parts
from pinn_ext._impl.operator import transforms_active
from pinn_ext._impl.product import Products, check_products
from pinn_ext.activation import Activation
from pinn_ext.jet import JetSpec
from pinn_ext.navier_stokes import check_flow

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
    base: Tensor | None = None,
    steady: bool | None = None,
    count: float | None = None,
    return_residual: bool = False,
    thread_invariant: bool | int = False,
    products: Products = "ieee",
) -> tuple[Tensor, ...]:
    """``total = sum_i term_weights[i] term_i`` with ``term_i = sum_points point_weight residual_i^2 / count``.

    The residual is that of `navier_stokes_residual` on `mlp_jet`. Where a gradient is wanted, it is computed together
    with the loss, in the forward pass; the backward pass of the graph only scales it.

    Args:
        x: ``[n, d]``, as for `mlp_jet`.
        B: ``[d, m]``, as for `mlp_jet`.
        weights: as for `mlp_jet`; the outputs are u, v[, w], p.
        biases: as for `mlp_jet`.
        nu: as for `navier_stokes_residual`.
        spec: with ``first`` = ([time,] the 2 or 3 spatial coordinates), ``laplacian`` = the spatial coordinates.
        activation: as for `mlp_jet`.
        term_weights: ``[d + 1]``, one for each column of the residual, >= 0. Pass a tensor where a CUDA graph is
            captured; its numbers are not looked at, nor those of ``point_weights``.
        point_weights: ``[n]``, None: ones.
        forcing: body force per unit mass, ``[n, d]``, ``[d]`` or d numbers; None: none.
        base: velocity U of a base flow that is added to the network's and its gradient, ``[n, 1 + d, d]``: ``U`` in
            row 0, ``dU/dx_j`` in row ``1 + j``. It is steady and a Stokes flow, ``grad P = nu lap U``. None: none.
        steady: leave the time derivative out. None: steady unless ``spec`` has the time.
        count: what the sums are divided by, > 0: the points of the whole step, where these are a part of them. None: n.
        return_residual: give the residual of every point too.
        thread_invariant: as for `mlp_jet`.
        products: as for `mlp_jet`.

    Returns:
        ``(total, terms)`` or ``(total, terms, residual)``: ``total`` a scalar, differentiable once in ``B``,
        ``weights``, ``biases`` and ``nu``; ``terms`` ``[d + 1]`` and ``residual`` ``[n, d + 1]`` carry no graph.
        Memory does not grow with ``n`` but for the residual. A NaN in the input is one in the total.

    Raises:
        TypeError, ValueError: wrong type, shape, dtype or device; a number of ``nu`` or ``term_weights`` that is
            negative or not finite; no points; ``x``, ``point_weights``, ``forcing``, ``base`` or ``term_weights`` that
            require a gradient; a spec that does not carry what the equations need.
    """
    check_coordinates(x, B)
    check_mlp(x, B, weights, biases, activation)
    check_spec_fits(spec, x.shape[1])
    check_products(products, x)
    n, outputs = x.shape[0], biases[-1].shape[0]
    if n == 0:
        raise ValueError("x: expected at least one point, as a mean over none is no loss, got 0")
    nu, forcing, steady = check_flow(spec, outputs, n, nu, forcing, steady, "spec", "x", x)
    term_weights = _checked_weights(term_weights, point_weights, count, n, outputs, x)
    _refuse_gradient("forcing", forcing)
    if base is not None:
        check_tensor("base", base, (n, outputs, outputs - 1))
        check_same("base", base, "x", x)
        _refuse_gradient("base", base)

    parameters = interleaved(weights, biases)
    with_graph = torch.is_grad_enabled()
    # A batch of torch.func.vmap does not show whether its entries require a gradient.
    hidden = with_graph and transforms_active()
    want_B, want_nu = [hidden or (with_graph and t.requires_grad) for t in (B, nu)]
    want_gradient = want_B or want_nu or (with_graph and any([p.requires_grad for p in parameters]))
    parts = invariant_parts(thread_invariant, B, weights)
    total, terms, residual, _ = loss_operator(
        x,
        B,
        parameters,
        nu,
        term_weights,
        point_weights,
        forcing,
        base,
        spec.first,
        spec.laplacian_weights,
        activation,
        products,
        steady,
        None if count is None else float(count),
        return_residual,
        want_gradient,
        want_B,
        want_nu,
        parts,
    )
    return (total, terms, residual) if return_residual else (total, terms)


def _checked_weights(
    term_weights: Sequence[float] | Tensor,
    point_weights: Tensor | None,
    count: float | None,
    n: int,
    outputs: int,
    x: Tensor,
) -> Tensor:
    """The weights of the terms as a tensor; raises where a weight or the count is wrong."""
    check_not_negative("term_weights", term_weights)
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
    return term_weights


def _refuse_gradient(name: str, tensor: Tensor | None) -> None:
    if tensor is not None and tensor.requires_grad:
        raise ValueError(
            f"{name}: expected a tensor without requires_grad, as the loss is not differentiated in it (mlp_jet and "
            "navier_stokes_residual are)"
        )
