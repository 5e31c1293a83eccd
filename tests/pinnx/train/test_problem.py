"""What is minimised: fresh points by counter, masks that hide the unknown, terms that are means."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tolerances import KERNEL_FLOAT64

from pinnx.data.collocation import uniform_points
from pinnx.errors import PinnxError
from pinnx.physics import BoundaryCondition, Side
from pinnx.physics.corners import discontinuity_corners
from pinnx.train import Batch, PointCounts, Problem
from pinnx.train.known_points import KnownPoints

Build = Callable[..., Problem]


def tensors(batch: Batch) -> list[torch.Tensor]:
    return [batch.collocation, batch.known, batch.targets, batch.mask]


def test_a_batch_depends_on_seed_and_step_alone(make_problem: Build) -> None:
    problem, again = make_problem(), make_problem()
    again.batch(0)  # what was drawn before does not matter
    for a, b in zip(tensors(problem.batch(7)), tensors(again.batch(7)), strict=True):
        assert torch.equal(a, b)
    for other in (problem.batch(8), make_problem(seed=1).batch(7)):
        assert not torch.equal(problem.batch(7).collocation, other.collocation)
        assert not torch.equal(problem.batch(7).known, other.known)


def test_collocation_points_fill_the_domain(make_problem: Build) -> None:
    bounds = {"t": (0.0, 2.0), "x": (-1.0, 1.0), "y": (3.0, 4.0)}
    problem = make_problem(bounds=bounds, sides=(), counts=PointCounts(500, 8), dtype=torch.float64)
    points = problem.batch(3).collocation.numpy()
    low, high = np.array(list(bounds.values())).T
    np.testing.assert_array_equal(points, uniform_points(low, high, 500, seed=0, step=3))
    assert (points >= low).all()
    assert (points <= high).all()


def test_known_points_are_boundaries_then_corners_then_measurements(make_problem: Build) -> None:
    problem = make_problem(dtype=torch.float64)
    (corner,) = problem.corners
    batch = problem.batch(0)
    left, top = batch.known[:8], batch.known[8:16]
    meeting, measured = batch.known[16 : batch.num_boundary], batch.known[batch.num_boundary :]
    assert (left[:, 1] == 0.0).all()
    assert (top[:, 2] == 1.0).all()
    assert len(meeting) == 1
    assert meeting[0, 1:].tolist() == [0.0, 1.0]
    assert corner.owner == 0
    np.testing.assert_array_equal(measured.numpy(), problem.coordinates)
    assert batch.targets[8:16, 0].unique().tolist() == [1.0]
    assert batch.targets[16].tolist() == [0.0, 0.0, 0.0], "the corner belongs to the wall, listed first"
    np.testing.assert_array_equal(batch.targets[batch.num_boundary :, :2].numpy(), problem.velocity)


@pytest.mark.parametrize("timed", [False, True])
def test_known_points_are_the_draws_of_their_conditions(timed: bool) -> None:
    """Numbers and formulas, fixed corners and edges in time: each row as the condition by itself has it."""
    bounds = {"t": (1.0, 3.0)} if timed else {}
    bounds |= {"x": (0.0, 2.0), "y": (-1.0, 1.0)}
    values = {"left": {"u": "1 - y*y", "v": 0.0}, "top": {"u": 3.0, "v": 0.0}, "right": {"p": 0.0}}
    conditions = [BoundaryCondition(Side(name), values[name], bounds, stream=1 + i) for i, name in enumerate(values)]
    k, d = 5, len(bounds)
    known = KnownPoints(
        conditions,
        corners := discontinuity_corners(conditions, bounds),
        bounds=bounds,
        coordinates=np.full((k, d), 7.0),
        velocity=np.full((k, 2), 8.0),
        num_boundary=200,
        num_measured=None,
        seed=11,
    )
    assert len(corners) == 1
    for step in (4, 0, 9):
        points, targets = np.empty((len(known), d)), np.empty((len(known), 3))
        known.write(step, points, targets)
        along = uniform_points(np.zeros(d), np.ones(d), 2, seed=11, step=step, stream=(1 << 20) + 1)
        parts = [(c, c.points(200, seed=11, step=step)) for c in conditions]
        parts.append((conditions[0], corners[0].points(along, bounds)))
        np.testing.assert_array_equal(points, np.concatenate([*(at for _, at in parts), np.full((k, d), 7.0)]))
        wanted = [condition.targets(at)[0] for condition, at in parts]
        np.testing.assert_array_equal(targets, np.concatenate([*wanted, np.tile([8.0, 8.0, 0.0], (k, 1))]))
        masks = [np.tile(condition.mask, (len(at), 1)) for condition, at in parts]
        np.testing.assert_array_equal(known.mask, np.concatenate([*masks, np.tile([1.0, 1.0, 0.0], (k, 1))]))


def test_unknown_components_are_masked(make_problem: Build) -> None:
    batch = make_problem(sides=("left", "right")).batch(0)
    assert batch.mask[:8].unique(dim=0).tolist() == [[1.0, 1.0, 0.0]], "a wall: no pressure"
    assert batch.mask[8:16].unique(dim=0).tolist() == [[0.0, 0.0, 1.0]], "an outlet: only the pressure"
    assert batch.mask[batch.num_boundary :].unique(dim=0).tolist() == [[1.0, 1.0, 0.0]]


def test_terms_are_means_over_what_is_known(make_problem: Build) -> None:
    problem = make_problem(sides=("left", "right"), dtype=torch.float64)
    batch = problem.batch(0)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)
    total, values = problem.loss(batch, weights)
    torch.testing.assert_close(total, weights.dot(values), rtol=KERNEL_FLOAT64, atol=0.0)
    terms = dict(zip(problem.term_names, values, strict=True))
    assert problem.term_names == ("momentum_x", "momentum_y", "continuity", "data", "boundary")
    fields = problem.network(batch.known)
    misfit = (fields - batch.targets)[batch.num_boundary :, :2]
    torch.testing.assert_close(terms["data"], misfit.square().mean(), rtol=KERNEL_FLOAT64, atol=0.0)
    wall, outlet = (fields - batch.targets)[:8, :2], (fields - batch.targets)[8:16, 2]
    squares = torch.cat([wall.reshape(-1), outlet]).square()
    torch.testing.assert_close(terms["boundary"], squares.mean(), rtol=KERNEL_FLOAT64, atol=0.0)
    residual = problem.equations.residual(problem.network.jet(batch.collocation, problem.equations.spec))
    for column, name in enumerate(problem.equations.residual_names):
        wanted = residual[:, column].square().mean()
        torch.testing.assert_close(terms[name], wanted, rtol=KERNEL_FLOAT64, atol=0.0)


def test_without_conditions_there_is_no_boundary_term(make_problem: Build) -> None:
    problem = make_problem(sides=())
    assert problem.term_names == ("momentum_x", "momentum_y", "continuity", "data")
    assert problem.loss(problem.batch(0), torch.ones(4))[1].shape == (4,)


def test_points_near_a_corner_count_less(make_problem: Build) -> None:
    assert make_problem().batch(0).collocation_weights is None
    weights = make_problem(corner_radius=0.5).batch(0).collocation_weights
    assert weights is not None
    assert 0.0 <= weights.min() < 1.0
    assert weights.max() == 1.0
    assert make_problem(sides=("left",), corner_radius=0.5).batch(0).collocation_weights is None, "no corner"


def test_a_share_of_the_measurements_is_drawn_anew_each_step(make_problem: Build) -> None:
    problem = make_problem(sides=(), counts=PointCounts(16, 8, measurements=3), dtype=torch.float64)
    seen = set()
    for step in range(20):
        batch = problem.batch(step)
        assert batch.known.shape == (3, 3)
        for point, target in zip(batch.known.numpy(), batch.targets.numpy(), strict=True):
            (row,) = np.flatnonzero((problem.coordinates == point).all(axis=1))
            np.testing.assert_array_equal(target[:2], problem.velocity[row])
            seen.add(int(row))
    assert seen == set(range(6))
    everything = make_problem(sides=(), counts=PointCounts(16, 8, measurements=60)).batch(0)
    assert everything.known.shape == (6, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coordinates": np.zeros((6, 2))}, "coordinates: expected shape [k, 3], k >= 1, got [6, 2]"),
        ({"coordinates": np.zeros((0, 3))}, "coordinates: expected shape [k, 3], k >= 1, got [0, 3]"),
        ({"velocity": np.zeros((6, 3))}, "velocity: expected shape [6, 2], got [6, 3]"),
        ({"velocity": np.full((6, 2), np.nan)}, "measurements: expected finite numbers, got NaN or infinity"),
        ({"coordinates": np.full((6, 3), np.inf)}, "measurements: expected finite numbers, got NaN or infinity"),
    ],
)
def test_what_does_not_fit_is_refused(make_problem: Build, changes: dict, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        make_problem(**changes)
    assert str(caught.value) == message


def test_the_total_has_the_gradient_of_its_terms(make_problem: Build) -> None:
    """The fused step against plain torch, in every parameter and in the viscosity."""
    problem = make_problem(sides=("left", "top"), learn_nu=True, corner_radius=0.3, dtype=torch.float64)
    batch = problem.batch(0)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)
    parameters = [*problem.network.parameters(), *problem.equations.parameters()]
    got = torch.autograd.grad(problem.loss(batch, weights)[0], parameters)

    residual = problem.equations.residual(problem.network.jet(batch.collocation, problem.equations.spec))
    assert batch.collocation_weights is not None
    columns = (residual.square() * batch.collocation_weights[:, None]).mean(0)
    squares = (problem.network(batch.known) - batch.targets).square() * batch.mask
    known = [
        squares[rows].sum() / batch.mask[rows].sum()
        for rows in (slice(batch.num_boundary, None), slice(0, batch.num_boundary))
    ]
    wanted = torch.autograd.grad(weights.dot(torch.stack([*columns, *known])), parameters)
    for g, w in zip(got, wanted, strict=True):
        assert (g - w).abs().max() <= KERNEL_FLOAT64 * w.abs().max()
