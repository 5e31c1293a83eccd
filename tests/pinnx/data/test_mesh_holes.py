"""Outlines of holes in scattered nodes: nodes of the wall, in order, and nothing where there is no hole."""

from __future__ import annotations

import numpy as np
import pytest

from pinnx.data.mesh_holes import hole_edges
from pinnx.errors import PinnxError
from pinnx.physics.shapes import body_of

BOUNDS = {"x": (-2.0, 2.0), "y": (-2.0, 2.0)}


def around_an_ellipse(corners: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes of a mesh with flat cells at its wall, and those of the wall."""
    angle = 2 * np.pi * np.arange(corners) / corners
    wall = np.stack([0.6 * np.cos(angle) + 0.2, 0.3 * np.sin(angle)], axis=1)
    layers = 1.25 ** np.arange(20)
    away = 0.01 * (layers - 1.0) / 0.25
    unit = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return (wall + away[:, None, None] * unit).reshape(-1, 2), wall


@pytest.mark.parametrize("inside", [(0.2, 0.0), (0.61, 0.13), (-0.3, 0.02)])
def test_the_outline_joins_nodes_of_the_wall(inside: tuple[float, float]) -> None:
    nodes, wall = around_an_ellipse(60)
    body = body_of("nodes", (nodes, inside), "wing", BOUNDS)
    (line,) = body.lines
    corners, known = ({tuple(corner) for corner in found.tolist()} for found in (line, wall))
    assert corners <= known
    assert len(corners) >= 0.9 * len(known), "it may cut a corner, by one node"
    assert body.area == pytest.approx(np.pi * 0.6 * 0.3, rel=0.01)
    assert not body.contains(nodes, BOUNDS).any()


def test_of_two_holes_the_one_around_the_place(rng: np.random.Generator) -> None:
    nodes = rng.uniform(-2.0, 2.0, (6000, 2))
    holes = {(-1.0, 0.0): 0.5, (1.0, 0.5): 0.3}
    for center, radius in holes.items():
        nodes = nodes[np.hypot(*(nodes - center).T) > radius]
        angle = 2 * np.pi * np.arange(50) / 50
        nodes = np.concatenate([nodes, center + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)])
    for center, radius in holes.items():
        edges = hole_edges(nodes, center)
        away = np.hypot(*(edges.reshape(-1, 2) - center).T)
        assert 0.95 * radius < away.min() <= away.max() < 1.3 * radius
    step = nodes[(nodes[:, 0] > 0.0) | (nodes[:, 1] < 1.0)]
    body = body_of("nodes", (step, (-1.0, 1.5)), "step", BOUNDS)
    assert body.area == pytest.approx(2.0, rel=0.1), "a hole that reaches the edge has the domain's corner"
    with pytest.raises(PinnxError, match=r"expected a place in a hole .*, got \(0, -1\)"):
        hole_edges(nodes, (0.0, -1.0))
    with pytest.raises(PinnxError, match=r"got \(5, 5\)"):
        hole_edges(nodes, (5.0, 5.0))
