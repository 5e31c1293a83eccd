"""Conditions at the boundary of arrays: exact flows pass, and three times the limit fails, on grids and at points."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pinnx.errors import PinnxError
from pinnx.evals import (
    GATES,
    Beltrami,
    BoundaryChecker,
    BurgersVortex,
    Check,
    ExactFlow,
    Kovasznay,
    Poiseuille,
    TaylorGreen,
)

FLOWS = [TaylorGreen(nu=0.05, wavenumber=2 * np.pi), Kovasznay(nu=1 / 40), Poiseuille(nu=0.1), Beltrami(nu=0.1),
         BurgersVortex(nu=0.1)]  # fmt: skip
SIDES = ("left", "right", "bottom", "top", "back", "front")


def line(dim: int) -> np.ndarray:
    return np.linspace(-0.5, 0.5, 97 if dim == 2 else 17)


def given(flow: ExactFlow) -> tuple[BoundaryChecker, dict[str, np.ndarray], float]:
    axes = (line(flow.dim),) * flow.dim
    places = np.meshgrid(*axes, indexing="ij")
    velocity = flow.velocity(np.zeros(()), *places)
    fields = dict(zip("uvw", np.moveaxis(velocity, -1, 0), strict=False)) | {"p": flow.pressure(np.zeros(()), *places)}
    speed = float(np.linalg.norm(velocity, axis=-1).max())
    return BoundaryChecker(axes=axes, speed=speed, length=1.0), fields, speed


def values(flow: ExactFlow, checker: BoundaryChecker, side: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Exact values and outward slopes at the points of a side."""
    axis, end = SIDES.index(side) // 2, SIDES.index(side) % 2
    at = checker.points[np.abs(checker.points[:, axis] - (0.5 if end else -0.5)) < 1e-9]
    x = torch.tensor(at, requires_grad=True)
    columns = torch.zeros(len(at), dtype=torch.float64), *x.T
    exact = dict(zip("uvw", flow.velocity(*columns).T, strict=False)) | {"p": flow.pressure(*columns)}
    slopes = {n: torch.autograd.grad(f.sum(), x, retain_graph=True)[0][:, axis] for n, f in exact.items()}
    sign = 1.0 if end else -1.0
    return {n: f.detach().numpy() for n, f in exact.items()}, {n: sign * s.numpy() for n, s in slopes.items()}


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: type(flow).__name__)
def test_exact_flows_pass_and_three_times_the_limit_fails(flow: ExactFlow) -> None:
    checker, fields, speed = given(flow)
    for side in SIDES[: 2 * flow.dim]:
        known, slopes = values(flow, checker, side)
        dirichlet, neumann = checker.verify_dirichlet(fields, side, known), checker.verify_neumann(fields, side, slopes)
        assert {item.status for item in (*dirichlet, *neumann)} == {"passed"}, side
    for gate, verify, prescribed in (
        ("boundary_error_max", checker.verify_dirichlet, known),
        ("neumann_error_max", checker.verify_neumann, slopes),
    ):
        unit = {name: GATES[gate].limit * speed ** (1 + (name == "p")) for name in prescribed}
        wrong, right = ({n: value + by * unit[n] for n, value in prescribed.items()} for by in (3.0, 0.3))
        assert {item.status for item in verify(fields, side, wrong)} <= {"failed", "warning"}
        assert {item.status for item in verify(fields, side, right)} == {"passed"}


def shifted(checks: list[Check]) -> set[str]:
    return {item.status for item in checks}


def test_periodic_sides_are_matched_by_place_and_the_worst_point_is_named() -> None:
    flow, rng = TaylorGreen(nu=0.05, wavenumber=2 * np.pi), np.random.default_rng(0)
    across = np.concatenate([[-0.5, 0.5], rng.uniform(-0.5, 0.5, 30)])
    inner = rng.uniform(-0.5, 0.5, (100, 2))
    points = np.concatenate([np.c_[0 * across - 0.5, across], np.c_[0 * across + 0.5, across], inner])
    order = rng.permutation(len(points))
    points = points[order]
    fields = dict(zip("uv", flow.velocity(np.zeros(()), *points.T).T, strict=True))
    checker = BoundaryChecker(points=points, speed=1.0)
    assert shifted(checker.verify_periodic(fields, "x")) == {"passed"}
    worst = int(np.flatnonzero(points[:, 0] == -0.5)[7])
    for factor, wanted in ((0.3, "passed"), (3.0, "warning"), (30.0, "failed")):
        wrong = fields["u"].copy()
        wrong[worst] += factor * GATES["periodic_error_max"].limit
        (found,) = checker.verify_periodic({"u": wrong}, "x")
        assert (found.status, found.worst_at) == (wanted, tuple(points[worst]))
    moved = points.copy()
    moved[worst, 1] += 0.01
    (found,) = BoundaryChecker(points=moved, speed=1.0).verify_periodic({"u": fields["u"]}, "x")
    assert found.status == "failed"
    assert "2 of 64 points on the sides of x have no partner" in found.note


