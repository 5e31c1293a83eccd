"""Trainings and runs, and whether two of them ended with the same bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pinnx.config import Config
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.trainer_setup import make_trainer
from pinnx.train import CheckpointFolder, Trainer


def trained(config: Config) -> Trainer:
    flow = flow_problem(config, load_case(config))
    trainer = make_trainer(config, flow.problem, flow.weights)
    trainer.run()
    return trainer


def parameter_bytes(trainer: Trainer) -> list[bytes]:
    return [parameter.detach().numpy().tobytes() for parameter in trainer.problem.parameters()]


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
