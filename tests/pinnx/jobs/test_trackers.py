"""TensorBoard and MLflow themselves read back what a run has sent; without them a run says how to install them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from same_runs import Tiny, last_state, repr_bits

from pinnx.config import Config
from pinnx.errors import Interrupted, PinnxError
from pinnx.jobs import reconstruct, resume
from pinnx.jobs.trackers import MLflow
from pinnx.runs.history import read_rows
from pinnx.train import Trainer

pytestmark = pytest.mark.usefixtures("no_report")

EVERY_STEP = ("train.log_every=1", "train.checkpoint_every=2", "train.balance.method=relobralo")


def stop_within_step_four(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps 3 and 4 are in the history then, and taken again, as the last checkpoint is of step 2."""
    step = Trainer.train_step

    def stopped(trainer: Trainer) -> None:
        if trainer.step == 3:
            monkeypatch.setattr(Trainer, "train_step", step)
            raise KeyboardInterrupt
        step(trainer)

    monkeypatch.setattr(Trainer, "train_step", stopped)


def interrupted_and_resumed(config: Config, run: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    stop_within_step_four(monkeypatch)
    with pytest.raises(Interrupted):
        reconstruct(config, run)
    return resume(run)


@pytest.mark.parametrize(("name", "module"), [("tensorboard", "torch.utils.tensorboard"), ("mlflow", "mlflow")])
def test_a_package_that_is_not_there_is_named_with_the_remedy(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PinnxError) as caught:
        reconstruct(tiny("unsteady_grid", f"train.track=[{name}]"), tmp_path / "run")
    remedy = "pip install 'pinn-ext[tracking]', or leave it out of train.track"
    assert str(caught.value) == f"train.track: expected the package {name}, found none; {remedy}"
    assert not (tmp_path / "run").exists()


def test_tensorboard_has_each_row_once(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a run was stopped and some steps were taken twice; no bit of the training changes."""
    pytest.importorskip("tensorboard", reason="tensorboard is not installed (extra: tracking)")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = tmp_path / "run"
    metrics = interrupted_and_resumed(tiny("unsteady_grid", "train.track=[tensorboard]", *EVERY_STEP), run, monkeypatch)
    read = EventAccumulator(str(run / "tensorboard")).Reload()
    rows = read_rows(run / "history.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    for name in rows[0].keys() - {"step"}:
        points = read.Scalars(name)
        assert [point.step for point in points] == [1, 2, 3, 4, 5, 6], name
        assert [point.value for point in points] == pytest.approx([row[name] for row in rows], rel=1e-6), name
    assert {"physics/pde_residual_l2", "physics/energy_budget", "physics/reconstruction", "epochs_per_hour"} < set(
        rows[0]
    )
    assert [point.step for point in read.Scalars("convergence_rate")] == [4, 5, 6]
    (chosen,) = read.Scalars("selection_s")
    assert chosen.value == pytest.approx(metrics["selection_s"], rel=1e-6)
    (error,) = read.Scalars("relative_l2/velocity")
    assert (error.step, error.value) == (6, pytest.approx(metrics["relative_l2"]["velocity"], rel=1e-6))
    reconstruct(tiny("unsteady_grid", *EVERY_STEP), tmp_path / "plain")
    assert repr_bits(last_state(run)["model"]) == repr_bits(last_state(tmp_path / "plain")["model"])


def test_a_full_disk_for_tensorboard_ends_no_training(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed (extra: tracking)")
    from torch.utils.tensorboard import SummaryWriter

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SummaryWriter, "add_scalar", full)
    with pytest.warns(UserWarning, match="TensorBoard: .*No space left on device; the run continues without") as caught:
        reconstruct(tiny("unsteady_grid", "train.track=[tensorboard]"), tmp_path / "run")
    assert len(caught) == 1
    assert (tmp_path / "run" / "metrics.json").exists()


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow with a store in a folder, which is faster than a database."""
    module = pytest.importorskip("mlflow", reason="mlflow is not installed (extra: tracking)")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    return module


def test_mlflow_has_the_rows_the_settings_and_the_files(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlflow: Any
) -> None:
    run = tmp_path / "run"
    metrics = interrupted_and_resumed(tiny("unsteady_grid", "train.track=[mlflow]", *EVERY_STEP), run, monkeypatch)
    client = mlflow.MlflowClient()
    (found,) = client.search_runs([client.get_experiment_by_name("pinnx").experiment_id])
    assert found.info.run_id == (run / "mlflow_run.txt").read_text().strip(), "one run, although it was resumed"
    assert (found.info.run_name, found.info.status) == ("run", "FINISHED")
    assert found.data.params["train.balance.method"] == "relobralo"
    assert found.data.metrics["relative_l2/velocity"] == pytest.approx(metrics["relative_l2"]["velocity"])
    sent = {point.step: point.value for point in client.get_metric_history(found.info.run_id, "loss/total")}
    assert sent == {row["step"]: pytest.approx(row["loss/total"]) for row in read_rows(run / "history.jsonl")}
    assert {file.path for file in client.list_artifacts(found.info.run_id)} == {
        "config.yaml",
        "metrics.json",
        "report.html",
    }


def test_a_run_that_is_stopped_is_said_to_be(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlflow: Any
) -> None:
    stop_within_step_four(monkeypatch)
    with pytest.raises(Interrupted):
        reconstruct(tiny("unsteady_grid", "train.track=[mlflow]"), tmp_path / "run")
    number = (tmp_path / "run" / "mlflow_run.txt").read_text().strip()
    assert mlflow.MlflowClient().get_run(number).info.status == "KILLED"


def test_a_server_that_fails_later_ends_no_training(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlflow: Any
) -> None:
    def lost(*given: object, **more: object) -> None:
        raise mlflow.exceptions.MlflowException("the server is gone")

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", lost)
    with pytest.warns(UserWarning, match="MLflow: the server is gone; the run continues without it") as caught:
        reconstruct(tiny("unsteady_grid", "train.track=[mlflow]"), tmp_path / "run")
    assert len(caught) == 1
    assert (tmp_path / "run" / "metrics.json").exists()


def test_a_server_that_is_not_there_is_named_at_the_start(monkeypatch: pytest.MonkeyPatch, mlflow: Any) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(PinnxError, match=r"^train\.track: MLflow at http://127\.0\.0\.1:9 cannot be reached: "):
        MLflow()
