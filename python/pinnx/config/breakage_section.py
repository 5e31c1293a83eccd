"""Settings that state a breakage problem, and how a network solves it; see docs/breakage.md.

Units are those of the data: "volume" and "time" stand for whatever it uses.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

from pydantic import create_model, model_validator

from pinnx.config.kinds import (
    Count,
    Formula,
    Interval,
    NonNegative,
    Number,
    Positive,
    Section,
    Text,
    setting,
)
from pinnx.evals.gates import GATES
from pinnx.losses.robust import Statistic

__all__ = ["Breakage", "without_effect"]

OF_BREAKAGE = ("breakage_residual", "mass_drift", "moments", "negative_density", "size_misfit")


class DaughtersOf(Section):
    """Sizes of daughters relative to what broke: z^c (1 - z)^q up to a factor."""

    c: Number = setting(0.0, "exponent of small daughters, > -1; 0 with q = 0: two daughters, every size as likely")
    q: NonNegative = setting(
        0.0, "exponent of daughters nearly as large as what broke, a whole number up to 8; beside delta_at up to 1"
    )


class BreakageWeights(Section):
    """Factors of the terms of the loss, each a mean square."""

    breakage: NonNegative = setting(1.0, "residual of the balance")
    mass: NonNegative = setting(1.0, "deviation of the volume of all particles")
    data: NonNegative = setting(1.0, "misfit at the measurements")


# One setting for each gate, as evals.limits has those of flows.
BreakageLimits = create_model(
    "BreakageLimits",
    __base__=Section,
    __doc__="What must hold for a check to pass.",
    **{name: (Positive, setting(GATES[name].limit, GATES[name].description, GATES[name].unit)) for name in OF_BREAKAGE},
)


class Breakage(Section):
    """Particles that break: the problem of kind breakage, df/dt = births from larger ones - S(v) f.

    `breakage: {...}` is short for `problem: {kind: breakage, ...}`. With `case` a problem with an exact solution is
    stated whole; else s0, a, one of start and delta_at, sizes and times state it.
    """

    kind: Literal["breakage"] = setting("breakage", "which equations hold")
    case: Literal["case1", "case2", "case3", "case4"] | None = setting(
        None, "a problem with an exact solution (docs/breakage.md); null = as stated below"
    )
    s0: Positive | None = setting(None, "rate of a particle of unit volume; null = that of the case, else 1", "1/time")
    a: Number | None = setting(None, "exponent of the volume in the rate; null = that of the case, else 1")
    daughters: DaughtersOf = setting(DaughtersOf(), "their sizes")
    start: Formula | None = setting(
        None, "number density at t = 0, > 0, a formula of the volume x: exp(-x)", "number/volume"
    )
    delta_at: Positive | None = setting(
        None, "the size that all particles have at t = 0, one particle in number", "volume"
    )
    sizes: Interval | None = setting(None, "the smallest and the largest volume that are looked at", "volume")
    times: tuple[NonNegative, ...] | None = setting(None, "times of the result, rising; the last ends it", "time")
    learn: tuple[Literal["s0", "a"], ...] = setting(
        (), "numbers of the rate that are found from measurements; s0 and a are then the first guess"
    )
    measurements: Text | None = setting(
        None, "file of measured sizes: a CSV with the columns t, v and f, the number density", file=True
    )
    weights: BreakageWeights = setting(BreakageWeights(), "factors of the terms of the loss")
    loss: Literal["log", "adaptive_huber", "adaptive_epsilon"] = setting(
        "log",
        "what is averaged of the balance: log: squares of its residual relative to the births; adaptive_huber, "
        "adaptive_epsilon: the residual of f itself, weighed by how large f is",
    )
    statistic: Statistic = setting(
        "median", "adaptive_huber, adaptive_epsilon: of f^2 over the points, to which the weights are relative"
    )
    clip: Positive | None = setting(
        None,
        "of that residual, as loss has it: a point where it is larger does not train; null = all do",
    )
    nodes: Count = setting(48, "volumes at which the network is evaluated, 6 or more")
    pieces: Count = setting(16, "equal pieces of each gap between them for the integrals, an even number")
    times_per_step: Count = setting(16, "times of a step; at each the network is evaluated at all volumes")
    limits: BreakageLimits = setting(BreakageLimits(), "what must hold")

    @model_validator(mode="after")
    def _stated_once(self) -> Breakage:
        stated = ("daughters", "start", "delta_at", "sizes", "times")
        given = [name for name in stated if self.changed(name)]
        if self.case is not None:
            given += [name for name in ("s0", "a") if getattr(self, name) is not None and name not in self.learn]
            if given:
                raise ValueError(f"{given[0]}: expected none beside case {self.case}, which has its own")
            return self
        missing = [name for name in ("sizes", "times") if getattr(self, name) is None]
        if missing:
            raise ValueError(f"{missing[0]}: expected a value where case is null, got none")
        if (self.start is None) == (self.delta_at is None):
            raise ValueError("start: expected one of start and delta_at")
        return self

    @model_validator(mode="after")
    def _settings_fit_together(self) -> Breakage:
        if self.loss == "log" and self.statistic != "median":
            raise ValueError(f"statistic: only with an adaptive loss, got {self.statistic} beside log")
        times = self.times
        if times is not None and (not times or times[-1] <= 0 or any(b <= a for a, b in pairwise(times))):
            raise ValueError(f"times: expected rising times up to one > 0, got {list(times)}")
        if len(set(self.learn)) != len(self.learn):
            raise ValueError(f"learn: expected each name once, got {list(self.learn)}")
        if self.learn and self.measurements is None:
            raise ValueError("learn: expected measurements from which numbers are found, got none")
        if self.measurements is None and self.weights.changed("data"):
            raise ValueError("weights.data: only with measurements, got none")
        return self


# Settings of other sections that a breakage problem uses. Any other would be read and do nothing.
TRAIN = """
    steps optimizer lr final_lr warm_up clip phases quasi_newton retries guard betas precondition_frequency
    points.refine balance physics_ramp seed track log_every checkpoint_every keep_checkpoints dtype device threads
    cuda_graph
"""
USED = {
    *("seed", "problem", "evals.points", "report.dpi"),
    *("model.width", "model.layers", "model.activation", "model.seed"),
    *(f"train.{name}" for name in TRAIN.split()),
}
BALANCES = ("none", "relobralo", "gradnorm")


def without_effect(given: dict[str, Any], default: dict[str, Any], prefix: str = "") -> list[str]:
    """Paths of settings that are not at their defaults, and of which a breakage problem knows nothing."""
    found: list[str] = []
    for name, value in given.items():
        path = f"{prefix}{name}"
        if path in USED or value == default.get(name):
            continue
        inner = default.get(name)
        found += (
            without_effect(value, inner, f"{path}.") if isinstance(value, dict) and isinstance(inner, dict) else [path]
        )
    return found
