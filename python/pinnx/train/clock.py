"""The step and the time of a training, and what has happened in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Clock"]


@dataclass
class Clock:
    """How far a training is, and what has happened."""

    step: int = 0  # steps done
    train_s: float = 0.0  # time spent in steps, by earlier parts of a resumed run too
    notes: list[str] = field(default_factory=list)  # a phase that began, a return to an earlier state, an early end

    def state_dict(self) -> dict[str, Any]:
        """All three."""
        return asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what ``state_dict`` gave."""
        self.step, self.train_s, self.notes = int(state["step"]), float(state["train_s"]), list(state["notes"])
