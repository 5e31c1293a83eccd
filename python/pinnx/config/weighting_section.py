"""Settings of the weights of the loss: those that are given, and how they follow the training."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from pinnx.config.kinds import Count, Factor, MethodSection, NonNegative, Positive, Section, Share, setting

__all__ = ["Balance", "Causal", "Weights"]


RELOBRALO, LAGRANGIAN = ("relobralo",), ("lagrangian",)


class Weights(Section):
    """Factors of the terms of the loss, each a mean square."""

    momentum: NonNegative = setting(1.0, "momentum residuals")
    continuity: NonNegative = setting(
        1.0, "continuity residual; with a stream function what vorticity and rate are by definition"
    )
    data: NonNegative = setting(10.0, "misfit at the sensors; of data.stream too")
    boundary: NonNegative = setting(10.0, "misfit at the boundary conditions")
    slopes: NonNegative = setting(1.0, "conditions with slopes at boundaries")
    flux: NonNegative = setting(10.0, "misfit of known fluxes")


class Balance(MethodSection):
    """How the weights of the loss follow the training; see docs/training.md."""

    method: Literal["none", "relobralo", "gradnorm", "ntk", "lagrangian"] = setting(
        "none",
        "factors on train.weights that are found during the training; none: constant weights; relobralo: a column of "
        "the loss that falls less counts more; gradnorm: so too, by the lengths of the gradients; "
        "ntk: all columns are learned at one rate, by traces of the tangent kernel; lagrangian: all columns but the "
        "momentum's are constraints, whose weights grow until they hold",
    )
    temperature: Positive = setting(0.1, "relobralo: a smaller one lets the slowest column take more", of=RELOBRALO)
    decay: Factor = setting(0.999, "relobralo: share of the factors that stays from step to step", of=RELOBRALO)
    lookback: Share = setting(
        0.999, "relobralo: how often, in the mean, a step leaves the first losses aside", of=RELOBRALO
    )
    asymmetry: NonNegative = setting(
        1.5, "gradnorm: 0 makes all gradients of one length; larger: slow columns gain", of=("gradnorm",)
    )
    lr: Positive = setting(0.025, "gradnorm: learning rate of the factors' logarithms", of=("gradnorm",))
    every: Count = setting(
        10, "gradnorm, ntk: steps from one update to the next, a backward pass for each column", of=("gradnorm", "ntk")
    )
    growth: Positive = setting(
        0.01, "lagrangian: of the weight of a constraint in a step, while it does not fall", of=LAGRANGIAN
    )
    memory: Factor = setting(
        0.99, "lagrangian: share of a constraint's mean square that stays from step to step", of=LAGRANGIAN
    )


class Causal(Section):
    """Weights of the equations in time: they count at a time once they hold at the times before."""

    tolerance: Positive | None = setting(
        None,
        "a larger one holds later times back until earlier ones are learned better, 1 for example; null = all times "
        "count alike",
    )
    parts: Count = setting(16, "equal parts of the time, each with a weight")
    every: Count = setting(10, "steps from one update of the weights to the next, a forward pass each")

    @model_validator(mode="after")
    def _settings_of_causal_weights_alone(self) -> Causal:
        for name in ("parts", "every"):
            if self.tolerance is None and self.changed(name):
                raise ValueError(f"{name}: only with a tolerance, got tolerance null")
        return self
