"""Runs that are killed at random moments and resumed, to the end: ``python killed_runs.py FOLDER SEED KILLS``.

A process of its own, on one thread, loads everything and forks one process for each part of a run. Half of these are
killed from outside at a random time, half kill themselves before, in or after one of the calls with which files get to
the disk. Prints what was killed where, as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from flow_files import TINY, prepare, source
from same_runs import assert_same_run, last_state

from pinnx.config import Config, load_config
from pinnx.jobs import reconstruct, reconstruction, resume
from pinnx.train import checkpoint

SETTINGS = (
    *TINY,
    *("train.steps=60", "train.checkpoint_every=2", "train.precondition_frequency=3", "train.threads=1"),
    "flow.learn_nu=true",
)


def half_written(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content[: len(content) // 2])


def kill_at_call(number: int, where: str, *, writes_alone: bool = False) -> None:
    """Has this process kill itself at the given call of those that write files."""
    left = number

    def arm(owner: Any, name: str, inside: Callable[..., Any] | None = None) -> None:
        original = getattr(owner, name)

        def call(*given: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                if where == "after":
                    original(*given, **more)
                elif where == "in" and inside is not None:
                    inside(*given, **more)
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*given, **more)

        setattr(owner, name, call)

    arm(Path, "write_bytes", half_written)  # of a checkpoint
    if not writes_alone:
        arm(Path, "unlink")
        arm(os, "replace")
        arm(os, "fsync")


def part_of_a_run(config: Config, run: Path, arm: Callable[[], None] = lambda: None) -> int:
    """Starts a process that trains until it is killed or done; returns its id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        warnings.simplefilter("error")  # as where a checkpoint is damaged
        arm()
        if (run / "config.yaml").exists():
            resume(run)
        else:
            reconstruct(config, run)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def status_of(child: int) -> int:
    """Waits for a process: its exit status, negative the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_often(config: Config, folder: Path, rng: random.Random, kills: int, duration: float) -> dict[str, Any]:
    """Kills runs and resumes them, each in a folder of its own, until there were so many kills."""
    runs, steps, halves, reached = [folder / "run0"], [], 0, 0
    while len(steps) < kills:
        run, delay = runs[-1], rng.uniform(0, 0.5 * duration)
        arm = partial(kill_at_call, rng.randint(1, 40), rng.choice(["before", "in", "after"]))
        if len(steps) == 1:  # one at least in the middle of a write
            arm = partial(kill_at_call, 1, "in", writes_alone=True)
        if len(steps) % 2:
            child = part_of_a_run(config, run, arm)
        else:
            child = part_of_a_run(config, run)
            time.sleep(delay)
            os.kill(child, signal.SIGKILL)
        status = status_of(child)
        assert status in (0, -signal.SIGKILL)
        begun = (run / "config.yaml").exists()
        if status:
            halves += bool(list(run.rglob("*.part")))
            steps.append(last_state(run)["clock"]["step"] if begun else 0)
            assert steps[-1] >= reached, "no step that was saved is lost"
            reached = steps[-1]
        if (run / "report.html").exists() or (run.exists() and not begun):
            runs.append(folder / f"run{len(runs)}")
            reached = 0
    assert status_of(part_of_a_run(config, runs[-1])) == 0
    done = [run for run in runs if (run / "report.html").exists()]
    for run in done:
        assert_same_run(folder / "whole", run)
    return {"steps": steps, "halves": halves, "finished": len(done)}


def careless_status(config: Config, run: Path) -> int:
    """The control: the exit status of a run that goes on after one that wrote checkpoints in place was killed."""

    def arm() -> None:
        checkpoint.atomic_write = nullcontext
        kill_at_call(3, "in", writes_alone=True)

    assert status_of(part_of_a_run(config, run, arm)) == -signal.SIGKILL
    return status_of(part_of_a_run(config, run))


def main(folder: Path, seed: int, kills: int) -> dict[str, Any]:
    path, data = prepare(folder, "unsteady_grid")
    config = load_config(path, [*SETTINGS, source(data)])
    reconstruction.write_report = lambda folder: (folder / "report.html").touch()
    reconstruct(config, folder / "whole")  # in this process, which so has loaded everything
    started = time.perf_counter()
    assert status_of(part_of_a_run(config, folder / "again")) == 0
    found = kill_often(config, folder, random.Random(seed), kills, time.perf_counter() - started)
    return {**found, "careless": careless_status(config, folder / "careless")}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
