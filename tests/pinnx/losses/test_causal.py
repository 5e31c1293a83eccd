"""Causal weights: the published formula, the order in time, and what they make of the equations' loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pinnx.losses import CausalWeights, Probes
from pinnx.models import FourierNetwork, random_frequencies
from pinnx.physics import EquationTerm, NavierStokes

NAMES = ("data", "momentum_x", "momentum_y", "continuity")
CONFIGURED = torch.tensor([7.0, 1.0, 2.0, 3.0], dtype=torch.float64)
BOUNDS = {"t": (10.0, 14.0), "x": (0.0, 1.0), "y": (0.0, 1.0)}


def make_term(parts: int | None, num_points: int = 64) -> EquationTerm:
    equations = NavierStokes(2, steady=False, nu=0.1, dtype=torch.float64)
    weights = None if parts is None else torch.ones(parts, dtype=torch.float64)
    return EquationTerm(equations, bounds=BOUNDS, num_points=num_points, seed=0, time_weights=weights)


def probes_of(part: list[float], residual: list[list[float]]) -> Probes:
    def none() -> Tensor:
        raise AssertionError("causal weights need no gradient")

    found = {"part": torch.tensor(part, dtype=torch.float64)}, torch.tensor(residual, dtype=torch.float64)
    return Probes(none, none, lambda name: found)


def test_the_weights_are_the_published_formula() -> None:
    """Means over the points of a part, summed over the parts before; a part without points adds nothing."""
    term = make_term(4)
    place = term.time_weights.data_ptr()
    causal = CausalWeights(term, CONFIGURED, NAMES, tolerance=0.5, every=1)
    residual = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0], [9.0, 9.0, 9.0]]
    causal.adapt(0, torch.ones(4), probes_of([0.0, 0.0, 2.0, 3.0], residual))
    first, third = (1.0 + 2.0) / 2, 3.0 * 4.0
    wanted = [1.0, np.exp(-0.5 * first), np.exp(-0.5 * first), np.exp(-0.5 * (first + third))]
    assert term.time_weights.tolist() == pytest.approx(wanted)
    assert term.time_weights.data_ptr() == place
    assert causal.factors.tolist() == [1.0] * 4


def test_later_times_count_once_earlier_ones_are_learned() -> None:
    term = make_term(3)
    causal = CausalWeights(term, CONFIGURED, NAMES, tolerance=10.0, every=1)
    seen = []
    for step, size in enumerate((3.0, 0.3, 0.03, 0.0)):
        causal.adapt(step, torch.ones(4), probes_of([0.0, 1.0, 2.0], [[size, 0.0, 0.0]] * 3))
        seen.append(term.time_weights.tolist())
    assert all(row[0] == 1.0 for row in seen)
    assert all(row[0] > row[1] > row[2] for row in seen[:3])
    assert all(a < b for a, b in zip([row[2] for row in seen], [row[2] for row in seen][1:], strict=False))
    assert seen[-1] == [1.0, 1.0, 1.0]


def test_they_change_at_their_steps_alone() -> None:
    term = make_term(2)
    causal = CausalWeights(term, CONFIGURED, NAMES, tolerance=1.0, every=3)
    for step, size in ((1, 1.0), (2, 1.0), (3, 2.0)):
        causal.adapt(step, torch.ones(4), probes_of([0.0, 1.0], [[size, 0.0, 0.0]] * 2))
        assert (term.time_weights[1] < 1.0) == (step == 3)


def test_points_count_by_the_part_of_the_time_in_which_they_are() -> None:
    """The columns of the fused loss, against its residual; weights of one change no bit."""
    term, plain = make_term(4), make_term(None)
    frequencies = random_frequencies((0.25, 1.0, 1.0), 0.5, 4, seed=0)
    model = FourierNetwork(
        frequencies, 3, width=8, layers=2, seed=1, dtype=torch.float64, origin=[low for low, _ in BOUNDS.values()]
    )
    drawn = term.draw(5)
    assert drawn["part"].tolist() == np.floor(drawn["x"][:, 0] - 10.0).tolist()
    assert set(drawn["part"]) == {0.0, 1.0, 2.0, 3.0}
    points = {name: torch.from_numpy(model.inputs(a) if name == "x" else a) for name, a in drawn.items()}
    ones = torch.ones(3, dtype=torch.float64)
    found = term.loss(model, points, ones, with_residual=True)
    without = plain.loss(model, {"x": points["x"]}, ones, with_residual=True)
    torch.testing.assert_close(found.columns, without.columns, rtol=1e-14, atol=0.0)
    term.time_weights.copy_(torch.tensor([1.0, 0.5, 0.25, 0.0]))
    weights = term.time_weights[points["part"].long()]
    wanted = (weights[:, None] * found.residual.square()).sum(0) / 64
    torch.testing.assert_close(term.loss(model, points, ones).columns, wanted, rtol=1e-12, atol=0.0)
    weighed = torch.stack([residual.square().sum() for residual in term.weighed_residual(model, points)])
    torch.testing.assert_close(weighed, wanted, rtol=1e-12, atol=0.0)


def test_a_term_without_weights_in_time_is_refused() -> None:
    with pytest.raises(ValueError, match="term equations: expected time_weights, got none"):
        CausalWeights(make_term(None), CONFIGURED, NAMES, tolerance=1.0)
