"""Terms of a loss: micro-batches add up to the whole batch, and nothing is dropped silently."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tolerances import EPS64

from pinnx.errors import PinnxError
from pinnx.losses import mean_square, weighted_total


def test_mean_square_of_known_numbers() -> None:
    values = torch.tensor([[1.0, 2.0], [3.0, -4.0]])
    assert mean_square(values).tolist() == [5.0, 10.0]
    assert mean_square(values, point_weights=torch.tensor([1.0, 0.0])).tolist() == [0.5, 2.0]
    assert mean_square(values, point_weights=torch.tensor([[1.0, 0.0], [0.0, 1.0]])).tolist() == [0.5, 8.0]
    assert mean_square(values, num_points=4).tolist() == [2.5, 5.0]


@pytest.mark.parametrize("weighted", [False, True])
def test_micro_batches_add_up(weighted: bool, rng: np.random.Generator) -> None:
    values = torch.tensor(rng.normal(size=(37, 3)))
    weights = torch.tensor(rng.uniform(size=37)) if weighted else None
    whole = mean_square(values, point_weights=weights)
    parts = torch.zeros(3, dtype=torch.float64)
    for rows in (slice(0, 20), slice(20, 20), slice(20, 37)):
        parts += mean_square(values[rows], point_weights=None if weights is None else weights[rows], num_points=37)
    torch.testing.assert_close(parts, whole, rtol=40 * EPS64, atol=0.0)


def test_gradient_of_the_mean_square() -> None:
    values = torch.tensor([[1.0], [3.0]], requires_grad=True)
    mean_square(values, point_weights=torch.tensor([2.0, 1.0])).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [[2.0], [3.0]]


@pytest.mark.parametrize(("shape", "num_points"), [((0, 3), None), ((2, 3), 0)])
def test_no_points_are_no_loss(shape: tuple[int, int], num_points: int | None) -> None:
    with pytest.raises(PinnxError, match="loss: expected at least one point, got none"):
        mean_square(torch.ones(shape), num_points=num_points)


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 1), ()])
def test_weights_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PinnxError, match=r"point_weights: expected shape \[2\] or \[2, 3\], got \["):
        mean_square(torch.ones(2, 3), point_weights=torch.ones(shape))


def test_total_is_the_weighted_sum() -> None:
    terms = {"momentum_x": torch.tensor(2.0), "data": torch.tensor(0.5)}
    weights = {"momentum_x": 1.0, "data": 10.0, "boundary": 3.0}
    total = weighted_total(terms, weights)
    assert total.shape == ()
    assert float(total) == 7.0


def test_a_term_without_a_weight_is_refused() -> None:
    terms = {"momentum_x": torch.tensor(2.0), "data": torch.tensor(0.5)}
    with pytest.raises(PinnxError, match=r"expected a weight for each of \['momentum_x', 'data'\], got none for"):
        weighted_total(terms, {"momentum_x": 1.0})
    with pytest.raises(PinnxError, match="loss: expected a weight"):
        weighted_total({}, {})


def test_a_term_that_is_not_finite_shows_in_the_total() -> None:
    for bad in (float("nan"), float("inf")):
        assert not torch.isfinite(weighted_total({"data": torch.tensor(bad)}, {"data": 0.0}))
