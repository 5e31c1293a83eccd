"""``pinnx verify`` of runs: they are judged anew, from their data or from their folder alone."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from same_runs import Finished, Tiny, Verified

from pinnx.cli import main
from pinnx.jobs import reconstruct
from pinnx.train.checkpoint import load_checkpoint, save_checkpoint


def test_a_run_has_the_verdicts_of_its_training(
    verified: Verified, finished: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _, metrics = finished("steady_grid")
    status, checks, _ = verified(folder)
    # What another training would change stands in its own verdicts alone.
    wanted = {item["name"]: {key: item[key] for key in item if key != "remedy"} for item in metrics["checks"]}
    again = {item["name"]: item for item in checks}
    assert {"sensor_misfit", "reconstruction", "worst_component"} <= set(wanted) <= set(again)
    assert {name: again[name] for name in wanted} == wanted
    assert {"gradient_explosion", "rounding", "constant_field"} <= set(again)
    assert status == 1, "a training of a few steps obeys nothing"
    for name in ("sensitivity", "rounding"):
        (x, y), item = again[name]["worst_at"], again[name]
        assert (item["worst"] >= item["value"], -0.5 <= x <= 1.0, -0.5 <= y <= 0.5) == (True, True, True)

    (newest, *_) = sorted((folder / "checkpoints").iterdir(), reverse=True)
    status, checks, _ = verified(newest, "--conservation")
    assert (status, checks[0]) == (1, wanted["conservation"])
    assert [item["name"] for item in checks[1:]] == ["mass_budget", *["momentum_budget"] * 2, "energy_budget"]
    assert main(["verify", str(folder)]) == 1
    shown = capsys.readouterr().out
    shown = " ".join(shown.split())
    assert f"from the residual: {metrics['error_estimates']['residual']:.3g}; it is no bound" in shown
    first = folder / "checkpoints" / newest.name
    assert main(["verify", str(first), "--pde-residual", "--verbose"]) == 1
    shown = capsys.readouterr().out
    assert "pde_residual_l2" in shown
    assert "the network's own, whose derivatives are exact: no grid adds to it. " in " ".join(shown.split())
    assert "conservation" not in shown


def test_a_run_without_a_reference_says_what_its_data_say(
    tiny: Tiny, tmp_path: Path, no_report: None, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = reconstruct(tiny("unsteady_csv", "data.noise=0.001"), tmp_path / "run")["noise"]
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "run")]) == 1
    shown = " ".join(capsys.readouterr().out.replace("\u00a0", " ").split())
    assert f"misfit at the sensors: {facts['misfit']:.2g} of their noise of 0.1 % of the measurements, stated" in shown
    assert "note: the misfit at the sensors is " in shown
    assert "not among the checks: held_out_sensors, which takes a training of its own; see metrics.json" in shown
    assert "reconstruction" not in shown


@pytest.mark.parametrize("name", ["steady_grid", "unsteady_grid", "unsteady_csv", "scattered_3d"])
def test_each_norm_of_a_run_has_its_largest_number_and_the_place_of_it(name: str, finished: Finished) -> None:
    metrics = finished(name)[2]
    norms = [item for item in metrics["checks"] if item["name"] != "viscosity_misfit"]  # a median
    for item in norms:
        assert item["worst"] >= item["value"] * (1 - 1e-12), item
    velocity = [item for item in norms if (item["name"], item.get("part")) == ("reconstruction", "velocity")]
    assert [item["worst_at"] for item in velocity] == [metrics["beside_norms"]["worst_at"] for _ in velocity]


def test_a_group_that_a_run_has_nothing_for_has_failed(verified: Verified, finished: Finished) -> None:
    status, (check,), _ = verified(finished("unsteady_csv")[0], "--boundary")
    assert (status, check["status"]) == (1, "failed")
    assert check["note"] == "nothing to check: no value; the run has no check of --boundary"


def test_a_run_is_judged_from_its_folder_alone(verified: Verified, finished: Finished, tmp_path: Path) -> None:
    for name in ("unsteady_csv", "scattered_3d"):
        folder, _, _ = finished(name)
        _, wanted, _ = verified(folder)
        alone = tmp_path / name
        shutil.copytree(folder, alone)
        config = alone / "config.yaml"
        config.write_text(re.sub(r"[^\s{]+\.(mat|csv|h5)", r"gone.\1", config.read_text()))
        status, found, _ = verified(alone)
        rounded = ("reconstruction", "worst_component")  # the reference is stored in float32
        for item, other in zip(found, wanted, strict=True):
            given = {key: pytest.approx(item[key], rel=1e-5) for key in ("value", "worst") if item["name"] in rounded}
            assert item | given == other, name
        assert status == 1
    (alone / "fields.h5").unlink()
    status, found, said = verified(alone)
    assert (status, found) == (2, [])
    assert "expected the data of the run, or fields.h5 in its folder, found neither" in said


def test_the_radius_of_the_corners_is_that_of_the_run_or_the_one_given(verified: Verified, finished: Finished) -> None:
    folder, _, _ = finished("steady_grid")
    _, (own,), _ = verified(folder, "--boundary")
    assert "within 0.1 of the corner" in own["note"]
    _, (given,), _ = verified(folder, "--boundary", "--corner-radius", "0.4")
    assert "within 0.4 of the corner" in given["note"]
    assert given["everywhere"] == own["everywhere"]
    status, _, said = verified(finished("unsteady_csv")[0], "--corner-radius", "0.1")
    wanted = "--corner-radius: expected a run with a corner where two sides disagree, found none"
    assert (status, wanted in said) == (2, True), "it had no effect, without a word"


@pytest.mark.parametrize("at_rest", [False, True])
def test_a_run_with_one_velocity_everywhere_is_trivial(
    verified: Verified, finished: Finished, tmp_path: Path, at_rest: bool
) -> None:
    """Its pressure varies, which made one number of all fields vary too."""
    folder = tmp_path / "run"
    shutil.copytree(finished("steady_grid")[0], folder)
    newest = max((folder / "checkpoints").iterdir())
    _, sound, _ = verified(newest)
    state = load_checkpoint(newest)
    state["model"]["parametrizations.weight_1.original1"][:2] = 0.0  # of the outputs u and v; their bias stays
    if at_rest:
        state["model"]["bias_1"][:2] = 0.0
    save_checkpoint(newest, state)
    _, trivial, _ = verified(newest)
    statuses = [item["status"] for item in (*sound, *trivial) if item["name"] == "constant_field"]
    assert statuses == ["passed", "failed"]


def test_a_file_of_a_run_is_named_as_such(verified: Verified, finished: Finished) -> None:
    folder, _, _ = finished("steady_grid")
    status, _, said = verified(folder / "fields.h5")
    assert status == 2
    assert f"got a file of a run; use pinnx verify {folder}" in said


def test_a_damaged_checkpoint_is_refused(verified: Verified, finished: Finished, tmp_path: Path) -> None:
    folder, _, _ = finished("steady_grid")
    (newest, *_) = sorted((folder / "checkpoints").iterdir(), reverse=True)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").write_bytes((folder / "config.yaml").read_bytes())
    copy = tmp_path / "checkpoints" / newest.name
    copy.write_bytes(newest.read_bytes()[:-8] + bytes(8))
    status, checks, said = verified(copy)
    assert (status, checks) == (2, [])
    assert "one whose content was altered" in said
