"""``pinnx verify`` of files: right ones pass, wrong ones do not, and the exit status says which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from same_runs import Verified

from pinnx.cli import main
from pinnx.evals import Kovasznay, TaylorGreen

FLOW, NAMED = Kovasznay(nu=1 / 40), ("data.arrays.p=p", "data.axes=[x,y]")


def stored(folder: Path, n: int = 49, **changes: np.ndarray) -> Path:
    x, y = np.linspace(-0.5, 0.5, n), np.linspace(-0.5, 0.5, n - 2)
    places = np.meshgrid(x, y, indexing="ij")
    u, v = np.moveaxis(FLOW.velocity(0.0 * places[0], *places), -1, 0)
    np.savez(folder / "flow.npz", **({"x": x, "y": y, "u": u, "v": v, "p": FLOW.pressure(0.0, *places)} | changes))
    return folder / "flow.npz"


def test_right_files_pass_and_wrong_ones_fail(verified: Verified, tmp_path: Path) -> None:
    data = stored(tmp_path)
    status, checks, _ = verified(data, *NAMED, f"flow.nu={FLOW.nu}")
    assert {item["status"] for item in checks} == {"passed"}
    assert status == 0
    assert {item["name"] for item in checks} == {
        *("conservation", "net_flux", "pde_residual_l2", "momentum_balance", "energy_budget"),
        *("mass_budget", "momentum_budget", "viscosity_misfit"),
    }  # fmt: skip
    status, checks, _ = verified(data, *NAMED, f"flow.nu={2 * FLOW.nu}", "--pde-residual")
    assert (status, {item["name"] for item in checks}) == (1, {"pde_residual_l2", "viscosity_misfit"})
    assert "passed" not in {item["status"] for item in checks}
    with np.load(data) as arrays:
        exchanged = {"u": arrays["v"], "v": arrays["u"]}
    status, checks, _ = verified(stored(tmp_path, **exchanged), *NAMED, "--conservation")
    assert (status, checks[0]["status"]) == (1, "failed")


def test_a_flow_that_a_force_drives_needs_it(verified: Verified, tmp_path: Path) -> None:
    """A force along x is balanced by a pressure that grows along x."""
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, 49), np.linspace(-0.5, 0.5, 47), indexing="ij")
    data = stored(tmp_path, p=FLOW.pressure(0.0 * x, x, y) + 2.0 * x)
    status, _, _ = verified(data, *NAMED, f"flow.nu={FLOW.nu}", "flow.forcing=[2.0,0.0]")
    assert status == 0
    status, checks, _ = verified(data, *NAMED, f"flow.nu={FLOW.nu}")
    failed = {item["name"] for item in checks if item["status"] != "passed"}
    assert (status, failed) == (1, {"pde_residual_l2", "momentum_balance", "momentum_budget", "energy_budget"})


@pytest.mark.parametrize(
    ("length", "origin", "force"), [(1.0, 0.0, "0.4*sin(2*y)"), (10.0, 1000.0, "4*sin(2*(y - 1000)/10)")]
)
@pytest.mark.parametrize("ends", [(), ("x", "y")])
def test_a_force_is_a_formula_in_the_coordinates_of_the_file(
    verified: Verified, tmp_path: Path, length: float, origin: float, force: str, ends: tuple[str, ...]
) -> None:
    """Kolmogorov's flow u = sin 2y, whose friction 0.4 sin 2y drives; also in mm, with another origin, and periodic."""
    line = np.linspace(0.0, 2 * np.pi, 65)
    _, y = np.meshgrid(line, line, indexing="ij")
    at, extent = origin + length * line, f"[{origin!r},{origin + 2 * np.pi * length!r}]"
    np.savez(tmp_path / "flow.npz", x=at, y=at, u=length * np.sin(2 * y), v=0 * y, p=0 * y)
    given = [*NAMED, f"flow.nu={0.1 * length**2}", f"domain.periodic=[{','.join(ends)}]"]
    given += [f"domain.{axis}={extent}" for axis in ends]

    def verdicts(force: str) -> tuple[int, dict[str, str]]:
        status, checks, _ = verified(tmp_path / "flow.npz", *given, f'flow.forcing=["{force}", 0]')
        return status, {f"{item['name']} {item.get('part', '')}".strip(): item["status"] for item in checks}

    status, found = verdicts(force)
    assert (status, set(found.values())) == (0, {"passed"})
    for wrong in (f"-{force}", force.replace("2*", "3*"), force.replace("y", "x"), "0"):
        status, found = verdicts(wrong)
        assert [found[name] for name in ("pde_residual_l2 x", "momentum_budget x", "energy_budget")] == ["failed"] * 3
        assert (status, found["viscosity_misfit"] != "passed", found["pde_residual_l2 y"]) == (1, True, "passed"), wrong


