"""A disk that is full for a while: a training goes on, and a run can be resumed to the same bits."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path
from typing import Any, NoReturn

import pytest
from same_runs import Tiny, assert_same_run, last_state, press

from pinnx.errors import Interrupted, PinnxError
from pinnx.jobs import reconstruct, resume
from pinnx.jobs.flows import flow_run
from pinnx.train import CheckpointFolder, Trainer

pytestmark = pytest.mark.usefixtures("no_report")


def test_a_full_disk_ends_no_training(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From step 1 to 3 nothing can be written; the history is complete in the end, the bits are the same."""
    run, config = tmp_path / "run", tiny("unsteady_grid", "train.checkpoint_every=2", "train.log_every=1")
    reconstruct(config, tmp_path / "whole")
    step = Trainer.train_step

    def limited(trainer: Trainer) -> Any:
        size = 0 if trainer.step < 3 else resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        return step(trainer)

    monkeypatch.setattr(Trainer, "train_step", limited)
    with pytest.warns(UserWarning, match="the run continues") as caught:
        reconstruct(config, run)
    assert [str(item.message).removeprefix(f"{run}/") for item in caught] == [
        "history.jsonl: written later from step 1 on: File too large; the run continues",
        "checkpoints: step 2 was not saved, the last one is of step 0: File too large; the run continues",
    ]
    assert_same_run(tmp_path / "whole", run)


@pytest.mark.parametrize("last", ["evaluate_output", "run_metrics"])
def test_a_full_disk_at_the_end_leaves_a_run_that_can_be_resumed(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    """Full when fields.h5 is written, which HDF5 itself does not survive, or metrics.json."""
    run, config = tmp_path / "run", tiny("unsteady_grid")
    reconstruct(config, tmp_path / "whole")
    original = getattr(flow_run, last)

    def limited(*given: Any) -> Any:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
        return original(*given)

    with monkeypatch.context() as patch:
        patch.setattr(flow_run, last, limited)
        with pytest.raises(PinnxError) as caught:
            reconstruct(config, run)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    remedy = f"free some space, then continue with: pinnx resume {run}"
    assert str(caught.value) == f"{run}: could not be written: File too large; {remedy}"
    assert (run / "fields.h5").exists() == (last == "run_metrics")
    resume(run)
    assert_same_run(tmp_path / "whole", run)


def test_a_full_disk_at_the_start_trains_nothing(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PinnxError, match="run: could not be written: No space left on device; free some space or cho"):
        reconstruct(tiny("unsteady_grid"), tmp_path / "run")
    assert not list((tmp_path / "run").rglob("*.safetensors*"))


def test_an_interrupt_on_a_full_disk_says_where_the_run_continues(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, config = tmp_path / "run", tiny("unsteady_grid", "train.checkpoint_every=2", "train.log_every=100")
    press(monkeypatch, after=2)

    def full() -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    save = CheckpointFolder.save

    def save_two(checkpoints: CheckpointFolder, state: Any, loss: float | None) -> Path:
        return full() if state["clock"]["step"] == 3 else save(checkpoints, state, loss)

    monkeypatch.setattr(CheckpointFolder, "save", save_two)
    with (
        pytest.warns(UserWarning, match="step 3 was not saved, the last one is of step 2"),
        pytest.raises(Interrupted) as caught,
    ):
        reconstruct(config, run)
    assert str(caught.value) == (
        f"interrupted after step 3 of 6; not saved. Continue from step 2 with: pinnx resume {run}"
    )
    assert last_state(run)["clock"]["step"] == 2
