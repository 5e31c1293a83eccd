"""Baselines: what is recorded, what is compared, and which changes need a word."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from same_runs import Finished

from pinnx.cli import main
from pinnx.config import Config
from pinnx.errors import PinnxError
from pinnx.jobs import reconstruct, reconstruction
from pinnx.jobs.judging.yellow_lines import yellow_lines

FACTORS = (1.0, 1.1, 0.95, 1.05, 1.0)


@pytest.fixture
def runs(finished: Finished, tmp_path: Path) -> Callable[..., Path]:
    """Makes the folder of a run with another seed, errors and speed than those of a finished one."""
    folder, _, metrics = finished("unsteady_grid")

    def run_of(name: str, seed: int, *, error: float = 1.0, speed: float = 1.0, **settings: Any) -> Path:
        made = tmp_path / name
        made.mkdir()
        config = yaml.safe_load((folder / "config.yaml").read_text()) | {"seed": seed}
        for key, value in settings.items():
            section, _, rest = key.partition("__")
            config[section][rest] = value
        (made / "config.yaml").write_text(yaml.safe_dump(config))
        found = json.loads(json.dumps(metrics))
        found["steps_per_s"] *= speed
        found["relative_l2"] = {name: value * error for name, value in found["relative_l2"].items()}
        for item in found["checks"]:
            item["value"] *= error
        (made / "metrics.json").write_text(json.dumps(found))
        return made

    return run_of


@pytest.fixture
def baseline(runs: Callable[..., Path], tmp_path: Path) -> Path:
    made = [str(runs(f"base{seed}", seed, error=by, speed=by)) for seed, by in enumerate(FACTORS)]
    assert main(["baseline", *made, "--out", str(tmp_path / "base.json"), "--quiet"]) == 0
    return tmp_path / "base.json"


def compared(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, Any]]:
    status = main(["compare", *map(str, words), "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_each_figure_is_better_same_or_worse(
    runs: Callable[..., Path], baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, found = compared(capsys, runs("same", 9, error=1.03, speed=0.98), baseline)
    words = {name: item["word"] for name, item in found["figures"].items()}
    assert status == 0
    assert set(words.values()) == {"same"}
    assert {"relative_l2.velocity", "pde_residual_l2", "steps_per_s", "peak_memory_gib"} <= set(words)
    assert found["protected"] == found["settings"] == []

    status, found = compared(capsys, runs("slow", 9, speed=0.4), baseline)
    assert status == 1
    assert [name for name, item in found["figures"].items() if item["word"] == "worse"] == ["steps_per_s"]

    status, found = compared(capsys, runs("good", 9, error=0.3), baseline)
    assert status == 0
    assert found["figures"]["relative_l2.velocity"]["word"] == "better"

    status, found = compared(capsys, runs("bad", 9, error=3.0), baseline)
    assert status == 1
    assert found["figures"]["relative_l2.velocity"]["word"] == "worse"


def test_a_seed_counts_once_and_one_value_has_no_spread(
    runs: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [runs("first", 1), runs("again", 1, speed=1.1)]
    assert main(["baseline", *map(str, made), "--out", str(tmp_path / "one.json")]) == 0
    said = capsys.readouterr().out.replace("\u00a0", " ")
    assert "one.json, 2 runs with 1 set of seeds" in said
    assert "runs with the same seeds repeat one another" in said
    assert "one set of seeds has no spread" in said
    status, found = compared(capsys, runs("other", 2, error=1.2), tmp_path / "one.json")
    assert status == 3
    assert found["figures"]["relative_l2.velocity"]["word"] == "not known"
    assert found["figures"]["steps_per_s"]["word"] == "not known"  # two values say little


def test_a_seed_of_one_section_makes_another_run(
    runs: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [
        str(runs("first", 0)),
        str(runs("points", 0, error=1.1, train__seed=7)),
        str(runs("sensors", 0, error=1.2, sensors__seed=7)),
        str(runs("again", 0, error=1.3, sensors__seed=7)),
    ]
    assert main(["baseline", *made, "--out", str(tmp_path / "b.json")]) == 0
    assert "b.json, 4 runs with 3 sets of seeds" in capsys.readouterr().out.replace("\u00a0", " ")
    errors = json.loads((tmp_path / "b.json").read_text())["physics"]["relative_l2.velocity"]
    assert sorted(value / min(errors) for value in errors) == pytest.approx([1.0, 1.1, 1.2])


def test_nothing_in_common_is_said(
    runs: Callable[..., Path], baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = json.loads(baseline.read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps(held | {"physics": {"else": [1.0]}, "performance": {}}))
    assert main(["compare", str(runs("now", 9)), str(other)]) == 3
    assert "have no figure in common, so nothing is compared" in capsys.readouterr().out


def test_protected_settings_are_named(
    runs: Callable[..., Path], baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = {"pde_residual_l2": 0.5}
    changed = runs("changed", 9, evals__limits=limits, train__lr=0.1)
    status, found = compared(capsys, changed, baseline)
    assert status == 1
    assert [item["name"] for item in found["protected"]] == ["evals.limits.pde_residual_l2"]
    assert [item["name"] for item in found["settings"]] == ["train.lr"]
    assert main(["compare", str(changed), str(baseline)]) == 1
    assert "NOT ACKNOWLEDGED: evals.limits.pde_residual_l2: 0.5 in place of 0.001" in capsys.readouterr().out
    status, found = compared(capsys, changed, baseline, "--acknowledge", "evals.limits")
    assert status == 0
    assert all(item["acknowledged"] for item in found["protected"])
    assert main(["compare", str(changed), str(baseline), "--acknowledge", "evals.limit"]) == 2
    assert "got evals.limit" in capsys.readouterr().err


def test_a_run_is_refused_where_it_changes_them_without_a_word(
    tiny: Callable[..., Config], baseline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconstruction, "write_report", lambda folder: None)
    given = f"evals.baseline={baseline}"
    reconstruct(tiny("unsteady_grid", given), tmp_path / "right")
    for change, name in (
        ("flow.nu=0.2", "flow.nu"),
        ("flow.forcing=[1, 0]", "flow.forcing"),
        ("flow.forcing=['sin(y)', 0]", r"flow.forcing: \['sin\(y\)', 0.0\] in place of none"),
        ("boundaries=[{side: left, u: 0, v: 0}]", "boundaries.0.side"),
        ("evals.limits.conservation=1", "evals.limits.conservation"),
    ):
        with pytest.raises(PinnxError, match=name):
            reconstruct(tiny("unsteady_grid", given, change), tmp_path / "wrong")
        assert not (tmp_path / "wrong").exists()
    wanted = ["flow.nu=0.2", "evals.acknowledged=[flow]"]
    metrics = reconstruct(tiny("unsteady_grid", given, *wanted), tmp_path / "wanted")
    assert "another setting than in the baseline, as acknowledged: flow.nu: 0.2 in place of 0.1" in metrics["notes"]


def test_new_runs_differ_in_their_seeds(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reconstruction, "write_report", lambda folder: None)
    config = str(finished("unsteady_grid")[0] / "config.yaml")
    out = tmp_path / "new.json"
    assert main(["baseline", config, "--repeats", "2", "--out", str(out), "--quiet", "train.steps=3"]) == 0
    held = json.loads(out.read_text())
    assert [len(held["physics"]["relative_l2.velocity"]), held["settings"]["train.steps"]] == [2, 3]
    assert len(set(held["physics"]["relative_l2.velocity"])) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["baseline", "--out", "x.json"], "expected runs, a preset or a configuration, got none"),
        (["baseline", "demo"], "expected --out FILE.json, got none"),
        (["compare", "one"], "expected one run or more and a baseline"),
        (["compare", "none", "x.json"], "none: expected a finished run"),
        (["compare", "RUN", "CONFIG"], "expected the file that pinnx baseline writes"),
        (["compare", "RUN", "x.json"], "x.json: expected a baseline, got: No such file"),
        (["compare", "RUN", "x.json", "--level", "2"], "expected a probability"),
        (["baseline", "RUN", "--out", "x.json", "--repeats", "3"], "--repeats: expected a preset or a configuration"),
    ],
)
def test_bad_requests(words: list[str], message: str, finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    folder = finished("unsteady_grid")[0]
    names = {"RUN": str(folder), "CONFIG": str(folder / "config.yaml")}
    assert main([names.get(word, word) for word in words]) == 2
    assert message in capsys.readouterr().err


def test_runs_of_a_baseline_differ_in_seeds_alone(
    runs: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [str(runs("one", 1)), str(runs("two", 2, train__lr=0.1))]
    assert main(["baseline", *made, "--out", str(tmp_path / "no.json")]) == 2
    assert "but for seeds, got another train.lr" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("steps_per_s", 79.0, "steps/s of 79, below 0.8 of 100 in the baseline"),
        ("steps_per_s", 81.0, None),
        ("convergence_rate", 0.39, "rate of convergence of 0.39, below 0.8 of 0.5 in the baseline"),
        ("convergence_rate", 0.41, None),
        ("convergence_rate", None, None),  # too few steps to tell
        ("gpu_utilisation", 49.0, "the GPU computed 49 % of the time, below 50 %"),
        ("gpu_utilisation", 51.0, None),
    ],
)
def test_yellow_lines(name: str, value: float | None, says: str | None) -> None:
    usual = {"steps_per_s": 100.0, "convergence_rate": 0.5}
    assert yellow_lines({**usual, "gpu_utilisation": None, name: value}, usual) == ([] if says is None else [says])
    assert yellow_lines({"steps_per_s": 1.0, "convergence_rate": 0.1}, {}) == []


def test_a_run_says_what_crossed_a_yellow_line(
    tiny: Callable[..., Config], baseline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconstruction, "write_report", lambda folder: None)
    held = json.loads(baseline.read_text())
    held["performance"]["steps_per_s"] = [1e9]
    held["device"]["threads"] = torch.get_num_threads()  # those of the baseline may have been others
    baseline.write_text(json.dumps(held))
    metrics = reconstruct(tiny("unsteady_grid", f"evals.baseline={baseline}"), tmp_path / "slow")
    assert any("below 0.8 of 1e+09 in the baseline" in note for note in metrics["notes"])
    held["device"]["torch"] = "another"
    baseline.write_text(json.dumps(held))
    metrics = reconstruct(tiny("unsteady_grid", f"evals.baseline={baseline}"), tmp_path / "elsewhere")
    assert not any("in the baseline" in note for note in metrics["notes"])
