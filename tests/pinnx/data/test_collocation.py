"""Collocation points: the generator against its specification, and what a counter promises."""

from __future__ import annotations

import numpy as np
import pytest
import tolerances

from pinnx.data import uniform_points
from pinnx.data.collocation import BoxPoints, UniformPoints
from pinnx.errors import PinnxError

MASK = 2**64 - 1


def philox4x64(counter: tuple[int, ...], key: tuple[int, int]) -> tuple[int, ...]:
    """One block of Philox4x64-10, after Salmon et al. (2011), section 3.3."""
    c, k = list(counter), list(key)
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [(second >> 64) ^ c[1] ^ k[0], second & MASK, (first >> 64) ^ c[3] ^ k[1], first & MASK]
        k = [(k[0] + 0x9E3779B97F4A7C15) & MASK, (k[1] + 0xBB67AE8584CAA73B) & MASK]
    return tuple(c)


def test_oracle_reproduces_the_published_vector():
    # Random123, tests/kat_vectors: philox4x64 10, counter 0, key 0.
    expected = (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B)
    assert philox4x64((0, 0, 0, 0), (0, 0)) == expected


@pytest.mark.parametrize("index", [0, 1, 1000, 2**40])
def test_points_are_philox_words(index: int):
    point = uniform_points([0] * 3, [1] * 3, 1, seed=5, step=7, stream=2, first_index=index)
    words = philox4x64((index + 1, 0, 0, 2), (5, 7))
    assert np.array_equal(point[0], [(word >> 11) * 2.0**-53 for word in words[:3]])


@pytest.mark.parametrize("split", [0, 1, 63, 64, 100])
def test_a_draw_is_the_sum_of_its_parts(split: int):
    box = {"lo": [-1.0, 0.0], "hi": [2.0, 0.5], "seed": 1, "step": 2}
    whole = uniform_points(n=100, **box)
    first = uniform_points(n=split, **box)
    rest = uniform_points(n=100 - split, first_index=split, **box)
    assert first.shape == (split, 2)
    assert np.array_equal(np.concatenate([first, rest]), whole)


def test_another_dimension_shares_the_columns():
    plane = uniform_points([0, 0], [1, 1], 8, seed=3, step=0)
    space = uniform_points([0, 0, 0], [1, 1, 1], 8, seed=3, step=0)
    assert np.array_equal(space[:, :2], plane)


def test_seed_step_and_stream_make_other_points():
    draws = [
        uniform_points([0.0], [1.0], 64, seed=seed, step=step, stream=stream)
        for seed, step, stream in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)]
    ]
    assert len(np.unique(np.concatenate(draws))) == 5 * 64


def test_steps_one_after_the_other_are_the_draws_of_each():
    box = {"lo": [-1.0, 0.0, 2.0], "hi": [2.0, 0.5, 2.0], "n": 33, "seed": 2**64 - 1, "first_index": 5, "stream": 3}
    draws = UniformPoints(**box)
    kept = {step: draws.at(step) for step in (7, 0, 2**64 - 1, 8)}
    assert np.array_equal(draws.at(7), kept[7]), "what was drawn before does not matter"
    for step, points in kept.items():
        assert np.array_equal(points, uniform_points(step=step, **box)), "and is not written over"
    with pytest.raises(PinnxError, match="step: expected 0 <= step < 2"):
        draws.at(-1)


def test_points_fill_the_box_evenly(seed: int):
    n, low, high = 100_000, np.array([-3.0, 0.0, 5.0]), np.array([1.0, 1e-3, 6.0])
    points = uniform_points(low, high, n, seed=seed, step=0)
    assert points.dtype == np.float64
    assert (points >= low).all()
    assert (points <= high).all()
    unit = (points - low) / (high - low)
    limit = tolerances.monte_carlo(n)
    assert np.abs(unit.mean(axis=0) - 0.5).max() < limit * np.sqrt(1 / 12)
    correlation = np.corrcoef(unit.T) - np.eye(3)
    assert np.abs(correlation).max() < limit
    counts = np.stack([np.histogram(column, bins=20, range=(0, 1))[0] for column in unit.T])
    assert np.abs(counts / n - 0.05).max() < limit * np.sqrt(0.05 * 0.95)


def largest_counts(points: np.ndarray) -> tuple[int, int]:
    """Of 256 points in the unit cube: the most in one of 256 slices of an axis, and in one of 16 x 16 columns."""
    slices = max(np.bincount((column * 256).astype(int), minlength=256).max() for column in points.T)
    x, y = (points[:, :2] * 16).astype(int).T
    return int(slices), int(np.bincount(16 * x + y, minlength=256).max())


