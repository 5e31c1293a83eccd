"""Conditions by name: an exact flow that keeps each, and one beside it that does not, in units that are not one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import pinn_ext
from pinn_ext.reference import jet_of
from pinnx.errors import PinnxError
from pinnx.models.field_model import FieldModel
from pinnx.physics.boundary import boundary_conditions
from pinnx.physics.boundary_slopes import BoundarySlopes, slope_statements
from pinnx.physics.boundary_values import BoundaryValues
from pinnx.physics.conditions import CONDITIONS
from pinnx.physics.scales import Scales
from pinnx.physics.section_flux import SectionFlux, section_fluxes
from pinnx.physics.shapes import body_of
from pinnx.physics.term import Share

SCALES = Scales(length=2.0, velocity=3.0)
NU = 0.1
PLANE = {"x": (0.0, 4.0), "y": (0.0, 2.0)}
TIMED = {"t": (0.0, 5.0), **PLANE}
SOLID = {**PLANE, "z": (0.0, 1.0)}
BODY = {"center": [2.0, 1.0], "radius": 0.5}
Fields = Callable[..., tuple[Any, ...]]


class Exact(FieldModel):
    """Fields by a formula in the user's units."""

    def __init__(self, fields: Fields, bounds: dict[str, tuple[float, float]]) -> None:
        axes = tuple(axis for axis in "txyz" if axis in bounds)
        names = ("u", "v", "w", "p") if "z" in bounds else ("u", "v", "p")
        origin = [bounds[axis][0] + 0.25 for axis in axes]
        scales = {"coordinate_scales": SCALES.of_coordinates(axes), "field_scales": SCALES.of_fields(names)}
        super().__init__(len(axes), len(names), origin=origin, **scales)
        self.register_buffer("frequencies", torch.zeros(1, dtype=torch.float64))
        self._fields = fields

    def jet(self, x: Tensor, spec: pinn_ext.JetSpec) -> pinn_ext.Jet:
        scales, origin = (torch.from_numpy(numbers) for numbers in (self.coordinate_scales, self.origin))

        def scaled(x: Tensor) -> Tensor:
            columns = (x * scales + origin).unbind(1)
            values = [field + 0.0 * columns[0] for field in self._fields(*columns)]
            return torch.stack(values, dim=1) / torch.from_numpy(self.field_scales)

        return jet_of(scaled, x, spec)


