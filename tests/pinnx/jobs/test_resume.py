"""A run that was stopped, by Ctrl-C or by force, goes on to the same bits as one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest

from pinnx.config import Config, dump_config
from pinnx.errors import Interrupted, PinnxError
from pinnx.jobs import reconstruct, reconstruction, resume, training
from pinnx.train import Trainer, load_checkpoint, save_checkpoint

Tiny = Callable[..., Config]
pytestmark = pytest.mark.usefixtures("no_report")

# The command, with Ctrl-C pressed after step 3 (argument 1: "once"), or the process killed while it writes the
# checkpoint of step 4 ("killed").
STOPPED = """
import os, signal, sys
import torch
from pinnx.train import Trainer
from pinnx.cli import main

def press(trainer, step=Trainer.train_step):
    result = step(trainer)
    if trainer.step == 3:
        os.kill(os.getpid(), signal.SIGINT)
    return result

def half_a_file(state, file, save=torch.save):
    if state["clock"]["step"] < 4:
        return save(state, file)
    file.write(b"PK" + bytes(5000))
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "once":
    Trainer.train_step = press
else:
    torch.save = half_a_file
sys.exit(main(sys.argv[2:]))
"""


def command(how: str, config: Config, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "stopped.yaml"
    path.write_text(dump_config(config))
    given = [sys.executable, "-c", STOPPED, how, "reconstruct", str(path), "--out", str(folder / "run")]
    return subprocess.run(given, cwd=folder, capture_output=True, text=True, check=False)


def press(monkeypatch: pytest.MonkeyPatch, after: int, times: int = 1) -> None:
    """Has Ctrl-C pressed during the step that follows ``after`` steps."""
    original = Trainer.train_step

    def pressed(trainer: Trainer) -> Any:
        if trainer.step == after:
            monkeypatch.setattr(Trainer, "train_step", original)
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
        return original(trainer)

    monkeypatch.setattr(Trainer, "train_step", pressed)


def assert_same_run(first: Path, second: Path) -> None:
    states = [load_checkpoint(folder / "checkpoint.pt") for folder in (first, second)]
    for part in ("model", "term equations", "optimizer", "schedule", "weights"):
        assert repr_bits(states[0][part]) == repr_bits(states[1][part]), part
    with h5py.File(first / "fields.h5") as a, h5py.File(second / "fields.h5") as b:
        for name in ("u", "v", "p", "residual/momentum_x", "residual/continuity"):
            np.testing.assert_array_equal(a[name][()], b[name][()])
    rows = [[json.loads(line) for line in (f / "history.jsonl").read_text().splitlines()] for f in (first, second)]
    for mine, other in zip(*rows, strict=True):
        timed = ("time_s", "steps_per_s")
        assert {k: v for k, v in mine.items() if k not in timed} == {k: v for k, v in other.items() if k not in timed}
    assert (first / "sensors.csv").read_bytes() == (second / "sensors.csv").read_bytes()
    assert sorted(p.name for p in first.iterdir()) == sorted(p.name for p in second.iterdir())


def repr_bits(state: Any) -> Any:
    """Tensors as their bytes, everything else as it is."""
    if isinstance(state, dict):
        return {key: repr_bits(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [repr_bits(value) for value in state]
    return (str(state.dtype), state.numpy().tobytes()) if hasattr(state, "numpy") else state


@pytest.mark.parametrize("stop", [1, 4])
@pytest.mark.parametrize("optimizer", ["soap", "adam"])
def test_resume_gives_the_bits_of_the_uninterrupted_run(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str, stop: int
) -> None:
    config = tiny("unsteady_grid", f"train.optimizer={optimizer}", "train.precondition_frequency=2")
    reconstruct(config, tmp_path / "whole")
    press(monkeypatch, after=stop - 1)
    with pytest.raises(Interrupted) as caught:
        reconstruct(config, tmp_path / "run")
    assert str(caught.value) == (
        f"interrupted after step {stop} of 6; saved. Continue with: pinnx reconstruct --resume {tmp_path / 'run'}"
    )
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["clock"]["step"] == stop
    assert not (tmp_path / "run" / "metrics.json").exists()
    metrics = resume(tmp_path / "run")
    assert metrics["steps"] == 6
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_the_time_of_all_parts_is_counted(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a part that ended between steps, of one that ended in the evaluation, and of the last."""
    now, run = [0.0], tmp_path / "run"
    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def wait(seconds: float, then: Callable[..., Any]) -> Callable[..., Any]:
        def waited(*given: Any) -> Any:
            now[0] += seconds
            return then(*given)

        return waited

    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(reconstruction, "make_trainer", wait(100.0, training.make_trainer))
    press(monkeypatch, after=2)
    with pytest.raises(Interrupted):
        reconstruct(tiny("unsteady_grid"), run)
    now[0] = -1e6  # another process
    with monkeypatch.context() as patch:
        patch.setattr(reconstruction, "evaluate_output", wait(7.0, stop))
        with pytest.raises(Interrupted):
            resume(run)
    now[0] = 1e6
    assert resume(run)["wall_s"] == pytest.approx(100.0 + 107.0 + 100.0)


