"""A constant force and a viscosity are found from sensors, with an interval that holds the truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from pinnx.cli import main
from pinnx.config import Config, load_config
from pinnx.errors import PinnxError
from pinnx.jobs import reconstruct, resume
from pinnx.runs.history import history_columns

NU, FORCE = 0.1, 0.8
CHANNEL = """
data: {measurements: {path: channel.csv}}
domain: {x: [0.0, 2.0], y: [0.0, 1.0], periodic: [x]}
flow: {steady: true, nu: 0.1, forcing: [4.0, 0.0], learn_forcing: [x]}
boundaries: [{where: {side: bottom}, u: 0.0, v: 0.0}, {where: {side: top}, u: 0.0, v: 0.0}]
model: {width: 16, layers: 2, frequencies: 8, sigma: 0.5}
train:
  steps: 400
  collocation_points: 64
  boundary_points: 16
  lr: 1.0e-2
  weights: {data: 10, boundary: 10}
evals: {points: 500, grid: 8}
"""

SLOW = ("train.lr_forcing=1e-6", "flow.forcing=[0.92, 0.0]")

Channel = Callable[..., Config]


@pytest.fixture
def channel(tmp_path: Path) -> Channel:
    """Flow between two walls at rest, driven by a force: u = f y (1 - y) / (2 nu), at twelve sensors."""
    x, y = np.random.default_rng(0).uniform((0.0, 0.1), (2.0, 0.9), (12, 2)).T
    table = np.column_stack([x, y, FORCE / (2 * NU) * y * (1 - y), 0 * y])
    np.savetxt(tmp_path / "channel.csv", table, delimiter=",", header="x,y,u,v", comments="")
    (tmp_path / "channel.yaml").write_text(CHANNEL.replace("channel.csv", str(tmp_path / "channel.csv")))
    return lambda *changes: load_config(tmp_path / "channel.yaml", list(changes))


def check_of(metrics: dict[str, Any], name: str) -> dict[str, Any]:
    (check,) = (item for item in metrics["checks"] if item["name"] == name)
    return check


def test_a_force_is_found(
    channel: Channel, tmp_path: Path, no_report: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """From five times the truth: 0.1 % off, the interval 1 % wide."""
    channel()
    assert main(["reconstruct", str(tmp_path / "channel.yaml"), "--out", str(tmp_path / "run")]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    found = metrics["found"]["forcing_x"]
    shown = {key: f"{value:.3g}" for key, value in found["estimate"].items()}
    wanted = "forcing_x found: {:.4g} from the guess 4; estimate {value}, interval {low} to {high}"
    assert wanted.format(found["value"], **shown) in capsys.readouterr().out
    main(["verify", str(tmp_path / "run"), "--json"])
    again = {item["name"]: item for item in json.loads(capsys.readouterr().out)}
    assert again["forcing_settled"] == check_of(metrics, "forcing_settled")
    assert found["value"] == pytest.approx(FORCE, rel=0.02)
    assert (found["guess"], found["check"]) == (4.0, "forcing_settled")
    assert found["estimate"]["low"] < FORCE < found["estimate"]["high"]
    assert found["estimate"]["high"] - found["estimate"]["low"] < 0.1 * FORCE
    assert check_of(metrics, "forcing_settled")["passed"]
    assert metrics["equations"].endswith("an unknown constant force along x, found by the training")
    history = history_columns(tmp_path / "run" / "history.jsonl")["forcing_x"]
    assert history[0] == pytest.approx(4.0, rel=0.05)
    assert history[-1] == found["value"]
    with h5py.File(tmp_path / "run" / "fields.h5") as file:
        assert file.attrs["forcing_x"] == found["value"]


def test_the_estimate_goes_where_the_number_has_not_gone(channel: Channel, tmp_path: Path, no_report: None) -> None:
    """Next to no learning rate of its own (the last one is that of all) leaves it 15 % off; the fields know better."""
    metrics = reconstruct(channel(*SLOW, "train.estimate_at=[]"), tmp_path / "run")
    found = metrics["found"]["forcing_x"]
    assert 0.91 < found["value"] < 0.93
    assert found["estimate"]["value"] == pytest.approx(FORCE, rel=0.02)
    assert found["estimate"]["low"] < FORCE < 0.92 <= found["estimate"]["high"]
    assert metrics["nu"] == NU


def test_a_number_is_put_to_its_estimate_and_held(channel: Channel, tmp_path: Path, no_report: None) -> None:
    """Where its learning rate leaves it off; a run that is resumed behind the estimate has the same bits."""
    config = channel(*SLOW, "train.estimate_at=[0.5]", "train.steps=300", "train.checkpoint_every=225")
    metrics = reconstruct(config, tmp_path / "run")
    history = history_columns(tmp_path / "run" / "history.jsonl")
    before, after = (history["forcing_x"][late] for late in (history["step"] < 150, history["step"] > 150))
    assert before.min() > 0.91
    assert np.unique(after).tolist() == [pytest.approx(FORCE, rel=0.05)]
    assert "step 150: forcing_x held at its estimate" in metrics["notes"]
    (tmp_path / "run" / "report.html").unlink()
    resume(tmp_path / "run", step=225)
    again = history_columns(tmp_path / "run" / "history.jsonl")
    assert again["loss/total"].tolist() == history["loss/total"].tolist()


def test_a_resumed_run_finds_the_same_bits(channel: Channel, tmp_path: Path, no_report: None) -> None:
    config = channel("flow.learn_nu=true", "train.steps=6", "train.checkpoint_every=3")
    found = reconstruct(config, tmp_path / "run")["found"]
    assert set(found) == {"nu", "forcing_x"}
    (tmp_path / "run" / "report.html").unlink()  # as if it had not ended
    resume(tmp_path / "run", step=3)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["found"] == found


def test_a_force_that_the_pressure_hides_is_refused(channel: Channel, tmp_path: Path) -> None:
    message = (
        r"flow\.learn_forcing: expected y among domain\.periodic, or pressures measured or prescribed at several y"
    )
    with pytest.raises(PinnxError, match=message):
        reconstruct(channel("flow.learn_forcing=[x, y]"), tmp_path / "run")
    with pytest.raises(PinnxError, match=r"flow\.learn_forcing: expected axes out of x, y, got \('z',\)"):
        reconstruct(channel("flow.learn_forcing=[z]"), tmp_path / "other")
    with pytest.raises(PinnxError, match=r"learn_forcing: expected each axis once"):
        channel("flow.learn_forcing=[x, x]")


def test_pressures_at_two_ends_show_it(channel: Channel, tmp_path: Path, no_report: None) -> None:
    ends = "boundaries=[{where: {side: left}, p: 0.0}, {where: {side: right}, p: 0.0}]"
    changed = ("domain.periodic=[]", "train.steps=3")
    assert "forcing_x" in reconstruct(channel(ends, *changed), tmp_path / "run")["found"]
    with pytest.raises(PinnxError, match="expected x among"):
        reconstruct(channel("boundaries=[{where: {side: left}, p: 0.0}]", *changed), tmp_path / "other")


def test_a_robust_loss_has_no_interval(channel: Channel, tmp_path: Path, no_report: None) -> None:
    metrics = reconstruct(channel("train.data_loss=huber", "train.steps=3"), tmp_path / "run")
    found = metrics["found"]["forcing_x"]
    assert found["estimate"] is None
    assert found["note"] == "no interval: it is one of least squares, and train.data_loss is huber"
