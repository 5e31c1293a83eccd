"""A run that was stopped, by Ctrl-C or by force, goes on to the same bits as one that was not."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from same_runs import Tiny, assert_resumes_to_the_bit, assert_same_run, last_state, press

from pinnx.cli import main
from pinnx.config import Config, dump_config
from pinnx.errors import Interrupted, PinnxError
from pinnx.jobs import reconstruct, resume, run_recorder
from pinnx.jobs.flows import flow_run
from pinnx.runs.folder import locked
from pinnx.train import CheckpointFolder, Trainer
from pinnx.train.optimizers import FIRST_ORDER

pytestmark = pytest.mark.usefixtures("no_report")

# The command, with Ctrl-C pressed after step 3 (argument 1: "once"), or the process killed while it writes the
# checkpoint of step 4 ("killed").
STOPPED = """
import os, signal, sys
from pathlib import Path
from pinnx.train import Trainer
from pinnx.cli import main

def press(trainer, step=Trainer.train_step):
    result = step(trainer)
    if trainer.step == 3:
        os.kill(os.getpid(), signal.SIGINT)
    return result

def half_a_file(path, content, write=Path.write_bytes):
    if "step-00000004" not in path.name:
        return write(path, content)
    with path.open("wb") as file:
        file.write(content[:2000])
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "once":
    Trainer.train_step = press
else:
    Path.write_bytes = half_a_file