def circle(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return x - 2.0, y - 1.0, (x - 2.0) ** 2 + (y - 1.0) ** 2


def disturbed(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, float]:
    """A stream of speed 3 with a disturbance that falls as r^-1.25."""
    dx, dy, square = circle(x, y)
    fall = square ** (-1.25 / 2)
    return 3.0 + 0.2 * fall, 0.3 * fall * dx * dy / square, 0.0


def rigid(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, float]:
    return -0.7 * (y - 1.0), 0.7 * (x - 2.0), 0.0


def vortex(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, float]:
    dx, dy, square = circle(x, y)
    return -dy / square, dx / square, 0.0


# condition, place, speed, bounds, a flow that keeps it, one that does not
KEPT: list[tuple[str, dict[str, Any], float | None, dict[str, tuple[float, float]], Fields, Fields]] = [
    ("no_slip", {"hole": "it"}, None, PLANE, lambda x, y: (circle(x, y)[2] - 0.25, 0.0, x), rigid),
    ("moving", {"side": "top"}, 2.0, PLANE, lambda x, y: (y, 0.0, x), lambda x, y: (y, 0.01, x)),
    ("rotating", {"hole": "it"}, 0.7, PLANE, rigid, vortex),
    ("slip", {"hole": "it"}, None, PLANE, rigid, vortex),
    ("slip", {"side": "bottom"}, None, PLANE, lambda x, y: (x, -y, 0.0), lambda x, y: (x + 0.1 * y, -y, 0.0)),
    ("slip", {"side": "back"}, None, SOLID, lambda x, y, z: (x, y, -2 * z, 0.0), lambda x, y, z: (z, y, 0.0, 0.0)),
    ("symmetry", {"side": "bottom"}, None, PLANE, lambda x, y: (x, -y, y * y), lambda x, y: (x, -y, 0.1 * y)),
    ("zero_gradient", {"side": "right"}, None, PLANE, lambda x, y: (y, 0.0, x), lambda x, y: (y + 0.1 * x, 0.0, x)),
    ("no_stress", {"side": "right"}, None, PLANE, lambda x, y: (x, -y, 2 * NU), lambda x, y: (x, -y, 0.0)),
    ("no_stress", {"side": "top"}, None, PLANE, lambda x, y: (y, -x, 0.0), lambda x, y: (y, x, 0.0)),
    (
        *("convective", {"side": "right"}, 2.0, TIMED),
        *(lambda t, x, y: (torch.sin(x - 2 * t), y, x), lambda t, x, y: (torch.sin(x - t), y, x)),
    ),
    ("free_stream", {"side": "left"}, 3.0, PLANE, disturbed, lambda x, y: (3.1 + 0.0 * x, 0.0, 0.0)),
    ("free_stream", {"side": "top"}, 3.0, PLANE, disturbed, lambda x, y: (3.0 + 0.1 * x, 0.0, 0.0)),
]


def measured(entry: dict[str, Any], bounds: dict, fields: Fields) -> tuple[float, float]:
    """The loss at a step's points, and the largest number of the checks, of all that an entry states."""
    holes = {"it": body_of("circle", BODY, "it", bounds)}
    model, entries = Exact(fields, bounds), [entry]
    terms: list[Any] = []
    if conditions := boundary_conditions(entries, bounds, holes=holes):
        terms.append(BoundaryValues(conditions, 64, bounds=bounds, seed=0, scales=model.field_scales))
    if statements := slope_statements(entries, bounds, holes=holes):
        viscosity = torch.tensor(NU / SCALES.viscosity, dtype=torch.float64)
        terms.append(BoundarySlopes(statements, 64, scales=SCALES, nu=lambda: viscosity, seed=0))
    if fluxes := section_fluxes(entries, bounds, holes=holes):
        terms.append(SectionFlux(fluxes, scales=SCALES, seed=0))
    assert terms
    losses, checks = [], []
    for term in terms:
        drawn = term.draw(3)
        points = {name: torch.from_numpy(array) for name, array in drawn.items()}
        points["x"] = torch.from_numpy(model.inputs(drawn["x"]))
        losses.append(float(term.loss(model, points, torch.ones(1, dtype=torch.float64)).total.detach()))
        checks += [item.value for item in term.measure(model, num_points=1, seed=0)]
    return sum(losses), max(checks)


@pytest.mark.parametrize(("name", "where", "speed", "bounds", "right", "wrong"), KEPT)
def test_a_condition_passes_the_flow_that_keeps_it_and_no_other(
    name: str, where: dict, speed: float | None, bounds: dict, right: Fields, wrong: Fields
) -> None:
    entry = {"where": where, "condition": name, "speed": speed}
    loss, largest = measured(entry, bounds, right)
    assert loss < 1e-24
    assert largest < 1e-12
    loss, largest = measured(entry, bounds, wrong)
    assert loss > 1e-6
    assert largest > 1e-3


def test_every_condition_of_the_table_has_its_flow() -> None:
    assert {entry[0] for entry in KEPT} == set(CONDITIONS)


def test_slopes_are_along_the_normal_out_of_the_flow_and_may_be_formulas() -> None:
    entry = {"where": {"side": "left"}, "slopes": {"u": "-y", "p": 2.0}}
    assert max(measured(entry, PLANE, lambda x, y: (x * y, 0.0, -2 * x))) < 1e-12
    assert min(measured(entry, PLANE, lambda x, y: (x * y, 0.0, 2 * x))) > 1e-3
    around = {"where": {"hole": "it"}, "slopes": {"u": -1.0}}  # into the body is out of the flow
    assert max(measured(around, PLANE, lambda x, y: (torch.sqrt(circle(x, y)[2]), 0.0, 0.0))) < 1e-12
    assert min(measured(around, PLANE, lambda x, y: (-torch.sqrt(circle(x, y)[2]), 0.0, 0.0))) > 1e-3


@pytest.mark.parametrize(
    ("where", "bounds", "flux"),
    [
        ({"side": "right"}, PLANE, 6.0),
        ({"section": {"x": 3.0}, "range": (0.0, 1.0)}, PLANE, 1.5),
        ({"section": {"x": 2.0}}, PLANE, 6.0 - 3.0),  # y from 0.5 to 1.5 is in the body
        ({"section": {"x": 3.0}}, TIMED, 6.0),
        ({"section": {"x": 3.0}}, SOLID, 6.0),
    ],
)
def test_a_flux_is_the_sum_over_what_borders_the_flow(where: dict, bounds: dict, flux: float) -> None:
    def channel(*at: Any) -> tuple[Any, ...]:
        y = at[2 if "t" in bounds else 1]
        return (3.0 * y, *[0.0] * (3 if "z" in bounds else 2))

    loss, largest = measured({"where": where, "flux": flux}, bounds, channel)
    assert loss < 1e-8
    assert largest < 1e-3
    assert min(measured({"where": where, "flux": 1.1 * flux}, bounds, channel)) > 1e-4


def test_the_flux_that_deviates_most_has_its_section_and_its_time() -> None:
    entry = {"where": {"section": {"x": 3.0}}, "flux": 2.0}  # of a speed of one through a height of two
    term = SectionFlux(section_fluxes([entry], TIMED), scales=SCALES, seed=1)
    (found,) = term.measure(Exact(lambda t, x, y: (1.0 + t, 0.0, 0.0), TIMED), num_points=1, seed=0)
    assert found.value == found.worst == pytest.approx(5.0)
    assert found.worst_at == pytest.approx((3.0, 1.0, 5.0)), "x, y, then the time"


def test_shares_of_a_step_add_up_to_it() -> None:
    entries = [
        {"where": {"side": "right"}, "condition": "no_stress"},
        {"where": {"side": "left"}, "slopes": {"u": "y"}},
        {"where": {"section": {"x": 3.0}}, "flux": 1.0},
        {"where": {"section": {"x": 1.0}}, "flux": 1.0},
    ]
    model = Exact(vortex, PLANE)
    nu = torch.tensor(0.1, dtype=torch.float64)
    terms = (
        BoundarySlopes(slope_statements(entries, PLANE), 7, scales=SCALES, nu=lambda: nu, seed=1),
        SectionFlux(section_fluxes(entries, PLANE), scales=SCALES, seed=1),
    )
    for term in terms:
        losses = []
        for share in (Share(), Share(0, 2), Share(1, 2)):
            drawn = term.draw(5, share)
            points = {name: torch.from_numpy(array) for name, array in drawn.items()}
            points["x"] = torch.from_numpy(model.inputs(drawn["x"]))
            losses.append(float(term.loss(model, points, torch.ones(1, dtype=torch.float64)).total.detach()))
        assert losses[0] > 0.0
        assert losses[1] + losses[2] == pytest.approx(losses[0])
        assert losses[1] != losses[0]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"where": {"side": "top"}, "condition": "moving"}, "moving: expected a speed, got None"),
        ({"where": {"side": "top"}, "condition": "no_slip", "speed": 1.0}, "no_slip: expected no speed, got 1.0"),
        ({"where": {"side": "top"}, "condition": "no_slip", "u": 1.0}, "it prescribes u itself; leave u out"),
        ({"where": {"side": "top"}, "condition": "rotating", "speed": 1.0}, "rotating: expected a body, got the side"),
        ({"where": {"hole": "it"}, "condition": "moving", "speed": 1.0}, "moving: expected a side, got circle"),
        ({"where": {"hole": "it"}, "condition": "symmetry"}, "symmetry: expected a side, got circle"),
        (
            {"where": {"side": "right"}, "condition": "convective", "speed": 1.0},
            "convective: expected a flow with",
        ),
        (
            {"where": {"expression": "x > 3"}, "condition": "no_stress"},
            "no_stress: expected a side, a circle",
        ),
        ({"where": {"side": "top"}, "slopes": {"w": 0.0}}, "slopes: expected those of u, v, p, got w"),
        ({"where": {"hole": "it"}, "flux": 1.0}, "flux: expected a section or a side, got circle"),
        ({"where": {"section": {"x": 9.0}}, "flux": 1.0}, "section x = 9: expected a section inside the domain"),
        ({"where": {"side": "top"}, "condition": "zero_gradient", "speed": 1.0}, "zero_gradient: expected no speed"),
        ({"where": {"side": "top"}, "u": 1.0, "speed": 1.0}, "speed: expected a condition that has one, got none"),
    ],
)
def test_refuses(entry: dict, message: str) -> None:
    places = {"holes": {"it": body_of("circle", BODY, "it", PLANE)}, "points": np.array([[3.5, 1.0]])}

    def read() -> None:
        for of_entries in (boundary_conditions, slope_statements, section_fluxes):
            of_entries([entry], PLANE, **places)

    with pytest.raises(PinnxError, match=message):
        read()


def test_a_free_stream_needs_a_body() -> None:
    entry = {"where": {"side": "left"}, "condition": "free_stream", "speed": 1.0}
    with pytest.raises(PinnxError, match=r"boundaries\.0: free_stream: expected a body in domain\.holes"):
        slope_statements([entry], PLANE)
