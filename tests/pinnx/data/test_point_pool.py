"""Pools of points: they land where the residual is large, stay within their cap, and draw by number alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pinnx.data.collocation import BoxPoints
from pinnx.data.point_pool import PointPool, Refinement, drawn_by_residual, largest_residuals, retained
from pinnx.errors import PinnxError


class Square:
    """Uniform points of the unit square, in steps and as candidates."""

    def __init__(self, num: int, seed: int = 0) -> None:
        self.num = num
        self._seed = seed
        self._drawn = BoxPoints([0.0] * 2, [1.0] * 2, num, seed=seed)

    def draw(self, step: int, rows: range) -> np.ndarray:
        return self._drawn.draw(step, rows)

    def candidates(self, step: int, num: int) -> np.ndarray:
        return BoxPoints([0.0] * 2, [1.0] * 2, num, seed=self._seed, stream=9).draw(step, range(num))


def bump(x: np.ndarray) -> np.ndarray:
    """A residual that is large near (0.8, 0.3) alone."""
    return np.exp(-((x[:, 0] - 0.8) ** 2 + (x[:, 1] - 0.3) ** 2) / 0.01)


def in_bump(x: np.ndarray) -> float:
    """The share of points within 0.2 of its middle; 0.126 of uniform ones."""
    return float((np.hypot(x[:, 0] - 0.8, x[:, 1] - 0.3) < 0.2).mean())


def test_the_largest_residuals_are_those_from_the_percentile_on(seed: int) -> None:
    residual = np.random.default_rng(seed).normal(size=1000)
    found = largest_residuals(residual, percentile=95.0)
    np.testing.assert_array_equal(found, np.argsort(-np.abs(residual))[:50])
    np.testing.assert_array_equal(largest_residuals(residual, percentile=95.0, max_new_points=7), found[:7])
    assert len(largest_residuals(residual, percentile=0.0)) == 500, "at most so many by default"


def test_points_without_a_residual_are_never_chosen() -> None:
    residual = np.array([0.0, np.nan, -3.0, np.inf, 1.0, 0.0])
    assert largest_residuals(residual, percentile=0.0).tolist() == [2, 4]
    assert retained(residual).tolist() == [False, False, True, False, True, False]
    assert len(largest_residuals(np.zeros(5))) == 0


@pytest.mark.parametrize("law", [{}, {"exponent": 3.0, "floor": 0.0}, {"exponent": 0.0}])
def test_a_point_is_drawn_as_often_as_its_density_says(law: dict, seed: int) -> None:
    residual = np.array([-3.0, 1.0, 0.5, 2.0, 0.0])
    power = np.abs(residual) ** law.get("exponent", 1.0)
    density = power / power.mean() + law.get("floor", 1.0)
    uniform = np.random.default_rng(seed).uniform(size=(8000, 5))
    drawn = np.concatenate([drawn_by_residual(residual, 1, row, **law) for row in uniform])
    wanted = density / density.sum()
    spread = np.sqrt(wanted * (1 - wanted) / 8000)
    assert (np.abs(np.bincount(drawn, minlength=5) / 8000 - wanted) <= 4 * spread).all()
    huge = drawn_by_residual(1e200 * residual, 1, uniform[0], exponent=200.0, floor=0.0)
    assert huge.tolist() == [0], "no overflow"
    pairs = np.array([drawn_by_residual(residual, 2, row) for row in uniform[:50]])
    assert (pairs[:, 0] < pairs[:, 1]).all(), "no point twice"


def test_rar_adds_where_the_residual_is_large_and_never_beyond_its_cap(seed: int) -> None:
    """Also with a cap that is no multiple of what is added; what is there stays."""
    pool = PointPool(Square(100, seed), Refinement("rar", every=10, max_new_points=60, max_points=200), seed=seed)
    sizes, before = [], pool.points
    for step in range(1, 81):
        pool.refine(step, bump)
        np.testing.assert_array_equal(pool.points[: len(before)], before)
        before = pool.points
        sizes.append(len(pool.points))
    assert sizes[9::10] == [60, 120, 180, 200, 200, 200, 200, 200]
    assert set(sizes) == {0, 60, 120, 180, 200}, "between refinements nothing is added"
    assert in_bump(pool.points) == 1.0
    assert in_bump(Square(100).candidates(0, 2000)) < 0.2, "candidates are everywhere"


@pytest.mark.parametrize("method", ["rar", "rad", "r3"])
def test_the_cap_is_kept(method: str) -> None:
    """Also where half of a step's points are more; rar's pool grows to it in steps of 500."""
    pool = PointPool(Square(20_000), Refinement(method, every=1, percentile=0.0, candidates=9000), seed=0)
    for step in range(1, 20):
        pool.refine(step, lambda x: np.ones(len(x)))
        assert len(pool.points) == (min(500 * step, 8000) if method == "rar" else 8000)
        assert pool.draw(step, range(20_000)).shape == (20_000, 2)


def test_rad_draws_its_pool_by_the_residual(seed: int) -> None:
    pool = PointPool(Square(400, seed), Refinement("rad", every=1, share=1.0, floor=0.0, exponent=0.5), seed=seed)
    pool.refine(1, bump)
    assert len(pool.points) == 400
    first = pool.points
    fresh = Square(400, seed).candidates(1, 2000)
    assert in_bump(first) > 0.4, "bump^(1/2) is in the circle but for exp(-2); without repetition less"
    assert {tuple(point) for point in first} <= {tuple(point) for point in fresh}
    pool.refine(2, bump)
    assert not {tuple(point) for point in pool.points} & {tuple(point) for point in first}, "none stays"
    level = PointPool(Square(400, seed), Refinement("rad", every=1, share=1.0, exponent=0.0), seed=seed)
    level.refine(1, bump)
    assert in_bump(level.points) < 0.25, "exponent 0 does not look at the residual"


def test_r3_keeps_what_is_above_the_mean_and_gathers_there(seed: int) -> None:
    pool = PointPool(Square(400, seed), Refinement("r3", every=1), seed=seed)
    first = pool.points
    assert len(first) == 200
    kept = bump(first) > bump(first).mean()
    pool.refine(1, bump)
    np.testing.assert_array_equal(pool.points[kept], first[kept])
    assert not (pool.points[~kept] == first[~kept]).any()
    for step in range(2, 30):
        pool.refine(step, bump)
    assert len(pool.points) == 200
    assert in_bump(first) < 0.25, "at the start they are uniform"
    assert in_bump(pool.points) > 0.45


def test_the_first_points_of_a_step_are_the_pools(seed: int) -> None:
    source = Square(100, seed)
    pool = PointPool(source, Refinement("rar", every=1, max_new_points=30, percentile=0.0), seed=seed)
    np.testing.assert_array_equal(pool.draw(0, range(100)), source.draw(0, range(100)))
    pool.refine(1, bump)
    drawn = pool.draw(1, range(100))
    np.testing.assert_array_equal(drawn[:30], pool.points)
    np.testing.assert_array_equal(drawn[30:], source.draw(1, range(30, 100)))
    for step in range(2, 9):
        pool.refine(step, bump)
    assert len(pool.points) == 240
    counts = np.zeros(240)
    for step in range(9, 109):
        drawn = pool.draw(step, range(100))
        np.testing.assert_array_equal(drawn[50:], source.draw(step, range(50, 100)))
        places = [np.flatnonzero((pool.points == point).all(axis=1)) for point in drawn[:50]]
        numbers = np.concatenate(places)
        assert len(np.unique(numbers)) == 50, "none twice in a step"
        counts[numbers] += 1
    assert abs(counts.mean() - 100 * 50 / 240) < 1e-9
    assert counts.min() > 5, "all come up"


@pytest.mark.parametrize("method", ["rar", "rad", "r3"])
def test_ranks_and_resumed_runs_draw_the_same_points(method: str) -> None:
    def make() -> PointPool:
        return PointPool(Square(90), Refinement(method, every=3, share=0.4, candidates=200), seed=5)

    whole, other = make(), make()
    for step in range(1, 20):
        whole.refine(step, bump)
        other.refine(step, bump)
        if step == 10:  # between two refinements
            resumed = make()
            resumed.load_state_dict(other.state_dict())
            other = resumed
    parts = [other.draw(20, rows) for rows in (range(20), range(20, 60), range(60, 90))]
    np.testing.assert_array_equal(np.concatenate(parts), whole.draw(20, range(90)))
    with pytest.raises(ValueError, match=r"pool: expected points \[P, 2\], got \[4, 3\]"):
        other.load_state_dict({"points": torch.zeros((4, 3)), "refined": 0})


def test_too_few_candidates_to_choose_among_are_refused() -> None:
    message = "refine.candidates: expected more than 50, the points of a step that come from the pool, got 50"
    with pytest.raises(PinnxError, match=message):
        PointPool(Square(100), Refinement("rad", candidates=50), seed=0)
