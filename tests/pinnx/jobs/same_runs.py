"""Trainings and runs, and whether two of them ended with the same bits."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from pinnx.config import Config
from pinnx.errors import Interrupted
from pinnx.jobs import reconstruct, resume
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.trainer_setup import make_trainer
from pinnx.train import CheckpointFolder, Trainer

Tiny = Callable[..., Config]
Finished = Callable[[str], tuple[Path, Path, dict[str, Any]]]
Verified = Callable[..., tuple[int, list[dict[str, Any]], str]]
COURSES: dict[tuple[str, ...], list[bytes]] = {}  # of the settings before a change, trained once


def made(config: Config) -> Trainer:
    flow = flow_problem(config, load_case(config))
    return make_trainer(config, flow.problem, flow.weights)


def trained(config: Config) -> Trainer:
    trainer = made(config)
    trainer.run()
    return trainer


def course(tiny: Tiny, *settings: str) -> list[bytes]:
    """The parameters that a training with these settings ends with."""
    if settings not in COURSES:
        COURSES[settings] = parameter_bytes(trained(tiny("unsteady_grid", *settings)))
    return COURSES[settings]


def parameter_bytes(trainer: Trainer) -> list[bytes]:
    return [parameter.detach().numpy().tobytes() for parameter in trainer.problem.parameters()]


def press(monkeypatch: pytest.MonkeyPatch, after: int, times: int = 1, number: int = signal.SIGINT) -> None:
    """Has Ctrl-C pressed, or another signal sent, during the step that follows ``after`` steps."""
    original = Trainer.train_step

    def pressed(trainer: Trainer) -> Any:
        if trainer.step == after:
            monkeypatch.setattr(Trainer, "train_step", original)
            for _ in range(times):
                os.kill(os.getpid(), number)
        return original(trainer)

    monkeypatch.setattr(Trainer, "train_step", pressed)


def assert_resumes_to_the_bit(config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """One run goes through; another, in ``folder / "run"``, is stopped by Ctrl-C after so many steps, and resumed."""
    reconstruct(config, folder / "whole")
    press(monkeypatch, after)
    with pytest.raises(Interrupted, match=f"interrupted after step {after + 1} of"):
        reconstruct(config, folder / "run")
    resume(folder / "run")
    assert_same_run(folder / "whole", folder / "run")


def last_state(folder: Path) -> dict[str, Any]:
    latest = CheckpointFolder(folder / "checkpoints").latest()
    assert not latest.refused
    return latest.state


def assert_same_run(first: Path, second: Path) -> None:
    states = [last_state(folder) for folder in (first, second)]
    for part in ("phases", "model", "term equations", "weights"):
        assert repr_bits(states[0][part]) == repr_bits(states[1][part]), part
    with h5py.File(first / "fields.h5") as a, h5py.File(second / "fields.h5") as b:
        for name in ("u", "v", "p", "residual/momentum_x", "residual/continuity"):
            np.testing.assert_array_equal(a[name][()], b[name][()])
    rows = [[json.loads(line) for line in (f / "history.jsonl").read_text().splitlines()] for f in (first, second)]
    for mine, other in zip(*rows, strict=True):
        timed = ("time_s", "steps_per_s", "epochs_per_hour", "memory_gib", "peak_memory_gib")
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