def test_ctrl_c_says_how_to_continue_and_exits_with_130(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("unsteady_grid")
    done = command("once", config, tmp_path)
    run = tmp_path / "run"
    wanted = f"pinnx: interrupted after step 3 of 6; saved. Continue with: pinnx reconstruct --resume {run}\n"
    assert (done.returncode, done.stderr) == (130, wanted)
    assert sorted(p.name for p in run.iterdir()) == ["checkpoint.pt", "config.yaml", "history.jsonl", "sensors.csv"]
    reconstruct(config, tmp_path / "whole")
    resume(run)
    assert_same_run(tmp_path / "whole", run)


def test_killed_while_it_writes_a_checkpoint_it_goes_on_from_the_one_before(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("unsteady_grid", "train.checkpoint_every=2", "train.log_every=1")
    done = command("killed", config, tmp_path)
    assert done.returncode == -signal.SIGKILL, done.stderr
    run = tmp_path / "run"
    assert load_checkpoint(run / "checkpoint.pt")["clock"]["step"] == 2
    reconstruct(config, tmp_path / "whole")
    resume(run)
    assert_same_run(tmp_path / "whole", run)


def test_a_second_ctrl_c_does_not_save_half_a_step(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny("unsteady_grid", "train.checkpoint_every=2")
    reconstruct(config, tmp_path / "whole")
    press(monkeypatch, after=3, times=2)
    with pytest.raises(Interrupted, match=r"^interrupted\. Continue from the last checkpoint with: pinnx reconstruct"):
        reconstruct(config, tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["clock"]["step"] == 2
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_killed_before_the_first_checkpoint_it_begins_anew(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("unsteady_grid")
    run = tmp_path / "run"
    reconstruct(config, run)
    for name in ("metrics.json", "fields.h5", "checkpoint.pt", "report.html", "sensors.csv"):
        (run / name).unlink()
    (run / "history.jsonl").write_text('{"step": 1}\n{"st')
    reconstruct(config, tmp_path / "whole")
    resume(run)
    assert_same_run(tmp_path / "whole", run)


def test_stopped_while_it_evaluates_it_goes_on_without_training(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("unsteady_grid")
    reconstruct(config, tmp_path / "whole")

    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(reconstruction, "evaluate_output", stop)
        with pytest.raises(Interrupted, match="pinnx reconstruct --resume"):
            reconstruct(config, tmp_path / "run")
    monkeypatch.setattr(Trainer, "train_step", stop)
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_a_run_goes_on_from_another_working_directory(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tiny("unsteady_grid", "data.path=vortices.npz")
    press(monkeypatch, after=2)
    with pytest.raises(Interrupted):
        reconstruct(config, tmp_path / "run")
    monkeypatch.chdir("/")
    assert resume(tmp_path / "run")["steps"] == 6


def test_what_cannot_go_on_says_why(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    with pytest.raises(PinnxError, match=r"expected the folder of an interrupted run, found no config\.yaml in it"):
        resume(run)
    assert not run.exists()
    config = tiny("unsteady_grid")
    press(monkeypatch, after=2)
    with pytest.raises(Interrupted):
        reconstruct(config, run)
    whole = (run / "checkpoint.pt").read_bytes()
    (run / "checkpoint.pt").write_bytes(whole[:-100])
    with pytest.raises(PinnxError, match=r"checkpoint\.pt: expected a whole checkpoint"):
        resume(run)
    save_checkpoint(run / "checkpoint.pt", {"clock": {"step": 2}})
    with pytest.raises(PinnxError, match="checkpoint: expected one of this configuration, got one without model"):
        resume(run)
    (run / "checkpoint.pt").write_bytes(whole)
    resume(run)
    with pytest.raises(PinnxError, match="expected an interrupted run, got one that has ended"):
        resume(run)