sys.exit(main(sys.argv[2:]))
"""


def command(how: str, config: Config, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "stopped.yaml"
    path.write_text(dump_config(config))
    given = [sys.executable, "-c", STOPPED, how, "reconstruct", str(path), "--out", str(folder / "run")]
    return subprocess.run(given, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("stop", [1, 4])
@pytest.mark.parametrize("optimizer", FIRST_ORDER)
def test_resume_gives_the_bits_of_the_uninterrupted_run(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str, stop: int
) -> None:
    config = tiny("unsteady_grid", f"train.optimizer={optimizer}", "train.precondition_frequency=2")
    reconstruct(config, tmp_path / "whole")
    press(monkeypatch, after=stop - 1)
    with pytest.raises(Interrupted) as caught:
        reconstruct(config, tmp_path / "run")
    assert str(caught.value) == (
        f"interrupted after step {stop} of 6; saved. Continue with: pinnx resume {tmp_path / 'run'}"
    )
    assert last_state(tmp_path / "run")["clock"]["step"] == stop
    assert not (tmp_path / "run" / "metrics.json").exists()
    metrics = resume(tmp_path / "run")
    assert metrics["steps"] == 6
    assert_same_run(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize(
    "settings",
    [
        ["train.balance.method=relobralo"],
        ["train.balance.method=gradnorm", "train.balance.every=2"],
        ["train.balance.method=ntk", "train.balance.every=3"],
        ["train.balance.method=lagrangian", "train.balance.memory=0.5", "train.balance.growth=0.5"],
        ["train.causal.tolerance=1.0", "train.causal.every=3", "train.physics_ramp=[0.1, 0.9]"],
        ["train.data_loss=huber", "flow.learn_nu=true", "train.dtype=float64"],
        ["train.curriculum=[{until: 0.8, numbers: {nu: 1.0}}]"],
    ],
)
def test_what_adapts_goes_on_to_the_same_bits(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str]
) -> None:
    """Stopped where the next step uses what was adapted before, not anew."""
    config = tiny("unsteady_grid", *settings)
    assert_resumes_to_the_bit(config, tmp_path, monkeypatch, after=3)


def test_the_time_of_all_parts_is_counted(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a part that ended between steps, of one that ended in the evaluation, and of the last."""
    now, run = [0.0], tmp_path / "run"
    monkeypatch.setattr(run_recorder, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def wait(seconds: float, then: Callable[..., Any]) -> Callable[..., Any]:
        def waited(*given: Any) -> Any:
            now[0] += seconds
            return then(*given)

        return waited

    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(flow_run, "make_trainer", wait(100.0, flow_run.make_trainer))
    press(monkeypatch, after=2)
    with pytest.raises(Interrupted):
        reconstruct(tiny("unsteady_grid"), run)
    now[0] = -1e6  # another process
    with monkeypatch.context() as patch:
        patch.setattr(flow_run, "evaluate_output", wait(7.0, stop))
        with pytest.raises(Interrupted):
            resume(run)
    now[0] = 1e6
    assert resume(run)["wall_s"] == pytest.approx(100.0 + 107.0 + 100.0)


def test_ctrl_c_says_how_to_continue_and_exits_with_130(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("unsteady_grid")
    done = command("once", config, tmp_path)
    run = tmp_path / "run"
    wanted = f"pinnx: interrupted after step 3 of 6; saved. Continue with: pinnx resume {run}\n"
    assert (done.returncode, done.stderr) == (130, wanted)
    assert sorted(p.name for p in run.iterdir()) == ["checkpoints", "config.yaml", "history.jsonl", "sensors.csv"]
    reconstruct(config, tmp_path / "whole")
    resume(run)
    assert_same_run(tmp_path / "whole", run)


@pytest.mark.parametrize("evaluating", [False, True])
def test_sigterm_saves_and_exits_with_143(
    tiny: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    evaluating: bool,
) -> None:
    """Between steps, and in the evaluation that follows them."""
    config = tiny("unsteady_grid", "train.checkpoint_every=2")
    run, before = tmp_path / "run", signal.getsignal(signal.SIGTERM)
    (tmp_path / "c.yaml").write_text(dump_config(config))
    with monkeypatch.context() as patch:
        if evaluating:
            patch.setattr(flow_run, "evaluate_output", lambda *given: os.kill(os.getpid(), signal.SIGTERM))
        else:
            press(patch, after=2, number=signal.SIGTERM)
        assert main(["reconstruct", str(tmp_path / "c.yaml"), "--out", str(run)]) == 143
    said = "stopped by SIGTERM after step 3 of 6; saved. Continue with: pinnx resume"
    if evaluating:
        said = "stopped by SIGTERM. Continue from the last checkpoint with: pinnx resume"
    assert capsys.readouterr().err == f"pinnx: {said} {run}\n"
    assert last_state(run)["clock"]["step"] == (6 if evaluating else 3)
    assert signal.getsignal(signal.SIGTERM) == before
    reconstruct(config, tmp_path / "whole")
    if evaluating:
        monkeypatch.setattr(Trainer, "train_step", None)  # nothing is trained again
    resume(run)
    assert_same_run(tmp_path / "whole", run)


def test_killed_while_it_writes_a_checkpoint_it_goes_on_from_the_one_before(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("unsteady_grid", "train.checkpoint_every=2", "train.log_every=1")
    done = command("killed", config, tmp_path)
    assert done.returncode == -signal.SIGKILL, done.stderr
    run = tmp_path / "run"
    assert last_state(run)["clock"]["step"] == 2
    reconstruct(config, tmp_path / "whole")
    resume(run)
    assert_same_run(tmp_path / "whole", run)


def test_a_second_ctrl_c_does_not_save_half_a_step(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny("unsteady_grid", "train.checkpoint_every=2")
    reconstruct(config, tmp_path / "whole")
    press(monkeypatch, after=3, times=2)
    with pytest.raises(Interrupted, match=r"^interrupted\. Continue from the last checkpoint with: pinnx resume"):
        reconstruct(config, tmp_path / "run")
    assert last_state(tmp_path / "run")["clock"]["step"] == 2
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_killed_before_the_first_step_it_goes_on_from_the_state_before_it(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint of step 0 is there before the configuration, so each run that can be seen can be resumed."""
    config = tiny("unsteady_grid")
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run", sys.exit)  # as good as killed: nothing is saved
        with pytest.raises(SystemExit):
            reconstruct(config, run)
    assert last_state(run)["clock"]["step"] == 0
    (run / "history.jsonl").write_text('{"step": 1}\n{"st')
    reconstruct(config, tmp_path / "whole")
    resume(run)
    assert_same_run(tmp_path / "whole", run)


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
    config = tiny("unsteady_grid", "train.checkpoint_every=2")
    press(monkeypatch, after=2)
    with pytest.raises(Interrupted):
        reconstruct(config, run)
    checkpoints = CheckpointFolder(run / "checkpoints")
    other = {"clock": {"step": 4}}
    checkpoints.save(other)
    with pytest.raises(PinnxError, match="expected one of this configuration, got one without guard, model"):
        resume(run)
    (run / "checkpoints" / "step-00000004.safetensors").unlink()
    resume(run)
    with pytest.raises(PinnxError, match="expected an interrupted run, got one that has ended"):
        resume(run)


def test_a_damaged_checkpoint_is_named_and_the_one_before_used(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, config = tmp_path / "run", tiny("unsteady_grid", "train.checkpoint_every=2")
    reconstruct(config, tmp_path / "whole")
    press(monkeypatch, after=4)
    with pytest.raises(Interrupted, match="after step 5 of 6"):
        reconstruct(config, run)
    files = sorted((run / "checkpoints").glob("*.safetensors"))
    assert [file.stem for file in files][-2:] == ["step-00000004", "step-00000005"]
    files[-1].write_bytes(files[-1].read_bytes()[:-100])
    shown = Console(file=io.StringIO(), width=500)
    with pytest.warns(UserWarning, match=r"5\.safetensors: expected a whole.*; step-00000004\.safetensors is used"):
        resume(run, console=shown)
    assert f"continuing from {files[-2]}\n" in shown.file.getvalue()
    files[-1].unlink()  # it is damaged still
    assert_same_run(tmp_path / "whole", run)


def test_an_earlier_step_is_chosen_by_its_number(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What came after it is removed, as the training makes it anew; a step that is not there changes nothing."""
    run, config = tmp_path / "run", tiny("unsteady_grid", "train.checkpoint_every=1", "train.keep_checkpoints=9")
    reconstruct(config, tmp_path / "whole")
    press(monkeypatch, after=4)
    with pytest.raises(Interrupted):
        reconstruct(config, run)
    files = sorted((run / "checkpoints").iterdir())
    history = (run / "history.jsonl").read_bytes()
    with pytest.raises(PinnxError) as caught:
        resume(run, step=9)
    wanted = f"{run / 'checkpoints'}: expected a checkpoint of step 9; there are those of 0, 1, 2, 3, 4, 5"
    assert str(caught.value) == wanted
    damaged = run / "checkpoints" / "step-00000003.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(PinnxError, match=r"3\.safetensors: expected a whole .*; there are those of 0, 1, 2, 4, 5$"):
        resume(run, step=3)
    assert (sorted((run / "checkpoints").iterdir()), (run / "history.jsonl").read_bytes()) == (files, history)
    press(monkeypatch, after=2)
    assert main(["resume", str(run), "--step", "2"]) == 130
    shown = capsys.readouterr()
    assert "step-00000002.safetensors\n" in shown.out
    assert "\nremoved the checkpoints of later steps: 3, 4, 5\n" in shown.out
    assert "interrupted after step 3 of 6" in shown.err
    assert last_state(run)["clock"]["step"] == 3, "not one of the earlier training"
    resume(run)
    assert_same_run(tmp_path / "whole", run)


def test_without_a_whole_checkpoint_nothing_starts_again(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    press(monkeypatch, after=2)
    with pytest.raises(Interrupted):
        reconstruct(tiny("unsteady_grid"), run)
    history = (run / "history.jsonl").read_bytes()
    for file in (run / "checkpoints").glob("*.safetensors"):
        file.write_bytes(b"")
    remedy = f"; train again with: pinnx reconstruct {run}/config.yaml --out {run}_again"
    with pytest.raises(PinnxError, match=f"checkpoints: expected a whole checkpoint, found none; .*{remedy}$"):
        resume(run)
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(PinnxError, match=f"expected the folder checkpoints with files of format 6, found none{remedy}"):
        resume(run)
    (run / "checkpoint.pt").touch()
    with pytest.raises(PinnxError, match=rf"of format 6, found checkpoint\.pt of format 3 or older{remedy}$"):
        resume(run)
    assert (run / "history.jsonl").read_bytes() == history


def test_two_processes_cannot_write_one_run(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, config = tmp_path / "run", tiny("unsteady_grid")
    said: list[str] = []
    step = Trainer.train_step

    def meanwhile(trainer: Trainer) -> Any:
        if not said:
            for call in (lambda: resume(run), lambda: reconstruct(config, run)):
                with pytest.raises(PinnxError) as caught:
                    call()
                said.append(str(caught.value))
        return step(trainer)

    monkeypatch.setattr(Trainer, "train_step", meanwhile)
    reconstruct(config, run)
    wanted = f"{run / 'checkpoints'}: expected a run that no other process writes, got one of process {os.getpid()} on "
    assert said[0].startswith(wanted)
    assert "expected a folder without a run" in said[1]
    with locked(run / "checkpoints" / "lock"):
        pass  # it is free again
