"""Lines of a grid that is finer at its ends, differences along them, and the order in which unknowns are eliminated.

All grids of a sequence are one smooth map of equidistant points, so errors fall as a power of the cells' number:

    line(s) = (1 + tanh(b (2 s - 1)) / tanh(b)) / 2,   s = 0, 1/n, ..., 1

and from a body out to a side that is far away line(s) = (exp(b s) - 1) / (exp(b) - 1).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline
from scipy.optimize import brentq

__all__ = ["SEQUENCE", "differences", "dissection_order", "first_derivative", "means", "middles"]
__all__ += ["interpolated", "line_between", "line_from_bodies"]

Array = NDArray[np.float64]

# Cells of the grids of a sequence along a side of mean length, in ninths of the finest.
SEQUENCE = (4, 6, 9)
# b: cells at the ends are 0.27 times the mean, as thin as boundary layers at Reynolds numbers of some thousands need.
CLUSTERING = 1.6
# Cells that grow towards sides far away do so by this share, over a sixth of the cells of a side.
OUTWARDS = 0.7
TINY = 1e-9  # of lengths that are one
# Blocks of unknowns that are no longer cut.
SMALLEST_BLOCK = 6


def line_between(side: float, ends: Array, unit: int, ninths: int) -> Array:
    """Nodes from 0 to ``side``, finer there and at the ends of blocks, which are nodes; ``unit ninths`` cells or so."""
    cuts = [0.0, *np.unique(ends[(ends > TINY) & (ends < side - TINY)]), side]
    pieces = [
        low + _clustered(high - low, ninths * max(1, round(unit * (high - low) / side)))[1:]
        for low, high in itertools.pairwise(cuts)
    ]
    return np.concatenate([[0.0], *pieces])


def line_from_bodies(side: float, ends: Array, unit: int, ninths: int) -> Array:
    """Nodes from 0 to ``side``, far from bodies: fine on and between these, growing from there to both ends."""
    low, *cuts, high = np.unique(np.clip([0.0, *ends, side], 0.0, side))
    between = [a + _clustered(b - a, ninths * max(2, unit // 3))[1:] for a, b in itertools.pairwise(cuts)]
    first, growth = min(float(line[-1] - line[-2]) for line in between), OUTWARDS / unit * SEQUENCE[-1] / ninths

    def outwards(length: float) -> Array:
        cells = ninths * max(1, round(math.log1p(growth * length / first) / growth / ninths))
        mean = length / cells
        b = brentq(lambda b: mean * b - first * np.expm1(b), 1e-3, 50.0) if first < 0.99 * mean else 1e-3
        return length * np.expm1(b * np.linspace(0.0, 1.0, cells + 1)) / np.expm1(b)

    before, behind = outwards(cuts[0] - low), outwards(high - cuts[-1])
    return np.concatenate([cuts[0] - before[::-1], *between, cuts[-1] + behind[1:]])


def _clustered(high: float, num_cells: int) -> Array:
    return high / 2 * (1 + np.tanh(np.linspace(-CLUSTERING, CLUSTERING, num_cells + 1)) / np.tanh(CLUSTERING))


def interpolated(x: Array, y: Array, fields: Iterable[Array], points: Array, degree: int) -> Array:
    """Fields at the nodes of lines, [n_x, n_y] each, at points [n, 2] by splines, [n, c]."""
    splines = [RectBivariateSpline(x, y, field, kx=degree, ky=degree) for field in fields]
    return np.column_stack([spline.ev(*points.T) for spline in splines])


def middles(line: Array) -> Array:
    """Middles of the cells between n + 1 nodes, [n]."""
    return (line[1:] + line[:-1]) / 2


def means(num_nodes: int) -> sp.csr_array:
    """Means of neighbours, [n, n + 1]."""
    return _neighbours(np.full(num_nodes - 1, 0.5), np.full(num_nodes - 1, 0.5))


def differences(line: Array) -> sp.csr_array:
    """Slopes between neighbours, [n, n + 1]."""
    return _neighbours(-1 / np.diff(line), 1 / np.diff(line))


def first_derivative(line: Array) -> sp.csr_array:
    """The derivative at inner nodes, exact for quadratics, [n - 1, n + 1]."""
    before, behind = np.diff(line)[:-1], np.diff(line)[1:]
    return _neighbours(behind / (before + behind), before / (before + behind)) @ differences(line)


def _neighbours(left: Array, right: Array) -> sp.csr_array:
    return sp.csr_array(sp.diags_array([left, right], offsets=[0, 1], shape=(len(left), len(left) + 1)))


def dissection_order(nodes: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Nested dissection of a grid: both halves of a block, then the line between them (George, 1973)."""
    nodes = nodes.T if nodes.shape[0] < nodes.shape[1] else nodes
    if len(nodes) <= SMALLEST_BLOCK:
        return [nodes.ravel()]
    cut = len(nodes) // 2
    return [*dissection_order(nodes[:cut]), *dissection_order(nodes[cut + 1 :]), nodes[cut]]
