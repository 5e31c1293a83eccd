"""The guard: at every checkpoint the physics of the model is checked, and a training that has lost it returns.

A verdict crosses its line where its value is not finite, or beyond the red line of its gate and ``worse`` times the
larger of its values at the last two checkpoints at which all was well. So a young network, which obeys nothing yet,
raises no alarm, nor does one that wavers about a line, nor a number that was small by chance. The training then takes
the state of the last checkpoint without a crossing, and continues differently:

    1st return    steps of half their size
    2nd           a higher precision too: IEEE float32 where the matrix products were rounded, else float64
    3rd           the configured weights too, in place of those that adapt
    then          it stops, with the state of the last good checkpoint

What cannot be done (a training in float64, weights that are fixed) is left out; steps are halved once more.
Each return is an incident: what crossed which line, both states, what the training was, what was done, and at the next
checkpoint whether it helped. A training that has twice in a row become slower than ``SLOW`` times its speed at the
start of the phase, or of its baseline, says so, and continues.

Ranks that train together return together: what crossed on one has crossed on all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import distributed

from pinnx.errors import PinnxError
from pinnx.evals.checks import Check, check
from pinnx.kept_state import KeptState
from pinnx.losses.weighting import LossWeights
from pinnx.train.stateful import copy_of

if TYPE_CHECKING:
    from pinnx.train.trainer import Trainer

__all__ = ["Guard", "PhysicsLostError"]

# Healthy runs of the demo and the cavity stay below 2 from one checkpoint to the next. A viscosity that is doubled
# shows as 3 to 4 times the misfit after 30 steps, and more later.
WORSE = 3.0
RETURNS = 3
ABSOLUTE = ("memory", "dropped_terms")  # relative to the start, or to what was configured, already
# A viscosity that the fields ask for says nothing before it is near the one used: of a young network it is noise.
TELLS_BELOW = {"viscosity_misfit": 0.25}
SMALLER = 0.5
SLOW = 0.8


class PhysicsLostError(PinnxError):
    """The physics was lost again after every return; the state is that of the last checkpoint at which it held."""


class Guard(KeptState):
    """Judges a training at its checkpoints.

    Args:
        checks: gives the verdicts on the model as it is, at the same points each time.
        worse: what a value beyond its red line is of the last good one before it counts as lost, > 1.
        returns: in a row, before the training stops.
        speed: steps in a second of the baseline; None: that of this training at the start.
        group: ranks that train together and judge at the same steps; None: this process alone.

    Attributes:
        good: the state of all parts at the last checkpoint without a crossing; None before the first.
        incidents: one dictionary for each return.
    """

    kept = ("_values", "incidents", "_in_a_row")

    def __init__(
        self,
        checks: Callable[[], Sequence[Check]],
        *,
        worse: float = WORSE,
        returns: int = RETURNS,
        speed: float | None = None,
        group: distributed.ProcessGroup | None = None,
    ) -> None:
        if not worse > 1 or returns < 0:
            raise PinnxError(f"guard: expected worse > 1 and returns >= 0, got {worse:g} and {returns}")
        self._checks, self._worse, self._returns, self._group = checks, worse, returns, group
        self.good: dict[str, Any] | None = None
        self.incidents: list[dict[str, Any]] = []
        self._values: dict[str, tuple[float, float]] = {}  # at the last two good checkpoints
        self._in_a_row = 0
        self._clock = (0, 0.0)  # step and time of the last judgement
        self._speed = speed  # steps in a second, of the baseline or at the start
        self._first = None if speed is not None else {0: 1.0}  # memory at the first judgement of each phase
        self._phase = 0  # of the last judgement
        self._slow = 0  # judgements in a row since it is slower

    def begin(self, trainer: Trainer) -> None:
        """Takes the state from which a training starts or continues, as the first to return to."""
        if self.good is None:  # numbers of a network that has not been trained are no measure of later ones
            self.good = copy_of(trainer.state_dict())

    def holds(self, trainer: Trainer) -> bool:
        """Whether the physics holds; where it does not, the training is back at the last good checkpoint.

        Raises:
            PhysicsLostError: it was back there often enough.
        """
        if slow := self._slower(trainer.step, trainer.train_s, trainer.phases.number):
            trainer.note(slow)
        crossed = self._on_all_ranks(self._crossed(trainer.weights, trainer.phases.number))
        if crossed or (self.incidents and trainer.step >= self.incidents[-1]["step"]):  # before it nothing was lost
            self._close(trainer, helped=not crossed)
        if not crossed:
            self.good = copy_of(trainer.state_dict())
            self._in_a_row = 0
            return True
        self._return(trainer, crossed)
        return False

    def not_finite(self, trainer: Trainer, go_back: Callable[[], str]) -> str:
        """Records as an incident that a loss or a gradient is not finite, where no judgement was due.

        Args:
            trainer: in the state of the last good step.
            go_back: takes the training to where it begins again; gives what is done, in words.

        Returns:
            What ``go_back`` gave.
        """
        self._close(trainer, helped=False)
        lost, left, facts = trainer.step, copy_of(trainer.state_dict()), _facts(trainer)
        incidents = self.incidents
        done = go_back()
        self.incidents = incidents  # also where the state that is left is older
        crossed = [{"name": "loss or gradient", "value": None, "before": None, "red_line": None}]
        self._record(
            trainer, {"step": lost, "returned_to": trainer.step, "crossed": crossed, **facts, "done": done}, left
        )
        return done

    def _return(self, trainer: Trainer, crossed: list[dict[str, Any]]) -> None:
        assert self.good is not None
        lost, back, left = trainer.step, int(self.good["clock"]["step"]), copy_of(trainer.state_dict())
        facts = _facts(trainer)
        trainer.go_back(self.good)
        stops = self._in_a_row >= self._returns
        self._in_a_row += 0 if stops else 1
        done = "stopped" if stops else self._otherwise(trainer, lost)
        self._record(trainer, {"step": lost, "returned_to": back, "crossed": crossed, **facts, "done": done}, left)
        if stops:
            found = ", ".join(f"{i['name']} {_shown(i['value'])} after {_shown(i['before'])}" for i in crossed)
            leak = all(item["name"] == "memory" for item in crossed)
            what, remedy = (
                ("memory grew", "fewer points a step") if leak else ("the physics is lost", "a smaller train.lr")
            )
            raise PhysicsLostError(
                f"step {lost}: {what} ({found}) after {self._in_a_row} returns to step {back}; "
                f"see the folder incidents, and try {remedy}"
            )
        names = ", ".join(dict.fromkeys(item["name"] for item in crossed))
        trainer.note(f"step {lost}: {names} beyond the red line; again from step {back}, with {done}")

    def _otherwise(self, trainer: Trainer, lost: int) -> str:
        """Changes how the training continues, by how often it has returned. Returns what is different, in words."""
        done = []
        reason = f"the physics was lost at step {lost}"
        if self._in_a_row > 1 and (higher := trainer.precision.rise(trainer.step, reason, trainer.phases.dtype)):
            done.append(higher)
        if self._in_a_row > 2 and trainer.weights.hold():
            done.append("configured weights")
        factor = SMALLER ** (self._in_a_row - len(done))
        trainer.method.shrink(factor)
        return ", ".join([f"steps of {factor:g} of their size", *done])

    def _record(self, trainer: Trainer, incident: dict[str, Any], left: dict[str, Any]) -> None:
        """Tells of an incident, from whose bad state ``left`` the training is back."""
        self.incidents.append({"number": len(self.incidents) + 1, **incident, "helped": None})
        trainer.tell(self.incidents[-1], {"bad": left, "good": copy_of(trainer.state_dict())})

    def _close(self, trainer: Trainer, *, helped: bool) -> None:
        """Says of the last incident whether it helped, where that is open."""
        if self.incidents and self.incidents[-1]["helped"] is None:
            self.incidents[-1]["helped"] = helped
            trainer.tell(self.incidents[-1], {})

    def _crossed(self, weights: LossWeights, phase: int = 0) -> list[dict[str, Any]]:
        """Checks the model: what crossed its line, with the values then and now; empty where all is well."""
        worst = _worst([*self._checks(), _dropped(weights)])
        if self._first is not None and "memory" in worst:  # the method of a later phase may hold more
            memory = worst["memory"]
            first = self._first.setdefault(phase, max(1.0, memory.value))
            worst["memory"] = replace(memory, value=memory.value / first)
        lost = {name: item for name, item in worst.items() if self._lost(name, item)}
        if not lost:
            self._values = {
                name: (self._values.get(name, (math.nan, math.nan))[1], item.value) for name, item in worst.items()
            }
        return [
            {"name": name, "value": _finite(item.value), "before": self._before(name), "red_line": item.red_line}
            for name, item in lost.items()
        ]

    def _on_all_ranks(self, crossed: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What crossed on any rank, with its number; each rank calls it at the same step."""
        if self._group is None:
            return crossed
        found: list[Any] = [None] * self._group.size()
        distributed.all_gather_object(found, crossed, group=self._group)
        return [{**item, "rank": rank} for rank, part in enumerate(found) for item in part]

    def _slower(self, step: int, train_s: float, phase: int) -> str:
        """A sentence where the training has become slow since the start of its phase; else empty."""
        (before, before_s), self._clock = self._clock, (step, train_s)
        if phase != self._phase:  # steps of another method take another time
            self._phase, self._speed, self._slow = phase, None, 0
            return ""
        if step <= before or train_s <= before_s:
            return ""
        speed = (step - before) / (train_s - before_s)
        if self._speed is None:
            self._speed = speed
        self._slow = 0 if speed >= SLOW * self._speed else self._slow + 1
        if self._slow != 2:
            return ""
        return f"step {step}: {speed:.3g} steps/s since step {before}, below {SLOW:g} of {self._speed:.3g}"

    def _lost(self, name: str, item: Check) -> bool:
        if not math.isfinite(item.value):
            return True
        if name in ABSOLUTE:
            return item.value > item.red_line
        before = self._before(name)
        if before is None or before > TELLS_BELOW.get(name, math.inf):
            return False
        return item.value > max(item.red_line, self._worse * before)

    def _before(self, name: str) -> float | None:
        """The larger of the last two good values; None where there are fewer."""
        return _finite(max(self._values.get(name, (math.nan, math.nan))))


