"""The profile of a few steps: which steps, what is in its two files, and that it changes no bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pinnx.train import Trainer
from pinnx.train.profiling import STEPS, StepProfile

MakeTrainer = Callable[..., Trainer]


def profiled(trainer: Trainer, folder: Path, *, first: int = 0) -> list[str]:
    said: list[str] = []
    made = StepProfile(folder / "p.json", folder / "p.txt", first=first, last=trainer.steps, report=said.append)
    with made:
        trainer.hooks.append(made)
        trainer.run()
    return said


def bits(trainer: Trainer) -> list[bytes]:
    return [parameter.detach().numpy().tobytes() for parameter in trainer.problem.parameters()]


def names_of(trace: Path) -> list[str]:
    return [event["name"] for event in json.loads(trace.read_text())["traceEvents"]]


def test_a_few_steps_are_recorded_and_no_bit_changes(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer, plain = make_trainer(steps=60), make_trainer(steps=60)
    (said,) = profiled(trainer, tmp_path)
    assert said == f"profile: {tmp_path / 'p.txt'}; {tmp_path / 'p.json'} for chrome://tracing"
    assert names_of(tmp_path / "p.json").count("pinn_ext::navier_stokes_loss") == STEPS
    title, *rows = (tmp_path / "p.txt").read_text().splitlines()
    assert title == "Steps 51 to 55, the 10 operations with the most time of their own"
    operations = [row for row in rows[3:] if row and not row.startswith(("-", "Self"))]
    assert len(operations) == 10
    shares = [float(row.split("%")[0].split()[-1]) for row in operations]
    assert shares == sorted(shares, reverse=True)
    plain.run()
    assert bits(trainer) == bits(plain)


def test_of_a_short_training_the_last_steps_are_recorded(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    profiled(make_trainer(steps=3), tmp_path)
    assert names_of(tmp_path / "p.json").count("pinn_ext::navier_stokes_loss") == 3
    assert (tmp_path / "p.txt").read_text().startswith("Steps 1 to 3,")


def test_it_ends_with_a_training_that_is_stopped(
    make_trainer: MakeTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(steps=6)
    step = Trainer.train_step

    def stopped(at: Trainer) -> None:
        if at.step == 3:
            raise KeyboardInterrupt
        step(at)

    monkeypatch.setattr(Trainer, "train_step", stopped)
    with pytest.raises(KeyboardInterrupt):
        profiled(trainer, tmp_path)
    assert (tmp_path / "p.txt").read_text().startswith("Steps 2 to 3,")
    with torch.profiler.profile():
        pass  # the profiler is free again


def test_a_full_disk_ends_no_training(
    make_trainer: MakeTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    trainer = make_trainer(steps=6)
    with pytest.warns(UserWarning, match=r"p\.txt: No space left on device; the training continues without a profile"):
        assert profiled(trainer, tmp_path) == []
    assert trainer.step == 6
