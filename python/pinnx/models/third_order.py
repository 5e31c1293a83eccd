"""Derivatives up to the slopes of the Laplacian, taken through a network of plain torch operations.

The streams of a function of inputs (x, y) or (t, x, y) stand in one array [s, n, c]: its value; the first derivatives
by each input; the second ones of which at least one is by x or y; the derivatives by x and y of the Laplacian
L = d_xx + d_yy. With f', f'', f''' of an activation at a value, and j over x and y,

    f(a)_i   = f' a_i
    f(a)_ij  = f'' a_i a_j + f' a_ij
    L f(a)_i = f''' a_i |grad a|^2 + f'' (a_i L a + 2 sum_j a_j a_ij) + f' L a_i

A linear map takes all streams alike, and its bias enters the value. Source: Faa di Bruno's formula.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import torch
from torch import Tensor

__all__ = ["Streams", "activated", "linear", "of_function", "product"]


@dataclass(frozen=True)
class Streams:
    """Where each derivative stands.

    Args:
        d: number of inputs, 2 or 3; x and y are the last two.
        order: 1, 2 or 3, of the highest derivatives.
    """

    d: int
    order: int

    @property
    def plane(self) -> tuple[int, int]:
        """Columns of x and y."""
        return self.d - 2, self.d - 1

    @property
    def count(self) -> int:
        """s."""
        return 1 + self.d + (len(self.pairs) if self.order > 1 else 0) + (2 if self.order > 2 else 0)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The inputs of each second derivative."""
        return [(i, j) for i, j in combinations_with_replacement(range(self.d), 2) if j >= self.d - 2]

    def first(self, i: int) -> int:
        return 1 + i

    def second(self, i: int, j: int) -> int:
        return 1 + self.d + self.pairs.index((min(i, j), max(i, j)))

    def slope_of_laplacian(self, i: int) -> int:
        return 1 + self.d + len(self.pairs) + i - (self.d - 2)

    def laplacian(self, a: Tensor) -> Tensor:
        """L a, [n, c], of streams [s, n, c]."""
        x, y = self.plane
        return a[self.second(x, x)] + a[self.second(y, y)]


def linear(a: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``a W^T + b``, [s, n, out]."""
    z = a @ weight.T
    return torch.cat([z[:1] + bias, z[1:]])


def activated(f: Callable[[Tensor], Tensor], a: Tensor, streams: Streams) -> Tensor:
    """The streams of f(a), elementwise; f is any function with three derivatives."""
    with torch.enable_grad():
        value = a[0] if a.requires_grad else a[0].detach().requires_grad_(True)
        powers = [f(value)]
        for _ in range(streams.order):
            powers.append(torch.autograd.grad(powers[-1].sum(), value, create_graph=True)[0])
    if not (a.requires_grad and torch.is_grad_enabled()):
        powers = [power.detach() for power in powers]
    f0, f1, *higher = powers
    d, (x, y) = streams.d, streams.plane
    slopes = a[1 : 1 + d]
    parts = [f0[None], f1 * slopes]
    if streams.order > 1:
        i, j = (list(column) for column in zip(*streams.pairs, strict=True))
        seconds = a[1 + d : 1 + d + len(i)]
        parts.append(higher[0] * slopes[i] * slopes[j] + f1 * seconds)
    if streams.order > 2:
        square, bent = slopes[x].square() + slopes[y].square(), streams.laplacian(a)
        for k in (x, y):
            turned = sum(slopes[m] * a[streams.second(k, m)] for m in (x, y))
            third = higher[1] * slopes[k] * square + higher[0] * (slopes[k] * bent + 2 * turned)
            parts.append((third + f1 * a[streams.slope_of_laplacian(k)])[None])
    return torch.cat(parts)


def product(a: Tensor, b: Tensor, streams: Streams) -> Tensor:
    """The streams of a b, of [s, n, c] or [s, n, 1] each."""
    d, (x, y) = streams.d, streams.plane
    parts = [(a[0] * b[0])[None], a[1 : 1 + d] * b[0] + a[0] * b[1 : 1 + d]]
    if streams.order > 1:
        i, j = ([1 + k for k in column] for column in zip(*streams.pairs, strict=True))
        seconds = slice(1 + d, 1 + d + len(i))
        parts.append(a[seconds] * b[0] + a[i] * b[j] + a[j] * b[i] + a[0] * b[seconds])
    if streams.order > 2:
        bent_a, bent_b = streams.laplacian(a), streams.laplacian(b)
        for k in (x, y):
            at = streams.slope_of_laplacian(k)
            mixed = sum(a[streams.second(k, m)] * b[1 + m] + a[1 + m] * b[streams.second(k, m)] for m in (x, y))
            third = a[at] * b[0] + bent_a * b[1 + k] + a[1 + k] * bent_b + a[0] * b[at] + 2 * mixed
            parts.append(third[None])
    return torch.cat(parts)


def of_function(function: Callable[[Tensor], Tensor], x: Tensor, streams: Streams) -> Tensor:
    """The streams of a function [n, d] -> [n] of fixed numbers, [s, n, 1], by autograd; without a graph."""
    with torch.enable_grad():
        at = x.detach().requires_grad_(True)

        def slopes(values: Tensor) -> Sequence[Tensor]:
            return torch.autograd.grad(values.sum(), at, create_graph=True)[0].unbind(1)

        value = function(at)
        found = [value, *(first := slopes(value))]
        if streams.order > 1:
            seconds = {k: slopes(first[k]) for k in streams.plane}
            found += [seconds[j][i] for i, j in streams.pairs]
        if streams.order > 2:
            bent = sum(seconds[k][k] for k in streams.plane)
            found += [slopes(bent)[k] for k in streams.plane]
    return torch.stack([stream.detach() for stream in found])[..., None]
