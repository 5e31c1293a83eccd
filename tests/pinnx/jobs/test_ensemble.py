"""Members and their interval: parts of the sensors, the factor of the deviation, coverage, resuming, the report."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from rich.console import Console

from test_resume import press  # isort: skip

from same_runs import Tiny

from pinnx.config import Config
from pinnx.errors import Interrupted, PinnxError
from pinnx.evals import TaylorGreen
from pinnx.jobs import reconstruct, resume
from pinnx.jobs.cases.case import Case
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.judging.ensemble import Ensemble, check_members, sensor_parts
from pinnx.report import write_report
from pinnx.report.formatting import percent
from pinnx.train.checkpoint import checkpoint_loss

FLOW = TaylorGreen(nu=0.1, wavenumber=2.0)
PARTS = ("mean", "deviation")


class Member:
    """The exact flow with an error that all members share and a smaller one of its own, both without a pattern."""

    def __init__(self, seed: int) -> None:
        shared, own = (1e4 * np.random.default_rng(of).normal(size=(3, 3)) for of in (99, seed))
        self._errors = [(0.1, shared), (0.03, own)]

    def predict(self, coordinates: np.ndarray) -> np.ndarray:
        fields = np.column_stack([FLOW.velocity(*coordinates.T), np.zeros(len(coordinates))])
        return fields + sum(size * np.sin(coordinates @ directions) for size, directions in self._errors)


def many_sensors(case: Case, places: int) -> Case:
    """Exact readings at random places, each at one time."""
    coordinates = np.random.default_rng(3).uniform((0, 0, 0), (1, 2, 1.5), (places, 3))
    return replace(case, coordinates=coordinates, velocity=FLOW.velocity(*coordinates.T), speed=None, pressure=None)


def fields_of(case: Case) -> np.ndarray:
    """Of a run with the error that all members share."""
    return np.concatenate(
        [Member(7).predict(case.output.coordinates(frame)) for frame in range(case.output.num_frames)]
    )


def test_the_deviation_has_the_mean_square_of_errors_at_left_out_sensors(tiny: Tiny) -> None:
    config = tiny("unsteady_grid", "evals.members=3")
    case = many_sensors(load_case(config), 60)
    part, members = sensor_parts(config, case), [Member(seed) for seed in range(3)]
    assert np.bincount(part).tolist() == [20, 20, 20]
    found = Ensemble.of(members, part, case, fields_of(case))
    unseen = np.stack([members[k].predict(at[None])[0, :2] for k, at in zip(part, case.coordinates, strict=True)])
    errors = np.mean((case.velocity - unseen) ** 2)
    at = np.concatenate([case.output.coordinates(frame) for frame in range(case.output.num_frames)])
    spread = np.stack([member.predict(at)[:, :2] for member in members]).std(0, ddof=1)
    assert found.factor == pytest.approx(np.sqrt(errors / np.mean(spread**2)), rel=1e-4)
    assert found.factor > 2.0, "members share most of their error"
    np.testing.assert_allclose(found.deviation[:, :2], found.factor * spread, rtol=1e-4)
    noisy = replace(case, deviations={name: np.full(60, 0.06) for name in "uv"})
    less = Ensemble.of(members, part, noisy, fields_of(case)).factor
    assert less == pytest.approx(np.sqrt((errors - 0.06**2) / np.mean(spread**2)), rel=1e-4), "noise is no error"
    loud = replace(case, deviations={name: np.full(60, 1.0) for name in "uv"})
    assert Ensemble.of(members, part, loud, fields_of(case)).factor == 1.0, "the spread itself is the least"


def test_coverage_is_as_asked_and_falls_where_sensors_flatter(tiny: Tiny) -> None:
    """Errors at the sensors of a thirtieth, as where a member has seen them, make the interval too narrow."""
    config = tiny("unsteady_grid", "evals.members=5")
    case = many_sensors(load_case(config), 200)
    part, own = sensor_parts(config, case), fields_of(case)
    members = [Member(seed) for seed in range(5)]
    honest = Ensemble.of(members, part, case, own).facts
    assert 0.83 < honest["coverage"] < 0.97
    assert honest["coverage_of"] == "the reference"
    blind = replace(case, reference=None)
    assert 0.85 < Ensemble.of(members, part, blind, own).facts["coverage"] < 0.97
    seen = np.array([members[k].predict(x[None])[0, :2] for k, x in zip(part, case.coordinates, strict=True)])
    flattered = replace(case, velocity=seen + (case.velocity - seen) / 30)
    assert Ensemble.of(members, part, flattered, own).facts["coverage"] < 0.6


def stored(folder: Path) -> dict[str, np.ndarray]:
    with h5py.File(folder / "fields.h5") as file:
        names = [f"ensemble/{part}/{name}" for part in PARTS for name in "uv"] if "ensemble" in file else []
        return {name: file[name][()] for name in ("u", "v", "p", *names)}


def test_members_are_resumed_to_the_bit_and_leave_the_run_as_it_is(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_report: None
) -> None:
    config = tiny("unsteady_grid", "evals.members=2", "train.checkpoint_every=2")
    plain = tiny("unsteady_grid", "train.checkpoint_every=2")
    console = Console(file=io.StringIO(), width=200)
    facts = reconstruct(config, tmp_path / "whole", console=console)["ensemble"]
    lines = console.file.getvalue().splitlines()
    starts = [lines.index(f"training member {k} of 2, without 8\N{NO-BREAK SPACE}measurements of 16") for k in (1, 2)]
    (result,) = [i for i, line in enumerate(lines) if line.startswith("members: the 90\N{NO-BREAK SPACE}% interval of")]
    assert starts[0] < starts[1] < result
    assert f"holds {percent(facts['coverage'])} of the numbers of the reference" in lines[result]
    reconstruct(plain, tmp_path / "plain")
    whole = stored(tmp_path / "whole")
    for name, values in stored(tmp_path / "plain").items():
        np.testing.assert_array_equal(values, whole[name])
    assert (whole["ensemble/deviation/u"] > 0).all()
    saved = [max((tmp_path / "whole" / "members" / k).glob("step-*")) for k in "01"]
    assert all(math.isfinite(checkpoint_loss(path)) for path in saved), "each with the loss that was logged last"
    assert facts["members"] == 2
    assert "From 2 networks, the standard deviation of u and v" in write_report(tmp_path / "whole").read_text()
    reconstruct_until_member(config, tmp_path / "broken", monkeypatch)
    assert resume(tmp_path / "broken")["ensemble"] == facts
    for name, values in stored(tmp_path / "broken").items():
        np.testing.assert_array_equal(values, whole[name])


def reconstruct_until_member(config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in step 4 of the second member."""
    from pinnx.jobs.judging import ensemble

    made: list[int] = []

    def pressed_in_the_second(*arguments: Any, trainer: Callable[..., Any] = ensemble.further_training) -> Any:
        made.append(1)
        if len(made) == 2:
            press(monkeypatch, after=3)
        return trainer(*arguments)

    monkeypatch.setattr(ensemble, "further_training", pressed_in_the_second)
    with pytest.raises(Interrupted, match="Continue"):
        reconstruct(config, folder)
    assert sorted(p.name for p in (folder / "members").iterdir()) == ["0", "1"]
    assert [p.name for p in (folder / "members" / "1").glob("step-*")] == ["step-00000004.safetensors"]
    monkeypatch.undo()
    monkeypatch.setattr("pinnx.jobs.reconstruction.write_report", lambda path: (path / "report.html").touch())


def test_more_members_than_sensors_are_refused(tiny: Tiny) -> None:
    config = tiny("unsteady_grid", "evals.members=5")
    with pytest.raises(PinnxError, match=r"^evals\.members: expected at most one for each of 4 sensors, got 5$"):
        check_members(config, load_case(config))
    config = tiny("unsteady_grid", "evals.members=2")
    case = load_case(config)
    lacking = replace(case, velocity=case.velocity * [1.0, np.nan])
    with pytest.raises(PinnxError, match=r"^evals\.members: expected measurements of v in each of 2 parts$"):
        check_members(config, lacking)
