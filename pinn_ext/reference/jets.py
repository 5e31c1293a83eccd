"""The oracle: every function of ``pinn_ext`` in plain torch, derivatives by nested autograd.

A jet of ``f`` at ``n`` points is ``[f, df/dx_i, ..., sum_i w_i d^2f/dx_i^2]``, an array
``[streams, n, c]`` (layout in :mod:`pinn_ext.jet`). Here each derivative is one more call of
``torch.autograd.grad`` on the graph of the last, and no closed form of a derivative is written down
anywhere, so that an error in a kernel's formula cannot be repeated. It is slow, needs no compiled
code, runs in any floating dtype on any device, and can be differentiated to any order.

The Fourier features are those of Tancik et al. 2020, "Fourier features let networks learn high
frequency functions in low dimensional domains", eq. 4; the equations of motion stand in
``docs/conventions.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.func import jacrev, vmap
from torch.nn import functional

from pinn_ext.jet import Jet, JetSpec

__all__ = [
    "ACTIVATIONS",
    "activation_jet",
    "fourier_features",
    "fourier_jet",
    "jet_of",
    "linear_jet",
    "mlp",
    "mlp_jet",
    "navier_stokes_residual",
    "residual_jacobian",
]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sine": torch.sin,
    "silu": functional.silu,
    "gelu": functional.gelu,
}
"""Activations by name; ``gelu`` is the exact one, ``z (1 + erf(z / sqrt 2)) / 2``."""


def _derivative(y: Tensor, x: Tensor) -> Tensor:
    """``d(sum y)/dx``, shape of ``x``, with a graph; zero where ``y`` does not depend on ``x``."""
    if not y.requires_grad:
        return torch.zeros_like(x)
    (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True, allow_unused=True, materialize_grads=True)
    return gradient


def jet_of(function: Callable[[Tensor], Tensor], x: Tensor, spec: JetSpec) -> Jet:
    """The jet of any function that acts point by point, by nested autograd.

    Row ``i`` of the result may depend on row ``i`` of ``x`` alone. Then the sum of a column over
    all points has, as its gradient, that column's derivatives at every point at once.

    Args:
        function: ``[n, d] -> [n, c]``, built of differentiable torch operations.
        x: ``[n, d]`` points.
        spec: the derivatives wanted; coordinates are columns of ``x``.

    Returns:
        The jet, ``[spec.num_streams, n, c]``. It always carries a graph.

    Raises:
        ValueError: ``x`` or the function's result is not a matrix of ``n`` rows, or ``spec`` names
            a coordinate that ``x`` does not have.

    Differentiable to any order in ``x`` and in whatever ``function`` closes over.
    """
    if x.dim() != 2:
        raise ValueError(f"x: expected shape [n, d], got {list(x.shape)}")
    if any(axis >= x.shape[1] for axis in spec.first):
        raise ValueError(f"spec: expected coordinates below {x.shape[1]}, got first={spec.first}")
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_(True)
        value = function(x)
        if value.dim() != 2 or value.shape[0] != x.shape[0]:
            raise ValueError(f"function: expected a result of shape [{x.shape[0]}, c], got {list(value.shape)}")
        columns = [_column_streams(column, x, spec) for column in value.unbind(1)]
        if not columns:
            return Jet(value.new_zeros(spec.num_streams, x.shape[0], 0), spec)
        return Jet(torch.stack(columns, dim=2), spec)


def _column_streams(f: Tensor, x: Tensor, spec: JetSpec) -> Tensor:
    """All streams of one feature ``f`` [n], stacked to [s, n]."""
    gradient = _derivative(f, x)
    streams = [f] + [gradient[:, axis] for axis in spec.first]
    if spec.has_laplacian:
        laplacian = torch.zeros_like(f)
        for axis, weight in zip(spec.first, spec.laplacian_weights, strict=True):
            if axis in spec.laplacian:
                laplacian = laplacian + weight * _derivative(gradient[:, axis], x)[:, axis]
        streams.append(laplacian)
    return torch.stack(streams)


def fourier_features(x: Tensor, B: Tensor) -> Tensor:
    """``[cos(2 pi x B), sin(2 pi x B)]``, as `pinn_ext.fourier_features`. Source: Tancik et al. 2020, eq. 4."""
    phase = 2.0 * math.pi * (x @ B)
    return torch.cat([torch.cos(phase), torch.sin(phase)], dim=1)


def fourier_jet(x: Tensor, B: Tensor, spec: JetSpec) -> Jet:
    """The jet of :func:`fourier_features`, as `pinn_ext.fourier_jet`."""
    return jet_of(lambda points: fourier_features(points, B), x, spec)


def linear_jet(jet: Jet, weight: Tensor, bias: Tensor | None = None) -> Jet:
    """Every stream goes through ``W``, ``b`` enters the value alone, as in `pinn_ext.linear_jet`."""
    value, *derivatives = (stream @ weight.T for stream in jet.data)
    if bias is not None:
        value = value + bias
    return Jet(torch.stack([value, *derivatives]), jet.spec)


def activation_jet(jet: Jet, activation: str) -> Jet:
    """The jet of ``f(z)`` for an elementwise ``f``, given the jet of ``z``.

    Along coordinate ``i`` the inner function runs, to the order that matters, on the curve
    ``z + s z_i + s^2/2 z_ii``; ``d/ds`` and ``d^2/ds^2`` of ``f`` on that curve at ``s = 0`` are
    the streams wanted. Only the weighted sum ``L = sum_i w_i z_ii`` is known, and each ``z_ii``
    enters linearly, so ``f`` is followed along the straight part ``z + s z_i`` axis by axis and
    along ``z + s L`` once: ``lap f(z) = sum_i w_i d^2/ds^2 f(z + s z_i) + d/ds f(z + s L)``.

    Arguments as for `pinn_ext.activation_jet`.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation: expected one of {sorted(ACTIVATIONS)}, got {activation!r}")
    f = ACTIVATIONS[activation]
    spec = jet.spec
    z = jet.value
    with torch.enable_grad():
        # One s per entry: the derivative of the sum is then every entry's own derivative.
        s = torch.zeros_like(z).requires_grad_(True)
        streams = [f(z)]
        slopes = [_derivative(f(z + s * z_i), s) for z_i in jet.first]
        streams += slopes
        if jet.laplacian is not None:
            laplacian = _derivative(f(z + s * jet.laplacian), s)
            for slope, weight in zip(slopes, spec.laplacian_weights, strict=True):
                laplacian = laplacian + weight * _derivative(slope, s)
            streams.append(laplacian)
        return Jet(torch.stack(streams), spec)