def test_a_force_may_vary_in_time(verified: Verified, tmp_path: Path) -> None:
    """u = (1 + t) sin 2y at a viscosity of 0.1."""
    line, t = np.linspace(0.0, 3.0, 33), np.linspace(5.0, 6.0, 9)
    time, _, y = np.meshgrid(t, line, line[:30], indexing="ij")
    np.savez(tmp_path / "flow.npz", x=line, y=line[:30], t=t, u=(time - 4) * np.sin(2 * y), v=0 * y, p=0 * y)
    given = (tmp_path / "flow.npz", "data.arrays.p=p", "data.arrays.t=t", "flow.nu=0.1")
    status, checks, _ = verified(*given, 'flow.forcing=["(1 + 0.4*(t - 4))*sin(2*y)", 0.0]')
    assert (status, {item["status"] for item in checks}) == (0, {"passed"})
    for wrong in ("(1 + 0.4*t)*sin(2*y)", "0.4*(t - 4)*sin(2*y)"):
        status, checks, _ = verified(*given, f'flow.forcing=["{wrong}", 0.0]')
        assert (status, "failed" in {item["status"] for item in checks if item["name"] == "pde_residual_l2"}) == (
            1,
            True,
        )


def test_what_cannot_be_checked_is_no_pass(verified: Verified, tmp_path: Path) -> None:
    status, checks, _ = verified(stored(tmp_path), "data.axes=[x,y]", f"flow.nu={FLOW.nu}")
    unchecked = {item["name"]: item for item in checks if item["status"] == "not checked"}
    assert (status, set(unchecked)) == (
        3,
        {"pde_residual_l2", "momentum_balance", "momentum_budget", "energy_budget"},
    )
    assert unchecked["energy_budget"]["note"] == "no pressure at each time: name its array with data.arrays.p"
    status, checks, _ = verified(stored(tmp_path), "data.axes=[x,y]", f"flow.nu={2 * FLOW.nu}")
    assert (status, [item["name"] for item in checks if item["status"] == "failed"]) == (1, ["viscosity_misfit"])
    status, checks, _ = verified(stored(tmp_path), "data.axes=[x,y]", "--conservation")
    assert (status, [item["status"] for item in checks]) == (3, [*["passed"] * 3, *["not checked"] * 3])
    status, checks, _ = verified(stored(tmp_path), *NAMED)
    assert (status, checks[-1]["note"]) == (
        3,
        "no viscosity is known: set flow.nu, or name its array with data.arrays.nu",
    )


