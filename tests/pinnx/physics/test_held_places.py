"""Formulas in torch, and conditions that the form of the fields holds: values, derivatives, exactness."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tolerances import EPS64, KERNEL_FLOAT64

import pinn_ext
from pinn_ext.reference import jet_of
from pinnx.models import FourierNetwork, HardBoundaries, random_frequencies
from pinnx.physics import BoundaryCondition, Side
from pinnx.physics.expression import Expression
from pinnx.physics.geometry import Circle
from pinnx.physics.held_places import held_place
from pinnx.physics.point_sets import PointSet

BOUNDS = {"t": (0.0, 2.0), "x": (1.0, 3.0), "y": (-1.0, 1.0)}
SPEC = pinn_ext.JetSpec(first=(0, 1, 2), laplacian=(1, 2))


@pytest.mark.parametrize(
    "text",
    [
        "4*y*(1-y)",
        "-x**2 + y % 0.3 - x // 0.4",
        "where((x > 0.5) & ~(y < 0.2) or t >= 1, sin(pi*x), exp(-y))",
        "maximum(x, 0.3) + minimum(y, 0.2) + clip(t, 0.1, 0.9) + hypot(x, y) + arctan2(y, x)",
        "sqrt(x) + log(1 + y) + abs(x - 0.5) + tanh(t) + floor(3*x) + sign(y - 0.5) + heaviside(x - 0.5, 1)",
        "2.5",
    ],
)
def test_a_formula_is_the_same_in_torch(text: str, rng: np.random.Generator) -> None:
    columns = dict(zip("xyt", rng.uniform(0.0, 2.0, (3, 50)), strict=True))
    found = Expression(text).tensor({name: torch.from_numpy(column) for name, column in columns.items()})
    np.testing.assert_allclose(found.numpy(), Expression(text).values(columns), rtol=16 * EPS64, atol=16 * EPS64)


def network() -> FourierNetwork:
    frequencies = random_frequencies((1.0, 1.0, 1.0), 0.5, 4, seed=0)
    scales = {"origin": [0.0, 1.0, -1.0], "coordinate_scales": [0.5, 2.0, 2.0], "field_scales": [3.0, 3.0, 9.0]}
    return FourierNetwork(frequencies, 3, width=8, layers=1, seed=1, dtype=torch.float64, **scales)


def conditions() -> list[BoundaryCondition]:
    return [
        BoundaryCondition(Side("left"), {"u": "1 - y**2 + 0.5*sin(t)", "v": 0.0}, BOUNDS),
        BoundaryCondition(Side("top"), {"u": "x - 1"}, BOUNDS),
        BoundaryCondition(Circle((2.0, 0.0), 0.4), {"u": 0.25, "v": "y*t"}, BOUNDS),
    ]


def test_what_is_prescribed_is_exact_with_all_derivatives_of_the_form(rng: np.random.Generator) -> None:
    held = [held_place(condition, network()) for condition in conditions()]
    model = HardBoundaries(network(), held)
    for condition in conditions():
        at = condition.sampler(40, seed=1)(0)
        values, mask = condition.targets(at)
        np.testing.assert_allclose(model.predict(at)[:, mask], values[:, mask], rtol=0, atol=1e4 * EPS64)
    x = torch.tensor(rng.uniform((0.0, 0.8, 0.3), (4.0, 0.95, 0.9), (12, 3)))  # inputs, off all places

    def formula(x: torch.Tensor) -> torch.Tensor:
        """u by hand: the places of left, top and circle, each with its value at the nearest point."""
        t, across, up = 0.5 * x[:, 0], 2 * x[:, 1] + 1, 2 * x[:, 2] - 1
        left, top, s = 2 * x[:, 1], 2 * (1 - x[:, 2]), (across / 2 - 1) ** 2 + (up / 2) ** 2 - 0.04
        body = s / (s + 0.12)
        weights = torch.stack([top * body, left * body, left * top])
        values = torch.stack([1 - up**2 + 0.5 * t.sin(), across - 1, torch.full_like(t, 0.25)])
        u = (weights * values).sum(0) / weights.sum(0) / 3 + left * top * body * network()(x)[:, 0]
        return u[:, None]

    found, wanted = model.jet(x, SPEC).data[..., :1], jet_of(formula, x, SPEC).data
    for stream, oracle in zip(found, wanted, strict=True):
        assert (stream - oracle).abs().max() <= KERNEL_FLOAT64 * oracle.abs().max()


def test_what_has_no_distance_or_no_derivative_stays_in_the_loss() -> None:
    points = PointSet.of_expression("x < 2", np.array([[1.5, 0.0], [2.5, 0.0]]), None)
    assert held_place(BoundaryCondition(points, {"u": 0.0}, BOUNDS), network()) is None
    step = BoundaryCondition(Side("left"), {"u": "heaviside(y, 1)"}, BOUNDS)
    assert held_place(step, network()) is None


def test_a_part_of_a_side_stays_in_the_loss() -> None:
    """The form of the fields would hold it along all of the side."""
    part = BoundaryCondition(Side("left", range=(-0.5, 0.5)), {"u": 1.0}, BOUNDS)
    cut = BoundaryCondition(Side("left", parts=((0.0, 0.5),)), {"u": 1.0}, BOUNDS)
    assert held_place(part, network()) is None
    assert held_place(BoundaryCondition(Side("left"), {"u": 1.0}, BOUNDS, until=0.5), network()) is None, "it fades"
    assert held_place(cut, network()) is None
    assert held_place(BoundaryCondition(Side("left"), {"u": 1.0}, BOUNDS), network()) is not None
