"""What watches a training, without a say in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

__all__ = ["Hook", "LoggedStep"]


@dataclass(frozen=True)
class LoggedStep:
    """The numbers of one logged step."""

    step: int  # steps done, this one included
    time_s: float  # training time, earlier parts of a resumed run included
    lr: float  # with which it was taken
    total: float
    columns: dict[str, float]  # of the loss, by name
    steps_per_s: float  # since the last logged step
    comparable: float  # the total with the configured weights: of two steps the better one has the smaller
    easier: bool = False  # a step of easier equations, whose loss says nothing about that of others
    weights: dict[str, float] = field(default_factory=dict)  # of the columns, where they adapt
    method: dict[str, float] = field(default_factory=dict)  # other numbers of the method that took the step

    def as_row(self) -> dict[str, float]:
        """The line of history.jsonl."""
        return {
            "step": self.step,
            "time_s": self.time_s,
            "lr": self.lr,
            "loss/total": self.total,
            **{f"loss/{name}": value for name, value in self.columns.items()},
            **{f"weight/{name}": value for name, value in self.weights.items()},
            **{f"method/{name}": value for name, value in self.method.items()},
            "steps_per_s": self.steps_per_s,
        }


class Hook:
    """Called by the trainer; a subclass has those of the methods that it needs.

    Attributes:
        writes: whether it writes files: of several ranks the first one alone is given it then.
    """

    writes: ClassVar[bool] = False

    def on_step(self, step: int) -> None:
        """After each step: how many are done. Reads nothing from the device."""

    def on_log(self, logged: LoggedStep) -> None:
        """At logged steps."""

    def on_note(self, text: str) -> None:
        """Where something happens that a reader of the run should know: one sentence."""

    def on_return(self, step: int) -> None:
        """Where the training returns to an earlier state, of so many steps: those after it do not count."""

    def on_checkpoint(self, state: dict[str, Any]) -> None:
        """At the steps of checkpoints, and at `Trainer.save`: the state of the trainer."""

    def on_incident(self, incident: dict[str, Any], states: Mapping[str, dict[str, Any]]) -> None:
        """Where the guard had the training return: what happened, with the states good and bad; later without."""
