"""The benchmark: right before it is timed, whole where it ends, and its limits can be missed."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import pinn_ext
from pinnx.cli import main
from pinnx.config import load_config
from pinnx.data import periodic_flow
from pinnx.errors import Interrupted, PinnxError
from pinnx.jobs.benchmarks import benchmark
from pinnx.jobs.benchmarks.benchmark import SCALES, on_grid, run_benchmark
from pinnx.jobs.benchmarks.benchmark_figures import PHYSICS, benchmark_table
from pinnx.jobs.reference import make_reference
from pinnx.runs.folder import RunFolder

METRICS = {
    **{"train_s": 2.0, "steps": 1000, "steps_per_s": 500.0, "peak_memory_gib": 0.5},
    "checks": [{"name": name, "value": 0.01} for name in PHYSICS],
    "relative_l2": {"velocity": 0.01},
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the small scale."""
    path = tmp_path_factory.mktemp("reference") / "reference.npz"
    make_reference(
        load_config("cavity", ["flow.nu=0.01", "evals.grid=32", "solver.cells=18", f"data.path={path}"]), path
    )
    return path


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch, reference: Path) -> list[Any]:
    """The same reference for all, and runs that end at once with METRICS; the settings that they were given."""
    monkeypatch.setattr(benchmark, "make_reference", lambda config, path: shutil.copy(reference, path))
    monkeypatch.setitem(benchmark.FLOW, "duration", 0.5)
    given: list[Any] = []

    def trained(out: Path, reference: Path, settings: Any, **more: Any) -> tuple[dict[str, Any], list[float]]:
        given.append(list(settings))
        if more["profile"]:
            out.mkdir()
            for path in (RunFolder(out).trace, RunFolder(out).profile):
                path.write_text(path.name)
        return METRICS, [450.0, 500.0, 500.0, 550.0]

    monkeypatch.setattr(benchmark, "_trained", trained)
    return given