def mlp(x: Tensor, B: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], activation: str) -> Tensor:
    """A network on Fourier features, ``W_L f(... f(W_1 features + b_1) ...) + b_L``, [n, c].

    Raises:
        ValueError: unknown activation, no layer at all, or a layer without its bias.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation: expected one of {sorted(ACTIVATIONS)}, got {activation!r}")
    if len(weights) != len(biases) or not weights:
        raise ValueError(
            f"weights, biases: expected as many of one as of the other, at least 1, "
            f"got {len(weights)} and {len(biases)}"
        )
    z = fourier_features(x, B)
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        z = ACTIVATIONS[activation](z @ weight.T + bias)
    return z @ weights[-1].T + biases[-1]


def mlp_jet(
    x: Tensor,
    B: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    spec: JetSpec,
    activation: str,
) -> Jet:
    """The jet of :func:`mlp`, as `pinn_ext.mlp_jet`."""
    return jet_of(lambda points: mlp(points, B, weights, biases, activation), x, spec)


def navier_stokes_residual(
    jet: Jet,
    nu: float | Tensor,
    *,
    forcing: Tensor | None = None,
    steady: bool | None = None,
) -> Tensor:
    """The residual of the incompressible Navier-Stokes equations, as `pinn_ext.navier_stokes_residual`.

    ``momentum_x = u_t + u u_x + v u_y + w u_z + p_x - nu (u_xx + u_yy + u_zz) - f_x`` and likewise
    ``y`` and ``z``; ``continuity = u_x + v_y + w_z``. In two dimensions every term with ``w`` or
    ``z`` is absent, in steady flow the first term is.

    Raises:
        ValueError: columns or streams other than these.
    """
    spec = jet.spec
    space = spec.laplacian
    if len(space) not in (2, 3) or any(w != 1.0 for w in spec.weights or ()):
        raise ValueError(f"spec: expected a Laplacian of 2 or 3 axes with unit weights, got {spec}")
    if spec.first[-len(space) :] != space or len(spec.first) > len(space) + 1:
        raise ValueError(f"spec: expected first = ([t,] *laplacian), got {spec}")
    if jet.data.shape[2] != len(space) + 1:
        raise ValueError(f"jet: expected {len(space) + 1} columns, got {jet.data.shape[2]}")
    has_time = len(spec.first) == len(space) + 1
    if steady is False and not has_time:
        raise ValueError(f"steady=False: expected a time stream, got {spec}")
    if steady is None:
        steady = not has_time
    assert jet.laplacian is not None
    *velocity, _ = jet.value.unbind(1)
    *laplacian, _ = jet.laplacian.unbind(1)
    slopes = [jet.derivative(axis).unbind(1) for axis in space]  # slopes[j][i] = du_i/dx_j, slopes[j][-1] = dp/dx_j
    continuity = torch.stack([slope[j] for j, slope in enumerate(slopes)]).sum(0)
    momentum = []
    for i in range(len(space)):
        advection = torch.stack([u * slope[i] for u, slope in zip(velocity, slopes, strict=True)]).sum(0)
        momentum.append(advection + slopes[i][-1] - nu * laplacian[i])
    if not steady:
        u_t = jet.derivative(spec.first[0]).unbind(1)[:-1]  # of the velocities, not of the pressure
        momentum = [m + rate for m, rate in zip(momentum, u_t, strict=True)]
    if forcing is not None:
        momentum = [m - f for m, f in zip(momentum, forcing.unbind(-1), strict=True)]
    return torch.stack([*momentum, continuity], dim=1)


def residual_jacobian(
    residual: Callable[..., Tensor],
    x: Tensor,
    B: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    *,
    spec: JetSpec,
    activation: str,
    numbers: Sequence[Tensor] = (),
) -> tuple[Tensor, Tensor]:
    """As `pinn_ext.residual_jacobian`: one point in plain torch, ``vmap(jacrev)`` over all, derivatives by x too."""
    num_layers = len(weights)

    def of_point(parameters: list[Tensor], point: Tensor) -> Tensor:
        layers, own = parameters[: 2 * num_layers], parameters[2 * num_layers :]

        def fields(at: Tensor) -> Tensor:
            return mlp(at[None], B, layers[::2], layers[1::2], activation)[0]

        slopes = jacrev(fields)(point)  # [c, d]
        streams = [fields(point), *(slopes[:, axis] for axis in spec.first)]
        if spec.has_laplacian:
            curvatures = jacrev(jacrev(fields))(point)  # [c, d, d]
            weighted = zip(spec.first, spec.laplacian_weights, strict=True)
            streams.append(sum(w * curvatures[:, a, a] for a, w in weighted if a in spec.laplacian))
        return residual(Jet(torch.stack(streams)[:, None], spec), *[number.reshape(1) for number in own])[0]

    parameters = [tensor for pair in zip(weights, biases, strict=True) for tensor in pair] + list(numbers)
    values = vmap(of_point, in_dims=(None, 0))(parameters, x)
    gradients = vmap(jacrev(of_point), in_dims=(None, 0))(parameters, x)
    return values, torch.cat([g.reshape(*values.shape, -1) for g in gradients], dim=2)
