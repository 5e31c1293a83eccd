"""Breakage from the command to the report: files, resume, options that act, what is refused, and `run_case`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from same_runs import parameter_bytes, repr_bits

import pinnx
from pinnx.cli import breakage_command, main
from pinnx.config import load_config
from pinnx.errors import PinnxError
from pinnx.evals import BREAKAGE_CASES, ExactBreakage
from pinnx.jobs import reconstruction, resume
from pinnx.jobs.breakage.breakage_problem import breakage_problem
from pinnx.jobs.breakage.breakage_run import breakage_run
from pinnx.jobs.trainer_setup import make_trainer
from pinnx.runs.history import read_rows
from pinnx.train import CheckpointFolder, Trainer

TINY = [
    *("model.width=8", "model.layers=2", "breakage.nodes=12", "breakage.pieces=4", "breakage.times_per_step=4"),
    *("train.checkpoint_every=10", "train.log_every=5", "evals.points=100", "report.dpi=30", "train.threads=1"),
]
REFINED = ["train.points.refine.method=rar", "train.points.refine.every=4", "train.points.refine.candidates=60"]


def trained(*overrides: str, case: str = "case1", steps: int = 6) -> Trainer:
    config = load_config(case, [*TINY, f"train.steps={steps}", *overrides])
    trainer = breakage_run(config).trainer
    trainer.run()
    return trainer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of case 3, in which all particles have one size at the start."""
    out = tmp_path_factory.mktemp("breakage") / "run"
    command = ["breakage", "case3", "--out", str(out), "--quiet", *TINY, *REFINED, "train.steps=20"]
    assert main([*command, "breakage.loss=adaptive_huber"]) == 0
    return out