@pytest.fixture
def no_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what comes after."""
    monkeypatch.setattr(benchmark, "check_step", lambda config: 1e-7)
    monkeypatch.setattr(benchmark, "check_choice", lambda snapshots, count: 0.0)


def test_a_quick_run_is_checked_then_timed_and_reported(tmp_path: Path) -> None:
    lines: list[str] = []
    found = run_benchmark(["small"], tmp_path / "report.json", quick=True, say=lines.append, command="a test")
    assert json.loads((tmp_path / "report.json").read_text()) == found
    figures = found["scales"]["small"]["figures"]
    limited = {"train_s": 600.0, "peak_memory_gib": 2.0, "selection_s": 5.0}
    assert {name: item["limit"] for name, item in figures.items() if "limit" in item} == limited
    assert all(item["value"] > 0 for item in figures.values())
    assert figures["peak_memory_gib"]["within"] is True, "times depend on who else uses the machine"
    # Of the whole training, and the median of its parts.
    assert 0.2 < figures["train_s"]["value"] * figures["epochs_per_hour"]["value"] / (5000 * 3600) < 5
    assert [len(figures[name]["values"]) for name in ("epochs_per_hour", "selection_s")] == [5, 6]
    assert {item["name"] for item in found["scales"]["small"]["checks"]} >= {"pde_residual_l2", "reconstruction"}
    assert found["machine"]["cores"] >= 1
    assert found["versions"]["torch"]
    said = ("checked: ", "chosen in", "step 50/50")
    order = [next(i for i, line in enumerate(lines) if word in line) for word in said]
    assert order == sorted(order)


def test_figures_beyond_their_limits_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_training: list[Any]
) -> None:
    strict = replace(SCALES["small"], train_s=9.0, memory_gib=0.4, select_s=1e-9)
    monkeypatch.setattr(benchmark, "SCALES", {"small": strict})
    found = run_benchmark(["small"], tmp_path / "report.json", profile=True)
    figures = found["scales"]["small"]["figures"]
    missed = {name for name, item in figures.items() if item.get("within") is False}
    assert missed == {"train_s", "peak_memory_gib", "selection_s"}
    assert (figures["train_s"]["value"], figures["reconstruction"]["within"]) == (10.0, True)
    assert found["within"] is False
    assert list(benchmark_table(found).columns[5].cells).count("MISSED") == 3
    assert "train.steps=1000" in no_training[0]
    assert "train.collocation_points=1024" in no_training[0]
    for name in ("profile.json", "profile.txt"):
        assert (tmp_path / f"report-small-{name}").read_text() == name


@pytest.mark.usefixtures("no_checks")
def test_an_earlier_report_is_a_baseline(
    tmp_path: Path, no_training: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    run_benchmark(["small"], first)
    before = json.loads(first.read_text())
    # Of a time this small nothing is the same.
    before["scales"]["small"]["figures"]["selection_s"]["values"] = [1e-9, 1.1e-9, 0.9e-9, 1e-9, 1e-9]
    first.write_text(json.dumps(before))
    monkeypatch.setitem(METRICS, "peak_memory_gib", 0.2)
    monkeypatch.setitem(METRICS, "relative_l2", {"velocity": 0.021})
    found = run_benchmark(["small"], second, baseline=first)
    verdicts = {name: item["verdict"] for name, item in found["scales"]["small"]["baseline"].items()}
    others = dict.fromkeys(("train_s", "epochs_per_hour", *PHYSICS), "same")
    assert verdicts == {"selection_s": "worse", "reconstruction": "worse", "peak_memory_gib": "better", **others}
    assert found["worse"] == ["small selection_s", "small reconstruction"]
    assert list(benchmark_table(found).columns[7].cells).count("worse") == 2
    with pytest.raises(PinnxError, match=r"--baseline: expected a quick one of small, got .*, of the other kind"):
        run_benchmark(["small"], tmp_path / "third.json", quick=True, baseline=first)
    with pytest.raises(PinnxError, match=r"expected one that is not quick of small, large, got .*json, of small"):
        run_benchmark(["small", "large"], tmp_path / "third.json", baseline=first)
    first.write_text("[]")
    with pytest.raises(PinnxError, match=r"first.json: expected a report of pinnx benchmark, got: "):
        run_benchmark(["small"], tmp_path / "third.json", baseline=first)


@pytest.mark.usefixtures("no_checks")
def test_the_command_ends_with_one_where_something_is_missed_or_worse(
    tmp_path: Path, no_training: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark"]) == 2
    assert "benchmark: expected --output REPORT.json, got none" in capsys.readouterr().err
    given = ["benchmark", "--scales", "small", "--output"]
    assert main([*given, "first.json", "--profile"]) == 0
    assert "8 of 1024 places chosen in" in capsys.readouterr().out
    assert (tmp_path / "first-small-profile.json").exists()
    assert json.loads((tmp_path / "first.json").read_text())["command"].startswith("pinnx benchmark --scales small")
    monkeypatch.setitem(METRICS, "train_s", 4.1)
    assert main([*given, "second.json", "--baseline", "first.json"]) == 1
    assert "worse than first.json: small train_s" in capsys.readouterr().out
    assert main([*given, "third.json", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    monkeypatch.setitem(METRICS, "peak_memory_gib", 3.0)
    assert main([*given, "fourth.json"]) == 1


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        (
            "pinn_ext.reference.navier_stokes_residual",
            lambda jet, nu, **more: 1.0001 * pinn_ext.navier_stokes_residual(jet, nu, **more),
            "expected loss and gradients of a step within 1e-05 of nested autograd in float64, got",
        ),
        (
            "pinn_ext.pivoted_qr",
            lambda columns, count: SimpleNamespace(pivots=np.arange(count)),
            "expected 8 columns of the volume that QR column by column finds, got",
        ),
    ],
)
def test_what_is_wrong_is_not_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_training: list[Any], name: str, wrong: Any, message: str
) -> None:
    monkeypatch.setattr(name, wrong)
    with pytest.raises(PinnxError, match=f"^benchmark: {message}.*; nothing was timed$"):
        run_benchmark(["small"], tmp_path / "report.json")
    assert no_training == []
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("scales", "output", "message"),
    [
        ([], "report.json", "--scales: expected some of small, medium, large, each once, got none"),
        (["small", "tiny"], "report.json", "each once, got small, tiny"),
        (["small", "small"], "report.json", "each once, got small, small"),
        (["small"], "report.txt", "--output: expected a file that ends in .json"),
        (["small"], "there.json", "--output: expected a file that does not exist yet"),
        (["small"], "traced.json", "does not exist yet, got .*traced-small-profile.json"),
        (["small"], "nowhere/report.json", "--output: expected a file in a folder that can be written"),
    ],
)
def test_bad_input_is_found_before_minutes_are_spent(
    tmp_path: Path, no_training: list[Any], scales: list[str], output: str, message: str
) -> None:
    (tmp_path / "there.json").touch()
    (tmp_path / "traced-small-profile.json").touch()
    with pytest.raises(PinnxError, match=message):
        run_benchmark(scales, tmp_path / output, profile=True)
    assert no_training == []


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [(130, Interrupted, "^stopped$"), (2, PinnxError, "^benchmark: expected a run that ends, got status 2: stopped$")],
)
def test_a_run_that_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, kind: type[Exception], message: str
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\necho begun\necho stopped >&2\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    lines: list[str] = []
    with pytest.raises(kind, match=message):
        benchmark._trained(tmp_path / "run", tmp_path / "reference.npz", [], profile=False, say=lines.append)
    assert lines == ["  begun", "  stopped"]


def test_snapshots_on_another_grid_are_the_same_flow() -> None:
    flow = periodic_flow(resolution=24, num_frames=2, duration=0.1, seed=3)
    finer = on_grid(flow, 48)
    finer.validate()
    np.testing.assert_allclose(
        finer.values.reshape(2, 48, 48, 2)[:, ::2, ::2], flow.values.reshape(2, 24, 24, 2), rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(finer.points.reshape(48, 48, 2)[::2, ::2], flow.points.reshape(24, 24, 2), rtol=1e-12)
