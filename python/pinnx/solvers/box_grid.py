"""Lines of a grid that is finer at its ends, differences along them, and the order in which unknowns are eliminated.

All grids of a sequence are one smooth map of equidistant points, so errors fall as a power of the cells' number:

    line(s) = (1 + tanh(b (2 s - 1)) / tanh(b)) / 2,   s = 0, 1/n, ..., 1

and from a body out to a side that is far away line(s) = (exp(b s) - 1) / (exp(b) - 1).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import brentq

__all__ = ["clustered_line", "differences", "dissection_order", "first_derivative", "growing_line", "means", "middles"]

Array = NDArray[np.float64]

# b: cells at the ends are 0.27 times the mean, as thin as boundary layers at Reynolds numbers of some thousands need.
CLUSTERING = 1.6
# Blocks of unknowns that are no longer cut.
SMALLEST_BLOCK = 6


def clustered_line(high: float, num_cells: int) -> Array:
    """Nodes from 0 to ``high``, finer at both ends, [num_cells + 1]."""
    return high / 2 * (1 + np.tanh(np.linspace(-CLUSTERING, CLUSTERING, num_cells + 1)) / np.tanh(CLUSTERING))


def growing_line(high: float, num_cells: int, first: float) -> Array:
    """Nodes from 0 to ``high``, [num_cells + 1], whose cells grow by one factor from about ``first`` on."""
    mean = high / num_cells
    b = brentq(lambda b: mean * b - first * np.expm1(b), 1e-3, 50.0) if first < 0.99 * mean else 1e-3
    return high * np.expm1(b * np.linspace(0.0, 1.0, num_cells + 1)) / np.expm1(b)


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
