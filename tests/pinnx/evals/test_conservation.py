"""Exact flows pass every check of conservation, and fail each when it is wrong by three times its limit."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import h5py
import numpy as np
import pytest
import torch
from flow_cases import DATA, FLOWS, Given, given, needs_data
from scipy.integrate import trapezoid

from pinnx.errors import PinnxError
from pinnx.evals import (
    GATES,
    Beltrami,
    Check,
    ConservationChecker,
    ExactFlow,
    Kovasznay,
    Poiseuille,
    TaylorGreen,
    verify_budgets,
)
from pinnx.evals.checks import RESOLVED


@pytest.fixture(scope="module", params=FLOWS, ids=lambda flow: type(flow).__name__)
def exact(request: pytest.FixtureRequest) -> Given:
    return given(request.param)


def statuses(checks: list[Check], gate: str) -> set[str]:
    found = {check.status for check in checks if check.name == gate}
    assert found, f"no check {gate}"
    return found


def test_exact_flows_pass_every_check(exact: Given) -> None:
    checks = exact.verdicts()
    assert {check.status for check in checks} == {"passed"}
    assert all(check.num_points == exact.pressure.size for check in checks if check.scale is not None)


def strained(by: float) -> Callable[[Given], list[Check]]:
    """u + by x, whose divergence is ``by`` everywhere."""
    return lambda exact: exact.verdicts([exact.velocity[0] + by * exact.speed * exact.places()[0], *exact.velocity[1:]])


def pressed(by: float) -> Callable[[Given], list[Check]]:
    """p + by x, a force along x that nothing balances."""
    return lambda exact: exact.verdicts(p=exact.pressure + by * exact.speed**2 * exact.places()[0])


def worked(by: float) -> Callable[[Given], list[Check]]:
    """A pressure whose work on the flow is ``by``, up to the share of the speed along x."""

    def check(exact: Given) -> list[Check]:
        share = np.sqrt((exact.velocity[0] ** 2).mean()) / exact.speed
        return exact.verdicts(p=exact.pressure + by / share * exact.speed**2 * exact.places()[0])

    return check


def leaking(by: float) -> Callable[[Given], list[Check]]:
    """u + s x, which ends in a net flux that is ``by`` of all that enters and leaves."""

    def check(exact: Given) -> list[Check]:
        h, d = 1 / (len(exact.axes[0]) - 1), exact.flow.dim
        sides = [np.take(part, end, axis=a - d) for a, part in enumerate(exact.velocity) for end in (0, -1)]
        through = np.sum(np.abs(sides), axis=0)
        for _ in range(d - 1):
            through = trapezoid(through, dx=h)
        return strained(by * float(np.max(through)) / exact.speed)(exact)

    return check


WRONG = {"conservation": strained, "pde_residual_l2": pressed, "momentum_balance": pressed, "energy_budget": worked}
WRONG |= {"net_flux": leaking}


@pytest.mark.parametrize("gate", WRONG)
def test_three_times_the_limit_fails(exact: Given, gate: str) -> None:
    checks = WRONG[gate](3.0 * GATES[gate].limit)(exact)
    assert statuses(checks, gate) & {"failed", "warning"}
    assert statuses(WRONG[gate](0.3 * GATES[gate].limit)(exact), gate) == {"passed"}


@pytest.mark.parametrize("gate", ["pde_residual_l2", "energy_budget"])
def test_another_viscosity_fails(gate: str) -> None:
    # Of Kovasznay's flow friction is a tenth of the other terms; TaylorGreen's decays by friction alone.
    for flow in (Kovasznay(nu=1 / 40), TaylorGreen(nu=0.05)):
        assert statuses(given(flow).verdicts(viscosity=2 * flow.nu), gate) & {"failed", "warning"}


@pytest.mark.parametrize("flow", [TaylorGreen(nu=0.05), Kovasznay(nu=1 / 40)], ids=lambda flow: type(flow).__name__)
@pytest.mark.parametrize("factor", [0.8, 1.0, 1.2])
def test_the_vorticity_tells_the_viscosity_without_a_pressure(flow: ExactFlow, factor: float) -> None:
    case = given(flow)
    checker = ConservationChecker(axes=case.axes, times=case.times)
    found = checker.verify_viscosity(*case.velocity, factor * flow.nu)
    assert found.value == pytest.approx(abs(1 / factor - 1), abs=0.01)
    assert found.status == ("passed" if factor == 1.0 else "failed")


def test_a_viscosity_that_nothing_tells_is_not_checked() -> None:
    """Between plates any viscosity has this velocity; noise draws the ratio to zero, where twice it may be 1."""
    rng = np.random.default_rng(0)
    case = given(Poiseuille(nu=0.1))
    assert ConservationChecker(axes=case.axes).verify_viscosity(*case.velocity, 0.1).status == "not checked"
    case = given(Kovasznay(nu=1 / 40))
    for size, factor in itertools.product((1e-5, 1e-4, 1e-3, 1e-2), (0.25, 0.5, 1.0)):
        rough = [part + size * case.speed * rng.normal(size=part.shape) for part in case.velocity]
        found = ConservationChecker(axes=case.axes).verify_viscosity(*rough, factor / 40)
        assert not found.passed or factor == 1.0, f"seed 0, noise {size}, {factor} times the viscosity"
        assert found.status != "failed" or factor != 1.0, f"seed 0, noise {size}, the right viscosity"
    with pytest.raises(PinnxError, match=r"viscosity: expected a finite number > 0, got 0\.0"):
        ConservationChecker(axes=case.axes).verify_viscosity(*case.velocity, 0.0)


def vortices_with_force(times: np.ndarray | None) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray]:
    """u = g sin x cos y, v = -g cos x sin y with g = 1 + sin(2t) / 2, or 1 where steady, at a viscosity of 0.1.

    The lines of the grid, (u, v), p, and the force that drives them, [..., 2].
    """
    axes = [np.linspace(0.2, 2.2, 41), np.linspace(-0.5, 1.5, 43)]
    x, y = np.meshgrid(*axes, indexing="ij")
    t = np.zeros(()) if times is None else times[:, None, None]
    g, rate = (1.0 + 0.0 * t, 0.0 * t) if times is None else (1 + np.sin(2 * t) / 2, np.cos(2 * t))
    u, v = g * np.sin(x) * np.cos(y), -g * np.cos(x) * np.sin(y)
    drive = (rate + 0.2 * g) / g
    return axes, [u, v], g**2 * (np.cos(2 * x) + np.cos(2 * y)) / 4, np.stack([drive * u, drive * v], axis=-1)


@pytest.mark.parametrize("times", [None, np.linspace(0.0, 1.0, 21)], ids=["steady", "unsteady"])
def test_a_force_that_varies_is_an_array(times: np.ndarray | None) -> None:
    axes, velocity, p, force = vortices_with_force(times)
    checker = ConservationChecker(axes=axes, times=times)

    def verdicts(forcing: np.ndarray | None) -> dict[tuple[str, str], str]:
        found = checker.verify_momentum_conservation(*velocity, p, 0.1, forcing=forcing)
        found += checker.verify_energy_conservation(*velocity, p, 0.1, forcing=forcing)
        found.append(checker.verify_viscosity(*velocity, 0.1, forcing=forcing))
        found += verify_budgets(velocity, axes, pressure=p, viscosity=0.1, forcing=forcing, times=times)
        return {(item.name, item.part): item.status for item in found}

    assert set(verdicts(force).values()) == {"passed"}
    for wrong in (force * [1.0, -1.0], force * [1.0, 0.0]):
        found = verdicts(wrong)
        assert {found["pde_residual_l2", "x"], found["momentum_budget", "x"]} == {"passed"}
        names = (("pde_residual_l2", "y"), ("momentum_budget", "y"), ("energy_budget", ""))
        assert [found[name] for name in names] == ["failed"] * 3
        assert found["viscosity_misfit", ""] != "passed"
    assert verdicts(None)["viscosity_misfit", ""] != "passed"
    shape = ", ".join(map(str, force.shape))
    for wrong in (force[..., :1], force[..., 1:, :], np.zeros(3)):
        with pytest.raises(PinnxError, match=rf"^forcing: expected 2 numbers or shape \[{shape}\], got \["):
            verdicts(wrong)


def test_a_constant_force_is_the_array_of_it() -> None:
    case = given(Kovasznay(nu=1 / 40))
    x, _ = case.places()
    one, each = ([3.0, 0.0], np.stack([0 * x + 3.0, 0 * x], axis=-1))
    found = [case.verdicts(p=case.pressure + 3.0 * x, forcing=forcing) for forcing in (one, each)]
    assert found[0] == found[1]
    assert {item.status for item in found[0]} == {"passed"}


def test_net_flux_through_the_boundary() -> None:
    axis = np.linspace(0.0, 1.0, 33)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    checker = ConservationChecker(axes=(axis, axis))
    assert statuses(checker.verify_mass_conservation(4 * y * (1 - y), 0 * x), "net_flux") == {"passed"}
    closed = np.sin(np.pi * x) * np.cos(np.pi * y), -np.cos(np.pi * x) * np.sin(np.pi * y)  # 1e-16 at the walls
    assert statuses(checker.verify_mass_conservation(*closed), "net_flux") == {"passed"}
    leaking = 4 * y * (1 - y) * (1 + 0.05 * x)
    assert statuses(checker.verify_mass_conservation(leaking, 0 * x), "net_flux") == {"failed"}


def test_energy_falls_where_nothing_drives_the_flow() -> None:
    axis, times, flow = np.arange(24) * 2 * np.pi / 24, np.linspace(0.0, 1.0, 9), TaylorGreen(nu=0.05)
    places = np.meshgrid(times, axis, axis, indexing="ij")
    (u, v), p = np.moveaxis(flow.velocity(*places), -1, 0), flow.pressure(*places)
    checker = ConservationChecker(axes=(axis, axis), periods=(2 * np.pi,) * 2, times=times, spectral=True)
    assert {check.status for check in checker.verify_energy_conservation(u, v, p, flow.nu)} == {"passed"}
    back = checker.verify_energy_conservation(u[::-1], v[::-1], p[::-1], flow.nu)
    assert statuses(back, "energy_growth") == {"failed"}
    last = np.arange(9)[:, None, None] == 8
    for flow, factor in itertools.product((TaylorGreen(nu=0.05), Beltrami(nu=0.1)), (0.3, 3.0)):
        places = np.meshgrid(*(axis[::2],) * flow.dim, indexing="ij")
        parts = np.moveaxis(flow.velocity(0.0 * places[0], *places), -1, 0)
        speed, mean = float(np.linalg.norm(parts, axis=0).max()), float((parts**2).sum(axis=0).mean()) / 2
        grown = np.sqrt(1 + factor * GATES["energy_growth"].limit * speed**2 / mean)
        u, v, *w = (np.where(last.reshape(-1, *[1] * flow.dim), grown, 1.0) * part for part in parts)
        sides = {"axes": (axis[::2],) * flow.dim, "periods": (2 * np.pi,) * flow.dim, "times": times, "spectral": True}
        checks = ConservationChecker(speed=speed, **sides).verify_energy_conservation(
            u, v, 0 * u, 1.0, w=w[0] if w else None
        )
        assert statuses(checks, "energy_growth") == ({"passed"} if factor < 1 else {"warning"})


def test_a_coarse_grid_is_not_bad_physics_and_bad_physics_is_no_coarse_grid() -> None:
    flow, rng = Kovasznay(nu=1 / 40), np.random.default_rng(0)
    axes = (np.linspace(-0.5, 0.5, 13), np.sort(rng.uniform(-0.5, 0.5, 15)))
    x, y = np.meshgrid(*axes, indexing="ij")
    u, v = np.moveaxis(flow.velocity(0.0 * x, x, y), -1, 0)
    coarse = ConservationChecker(axes=axes).verify_mass_conservation(u, v)[0]
    assert (coarse.status, coarse.passed) == ("not checked", False)
    assert coarse.note.startswith("the check's own error is about")
    assert ConservationChecker(axes=axes).verify_mass_conservation(v, u)[0].status == "failed"


def test_the_spectral_check_and_the_net_flux_know_their_own_errors() -> None:
    for lines, status in ((16, "not checked"), (48, "passed")):
        axis = 2 * np.pi * np.arange(lines) / lines
        x, y = np.meshgrid(axis, axis, indexing="ij")
        steep = np.exp(6 * (np.cos(x) + np.cos(y) - 2))  # a stream function: no divergence
        checker = ConservationChecker(axes=(axis, axis), periods=(2 * np.pi, 2 * np.pi), spectral=True)
        u, v = -np.sin(y) * steep, np.sin(x) * steep
        assert checker.verify_mass_conservation(u, v)[0].status == status
        assert checker.verify_mass_conservation(v, u)[0].status == "failed"
    flow = Kovasznay(nu=1 / 20)
    for lines, status in ((9, "not checked"), (33, "passed")):
        stretched = np.tanh(1.6 * np.linspace(-1.0, 1.0, lines))
        axes = (0.25 + 0.8 * stretched, 0.03 + 0.5 * stretched)
        x, y = np.meshgrid(*axes, indexing="ij")
        u, v = np.moveaxis(flow.velocity(0.0 * x, x, y), -1, 0)
        found = ConservationChecker(axes=axes).verify_mass_conservation(u, v)[1]
        assert (found.name, found.status) == ("net_flux", status)
        leaks = ConservationChecker(axes=axes).verify_mass_conservation(u + 0.2 * x, v)[1]
        assert (leaks.status, leaks.num_points) == ("failed", 4 * (lines - 1))


def test_numbers_of_half_precision_are_numbers() -> None:
    axis = torch.linspace(0.0, 1.0, 17)
    x, y = torch.meshgrid(axis, axis, indexing="ij")
    checker = ConservationChecker(axes=(axis, axis))
    found = checker.verify_mass_conservation(x.bfloat16(), -y.bfloat16())[0]
    assert found.value == checker.verify_mass_conservation(x.bfloat16().double(), -y.bfloat16().double())[0].value


def test_scattered_points_and_torch() -> None:
    flow, points = Kovasznay(nu=1 / 40), np.random.default_rng(1).uniform(-0.5, 0.5, (1500, 2))
    u, v = torch.tensor(flow.velocity(np.zeros(()), *points.T)).T
    p = torch.tensor(flow.pressure(np.zeros(()), *points.T), requires_grad=True)
    checker = ConservationChecker(points=points, limits={"conservation": 2e-2, "pde_residual_l2": 2e-2})
    right = [*checker.verify_mass_conservation(u, v), *checker.verify_momentum_conservation(u, v, p, flow.nu)]
    assert {check.status for check in right} == {"passed"}
    wrong = [*checker.verify_mass_conservation(v, u), *checker.verify_momentum_conservation(u, v, -p, flow.nu)]
    assert {wrong[0].status, wrong[1].status} == {"failed"}


def test_units_and_the_choice_of_a_grid_change_no_verdict() -> None:
    exact = given(Kovasznay(nu=1 / 40))
    wanted = ConservationChecker(axes=exact.axes).verify_mass_conservation(*exact.velocity)[0]
    in_mm = ConservationChecker(axes=[1e3 * axis for axis in exact.axes])
    got = in_mm.verify_mass_conservation(*(1e3 * part for part in exact.velocity))[0]
    assert got.value == pytest.approx(wanted.value, rel=1e-6)  # of differences of 1e-9 that rounding shifts by 1e-15
    guessed = ConservationChecker().verify_mass_conservation(*exact.velocity)[0]
    assert "the longest side is taken as 1" in guessed.note
    assert guessed.value == pytest.approx(wanted.value, rel=1e-6)


BAD = [
    (
        lambda a, u: ConservationChecker(axes=(a, a), spacing=0.1),
        "expected one of axes, spacing and points, got several",
    ),
    (lambda a, u: ConservationChecker(order=3), "order: expected one of 2, 4, got 3"),
    (lambda a, u: ConservationChecker(axes=(a, a)).verify_mass_conservation(u, u[1:]), "expected the shape of u"),
    (lambda a, u: ConservationChecker(axes=(a, a[:-1])).verify_mass_conservation(u, u), "of the axes, got"),
    (lambda a, u: ConservationChecker(axes=(a[:4], a)).verify_mass_conservation(u[:4], u[:4]), "at least 7 points"),
    (lambda a, u: ConservationChecker(axes=(a[::-1], a)).verify_mass_conservation(u, u), "coordinates that rise"),
    (lambda a, u: ConservationChecker().verify_mass_conservation(0 * u, 0 * u), "expected a flow that moves"),
    (lambda a, u: ConservationChecker().verify_mass_conservation(u * np.nan, u), "u: expected finite numbers"),
    (lambda a, u: ConservationChecker(where=u < 0).verify_mass_conservation(u, u), "where: .* a point that counts"),
    (lambda a, u: ConservationChecker(spacing=(0.0, 0.1)).verify_mass_conservation(u, u), "spacing: expected finite"),
    (lambda a, u: ConservationChecker(points=u).verify_mass_conservation(u, u), "points: expected shape"),
    (lambda a, u: ConservationChecker(periods=(0.5, None)).verify_mass_conservation(u, u), "more than the extent"),
    (
        lambda a, u: ConservationChecker(spacing=(1.0, 1.0, 1.0)).verify_mass_conservation(u, u),
        "one number or 2, got 3",
    ),
    (lambda a, u: ConservationChecker(speed=np.inf), "speed: expected a finite number > 0, got inf"),
    (lambda a, u: ConservationChecker(speed=0.0), "speed: expected a finite number > 0, got 0"),
    (lambda a, u: ConservationChecker(length=-1.0), "length: expected a finite number > 0, got -1"),
    (lambda a, u: ConservationChecker(limits={"conservaton": 1.0}), r"'conservaton' \(did you mean conservation\?\)"),
    (lambda a, u: ConservationChecker(spectral=True).verify_mass_conservation(u, u), "a period of at least one axis"),
    (
        lambda a, u: ConservationChecker(axes=(a**2, a), periods=(1.1, None), spectral=True).verify_mass_conservation(
            u, u
        ),
        "expected even lines of 0.0916667 along a period of 1.1, got distances of 0.0082",
    ),
    (
        lambda a, u: ConservationChecker(axes=(a, a), periods=(2.0, 1.2), spectral=True).verify_mass_conservation(u, u),
        "expected even lines of 0.166667 along a period of 2",
    ),
    (lambda a, u: ConservationChecker(points=np.c_[a, a]).verify_mass_conservation(u[0], u[0]), "at least 30 for fits"),
    (
        lambda a, u: ConservationChecker(points=np.c_[u.cumsum(), u.cumsum()]).verify_mass_conservation(
            u.ravel(), 0 * u.ravel()
        ),
        "extent in 2 directions, got points on a line",
    ),
    (
        lambda a, u: ConservationChecker().verify_mass_conservation(np.ma.masked_where(np.eye(12) > 0, u), u),
        "u: expected a number everywhere, got 12 that are masked",
    ),
    (lambda a, u: ConservationChecker().verify_mass_conservation(u + 1j, u), "expected real numbers, got complex128"),
    (lambda a, u: ConservationChecker().verify_mass_conservation("u", u), "u: expected real numbers, got <U1"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_what_does_not_belong_together_is_refused(call: Callable[..., object], message: str) -> None:
    axis = np.linspace(0.0, 1.0, 12)
    with pytest.raises(PinnxError, match=message):
        call(axis, np.ones((12, 12)))


def test_a_component_that_is_missing_is_refused_after_a_call_with_it() -> None:
    axis = np.linspace(0.0, 1.0, 12)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    checker = ConservationChecker(axes=(axis, axis, axis))
    assert checker.verify_mass_conservation(x, y, -2 * z)[0].passed
    with pytest.raises(PinnxError, match=r"u: expected a grid of 2 dimensions .*, got shape \[12, 12, 12\]"):
        checker.verify_mass_conservation(x, -y)


def test_the_worst_point_stands_beside_each_norm() -> None:
    axis, times = np.linspace(0.0, 1.0, 21), np.arange(7.0)
    x = np.meshgrid(times, axis, axis, indexing="ij")[1]
    u = np.ones_like(x)
    u[4, 12, 5] += 1e-3
    checker = ConservationChecker(axes=(axis, axis), times=times)
    worst = checker.verify_mass_conservation(u, 0 * u)[0]
    assert worst.worst_at is not None
    *place, time = worst.worst_at
    assert time == 4.0
    assert np.allclose(place, (axis[12], axis[5]), atol=2.5 / 20)
    assert worst.worst is not None
    assert worst.worst > 10 * worst.value
    away = np.ones((21, 21), dtype=bool)
    away[7:18, 5] = False
    left = ConservationChecker(axes=(axis, axis), times=times, where=away, reason="beside a spike")
    found = left.verify_mass_conservation(u, 0 * u)[0]
    assert (found.passed, found.everywhere) == (True, worst.value)
    assert found.note == "without 11 of 441 points beside a spike"


def test_a_mean_is_no_better_known_than_what_it_is_the_mean_of() -> None:
    exact = given(Kovasznay(nu=1 / 40))
    rough = 1e-3 * np.random.default_rng(3).normal(size=exact.pressure.shape)
    checks = exact.verdicts(p=exact.pressure + rough + 5e-3 * exact.speed**2 * exact.places()[0])
    along_x = {item.name: item for item in checks if item.part == "x"}
    assert along_x["momentum_balance"].value > 4 * GATES["momentum_balance"].limit
    assert {item.status for item in along_x.values()} == {"not checked"}
    assert len({item.discretisation for item in along_x.values()}) == 1


def cavity(reynolds: int) -> tuple[dict, list[np.ndarray], dict]:
    """Without what is within 0.15 of the corners of the lid, where u jumps."""
    with np.load(DATA / f"ldc_re{reynolds}_converged.npz") as file:
        axes, velocity = (file["x"], file["y"]), [file["u"], file["v"]]
    x, y = np.meshgrid(*axes, indexing="ij")
    away = np.minimum(np.hypot(x, 1 - y), np.hypot(1 - x, 1 - y)) > 0.15
    return {"axes": axes, "where": away}, velocity, {"u": velocity[0].T, "v": velocity[1].T}


def wake() -> tuple[dict, list[np.ndarray], dict]:
    with h5py.File(DATA / "cylinder_wake_re100.h5") as file:
        points = np.stack([file["x"][()], file["y"][()]], axis=1)
        velocity = [file[name][28].astype(np.float64) for name in "uv"]
    part = (np.abs(points[:, 0] - 3.0) < 1.0) & (np.abs(points[:, 1]) < 1.0)
    u, v = (component[part] for component in velocity)
    return {"points": points[part], "speed": 1.0, "length": 1.0}, [u, v], {"u": v, "v": u}


@needs_data
@pytest.mark.parametrize("flow", [lambda: cavity(100), lambda: cavity(1000), wake], ids=["Re 100", "Re 1000", "wake"])
def test_real_files_pass_at_the_level_of_their_points_and_wrong_ones_fail(flow: Callable[[], tuple]) -> None:
    places, velocity, wrong = flow()
    found = ConservationChecker(**places).verify_mass_conservation(*velocity)[0]
    assert found.status in ("passed", "not checked")
    assert found.discretisation is not None
    at_level = ConservationChecker(**places, limits={"conservation": RESOLVED * found.discretisation})
    assert at_level.verify_mass_conservation(*velocity)[0].status == "passed"
    assert at_level.verify_mass_conservation(**wrong)[0].status == "failed"


def moving_wake() -> tuple:
    with h5py.File(DATA / "cylinder_wake_re100.h5") as file:
        x, y, t, u, v = (file[name][...] for name in ("x", "y", "t", "u", "v"))
    return {"points": np.stack([x, y], axis=1), "times": t[:12]}, [u[:12], v[:12]], {}


@needs_data
@pytest.mark.parametrize(
    ("flow", "nu"),
    [(lambda: cavity(1000), 1e-3), (lambda: cavity(3200), 1 / 3200), (moving_wake, 0.01)],
    ids=["Re 1000", "Re 3200", "wake"],
)
def test_real_files_tell_their_viscosity_without_a_pressure(flow: Callable[[], tuple], nu: float) -> None:
    places, velocity, _ = flow()
    checker = ConservationChecker(**places)
    found = [checker.verify_viscosity(*velocity, factor * nu).status for factor in (1.0, 0.5, 1.5)]
    assert found == ["passed", "failed", "failed"]


@needs_data
def test_the_cylinder_obeys_its_own_viscosity_and_no_other() -> None:
    with np.load(DATA / "steady_cylinder_re40.npz") as file:
        points, nu = np.stack([file["x"], file["y"]], axis=1), float(file["nu"])
        # Behind the body, where friction is a tenth of the other terms.
        part = (points[:, 0] > 0.7) & (points[:, 0] < 3.0) & (np.abs(points[:, 1]) < 1.0)
        u, v, p = (file[name][part] for name in "uvp")
    checker = ConservationChecker(points=points[part], speed=1.0, length=1.0)
    right = checker.verify_momentum_conservation(u, v, p, nu)[0]
    assert right.discretisation is not None
    at_level = ConservationChecker(
        points=points[part], speed=1.0, length=1.0, limits={"pde_residual_l2": RESOLVED * right.discretisation}
    )
    values = {factor: at_level.verify_momentum_conservation(u, v, p, factor * nu)[0] for factor in (1.0, 2.0, 0.25)}
    assert values[1.0].status == "passed"
    assert {values[factor].passed for factor in (2.0, 0.25)} == {False}
