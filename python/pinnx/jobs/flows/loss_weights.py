"""From the configuration to the weights of the loss: the configured ones, and the strategies that adapt them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from pinnx.config import Config
from pinnx.config.weighting_section import Balance
from pinnx.losses import (
    AugmentedLagrangian,
    CausalWeights,
    Curriculum,
    Discrepancy,
    GradNorm,
    LossWeights,
    ProgressivePhysics,
    ReLoBRaLo,
    TangentKernel,
    WeightStrategy,
    usual_square,
)
from pinnx.physics.breakage_term import BreakageTerm
from pinnx.physics.equations import EquationTerm
from pinnx.physics.measured_values import MeasuredValues
from pinnx.train.problem import Problem

__all__ = ["loss_weights"]


def loss_weights(config: Config, problem: Problem, weights: Mapping[str, float]) -> LossWeights:
    """The weights of a problem's columns, with what adapts them.

    Args:
        config: the section train is used.
        problem: what is minimised.
        weights: column of the loss -> its configured weight.

    Raises:
        PinnxError: nothing to balance, or a curriculum of numbers that the equations do not have.
    """
    train, like = config.train, problem.model.frequencies
    found = LossWeights(weights, problem.names, like)
    equations = [term for term in problem.terms if isinstance(term, EquationTerm)]
    strategies = _balancing(train.balance, found.configured, problem.names, train.seed)
    if train.causal.tolerance is not None:
        given = {"tolerance": train.causal.tolerance, "every": train.causal.every}
        strategies += [CausalWeights(term, found.configured, problem.names, **given) for term in equations]
    strategies += [
        Discrepancy(found.configured, problem.names.index("data"), _usual(term))
        for term in problem.terms
        if type(term) is MeasuredValues and (term.variance is not None or config.data.noise.share == "estimated")
    ]
    if train.physics_ramp is not None:
        physics = {
            name for term in problem.terms if isinstance(term, EquationTerm | BreakageTerm) for name in term.names
        }
        ramped = [name in physics for name in problem.names]
        strategies.append(ProgressivePhysics(ramped, train.steps, train.physics_ramp, like))
    if train.curriculum:
        stages = [(stage.until, stage.numbers) for stage in train.curriculum]
        strategies += [Curriculum(term.equations, stages, train.steps, found.configured) for term in equations]
    return found.adapt_by(*strategies)


def _usual(term: MeasuredValues) -> float:
    """The mean square of a misfit that is usual; 0 where the noise is not known."""
    return 0.0 if term.variance is None else term.variance * usual_square(int(term.mask.sum()))


def _balancing(balance: Balance, configured: Tensor, names: tuple[str, ...], seed: int) -> list[WeightStrategy]:
    """The chosen method, with its settings and no other; none for constant weights."""
    if balance.method == "relobralo":
        given = {"temperature": balance.temperature, "decay": balance.decay, "lookback": balance.lookback}
        return [ReLoBRaLo(configured, **given, seed=seed)]
    if balance.method == "gradnorm":
        return [GradNorm(configured, asymmetry=balance.asymmetry, lr=balance.lr, every=balance.every)]
    if balance.method == "ntk":
        return [TangentKernel(configured, every=balance.every)]
    if balance.method == "lagrangian":
        constraints = [not name.startswith("momentum") for name in names]
        return [AugmentedLagrangian(configured, constraints, growth=balance.growth, memory=balance.memory)]
    return []