def test_even_samplings_leave_no_slice_empty(seed: int):
    """A Latin hypercube has one point in each slice of each axis, Sobol points one in each cell of a plane too."""
    counts = {}
    for sampling in ("uniform", "latin_hypercube", "sobol"):
        drawn = BoxPoints([0.0] * 3, [1.0] * 3, 256, seed=seed, sampling=sampling)
        counts[sampling] = [largest_counts(drawn.draw(step, range(256))) for step in range(3)]
    assert counts["sobol"] == [(1, 1)] * 3
    assert all(slices == 1 and cells > 1 for slices, cells in counts["latin_hypercube"])
    assert all(slices > 1 and cells > 1 for slices, cells in counts["uniform"]), "random points do neither"


@pytest.mark.parametrize("sampling", ["latin_hypercube", "sobol"])
def test_even_samplings_depend_on_seed_step_and_number_alone(sampling: str):
    box = {"lo": [-1.0, 0.0], "hi": [2.0, 0.5], "num": 100, "sampling": sampling}
    drawn = BoxPoints(seed=1, stream=3, **box)
    whole = drawn.draw(7, range(100)).copy()
    again = BoxPoints(seed=1, stream=3, **box)
    parts = [again.draw(7, rows) for rows in (range(60, 100), range(0), range(60))]
    assert np.array_equal(np.concatenate([parts[2], parts[1], parts[0]]), whole)
    assert ((whole >= box["lo"]) & (whole <= box["hi"])).all()
    others = [
        drawn.draw(8, range(100)),
        *(BoxPoints(**key, **box).draw(7, range(100)) for key in ({"seed": 1}, {"seed": 2})),
    ]
    assert len(np.unique(np.concatenate([whole, *others])[:, 0])) == 400


@pytest.mark.parametrize("sampling", ["latin_hypercube", "sobol"])
def test_even_samplings_estimate_a_mean_without_bias_and_better(sampling: str, seed: int):
    """Of a smooth function over the box; steps are independent, so their means scatter about the integral."""

    def means(kind: str) -> np.ndarray:
        drawn = BoxPoints([0.0] * 3, [1.0] * 3, 128, seed=seed, sampling=kind)
        x = np.stack([drawn.draw(step, range(128)) for step in range(100)])
        return (np.exp(x[..., 0]) * (1 + x[..., 1] ** 2) + np.sin(3 * x[..., 2])).mean(axis=1)

    integral = (np.e - 1) * 4 / 3 + (1 - np.cos(3)) / 3
    even, random = means(sampling), means("uniform")
    assert abs(even.mean() - integral) < 4 * even.std() / 10
    assert even.std() < 0.5 * random.std()


def test_a_grid_is_the_midpoint_rule_in_each_step_and_its_rows_are_shared():
    drawn = BoxPoints([-1.0, 0.0], [1.0, 3.0], 9, seed=1, sampling="grid")
    whole = drawn.draw(5, range(9))
    expected = [(x, y) for x in (-2 / 3, 0.0, 2 / 3) for y in (0.5, 1.5, 2.5)]
    np.testing.assert_allclose(whole, expected, rtol=0, atol=tolerances.CIRCLE_RADIUS)
    whole[:] = np.nan  # what a caller does to its points stays there
    rest = BoxPoints([-1.0, 0.0], [1.0, 3.0], 9, seed=2, sampling="grid").draw(6, range(4, 9))
    assert np.array_equal(drawn.draw(0, range(9))[4:], rest)
    with pytest.raises(PinnxError, match=r"grid: expected n\^2 points, such as 16, got 10"):
        BoxPoints([0.0, 0.0], [1.0, 1.0], 10, seed=1, sampling="grid")


def test_an_axis_without_width_samples_a_face():
    points = uniform_points([0, 2, 0], [1, 2, 1], 10, seed=0, step=0)
    assert np.array_equal(points[:, 1], np.full(10, 2.0))
    assert len(np.unique(points[:, 0])) == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lo": [0.0]}, r"got \[1\] and \[2\]"),
        ({"lo": [0.0] * 5, "hi": [1.0] * 5}, "d = 1 to 4"),
        ({"lo": [[0.0, 0.0]], "hi": [[1.0, 1.0]]}, "expected two corners"),
        ({"lo": [2.0, 0.0]}, "expected finite lo <= hi"),
        ({"hi": [np.inf, 1.0]}, "expected finite lo <= hi"),
        ({"hi": [np.nan, 1.0]}, "expected finite lo <= hi"),
        ({"n": -1}, "n: expected 0 <= n"),
        ({"seed": -1}, "seed: expected"),
        ({"step": 2**64}, "step: expected"),
        ({"stream": -1}, "stream: expected"),
        ({"first_index": 2**64 - 1}, r"first_index \+ n: expected less than"),
    ],
)
def test_errors(change: dict[str, object], message: str):
    arguments = {"lo": [0.0, 0.0], "hi": [1.0, 1.0], "n": 4, "seed": 0, "step": 0} | change
    with pytest.raises(PinnxError, match=message):
        uniform_points(**arguments)