def lid(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """u = y, but for 0.4 around the upper corners, at which it is 1 along the lid and 0 along the wall."""
    depth = 1.0 - y
    r = np.minimum(np.hypot(x, depth), np.hypot(1.0 - x, depth))
    return y * (1.0 - np.clip(1.0 - r / 0.4, 0.0, None) ** 3 * depth / np.maximum(r, 1e-12))


def test_a_cavity_is_judged_away_from_the_corners_of_its_lid(
    verified: Verified, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    axis = np.linspace(0.0, 1.0, 33)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    u = lid(x, y)
    data = stored(tmp_path, x=axis, y=axis, u=u, v=0 * u, p=0 * u)
    _, (whole, *_), _ = verified(data, "data.axes=[x,y]", "--conservation")
    assert whole["status"] == "failed"
    assert "sides disagree at (0, 1), (1, 1)" in whole["note"]
    assert "everywhere" not in whole
    _, (part, *_), _ = verified(data, "data.axes=[x,y]", "--conservation", "--corner-radius", "0.6")
    assert part["everywhere"] == whole["value"] > 100 * part["value"]
    assert part["note"].startswith("without ")
    assert "of 1,089 points within 0.6 of the 2 corners where two sides disagree" in part["note"]
    data = stored(tmp_path, x=axis, y=axis, u=u, v=0.01 * y * (1 - y), p=0 * u)
    _, (part, *_), _ = verified(data, "data.axes=[x,y]", "--conservation", "--corner-radius", "0.6")
    assert part["status"] == "failed", "what is wrong away from the corners still counts"
    assert main(["verify", str(data), "data.axes=[x,y]", "--corner-radius", "0.6"]) == 1
    shown = capsys.readouterr().out
    assert "all points" in shown
    assert "pde_residual_l2, momentum_balance, momentum_budget, energy_budget: no pressure" in shown
    assert "4 not checked: pde_residual_l2, momentum_balance, momentum_budget, energy_budget." in shown
    assert verified(stored(tmp_path), *NAMED, "--corner-radius", "0.1")[0] == 2, "no corner where sides disagree"


def test_conditions_of_a_file_are_those_that_are_stated(verified: Verified, tmp_path: Path) -> None:
    axis = np.linspace(0.0, 1.0, 33)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    data = stored(tmp_path, x=axis, y=axis, u=lid(x, y), v=0 * x, p=0 * x)
    grid, wall = ("data.axes=[x,y]", "--boundary"), "{where: {side: left}, u: 0.0, v: 0.0}"
    top = "{where: {side: top}, u: 1.0, v: 0.0}"
    status, checks, _ = verified(data, *grid, f"boundaries=[{top}]")
    assert (status, [(item["part"], item["num_points"]) for item in checks]) == (0, [("u, top", 33), ("v, top", 33)])
    status, checks, _ = verified(data, *grid, f"boundaries=[{top}, {wall}]")
    assert (status, [item["status"] for item in checks]) == (1, ["passed", "passed", "failed", "passed"])
    u = lid(x[:1], y[:1])[0, :-1]
    assert checks[2]["value"] == pytest.approx(u.max())
    assert checks[2]["worst_at"] == [0.0, pytest.approx(axis[u.argmax()])]
    assert checks[0]["num_points"] == 32, "the corner where both disagree is no error of either"
    u = np.where((y == 1) & ((x == 0) | (x == 1)), 0.0, lid(x, y))  # corners with the walls' velocity
    (tmp_path / "walls").mkdir()
    other = stored(tmp_path / "walls", x=axis, y=axis, u=u, v=0 * x)
    assert verified(other, *grid, f"boundaries=[{top}]")[0] == 1
    status, checks, _ = verified(other, *grid, f"boundaries=[{top}]", "--corner-radius", "0.1")
    assert (status, checks[0]["num_points"]) == (0, 25), "corners that the numbers show count where one side is stated"
    status, checks, _ = verified(data, *grid, "boundaries=[{where: {expression: y == 0}, u: 0.0, v: 0.0}]")
    assert (status, len(checks)) == (0, 2)
    status, checks, _ = verified(data, *grid, "domain.periodic=[x]")
    assert (status, [item["part"] for item in checks]) == (0, ["u, x", "v, x"])
    status, checks, _ = verified(data, *grid, "domain.periodic=[y]")
    assert (status, checks[0]["status"]) == (1, "failed")
    assert "as both ends of the period" in checks[0]["note"]
    assert verified(data, *grid, "boundaries=[{where: {side: top}, p: 0.0}]")[0] == 2, "the file has no pressure"


TURN = 2 * np.pi
PERIODS = ("domain.periodic=[x,y]", f"domain.x=[0,{TURN}]", f"domain.y=[0,{TURN}]")
TIMED = ("data.axes=[t,x,y]", "data.arrays.t=t", "data.arrays.p=p", "flow.nu=0.05")


def vortices(folder: Path, *, ends: int, n: int = 32, wavenumber: float = 1.0) -> Path:
    """Decaying vortices in a box of 2 pi; with ``ends`` 1 the first lines are there again as the last, with 0 not."""
    flow, line = TaylorGreen(nu=0.05, wavenumber=wavenumber), TURN / n * np.arange(n + ends)
    mesh = np.meshgrid(np.linspace(0.0, 0.1, 9), line, line, indexing="ij")
    u, v = np.moveaxis(flow.velocity(*mesh), -1, 0)
    np.savez(folder / "vortices.npz", x=line, y=line, t=mesh[0][:, 0, 0], u=u, v=v, p=flow.pressure(*mesh))
    return folder / "vortices.npz"


def by_name(checks: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in checks}


def test_a_period_is_named_as_that_of_a_run(verified: Verified, tmp_path: Path) -> None:
    """Without it the checks of a file whose last line is left out compare places that are no ends of a period."""
    left_out = vortices(tmp_path, ends=0)
    status, checks, _ = verified(left_out, *TIMED, "domain.periodic=[x,y]")
    ends = [item for item in checks if item["name"] == "periodic_error_max"]
    assert (status, {item["status"] for item in ends}) == (1, {"failed"})
    assert "name the period by domain.x=[lo, hi]" in ends[0]["note"]
    status, checks, _ = verified(left_out, *TIMED, *PERIODS)
    by_status = {item["name"]: item["status"] for item in checks if item["name"] != "viscosity_misfit"}
    assert (status, by_status.pop("periodic_error_max")) == (3, "not checked"), "there is one end"
    assert set(by_status.values()) == {"passed"}
    assert {"energy_growth", "conservation", "pde_residual_l2"} <= set(by_status)
    own = next(item for item in verified(left_out, *TIMED)[1] if item["name"] == "conservation")
    across = next(item for item in checks if item["name"] == "conservation")
    assert across["num_points"] == own["num_points"] == 9 * 32 * 32
    assert across["discretisation"] < own["discretisation"] / 3, "no one-sided differences at the ends"

    both = vortices(tmp_path, ends=1)
    status, checks, _ = verified(both, *TIMED, *PERIODS)
    assert (status, {item["status"] for item in checks}) == (0, {"passed"})
    assert by_name(checks)["conservation"]["num_points"] == 9 * 32 * 32, "the repeated lines count once"

    rounded = ("domain.periodic=[x,y]", "domain.x=[0,6.2832]", "domain.y=[0,6.2832]")
    again = verified(both, *TIMED, *rounded)
    assert again == (0, checks, ""), "the lines know the period better than four digits"
    wanted = verified(vortices(tmp_path, ends=0), *TIMED, *PERIODS)
    assert verified(vortices(tmp_path, ends=0), *TIMED, *rounded) == wanted

    wrong = vortices(tmp_path, ends=0, wavenumber=0.95)
    _, checks, _ = verified(wrong, *TIMED, *PERIODS)
    assert by_name(checks)["pde_residual_l2"]["status"] == "failed", "a flow that does not close"


def test_a_pressure_that_drives_a_channel_jumps_over_its_period(verified: Verified, tmp_path: Path) -> None:
    x, y = TURN / 24 * np.arange(24), np.linspace(0.0, 1.0, 25)
    at = np.meshgrid(x, y, indexing="ij")
    data = stored(tmp_path, x=x, y=y, u=at[1] * (1 - at[1]) / 0.2, v=0 * at[0], p=-at[0])
    words = ("data.axes=[x,y]", "data.arrays.p=p", "flow.nu=0.1", "--pde-residual", "domain.periodic=[x]")
    words = (*words, f"domain.x=[0,{TURN}]")
    checks = verified(data, *words, f"domain.jump.x={-TURN}")[1]
    assert {item["status"] for item in checks if item["name"] == "pde_residual_l2"} == {"passed"}
    (along, _) = (item for item in verified(data, *words)[1] if item["name"] == "pde_residual_l2")
    assert (along["part"], along["status"], along["value"] > 1.0) == ("x", "failed", True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("domain.x=[0, 6.2]",), "domain.x: expected x among domain.periodic, as a file has its own extent"),
        (("domain.periodic=[x]", "domain.x=[0, 6]"), "domain.x: expected [lo, hi] of one whole period, got [0.0, 6.0]"),
        (("domain.periodic=[x]", "domain.x=[0, 7]"), "in steps of at most 0.196"),
        (("domain.periodic=[x]", "domain.x=[0, 6.09]"), "domain.x: expected [lo, hi] of one whole period"),
        (("domain.periodic=[z]",), "domain.z: expected one of x, y, which the file has"),
    ],
)
def test_a_period_that_does_not_fit_is_refused(
    words: tuple[str, ...], message: str, verified: Verified, tmp_path: Path
) -> None:
    status, checks, said = verified(vortices(tmp_path, ends=0), *TIMED, *words)
    assert (status, checks) == (2, [])
    assert message in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "verify: expected a run, a checkpoint or a file, got none"),
        (("nowhere",), "nowhere: expected a run, a checkpoint or a file, found nothing there"),
        ((".",), ".: expected a run, one of its checkpoints, or a file; there is no config.yaml with it"),
        (("flow.npz", "data.axes=[x,y]", "--boundary"), "--boundary: expected a run, or a file with boundaries="),
        (
            ("flow.npz", "train.steps=5"),
            "override 'train.steps=5': expected a setting of data, flow.nu, flow.forcing, evals.limits,",
        ),
        (("flow.npz", "data.noise.u=0.1"), "override 'data.noise.u=0.1': expected a setting of data, flow.nu"),
        (("flow.npz", "data.path=x"), "override 'data.path=x': expected a setting of data,"),
        (
            ("flow.npz", "data.pressure_frame=@frame", "data.axes=[x,y]", "data.arrays.p=p"),
            "pressure_frame: no attribute 'frame' in flow.npz",
        ),
        ((".", "flow.nu=1"), "verify: expected no settings, as a run has its own, got flow.nu=1"),
        (("flow.npz", *NAMED, "flow.forcing=['sin(t)', 0]"), "flow.forcing: expression 'sin(t)': uses t, but the"),
        (("flow.npz", *NAMED, "flow.forcing=['x < 1', 0]"), "flow.forcing: expression 'x < 1': expected a number, got"),
        (
            ("flow.npz", *NAMED, "flow.forcing=['log(y)', 0]"),
            "flow.forcing: expression 'log(y)': expected finite values",
        ),
        (("flow.npz", *NAMED, "flow.forcing=['y', 0, 0]"), "flow.forcing: expected 2 numbers or expressions, got 3"),
    ],
)
def test_bad_requests(
    words: tuple[str, ...], message: str, verified: Verified, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(tmp_path)
    monkeypatch.chdir(tmp_path)
    status, checks, said = verified(*words)
    assert (status, checks) == (2, [])
    assert said.startswith(f"pinnx: error: {message}")
