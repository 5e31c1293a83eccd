"""Volumes of a breakage problem: few nodes where a network is evaluated, and a fine grid for the integrals.

    x = ln v,   nodes: x_i = mean - cos(pi i / (n - 1)) extent / 2,   fine grid: each gap in equal pieces

The network's part of log f is smooth in x: a polynomial through the nearest nodes has it on the fine grid. Only the
fine grid decides the error of the integrals, and it costs no evaluation of the network.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pinnx.errors import PinnxError

__all__ = ["VolumeGrid"]

Array = NDArray[np.float64]

# Nodes of one polynomial. A polynomial through all of them would carry the steep flank next to a delta everywhere.
STENCIL = 6


class VolumeGrid:
    """Nodes and fine grid between two volumes.

    Args:
        low: the smallest, > 0.
        high: the largest.
        num_nodes: n.
        pieces: of each gap, even: Simpson's rule takes two.

    Attributes:
        nodes: [n] volumes, rising.
        fine: [m] volumes; each ``pieces``-th is a node.
        interpolation: [n, m], values at the nodes -> on the fine grid.
        weights: [m], of an integral over v.

    Raises:
        PinnxError: volumes that do not rise from above 0, too few nodes, an odd number of pieces.
    """

    def __init__(self, low: float, high: float, *, num_nodes: int = 48, pieces: int = 16) -> None:
        if not 0 < low < high < np.inf:
            raise PinnxError(f"sizes: expected 0 < low < high, got {low:g} and {high:g}")
        if num_nodes < STENCIL or pieces < 2 or pieces % 2:
            raise PinnxError(
                f"volumes: expected {STENCIL} nodes or more and an even number of pieces, got {num_nodes} and {pieces}"
            )
        ends = np.log([low, high])
        x = ends.mean() - np.cos(np.pi * np.arange(num_nodes) / (num_nodes - 1)) * np.ptp(ends) / 2
        fine = np.append((x[:-1, None] + np.diff(x)[:, None] * (np.arange(pieces) / pieces)).ravel(), x[-1])
        third = np.diff(fine)[::2] / 3  # both halves of a pair are as wide
        simpson = np.zeros(len(fine))
        simpson[1::2] = 4 * third
        simpson[:-1:2] += third
        simpson[2::2] += third
        self.pieces = pieces
        self.nodes, self.fine = np.exp(x), np.exp(fine)
        self.nodes[[0, -1]] = self.fine[[0, -1]] = low, high
        self.interpolation = _interpolation(x, fine)
        self.weights = simpson * self.fine


def _interpolation(nodes: Array, places: Array) -> Array:
    """Polynomials through the nearest nodes, [nodes, places]."""
    first = np.clip(np.searchsorted(nodes, places) - STENCIL // 2, 0, len(nodes) - STENCIL)
    numbers = first[:, None] + np.arange(STENCIL)
    near = nodes[numbers]  # [places, STENCIL]
    found = np.zeros((len(nodes), len(places)))
    for k in range(STENCIL):
        others = np.delete(near, k, axis=1)
        lagrange = np.prod((places[:, None] - others) / (near[:, k, None] - others), axis=1)
        found[numbers[:, k], np.arange(len(places))] = lagrange
    return found
