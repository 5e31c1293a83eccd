"""The step and the time of a training, and what has happened in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pinnx.kept_state import KeptState

__all__ = ["Clock"]


@dataclass
class Clock(KeptState):
    """How far a training is, and what has happened."""

    kept = ("step", "train_s", "notes")

    step: int = 0  # steps done
    train_s: float = 0.0  # time spent in steps, by earlier parts of a resumed run too
    notes: list[str] = field(default_factory=list)  # a phase that began, a return to an earlier state, an early end
