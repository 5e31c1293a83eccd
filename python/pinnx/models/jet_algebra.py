"""Products and quotients of jets: what a model that no fused kernel takes is composed of, in plain torch.

    (a b)_j = a_j b + a b_j,            L(a b) = a L b + b L a + 2 sum_j w_j a_j b_j
    (1/b)_j = -b_j / b^2,               L(1/b) = -L b / b^2 + 2 sum_j w_j b_j^2 / b^3

Streams and their weights w_j are those of docs/conventions.md.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pinn_ext import Jet

__all__ = ["product", "quotient"]


def product(a: Jet, b: Jet) -> Jet:
    """The jet of ``a b``, of equal specs; features [n, 1] go with any number of them. Differentiable."""
    parts = [(a.value * b.value)[None], a.data[1:] * b.value + a.value * b.data[1:]]
    if a.spec.has_laplacian:
        slopes, laplacian = parts[1][:-1], parts[1][-1]
        parts[1:] = [slopes, (laplacian + 2 * _inner(a, b))[None]]
    return Jet(torch.cat(parts), a.spec)


def quotient(a: Jet, b: Jet) -> Jet:
    """The jet of ``a / b``, of equal specs; features [n, 1] go with any number of them. Differentiable."""
    inverse = 1 / b.value
    parts = [inverse[None], -b.data[1:] * inverse**2]
    if b.spec.has_laplacian:
        slopes, laplacian = parts[1][:-1], parts[1][-1]
        parts[1:] = [slopes, (laplacian + 2 * _inner(b, b) * inverse**3)[None]]
    return product(a, Jet(torch.cat(parts), b.spec))


def _inner(a: Jet, b: Jet) -> Tensor:
    """sum_j w_j a_j b_j, [n, c]."""
    return sum(w * a.data[1 + j] * b.data[1 + j] for j, w in enumerate(a.spec.laplacian_weights) if w)
