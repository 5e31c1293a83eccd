"""The Jacobian of a residual on a network: of each point and each column the gradient in all parameters.

    r[i, c] = residual_c(jet of the network at x_i),     J[i, c, :] = d r[i, c] / d (W_0, b_0, W_1, ..., numbers)

What Gauss-Newton, natural gradients and the tangent kernel are made of. The residual is any function of the jet in
torch: equations, measured values, boundary conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pinn_ext import _core
from pinn_ext._impl import composed
from pinn_ext._impl.checks import check_coordinates, check_mlp, check_spec_fits, check_tensor, describe
from pinn_ext._impl.network import interleaved, network_of, num_parameters, shape_of
from pinn_ext._impl.operator import array, launch_place
from pinn_ext.activation import Activation
from pinn_ext.jet import Jet, JetSpec
from pinn_ext.mlp import mlp_jet

__all__ = ["residual_jacobian"]


def residual_jacobian(
    residual: Callable[..., Tensor],
    x: Tensor,
    B: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    *,
    spec: JetSpec,
    activation: Activation,
    numbers: Sequence[Tensor] = (),
    out: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """A residual at points, and its Jacobian.

    The jet is computed once for the residual, whose derivatives by the jet are torch's; then one pass over tiles of
    points takes each of them back through the network. On the CPU a tile stays in the cache and nothing but the result
    grows with ``n``. On CUDA the pass goes layer by layer, in torch's products.

    Args:
        residual: ``residual(jet, *numbers) -> [n, c]``, differentiable in torch. Row ``i`` may depend on point ``i`` of
            the jet alone. The numbers come as ``[n]``, one for each point.
        x: ``[n, d]``, as for `mlp_jet`.
        B: ``[d, m]``, as for `mlp_jet`; no derivative is taken by it.
        weights: as for `mlp_jet`.
        biases: as for `mlp_jet`.
        spec: which derivatives the residual needs.
        activation: as for `mlp_jet`.
        numbers: unknown numbers of the residual (a viscosity), ``[]`` or ``[1]`` each.
        out: ``[n, c, p]``, contiguous, where the Jacobian is to be written; None: new memory.

    Returns:
        ``(residual [n, c], jacobian [n, c, p])``: ``p`` counts the parameters, weight (row by row) and bias of each
        layer in order, then the numbers. Neither carries a graph.

    Raises:
        TypeError, ValueError: wrong type, shape, dtype or device; a residual that is no ``[n, c]``, or has no graph to
            the jet.
    """
    check_coordinates(x, B)
    check_mlp(x, B, weights, biases, activation)
    check_spec_fits(spec, x.shape[1])
    parameters = [p.detach().contiguous() for p in interleaved(weights, biases)]
    x, B = x.detach().contiguous(), B.detach().contiguous()
    values, cotangents, by_numbers = _through_residual(
        residual, mlp_jet(x, B, parameters[::2], parameters[1::2], spec, activation), numbers
    )
    columns, p = values.shape[1], num_parameters(parameters)
    shape = (len(x), columns, p + len(numbers))
    if out is None:
        out = x.new_empty(shape)
    check_tensor("out", out, shape)
    if not out.is_contiguous() or out.dtype != x.dtype or out.device != x.device:
        raise ValueError(f"out: expected a contiguous tensor like x, got {describe(out)}")
    streams = spec.first, spec.laplacian_weights, spec.has_laplacian
    if x.is_cuda:
        composed.mlp_jacobian(cotangents, x, composed.Network(B, parameters, *streams, activation), out[:, :, :p])
    else:
        with launch_place(x) as place:
            _core.mlp_jacobian(
                *place,
                network=network_of(x, B, parameters, shape_of(x, B, parameters, *streams, activation)),
                v_out=array(cotangents),
                rows=array(out),
                columns=columns,
                stride=shape[2],
            )
    for number, column in enumerate(by_numbers):
        out[:, :, p + number] = column
    return values, out


def _through_residual(
    residual: Callable[..., Tensor], jet: Jet, numbers: Sequence[Tensor]
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """The residual [n, c], its derivatives by the jet, [c, s, n, outputs], and by each number, [n, c]."""
    data, n = jet.data.requires_grad_(), jet.data.shape[1]
    with torch.enable_grad():
        each = [number.detach().reshape(()).repeat(n).requires_grad_() for number in numbers]
        values = residual(Jet(data, jet.spec), *each)
        if not isinstance(values, Tensor) or values.dim() != 2 or len(values) != n or not values.requires_grad:
            raise ValueError(f"residual: expected [{n}, c] with a graph to the jet, got {describe(values)}")
        rows = [
            torch.autograd.grad(column.sum(), [data, *each], retain_graph=True, materialize_grads=True)
            for column in values.unbind(1)
        ]
    if not rows:
        raise ValueError(f"residual: expected at least one column, got {describe(values)}")
    by_jet, *by_numbers = (torch.stack(found) for found in zip(*rows, strict=True))
    return values.detach(), by_jet, [found.T for found in by_numbers]