def _facts(trainer: Trainer) -> dict[str, Any]:
    """What the training was when the physics was lost: losses, precision, and the options in force."""
    weights = trainer.weights
    return {
        "loss": dict(zip(trainer.problem.names, map(_finite, trainer.numbers[1:-1].tolist()), strict=True)),
        "precision": trainer.precision.precision,
        "options": {
            "phase": trainer.phases.names[trainer.phases.number],
            "dtype": str(trainer.phases.dtype).removeprefix("torch."),
            "products": trainer.phases.objective.products,
            "method": trainer.method.logged(),
            "weights": dict(zip(trainer.problem.names, weights.values.tolist(), strict=True)),
            "strategies": [type(item).__name__ for item in weights.strategies],
        },
    }


def _dropped(weights: LossWeights) -> Check:
    """How many columns of the loss have lost their weight; with many sensors the fields show it late."""
    adapts = weights.adapts and not weights.held
    lost = (weights.values == 0) & (weights.configured != 0)
    return check("dropped_terms", 0.0 if adapts else float(lost.sum()))


def _worst(checks: Sequence[Check]) -> dict[str, Check]:
    """Of each name the check with the largest value, one that is not finite before all others; none not checked."""
    found: dict[str, Check] = {}
    for item in (item for item in checks if item.status != "not checked"):
        other = found.get(item.name)
        if other is None or not item.value <= other.value:
            found[item.name] = item
    return found


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _shown(value: float | None) -> str:
    return "no number" if value is None else f"{value:.3g}"