def test_a_run_leaves_its_folder(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names == {"config.yaml", "checkpoints", "fields.h5", "history.jsonl", "metrics.json", "report.html"}
    metrics = json.loads((folder / "metrics.json").read_text())
    # f is zero at t = 0 beside the delta: there is no relative error, and none by 1e-30.
    assert list(metrics["relative_l2"]) == ["t = 10", "t = 100", "t = 1000"]
    checks = {item["name"]: item["status"] for item in metrics["checks"]}
    assert set(checks) == {"breakage_residual", "mass_drift", "moments", "negative_density"}
    assert checks["negative_density"] == "passed"
    assert checks["mass_drift"] != "passed"  # after 20 steps of a tiny network
    for item in metrics["checks"]:
        assert item["name"] == "negative_density" or item["worst"] >= item["value"] * (1 - 1e-12)
        assert len(item.get("worst_at", ())) == {"breakage_residual": 2, "negative_density": 0}.get(item["name"], 1)
    solvers = metrics["baseline"]
    assert max(solvers["Chebyshev collocation"].values()) < 1e-6 < max(solvers["fixed pivot"].values()) < 1e-2
    for name in ("d10", "d50", "d90", "d32"):
        assert metrics["diameters"][name]["t = 0"] == pytest.approx((6 / np.pi) ** (1 / 3))
        assert metrics["diameters"][name]["t = 10"] < 1.0
    with h5py.File(folder / "fields.h5") as file:
        passing = file["passing"][()]
        assert passing[0, -2] == pytest.approx(0.0, abs=1e-9)  # all particles are as large as the first
        assert (np.diff(passing, axis=1) >= -1e-12).all()
        assert passing[1, -2] > 0.9
        v, f, reference = file["v"][()], file["f"][()], file["reference/f"][()]
        exact = BREAKAGE_CASES["case3"].formula(v, file["t"][()][:, None])
        np.testing.assert_allclose(reference, exact, rtol=1e-12)
        assert f.shape == exact.shape
        np.testing.assert_allclose(file["delta"][()], np.exp(-file["t"][()]))
        assert file["curve/moments"].shape == (40, 4)
        assert file["residual/breakage"].shape == (40, 40)


def test_the_report_has_pictures_and_the_classical_solvers(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    for words in (
        "Number density at t = 0",
        "Moments, the integrals",
        "Cumulative curves",
        "Residual of the balance",
        "fixed pivot",
    ):
        assert words in page
    assert "answer to believe" in page
    assert "<caption>Moments, the integrals of v^k f</caption>" in page
    for words in ("{'", "{&#", ">[]<", "beside norms"):  # numbers that have no table, and empty ones
        assert words not in page
    assert page.count("<img") == 7
    assert "Diameters of spheres" in page


def test_a_resumed_run_has_the_bits_of_one_that_was_not_stopped(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconstruction, "write_report", lambda path: None)
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    for name in ("metrics.json", "report.html", "fields.h5"):
        (again / name).unlink()
    resume(again, step=10)
    first, second = (CheckpointFolder(path / "checkpoints").latest().state for path in (folder, again))
    assert first["term balance"]["pool"]["points"].shape[0] > 0
    for part in ("phases", "model", "term balance", "weights"):
        assert repr_bits(first[part]) == repr_bits(second[part]), part
    losses = [[row["loss/total"] for row in read_rows(path / "history.jsonl")] for path in (folder, again)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    "override",
    [
        "breakage.loss=adaptive_huber",
        "breakage.loss=adaptive_epsilon",
        "breakage.clip=0.1",
        "breakage.weights.mass=0.1",
        "breakage.weights.breakage=3.0",
        "breakage.nodes=14",
        "breakage.pieces=6",
        "breakage.times_per_step=5",
        "train.physics_ramp=[0.3, 0.7]",
        "train.balance.method=relobralo",
        "train.balance.method=gradnorm",
        "train.optimizer=adam",
        "train.phases=[{start: 0.5, optimizer: lbfgs}]",
        "train.lr=1e-3",
        "train.clip=1e-3",
        "model.activation=silu",
        "seed=1",
        *(f"train.points.refine={{method: {name}, every: 2, candidates: 60}}" for name in ("rar", "rad")),
        "train.points.refine={method: r3, every: 2}",
    ],
)
def test_each_option_changes_what_is_trained(plain: list[bytes], override: str) -> None:
    assert parameter_bytes(trained(override)) != plain


def test_residuals_within_the_clip_are_not_touched(plain: list[bytes]) -> None:
    assert parameter_bytes(trained("breakage.clip=1e6")) == plain


def test_the_mean_weighs_otherwise_than_the_median() -> None:
    adaptive = "breakage.loss=adaptive_huber"
    found = [parameter_bytes(trained(adaptive, *more)) for more in ([], ["breakage.statistic=mean"])]
    assert found[0] != found[1]


@pytest.fixture(scope="module")
def plain() -> list[bytes]:
    first, second = (parameter_bytes(trained()) for _ in range(2))
    assert first == second
    return first


def test_a_forward_solve_sees_nothing_of_the_solution_but_its_start(
    plain: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier work was given the exact solution at all reported times, so that nothing was solved."""
    exact = ExactBreakage.density

    def start_alone(self: ExactBreakage, v: np.ndarray, t: float) -> np.ndarray:
        assert t == 0
        return exact(self, v, t)

    monkeypatch.setattr(ExactBreakage, "density", start_alone)
    monkeypatch.setattr(ExactBreakage, "moment", None)
    assert parameter_bytes(trained()) == plain
    assert breakage_problem(load_config("case1", TINY)).problem.names == ("breakage", "mass")


def test_a_ramp_leaves_both_columns_out_at_first() -> None:
    config = load_config("case1", [*TINY, "train.steps=20", "train.physics_ramp=[0.5, 0.9]"])
    run = breakage_problem(config)
    trainer = make_trainer(config, run.problem, run.weights)
    before = parameter_bytes(trainer)
    for _ in range(9):
        trainer.train_step()
    assert parameter_bytes(trainer) == before
    for _ in range(4):
        trainer.train_step()
    assert parameter_bytes(trainer) != before


def test_general_kinetics_agree_with_the_collocation(tmp_path: Path) -> None:
    """S = 0.5 v^1.5, daughters z^0.5: no exact solution, so a classical solver is the reference."""
    stated = "{s0: 0.5, a: 1.5, daughters: {c: 0.5}, start: exp(-x), sizes: [1e-3, 10.0], times: [0.0, 1.0, 4.0]}"
    path = tmp_path / "general.yaml"
    path.write_text(f"breakage: {stated}\n")
    found = pinnx.run_case(str(path), 250, overrides=["breakage.nodes=32", "breakage.times_per_step=8"])
    assert max(found.errors.values()) < 0.02
    assert list(found.solvers) == ["fixed pivot"]
    wrong = pinnx.run_case(str(path), 2, overrides=TINY)
    assert max(wrong.errors.values()) > 0.1


def test_run_case_gives_what_it_says() -> None:
    found = pinnx.run_case("case4", 20, seed=3, lbfgs_epochs=2, refine=True, overrides=TINY[:5])
    assert found.config.seed == 3
    assert found.config.train.steps == 22
    assert [phase.optimizer for phase in found.config.train.phases] == ["lbfgs"]
    assert found.model is not None
    assert found.history["step"][-1] == 22
    assert found.history["loss/total"][-1] < found.history["loss/total"][0]
    assert list(found.errors) == [20.0, 200.0, 2000.0]
    assert found.moments["M1"].shape == found.moments["t"].shape == (4,)
    assert found.timings["steps_per_s"] > 0
    assert set(found.figures) == {"sizes", "passing", "moments", "residual", "loss"}
    f = found.predict([0.1, 0.2, 1.2], [20.0, 20.0, 20.0])
    assert (f[:2] > 0).all()
    assert f[2] == 0.0
    for volume in (0.0, -1.0, np.nan):
        with pytest.raises(PinnxError, match=r"^v: expected finite volumes > 0, got "):
            found.predict([0.1, volume], 20.0)
    for time in (-1.0, 2001.0, np.nan):
        with pytest.raises(PinnxError, match=r"^t: expected times from 0 to 2000, the last of the training, got "):
            found.predict(0.1, [20.0, time])
    assert found.delta_amplitude([0.0, 1.0]) == pytest.approx([1.0, np.exp(-1.0)])


def test_kinetics_are_found_from_noisy_sizes(tmp_path: Path) -> None:
    """S = v from 1 % noise and a guess of twice the rate and 1.5 times the exponent; a fit of the solver beside it."""
    exact, random = BREAKAGE_CASES["case1"], np.random.default_rng(0)
    t, v = (given.ravel() for given in np.meshgrid([1.0, 3.0, 10.0], np.geomspace(0.02, 3.0, 15)))
    f = exact.density(v, t) * np.exp(0.01 * random.standard_normal(len(v)))
    kept = f > 1e-6 * f.max()
    path = tmp_path / "sizes.csv"
    np.savetxt(path, np.column_stack([t, v, f])[kept], delimiter=",", header="t,v,f", comments="")
    options = {"learn": ["s0", "a"], "guess": {"s0": 2.0, "a": 1.5}}
    small = ["model.width=32", "breakage.nodes=24", "breakage.pieces=8", "breakage.times_per_step=8"]
    found = pinnx.run_case("case1", 300, measured=(t[kept], v[kept], f[kept]), **options, overrides=small)
    for name, truth in (("s0", 1.0), ("a", 1.0)):
        number = found.found[name]
        assert number["value"] == pytest.approx(truth, rel=0.02)
        assert number["guess"] > 1.4
        assert number["estimate"]["low"] < truth < number["estimate"]["high"]
        assert number["estimate"]["value"] == pytest.approx(truth, rel=0.02)
    given = ["breakage.learn=[s0, a]", "breakage.s0=2.0", "breakage.a=1.5", f"breakage.measurements={path}"]
    read = breakage_problem(load_config("case1", given)).measured
    np.testing.assert_allclose(read.f, f[kept], rtol=1e-12)
    path.write_text("time,diameter,passing\n0,1,50\n")
    with pytest.raises(
        PinnxError, match=r"expected columns t, v and f, .*; pinnx breakage --sieves FILE takes sieve data"
    ):
        breakage_problem(load_config("case1", given))
    path.write_text("t,v\n1,2\n")
    with pytest.raises(PinnxError, match="expected columns t, v and f, got t, v"):
        breakage_problem(load_config("case1", given))


def test_measured_sizes_pull_the_network() -> None:
    """Twice the exact f at one time: the balance alone knows nothing of it."""
    t, v = np.full(12, 2.0), np.geomspace(0.05, 2.0, 12)
    f = 2.0 * BREAKAGE_CASES["case1"].density(v, t)
    quick = [*TINY, "train.lr=1e-2"]
    given = ["breakage.weights.data=30.0"]
    assimilated = pinnx.run_case("case1", 100, measured=(t, v, f), overrides=[*quick, *given])
    forward = pinnx.run_case("case1", 100, overrides=quick)
    apart = [np.abs(np.log(run.predict(v, t) / f)).mean() for run in (assimilated, forward)]
    assert apart[0] < 0.5 * apart[1]
    (misfit,) = [item for item in assimilated.checks if item.name == "size_misfit"]
    assert misfit.worst > misfit.value
    assert misfit.worst_at[0] in v


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sensors.count=3"], "sensors.count: has no effect on a problem of kind breakage; leave it out"),
        (["data.path=a.mat"], "data: has no effect on a problem of kind breakage"),
        (["train.causal.tolerance=1.0"], "train.causal.tolerance: has no effect"),
        (["breakage.s0=2"], "breakage.s0: expected none beside case case1"),
        (["breakage.learn=[a]"], "breakage.learn: expected measurements"),
        (["breakage.statistic=mean"], "breakage.statistic: only with an adaptive loss, got mean beside log"),
        (["breakage.weights.data=2"], "breakage.weights.data: only with measurements"),
        (["breakage.nods=3"], "breakage.nods: unknown key; did you mean breakage.nodes?"),
        (["train.optimizer=gauss_newton", "train.dtype=float64"], "train.optimizer: expected one without gauss_newton"),
        (["train.balance.method=ntk"], "train.balance.method: expected one of none, relobralo, gradnorm"),
        (["breakage.case=null"], "breakage.sizes: expected a value where case is null"),
        (
            ["breakage.case=null", "breakage.sizes=[1, 2]", "breakage.times=[1, 0.5]", "breakage.delta_at=2"],
            "breakage.times: expected rising",
        ),
        (
            ["breakage.case=null", "breakage.sizes=[1, 2]", "breakage.times=[1]", "breakage.delta_at=3"],
            "delta_at: expected a size in",
        ),
    ],
)
def test_what_cannot_be_is_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        breakage_problem(load_config("case1", overrides))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_verify_makes_the_checks_anew_and_commands_for_flows_refuse(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(folder)]) == 1  # 20 steps: checks that do not pass
    said = capsys.readouterr().out
    assert "mass_drift" in said
    assert "moments" in said
    assert main(["verify", str(folder), "--corner-radius", "0.1"]) == 2
    assert "--corner-radius: expected a run of a flow, got one of breakage" in capsys.readouterr().err
    assert main(["verify", str(folder), "--boundary"]) == 2
    assert "expected no choice of checks for a breakage run" in capsys.readouterr().err
    assert main(["baseline", str(folder), "--out", f"{tmp_path}/b.json"]) == 2
    assert "expected a problem of kind flow, got breakage" in capsys.readouterr().err


def test_a_run_has_a_folder_by_the_name_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outs: list[str] = []
    monkeypatch.setattr(breakage_command, "run_job", lambda job, config, options: outs.append(options.out) or 0)
    (tmp_path / "mill.yaml").write_text("breakage: {start: exp(-x), sizes: [1e-3, 10.0], times: [0, 4]}\n")
    assert main(["breakage", str(tmp_path / "mill.yaml")]) == 0
    assert main(["breakage", "case2"]) == 0
    assert outs == ["mill_run", "case2_run"]


def test_the_command_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["breakage"]) == 2
    assert "expected case1, case2, case3, case4 or a YAML file" in capsys.readouterr().err
    assert main(["breakage", "demo"]) == 2
    assert "expected a problem of kind breakage, got flow; use reconstruct" in capsys.readouterr().err
