"""The outline of a hole in scattered nodes, such as those of a mesh around a body.

Delaunay triangles inside a hole join nodes of its wall that are far apart, by edges that are long beside the others at
their ends. The hole of a place are the triangles that are reached from its own across long edges, and those between
three nodes of its wall; its outline are their other edges. An alpha shape (Edelsbrunner, Kirkpatrick and Seidel, IEEE
Trans. Inf. Theory 29, 1983) has one length for the whole plane in place of that of the nodes around.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Delaunay, QhullError

from pinnx.errors import PinnxError

__all__ = ["hole_edges"]

# An edge is long beyond LONG times the third shortest at one of its ends. Of a node at a wall the shortest leads away
# from it, and may be a hundredth of the next two, which lead along it.
LONG, THIRD = 2.5, 2


def hole_edges(nodes: NDArray[np.float64], inside: tuple[float, float]) -> NDArray[np.float64]:
    """Edges around the hole that a place is in, [m, 2, 2]: start and end of each, against the clock.

    Args:
        nodes: [n, 2], scattered.
        inside: x and y of any place in the hole.

    Raises:
        PinnxError: the nodes have no hole there, or are on a line.
    """
    nodes = np.unique(nodes, axis=0)
    try:
        found = Delaunay(nodes)
    except (QhullError, ValueError):
        raise PinnxError(f"expected nodes in a plane, got {len(nodes)} on a line") from None
    edges, beside = found.simplices[:, [[1, 2], [2, 0], [0, 1]]], found.neighbors  # neighbour k is beyond edge k
    lengths = np.linalg.norm(nodes[edges[..., 1]] - nodes[edges[..., 0]], axis=2)
    order = np.lexsort((lengths.reshape(-1), edges[..., 0].reshape(-1)))
    _, first, count = np.unique(edges[..., 0].reshape(-1)[order], return_index=True, return_counts=True)
    usual = lengths.reshape(-1)[order][first + np.minimum(THIRD, count - 1)]
    long = lengths > LONG * usual[edges].min(axis=2)
    here = int(found.find_simplex(np.array(inside)))
    if here < 0 or not long[here].any():
        raise PinnxError(
            f"expected a place in a hole between the nodes of the data, got ({inside[0]:g}, {inside[1]:g})"
        )
    triangle, edge = np.nonzero(long & (beside >= 0))
    across = coo_array((np.ones(len(triangle)), (triangle, beside[triangle, edge])), shape=2 * (len(edges),))
    part = connected_components(across, directed=False)[1]
    hole = part == part[here]
    at_wall = np.zeros(len(nodes), dtype=bool)
    at_wall[found.simplices[hole]] = True
    hole = at_wall[found.simplices].all(axis=1)
    return np.asarray(nodes[edges[hole[:, None] & ~((beside >= 0) & hole[beside])]])
