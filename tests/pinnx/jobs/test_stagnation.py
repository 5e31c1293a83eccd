"""A training whose losses no longer fall says so once, also where it is resumed; one that falls slowly does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from same_runs import Tiny

from pinnx.errors import Interrupted
from pinnx.jobs import reconstruct, resume
from pinnx.jobs.judging.yellow_lines import Stagnation
from pinnx.train import Trainer

LONG = ("train.steps=40", "train.log_every=1", "train.checkpoint_every=10")


def rows(falls: float, count: int = 40) -> Iterator[dict[str, Any]]:
    """Two columns, of which the geometric mean falls by a share in 10 steps, and a weight that adapts."""
    for step in range(1, count + 1):
        fallen = (1.0 - falls) ** (step / 10)
        yield {"step": step, "loss/total": 1.0 * step, "loss/data": fallen, "loss/momentum_x": 1e-6 * fallen}


@pytest.mark.parametrize(("falls", "says"), [(0.0, True), (0.04, True), (0.06, False), (-1.0, True)])
def test_losses_that_fall_by_less_than_a_twentieth_have_stopped(tiny: Tiny, falls: float, says: bool) -> None:
    watch = Stagnation(tiny("steady_csv", *LONG))
    said = [sentence for row in rows(falls) if (sentence := watch.add(row))]
    assert len(said) == says, "once"
    assert not says or said[0].startswith("step 21: the losses fell by less than 5 % in the last 10 steps; "), said


def test_of_a_resumed_training_nothing_is_said_again(tiny: Tiny) -> None:
    config, logged = tiny("steady_csv", *LONG), list(rows(0.0))
    assert Stagnation(config, logged[:20]).add(logged[20]), "as without a break"
    assert Stagnation(config, logged[:21]).add(logged[21]) is None
    staged = tiny("steady_csv", *LONG, "train.curriculum=[{until: 0.5, numbers: {nu: 0.5}}]")
    assert Stagnation(staged, logged[:20]).add(logged[20]) is None, "losses of other equations do not compare"


def test_a_run_that_does_not_learn_says_so_and_says_it_once_where_it_is_resumed(
    tiny: Tiny, tmp_path: Path, no_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    still = tiny("steady_csv", *LONG, "train.lr=1e-12", "train.final_lr=1e-13")
    notes = [note for note in reconstruct(still, tmp_path / "whole")["notes"] if "the losses fell" in note]
    assert len(notes) == 1
    step, taken = Trainer.train_step, [0]

    def stopped(trainer: Trainer) -> Any:
        taken[0] += 1
        if taken[0] == 36:
            raise KeyboardInterrupt
        return step(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", stopped)
        with pytest.raises(Interrupted):
            reconstruct(still, tmp_path / "stopped")
    assert [note for note in resume(tmp_path / "stopped")["notes"] if "the losses fell" in note] == notes
    # At the noise nothing more is to be learned. No noise, and one that is larger than the misfit, explain nothing.
    noise = {"numbers": 8, "share": 0.05, "found": "left-out sensors", "used": False, "contradicting": None}
    for facts, said in ((noise | {"misfit": 1.0}, False), (noise | {"misfit": 0.01}, True), (None, True)):
        monkeypatch.setattr("pinnx.jobs.flows.flow_run.noise_facts", lambda *given, facts=facts: facts)
        notes = reconstruct(still, tmp_path / f"noise_{said}_{facts is None}")["notes"]
        assert any("the losses fell" in note for note in notes) == said
    learns = reconstruct(tiny("steady_csv", *LONG), tmp_path / "learns")
    assert not any("the losses fell" in note for note in learns["notes"])
