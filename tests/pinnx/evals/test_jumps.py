"""Corners where two sides disagree are found from numbers, and none where they agree."""

from __future__ import annotations

import numpy as np
import pytest

from pinnx.evals import Kovasznay
from pinnx.evals.jumps import corner_jumps


def grid(n: int, dim: int) -> np.ndarray:
    axis = np.linspace(0.0, 1.0, n)
    return np.stack(np.meshgrid(*(axis,) * dim, indexing="ij"), axis=-1).reshape(-1, dim)


def lid(points: np.ndarray) -> np.ndarray:
    """u = 1 where the last coordinate is 1, at rest elsewhere: a cavity, and the lid has its corners."""
    velocity = np.zeros((1, *points.shape))
    velocity[0, points[:, -1] == 1.0, 0] = 1.0
    return velocity


@pytest.mark.parametrize("keep", [1.0, 0.7])
def test_the_corners_of_a_lid(keep: float) -> None:
    points = grid(33, 2)
    inner = ((points > 0) & (points < 1)).all(axis=1)
    points = points[~inner | (np.random.default_rng(0).uniform(size=len(points)) < keep)]
    found = corner_jumps(points, lid(points))
    assert [(corner.axes, corner.position) for corner in found] == [(("x", "y"), (0.0, 1.0)), (("x", "y"), (1.0, 1.0))]
    assert [corner.jump for corner in found] == pytest.approx([1.0, 1.0])
    assert corner_jumps(points, 0 * lid(points)) == ()


def test_the_edges_of_a_lid_in_space() -> None:
    points = grid(9, 3)
    found = corner_jumps(points, lid(points))
    wanted = {(("x", "z"), (x, 1.0)) for x in (0.0, 1.0)} | {(("y", "z"), (y, 1.0)) for y in (0.0, 1.0)}
    assert {(corner.axes, corner.position) for corner in found} == wanted


def test_smooth_flows_and_parts_of_a_box_have_none() -> None:
    points = grid(13, 2)
    assert corner_jumps(points, Kovasznay(nu=1 / 40).velocity(0.0, *points.T)[None]) == ()
    channel = np.stack([4 * points[:, 1] * (1 - points[:, 1]), 0 * points[:, 0]], axis=1)[None]
    assert corner_jumps(points, channel) == ()
    step = points[(points[:, 0] > 0.5) | (points[:, 1] < 0.5)]  # no flow at the corner (0, 1)
    assert corner_jumps(step, np.stack([step[:, 1] < 0.5, 0 * step[:, 0]], axis=1)[None].astype(float)) == ()
