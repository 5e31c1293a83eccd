"""Budgets of sub-boxes: exact flows balance, three times the limit does not, and the box that leaks is named."""

from __future__ import annotations

import re

import numpy as np
import pytest
from flow_cases import DATA, FLOWS, Given, given, needs_data

from pinnx.errors import PinnxError
from pinnx.evals import GATES, Check, verify_budgets


def boxes(exact: Given) -> int:
    """Along each axis: the lines of the grid are a whole number of pairs of intervals for each."""
    return 4 if exact.flow.dim == 2 else 5


def budgets(exact: Given, **changes: object) -> list[Check]:
    arguments = {"pressure": exact.pressure, "viscosity": exact.flow.nu, "times": exact.times, "speed": exact.speed}
    arguments["boxes"] = boxes(exact)
    velocity = changes.pop("velocity", exact.velocity)
    return verify_budgets(velocity, exact.axes, **(arguments | changes))


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: type(flow).__name__)
def test_exact_flows_pass_and_three_times_the_limit_fails(flow: object) -> None:
    exact = given(flow)
    assert {item.status for item in budgets(exact)} == {"passed"}
    assert [item.label for item in budgets(exact)][-1] == f"momentum_budget ({'xyz'[exact.flow.dim - 1]})"
    side, x = 1 / boxes(exact), exact.places()[0]
    for gate, wrong in (
        ("mass_budget", lambda by: {"velocity": [exact.velocity[0] + by * exact.speed * x, *exact.velocity[1:]]}),
        ("momentum_budget", lambda by: {"pressure": exact.pressure + by * exact.speed**2 * x}),
    ):
        for factor, wanted in ((0.3, {"passed"}), (3.0, {"warning"}), (30.0, {"failed"})):
            slope = factor * GATES[gate].limit / 100 / side
            found = next(item for item in budgets(exact, **wrong(slope)) if item.name == gate)
            assert {found.status} == wanted, gate
            assert found.value == pytest.approx(factor * GATES[gate].limit, rel=0.1)


def test_the_box_that_leaks_is_named_and_a_coarse_grid_is_not_bad_physics() -> None:
    axis = np.linspace(0.0, 1.0, 33)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    u = 1.0 + 0.3 * np.exp(-(((x - 0.5) ** 2 + (y - 0.85) ** 2) / 0.003))  # a source before x = 0.5, a sink behind
    (found,) = verify_budgets((u, 0 * u), (axis, axis))
    assert found.status == "failed"
    assert found.worst_at in ((0.625, 0.875), (0.375, 0.875))
    away = np.abs(x - 0.6) > 0.3
    (left,) = verify_budgets((u, 0 * u), (axis, axis), where=away)
    assert left.status == "passed"
    assert "without 12 of 16 sub-boxes" in left.note
    mean, together = map(float, re.match(r"mean ([\d.e+-]+) %, of all together ([\d.e+-]+) %$", found.note).groups())
    assert 2 * found.worst / 16 == pytest.approx(mean, rel=0.05), "a source and a sink, and nothing elsewhere"
    assert together < 0.01 * mean, "what one makes the other takes"
    (growing,) = verify_budgets((1.0 + 0.1 * x, 0 * x), (axis, axis), speed=1.0)
    assert growing.note == "mean 2.5 %, of all together 10 %", "faces of sub-boxes are a quarter of the side"
    axis = np.linspace(0.0, 1.0, 17)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    wave = 14 * np.sin(9 * x) * np.cos(14 * y), -9 * np.cos(9 * x) * np.sin(14 * y)
    (coarse,) = verify_budgets(wave, (axis, axis))
    assert coarse.status == "not checked"
    for call, message in (
        (lambda: verify_budgets(wave, (axis, axis), boxes=5), "boxes: expected at most 4, got 5"),
        (lambda: verify_budgets((wave[0][1:], wave[1]), (axis, axis)), "expected 2 components on the axes"),
        (lambda: verify_budgets((0 * x, 0 * x), (axis, axis)), "expected a flow that moves"),
        (lambda: verify_budgets(wave, (axis, axis), where=x < 0), "a sub-box all of whose points count"),
        (lambda: verify_budgets(wave, (axis, axis), speed=np.inf), "speed: expected a finite number > 0, got inf"),
        (lambda: verify_budgets(wave, (axis, axis), limits={"mass": 1.0}), "check: expected one of .*'mass'"),
        (
            lambda: verify_budgets(wave, (axis, axis), pressure=x[1:], viscosity=1.0),
            r"p: expected the shape of the velocity, \[1, 17, 17\], got \[1, 16, 17\]",
        ),
    ):
        with pytest.raises(PinnxError, match=message):
            call()


@needs_data
@pytest.mark.parametrize("reynolds", [100, 1000])
def test_the_cavities_balance_and_transposed_they_do_not(reynolds: int) -> None:
    with np.load(DATA / f"ldc_re{reynolds}_converged.npz") as cavity:
        axes, velocity = (cavity["x"], cavity["y"]), (cavity["u"], cavity["v"])
    assert verify_budgets(velocity, axes, boxes=8)[0].status == "passed"
    wrong = verify_budgets([part.T for part in velocity], axes, boxes=8)[0]
    assert (wrong.status, wrong.value > 50) == ("failed", True)