def test_a_body_has_normals_of_its_own_and_rough_numbers_are_no_slope() -> None:
    rng = np.random.default_rng(2)
    angle, radius = rng.uniform(0, 2 * np.pi, 900), np.sqrt(rng.uniform(1.0, 4.0, 900))
    radius[:80] = 1.0
    points = np.c_[radius * np.cos(angle), radius * np.sin(angle)]
    wall = np.arange(900) < 80
    fields = {"p": radius**2}  # its slope out of the flow, into the body, is -2
    checker = BoundaryChecker(points=points, speed=1.0, length=1.0)
    (found,) = checker.verify_neumann(fields, wall, {"p": -2.0}, normals=-points[wall])
    assert (found.status, found.num_points) == ("passed", 80)
    assert checker.verify_neumann(fields, wall, {"p": -1.99}, normals=-points[wall])[0].status == "failed"
    rough = {"p": radius**2 + 1e-3 * rng.normal(size=900)}
    assert checker.verify_neumann(rough, wall, {"p": -2.0}, normals=-points[wall])[0].status == "not checked"


def test_bad_input() -> None:
    axis = np.linspace(0.0, 1.0, 9)
    field, checker = {"u": np.ones((9, 9))}, BoundaryChecker(axes=(axis, axis), speed=1.0)
    for call, message in (
        (lambda: BoundaryChecker(speed=1.0), "expected either axes or points"),
        (lambda: BoundaryChecker(axes=(axis, axis), speed=0.0), "speed: expected a finite number > 0"),
        (lambda: BoundaryChecker(axes=(axis, axis), speed=np.inf), "speed: expected a finite number > 0, got inf"),
        (lambda: BoundaryChecker(axes=(axis, axis), speed=1.0, length=-1.0), "length: expected a finite number > 0"),
        (
            lambda: BoundaryChecker(axes=(axis, axis), speed=1.0, limits={"wall": 1.0}),
            "check: expected one of .*'wall'",
        ),
        (lambda: checker.verify_dirichlet(field, "left", {}), "values: expected at least one field, got none"),
        (lambda: checker.verify_neumann(field, "left", {}), "slopes: expected at least one field, got none"),
        (lambda: checker.verify_periodic({}, "x"), "fields: expected at least one field, got none"),
        (lambda: checker.verify_periodic(field, "z"), "axis: expected one of x, y, got 'z'"),
        (lambda: checker.verify_periodic(field, "x", jumps={"p": 1.0}), "p: expected one of the fields u"),
        (lambda: checker.verify_dirichlet(field, "left", {"u": np.ones(5)}), r"each of 9 points, got \[5\]"),
        (lambda: checker.verify_neumann(field, "left", {"u": np.ones(5)}), r"each of 9 points, got \[5\]"),
        (
            lambda: checker.verify_neumann(field, np.arange(81) < 9, {"u": 0.0}, normals=np.full((9, 2), 1e-3)),
            "normals: expected unit length, got lengths of 0.00141421",
        ),
        (lambda: checker.verify_dirichlet(field, "front", {"u": 0.0}), "side: expected one of left"),
        (lambda: checker.verify_dirichlet(field, "left", {"v": 0.0}), "v: expected one of the fields u"),
        (lambda: checker.verify_dirichlet(field, np.zeros(81, dtype=bool), {"u": 0.0}), "nothing was checked"),
        (lambda: checker.verify_dirichlet({"u": np.ones(3)}, "left", {"u": 0.0}), "for each of 81 points, got 3"),
        (lambda: checker.verify_neumann(field, np.ones(81, dtype=bool), {"u": 0.0}), "normals: expected one for each"),
    ):
        with pytest.raises(PinnxError, match=message):
            call()
