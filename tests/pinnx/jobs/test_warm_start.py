"""A network that starts from the solver's field, which guides it less and less, and is refused where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from box_files import BOX, EXACT, exact_fields
from flow_files import TINY
from same_runs import assert_same_run

from pinnx.config import Config, load_config
from pinnx.errors import Interrupted, PinnxError
from pinnx.jobs import reconstruct, resume
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows import warm_start
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.physics.measured_values import FadingValues
from pinnx.runs.history import history_columns
from pinnx.train import Trainer


@pytest.fixture
def box(tmp_path: Path) -> Config:
    x, y = np.linspace(-0.5, 0.5, 9), np.linspace(-0.5, 0.5, 8)
    u, v, p = exact_fields(np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)).T.reshape(3, 9, 8)
    np.savez(tmp_path / "flow.npz", x=x, y=y, u=u, v=v, p=p, nu=EXACT.nu)
    (tmp_path / "box.yaml").write_text(BOX)
    settings = ("model.width=32", "model.frequencies=8", "solver.beside=false", "solver.polish=false", "train.lr=1e-4")
    return load_config(tmp_path / "box.yaml", [*TINY, ("data.path", str(tmp_path / "flow.npz")), *settings])


def test_a_run_begins_near_the_flow(
    box: Config, tmp_path: Path, no_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_start, "STEPS", 200)
    errors, losses = {}, {}
    for start in ("none", "solver"):
        config = box.model_copy(update={"train": box.train.model_copy(update={"warm_start": start})})
        metrics = reconstruct(config, tmp_path / start)
        errors[start] = metrics["relative_l2"]
        losses[start] = history_columns(tmp_path / start / "history.jsonl")["loss/data"][0]
        said = any("started from the field of a classical solver" in note for note in metrics["notes"])
        assert said == (start == "solver")
        assert ("warm_start" in metrics["terms"]) == (start == "solver")
    assert errors["solver"]["velocity"] < 0.2 < errors["none"]["velocity"]
    assert errors["solver"]["p"] < 0.5 * errors["none"]["p"]
    assert losses["solver"] < 0.1 * losses["none"]


def test_a_run_that_was_stopped_ends_with_the_same_bits(
    box: Config, tmp_path: Path, no_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start is in the first checkpoint; the field that guides is made again."""
    monkeypatch.setattr(warm_start, "STEPS", 3)
    config = box.model_copy(update={"train": box.train.model_copy(update={"warm_start": "solver"})})
    reconstruct(config, tmp_path / "whole")
    step, begun = Trainer.train_step, [0]

    def stopped(trainer: Trainer) -> Any:
        begun[0] += 1
        if begun[0] == 3 + 4:  # of the fit, and of the run
            raise KeyboardInterrupt
        return step(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", stopped)
        with pytest.raises(Interrupted):
            reconstruct(
                config.model_copy(update={"train": config.train.model_copy(update={"checkpoint_every": 2})}),
                tmp_path / "stopped",
            )
    resume(tmp_path / "stopped")
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_the_solvers_field_counts_less_from_step_to_step(box: Config) -> None:
    """The share of each step, and the loss with it; the sensors keep theirs."""
    values = _start_values(box)
    values.until = 4.0
    shares = [values.draw(step)["share"] for step in (0, 1, 3, 4, 9)]
    assert [float(share[0, 0]) for share in shares] == [1.0, 0.75, 0.25, 0.0, 0.0]
    residual = torch.ones(warm_start.POINTS, 3, dtype=torch.float64)
    columns = [float(values.columns(residual, {"share": torch.from_numpy(share)})) for share in shares]
    np.testing.assert_allclose(columns, [1.0, 0.75, 0.25, 0.0, 0.0])
    wanted = exact_fields(values.coordinates)
    assert np.linalg.norm(values.values[:, :2] - wanted[:, :2]) < 2e-3 * np.linalg.norm(wanted[:, :2])


@pytest.mark.parametrize(("data", "boundary", "wanted"), [(0.0, 3.0, 3.0), (5.0, 3.0, 5.0)])
def test_it_guides_where_no_sensor_counts(box: Config, data: float, boundary: float, wanted: float) -> None:
    """Its weight is that of what is known: of the boundary where the sensors' is zero."""
    weights = box.train.weights.model_copy(update={"data": data, "boundary": boundary})
    config = box.model_copy(update={"train": box.train.model_copy(update={"weights": weights, "warm_start": "solver"})})
    assert flow_problem(config, load_case(config)).weights["warm_start"] == wanted


def test_a_pressure_with_a_value_of_its_own_is_left_alone(box: Config) -> None:
    prescribed = box.boundaries[0].model_copy(update={"p": 3.0})
    config = box.model_copy(update={"boundaries": (prescribed, *box.boundaries[1:])})
    for given, known in ((box, True), (config, False)):
        assert _start_values(given).mask[:, 2].all() == known


def _start_values(config: Config) -> FadingValues:
    config = config.model_copy(update={"train": config.train.model_copy(update={"warm_start": "solver"})})
    case = load_case(config)
    assert case.start is not None
    return warm_start.start_values(config.train, case, case.start, np.ones(3))


def test_with_weights_that_follow_the_training_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PinnxError, match=r"warm_start: expected balance\.method none beside it, got ntk"):
        load_config("cavity", ["data.path=x.mat", "train.warm_start=solver", "train.balance.method=ntk"])


def test_where_the_solver_does_not_apply_it_is_refused(tiny: Callable[..., Config], tmp_path: Path) -> None:
    config = tiny("unsteady_grid", "train.warm_start=solver")
    with pytest.raises(PinnxError, match=r"warm_start: the solver does not apply: .* changes in time; set it to none"):
        reconstruct(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
