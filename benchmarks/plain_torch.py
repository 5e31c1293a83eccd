"""The counterparts of the kernels: jets by their closed formulas in plain torch operations, and nested autograd.

What a careful user writes without this package. A jet is a tuple ``(value [n, c], first [J, n, c], laplacian [n, c])``:
three tensors instead of one array spare plain torch the copies of slicing and joining, in either direction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from pinn_ext import JetSpec

__all__ = [
    "TupleJet",
    "activation_jet",
    "fourier_features",
    "fourier_jet",
    "linear_jet",
    "navier_stokes_residual",
    "nested_residual",
    "network_residual",
]

TupleJet: TypeAlias = tuple[Tensor, Tensor, Tensor]
TURN = 2.0 * math.pi
_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sine": torch.sin,
    "silu": functional.silu,
    "gelu": functional.gelu,
}


def fourier_features(x: Tensor, B: Tensor) -> Tensor:
    """``[cos(2 pi x B), sin(2 pi x B)]``, [n, 2m]."""
    phase = TURN * (x @ B)
    return torch.cat([torch.cos(phase), torch.sin(phase)], 1)


def fourier_jet(x: Tensor, B: Tensor, spec: JetSpec) -> TupleJet:
    """The jet of the features: ``(-s k_j, c k_j)`` and ``(-c kappa, -s kappa)`` with the rates k = 2 pi B."""
    phase = TURN * (x @ B)
    c, s = torch.cos(phase), torch.sin(phase)
    k = TURN * B[list(spec.first)]
    kappa = (k.new_tensor(spec.laplacian_weights)[:, None] * k.square()).sum(0)
    k = k[:, None]
    return torch.cat([c, s], 1), torch.cat([-s * k, c * k], 2), torch.cat([-c * kappa, -s * kappa], 1)


def linear_jet(jet: TupleJet, weight: Tensor, bias: Tensor) -> TupleJet:
    """The matrix on every stream, the bias on the value."""
    value, first, laplacian = jet
    return (
        functional.linear(value, weight, bias),
        functional.linear(first, weight),
        functional.linear(laplacian, weight),
    )


def activation_jet(jet: TupleJet, spec: JetSpec, activation: str) -> TupleJet:
    """``f, f' z_j, f'' sum_j w_j z_j^2 + f' lap z``."""
    z, first, laplacian = jet
    f, f1, f2 = _derivatives(z, activation)
    # A slice where the axes of the Laplacian lie together with unit weights, as they do here, spares a product.
    inner = first[spec.first.index(spec.laplacian[0]) :]
    return f, f1 * first, f2 * inner.square().sum(0) + f1 * laplacian


def _derivatives(z: Tensor, activation: str) -> TupleJet:
    if activation == "tanh":
        f = torch.tanh(z)
        f1 = 1.0 - f * f
        return f, f1, -2.0 * f * f1
    if activation == "sine":
        f = torch.sin(z)
        return f, torch.cos(z), -f
    if activation == "silu":
        s = torch.sigmoid(z)
        s1 = s * (1.0 - s)
        return z * s, s + z * s1, s1 * (2.0 + z * (1.0 - 2.0 * s))
    if activation == "gelu":
        distribution = 0.5 * (1.0 + torch.erf(z * math.sqrt(0.5)))
        density = torch.exp(-0.5 * z * z) * (1.0 / math.sqrt(TURN))
        return z * distribution, distribution + z * density, density * (2.0 - z * z)
    raise ValueError(f"activation: expected tanh, sine, silu or gelu, got {activation!r}")


def navier_stokes_residual(jet: TupleJet, nu: float) -> Tensor:
    """Unsteady momentum and continuity, [n, d + 1], from a jet with the first derivatives (t, x, y[, z])."""
    value, first, laplacian = jet
    rate, *gradients = first
    dim = len(gradients)
    momentum = rate[:, :dim] - nu * laplacian[:, :dim]
    momentum = momentum + torch.stack([g[:, dim] for g in gradients], 1)
    for j, gradient in enumerate(gradients):
        momentum = momentum + value[:, j : j + 1] * gradient[:, :dim]
    continuity = torch.stack([g[:, j] for j, g in enumerate(gradients)]).sum(0)
    return torch.cat([momentum, continuity[:, None]], 1)


def network_residual(
    x: Tensor, B: Tensor, layers: Sequence[Tensor], spec: JetSpec, activation: str, nu: float
) -> Tensor:
    """The residual of a network on Fourier features, by jets. ``layers``: weight, bias, weight, bias, ..."""
    jet = fourier_jet(x, B, spec)
    for weight, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
        jet = activation_jet(linear_jet(jet, weight, bias), spec, activation)
    return navier_stokes_residual(linear_jet(jet, layers[-2], layers[-1]), nu)


def nested_residual(x: Tensor, B: Tensor, layers: Sequence[Tensor], activation: str, nu: float) -> Tensor:
    """The two-dimensional residual of the same network by nested autograd, as most published scripts have it."""
    function = _FUNCTIONS[activation]
    x = x.detach().requires_grad_(True)
    hidden = fourier_features(x, B)
    for weight, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
        hidden = function(functional.linear(hidden, weight, bias))
    u, v, p = functional.linear(hidden, layers[-2], layers[-1]).unbind(1)
    u_t, u_x, u_y = _gradient(u, x)
    v_t, v_x, v_y = _gradient(v, x)
    _, p_x, p_y = _gradient(p, x)
    u_xx, u_yy = _gradient(u_x, x)[1], _gradient(u_y, x)[2]
    v_xx, v_yy = _gradient(v_x, x)[1], _gradient(v_y, x)[2]
    momentum_x = u_t + u * u_x + v * u_y + p_x - nu * (u_xx + u_yy)
    momentum_y = v_t + u * v_x + v * v_y + p_y - nu * (v_xx + v_yy)
    return torch.stack([momentum_x, momentum_y, u_x + v_y], 1)


def _gradient(y: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    return gradient.unbind(1)
