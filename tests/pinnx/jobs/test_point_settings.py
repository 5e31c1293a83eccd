"""Every setting of the points acts, runs with them resume, and bodies are left out from the points to the files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from flow_files import TINY
from same_runs import Tiny, assert_resumes_to_the_bit, course, last_state, trained

from pinnx.config import Config, load_config
from pinnx.errors import PinnxError
from pinnx.jobs import reconstruct
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.judging.error_estimates import free_sides
from pinnx.runs.history import history_columns

pytestmark = pytest.mark.usefixtures("no_report")

SIDES = "boundaries=[{where: {side: left}, u: 0, v: 0}, {where: {side: top}, u: 1, v: 0}]"
REFINED = {
    method: (f"train.points.refine.method={method}", "train.points.refine.every=2") for method in ("rar", "rad", "r3")
}


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ([], "train.points.sampling=uniform"),
        ([], "train.points.sampling=latin_hypercube"),
        (["train.collocation_points=27"], "train.points.sampling=grid"),
        ([SIDES], "train.points.walls=0.25"),
        ([SIDES, "train.points.walls=0.25"], "train.points.wall_layer=0.02"),
        ([], "train.points.time_windows=3"),
        (["train.points.time_windows=3"], "train.points.windows_until=1.0"),
        ([], "train.points.refine={method: rar, every: 2}"),
        ([], "train.points.refine={method: rad, every: 2}"),
        ([], "train.points.refine={method: r3, every: 2}"),
        ([*REFINED["rar"]], "train.points.refine.every=3"),
        ([*REFINED["rar"]], "train.points.refine.share=0.25"),
        ([*REFINED["rar"]], "train.points.refine.candidates=30"),
        ([*REFINED["rar"]], "train.points.refine.percentile=99.9"),
        ([*REFINED["rar"]], "train.points.refine.max_new_points=3"),
        ([*REFINED["rar"]], "train.points.refine.max_points=4"),
        ([*REFINED["r3"]], "train.points.refine.max_points=4"),
        ([*REFINED["rad"]], "train.points.refine.exponent=3.0"),
        ([*REFINED["rad"]], "train.points.refine.floor=0.0"),
    ],
)
def test_each_setting_changes_the_course(tiny: Tiny, base: list[str], change: str) -> None:
    assert course(tiny, *base, change) != course(tiny, *base)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        *(("rar", name) for name in ("unsteady_grid", "steady_grid", "scattered_3d")),
        *((method, name) for method in ("rad", "r3") for name in ("unsteady_grid", "lbfgs")),
    ],
)
def test_a_run_with_a_pool_resumes_to_the_bit(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, name: str
) -> None:
    """Stopped after step 3: after a refinement, and before another. The history says how large the pool is."""
    given = ["train.log_every=1"]
    if name == "lbfgs":  # a draw of points that is kept, while the pool follows the residual
        # A resumed run evaluates the loss of step 4 again, and would log that it did.
        given[-1:] = ["train.log_every=5", "train.phases=[{start: 0.3, optimizer: lbfgs}]"]
    config = tiny("unsteady_grid" if name == "lbfgs" else name, *REFINED[method], *given)
    assert_resumes_to_the_bit(config, tmp_path, monkeypatch, after=2)
    assert len(last_state(tmp_path / "run")["term equations"]["pool"]["points"])
    history = history_columns(tmp_path / "run" / "history.jsonl")
    sizes = {"rar": [0, 100, 100, 200, 200, 300], "rad": [0, 8, 8, 8, 8, 8], "r3": [8] * 6}[method]
    assert history["pool_points"].tolist() == [sizes[int(step) - 1] for step in history["step"]]


def test_a_pool_of_another_configuration_is_refused(tiny: Tiny) -> None:
    plain, pooled = (trained(tiny("unsteady_grid", *given)) for given in ((), REFINED["rar"]))
    for wanted, state in ((plain, pooled.state_dict()), (pooled, plain.state_dict())):
        with pytest.raises(PinnxError, match="expected one of this configuration, got another term equations"):
            wanted.load_state_dict(state)


def flow_around_a_body(folder: Path, *overrides: str) -> Config:
    """A uniform stream on a grid of 21 x 11, zero inside a circle, as simulations with immersed bodies store it."""
    x, y = np.linspace(0, 4, 21), np.linspace(0, 2, 11)
    mesh_x, mesh_y = np.meshgrid(x, y, indexing="ij")
    inside = np.hypot(mesh_x - 1, mesh_y - 1) < 0.5
    np.savez(folder / "flow.npz", x=x, y=y, u=np.where(inside, 0.0, 1.0), v=0.0 * mesh_x)
    body = "boundaries=[{where: {circle: {center: [1.0, 1.0], radius: 0.5}}, u: 0, v: 0}]"
    given = (f"data.path={folder / 'flow.npz'}", "flow.nu=0.01", "sensors.count=7", body, *TINY)
    return load_config(None, [*given, *overrides])


def test_a_side_behind_the_wall_of_a_vessel_is_no_free_side(tmp_path: Path) -> None:
    def found(formula: str) -> list[str]:
        vessel = f"domain.holes=[{{name: vessel, expression: '{formula}'}}]"
        return free_sides(load_case(flow_around_a_body(tmp_path, vessel)))

    assert found("1 - hypot((x - 2)/2, y - 1)") == []  # touches each side at one point
    assert found("2 - hypot(x - 2, y - 1)") == ["bottom", "top"]
    assert found("x - 0.1") == ["right", "bottom", "top"]


def test_a_side_given_by_parts_is_no_free_side(tmp_path: Path) -> None:
    """A jet out of a wall: the inflow and the wall on both sides of it."""

    hole = "domain.holes=[{circle: {center: [1.0, 1.0], radius: 0.5}}]"

    def found(*ranges: str, more: str = "v: 0") -> list[str]:
        parts = [f"{{where: {{side: left, range: [{part}]}}, u: 0, {more}}}" for part in ranges]
        return free_sides(load_case(flow_around_a_body(tmp_path, hole, f"boundaries=[{', '.join(parts)}]")))

    others = ["right", "bottom", "top"]
    assert found("0.5, 1.5", "0, 0.5", "1.5, 2") == others
    assert found("0, 1.2", "0.8, 2") == others
    for gap in (["0.5, 1.5", "0, 0.5"], ["0, 0.9", "1.1, 2"], ["0, 1.5", "0.5, 1"]):
        assert found(*gap) == ["left", *others]
    assert found("0, 1", "1, 2", more="p: 0") == ["left", *others], "u alone is known"


def test_a_wall_without_friction_is_no_free_side(tmp_path: Path) -> None:
    """Vortices between four slip walls were said to have an estimate that may be 30 times too small."""
    hole = "domain.holes=[{circle: {center: [1.0, 1.0], radius: 0.5}}]"

    def found(condition: str, more: str = "") -> list[str]:
        sides = "".join(f"{{where: {{side: {s}{more}}}, condition: {condition}}}, " for s in ("left", "bottom"))
        return free_sides(load_case(flow_around_a_body(tmp_path, hole, f"boundaries=[{sides}]")))

    assert found("slip") == found("symmetry") == ["right", "top"]
    assert found("slip", ", range: [0, 1.5]") == ["left", "right", "bottom", "top"]
    assert found("zero_gradient") == ["left", "right", "bottom", "top"]


def test_a_body_is_left_out_from_the_points_to_the_files(tmp_path: Path) -> None:
    config = flow_around_a_body(tmp_path, "train.points.walls=0.5", "train.collocation_points=400", "evals.points=2000")
    case = load_case(config)
    assert (
        "Inside the circle at (1, 1) of radius 0.5 the equations do not hold, and nothing is reconstructed."
        in case.notes
    )
    trainer = trained(config)
    for step in range(3):
        x = trainer.problem.terms[0].draw(step)["x"]
        away = np.hypot(x[:, 0] - 1.0, x[:, 1] - 1.0) - 0.5
        assert away.min() > -1e-6
        assert (away[200:] < 0.2).all(), "those of the wall: in a tenth of the shortest side"
        assert (away[:200] > 0.2).mean() > 0.7
    metrics = reconstruct(config, tmp_path / "run")
    with h5py.File(tmp_path / "run" / "fields.h5") as file:
        mesh = np.meshgrid(file["x"][()], file["y"][()], indexing="ij")
        blank = np.hypot(mesh[0] - 1.0, mesh[1] - 1.0) < 0.5 * (1 - 1e-6)
        np.testing.assert_array_equal(np.isnan(file["u"][()]), blank)
        np.testing.assert_array_equal(np.isnan(file["reference/u"][()]), blank)
        np.testing.assert_allclose(file["reference/u"][()][~blank], 1.0)
    assert np.isfinite(metrics["pde_residual_l2"])


def test_a_body_is_blank_where_measurements_have_no_reference(tiny: Tiny, tmp_path: Path) -> None:
    body = "boundaries=[{where: {circle: {center: [1.0, 0.7], radius: 0.4}}, u: 0, v: 0}]"
    reconstruct(
        tiny("steady_csv", "domain.x=[-1, 2]", "domain.y=[-1, 2]", body, "evals.left_out=0.0"), tmp_path / "run"
    )
    with h5py.File(tmp_path / "run" / "fields.h5") as file:
        mesh = np.meshgrid(file["x"][()], file["y"][()], indexing="ij")
        np.testing.assert_array_equal(np.isnan(file["u"][()]), np.hypot(mesh[0] - 1.0, mesh[1] - 0.7) < 0.4)
        assert np.isnan(file["u"][()]).any()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["train.points.refine.percentile=90.0"], "percentile: only for method rar, got method none"),
        (
            [*REFINED["r3"], "train.points.refine.candidates=50"],
            "candidates: only for method rar and rad, got method r3",
        ),
        ([*REFINED["rar"], "train.points.refine.floor=0.5"], "floor: only for method rad, got method rar"),
        (
            [*REFINED["rar"], "train.points.refine.share=0.8", "train.points.walls=0.3"],
            "at most 1 - refine.share = 0.2",
        ),
        (["train.points={sampling: grid, walls: 0.1}"], "expected walls 0 and refine.method none with grid"),
        (["train.points={sampling: grid, refine: {method: rad}}"], "expected walls 0 and refine.method none with grid"),
        (["train.points.wall_layer=0.1"], "wall_layer: only with walls > 0, got walls 0"),
        (["train.points.windows_until=0.1"], "windows_until: only with time_windows > 1, got time_windows 1"),
        (["train.points.refine.percentile=101.0"], "expected a number >= 0 and <= 100, got 101"),
        (["train.points.sampling=halton"], "expected one of uniform, latin_hypercube, sobol, grid, got 'halton'"),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused(given: list[str], message: str) -> None:
    with pytest.raises(PinnxError, match=message):
        load_config("demo", given)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        (
            "steady_grid",
            ["train.points.time_windows=2"],
            "time_windows: expected a flow with times, got a steady one; set",
        ),
        (
            "unsteady_grid",
            ["train.points.walls=0.1"],
            "walls: expected a side or circle where all of the velocity is giv",
        ),
        (
            "unsteady_grid",
            [SIDES, "train.points.walls=0.1", "train.points.wall_layer=9.0"],
            "shortest side, 1.5, got 9",
        ),
        ("unsteady_grid", [*REFINED["rad"], "train.points.refine.candidates=8"], "candidates: expected more than 8, "),
        (
            "unsteady_grid",
            ["train.points.sampling=grid"],
            r"collocation_points: grid: expected n\^3 points, such as 27, got 16",
        ),
    ],
)
def test_points_that_do_not_fit_the_case_are_refused(tiny: Tiny, name: str, given: list[str], message: str) -> None:
    with pytest.raises(PinnxError, match=rf"^train\..*{message}"):
        trained(tiny(name, *given))
