"""A pool of points in the loop: it follows the residual as it counts in the loss, and the state of the run has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pinnx.data.point_pool import PointPool, Refinement
from pinnx.physics import Share
from pinnx.physics.inner_points import InnerPoints
from pinnx.train import Problem, Trainer, load_checkpoint, save_checkpoint

Build = Callable[..., Trainer]
BOUNDS = {"t": (0.0, 1.0), "x": (0.0, 1.0), "y": (0.0, 1.0)}


@pytest.fixture
def make_refined(make_problem: Callable[..., Problem], make_trainer: Build) -> Build:
    """A trainer of the small problem with a pool that is refined every three steps."""

    def build(method: str = "rar", *, collocation: int = 32, corner_radius: float | None = None, **changes) -> Trainer:
        problem = make_problem(collocation=collocation, corner_radius=corner_radius)
        points = InnerPoints(BOUNDS, collocation, seed=0)
        problem.terms[0].pool = PointPool(points, Refinement(method, every=3, exponent=2.0, floor=0.0), seed=0)
        return make_trainer(problem=problem, **changes)

    return build


def state(trainer: Trainer) -> list[bytes]:
    tensors = [*trainer.problem.parameters(), torch.from_numpy(trainer.problem.terms[0].pool.points)]
    return [tensor.detach().numpy().tobytes() for tensor in tensors]


@pytest.mark.parametrize("method", ["rar", "rad", "r3"])
def test_the_pool_is_where_the_residual_of_the_model_is_large(make_refined: Build, method: str) -> None:
    trainer = make_refined(method, collocation=200, lr=1e-6, steps=30)  # the model stays nearly as it is
    trainer.run()
    term, model = trainer.problem.terms[0], trainer.problem.model
    elsewhere = np.random.default_rng(0).uniform(size=(2000, 3))
    least = {"rar": 2.0, "rad": 1.4, "r3": 1.4}[method]
    ratio = term.residual_lengths(model, term.pool.points).mean() / term.residual_lengths(model, elsewhere).mean()
    assert ratio > least
    drawn = {tuple(point) for point in term.draw(30)["x"]}
    assert len(drawn & {tuple(point) for point in term.pool.points}) == 100, "half of a step's points come from there"


@pytest.mark.parametrize("method", ["rar", "rad", "r3"])
def test_resume_equals_the_uninterrupted_run(make_refined: Build, tmp_path: Path, method: str) -> None:
    whole, part, resumed = (make_refined(method) for _ in range(3))
    whole.run()
    for _ in range(7):
        part.train_step()
    save_checkpoint(tmp_path / "c", part.state_dict())
    resumed.load_state_dict(load_checkpoint(tmp_path / "c"))
    resumed.run()
    assert state(whole) == state(resumed)
    late = make_refined(method, check_every=5)
    late.run()
    assert state(late) == state(whole), "steps that are taken again refine again"


def test_a_growing_pool_changes_no_shape(make_refined: Build) -> None:
    """A captured CUDA graph is given the points of the first step's shapes, and no others."""
    trainer, sizes, layouts = make_refined(), set(), set()
    for step in range(8):
        layouts.add(trainer.problem.batch(step).layout)
        sizes.add(len(trainer.problem.terms[0].pool.points))
        trainer.train_step()
    assert sizes == {0, 100, 200}
    assert len(layouts) == 1


def test_shares_draw_the_points_of_the_step(make_refined: Build) -> None:
    trainer = make_refined("rad")
    trainer.run()
    term = trainer.problem.terms[0]
    parts = [term.draw(12, Share(part, 3))["x"] for part in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts), term.draw(12)["x"])


def test_a_residual_counts_as_much_as_in_the_loss(make_refined: Build) -> None:
    """Less near a corner where sides disagree, and at times that are held back: the pool does not gather there."""
    trainer = make_refined(corner_radius=0.5)
    term, model = trainer.problem.terms[0], trainer.problem.model
    x = np.random.default_rng(0).uniform(size=(500, 3))
    near = term.residual_lengths(model, x)
    term._point_weights, weights = None, term._point_weights(x)
    plain = term.residual_lengths(model, x)
    np.testing.assert_allclose(near, plain * np.sqrt(weights), rtol=1e-12)
    assert weights.min() < 0.2
    term.time_weights = torch.tensor([1.0, 0.0])
    later = x[:, 0] >= 0.5
    assert (term.residual_lengths(model, x)[later] == 0.0).all()
    np.testing.assert_array_equal(term.residual_lengths(model, x)[~later], plain[~later])
