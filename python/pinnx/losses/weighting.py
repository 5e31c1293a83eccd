"""The weights of the columns of a loss, total = sum_i weight_i column_i.

    weight_i = configured_i * product over strategies: factor_i

A strategy (`balancing.py`, `progressive.py`) changes its factors between two steps, outside of what a CUDA graph
replays; the weights change in a tensor that keeps its place on the device, where the graph reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from pinnx.errors import PinnxError

__all__ = ["LossWeights", "Probes", "WeightStrategy"]


class Probes(NamedTuple):
    """What a strategy may have computed at the points of the step at hand, without weights.

    Args:
        gradient_norms: the length of each column's gradient in the model's parameters, [c].
        tangent_traces: for each column the mean over its points of |grad residual|^2, by one random probe, [c].
        residual: name of a term -> its points, and the residual at them, [n, r]; those of this rank.
        add: adds tensors over the ranks, in place.
    """

    gradient_norms: Callable[[], Tensor]
    tangent_traces: Callable[[], Tensor]
    residual: Callable[[str], tuple[Mapping[str, Tensor], Tensor]]
    add: Callable[[Sequence[Tensor]], None] = lambda tensors: None


class WeightStrategy(Protocol):
    """Factors on the weights, changed from step to step.

    Attributes:
        name: of the strategy, unique among those of a training.
        factors: one for each column, [c], on the device of the model.
    """

    name: str
    factors: Tensor

    def adapt(self, step: int, columns: Tensor, probes: Probes) -> None:
        """Sets the factors of the next step, in place. Reads no number back.

        Args:
            step: the one at hand, from 0; its gradients are there, the optimiser has not moved yet.
            columns: of the loss in this step, without weights, [c].
            probes: what can be computed at the points of this step.
        """
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class LossWeights:
    """Configured weights, and the factors of strategies on them.

    Args:
        weights: one for each name, and no other.
        names: of the columns, in their order.
        like: a tensor of the model: the dtype and the device.

    Attributes:
        configured: [c], constant.
        values: [c], as the next step takes them.
        strategies: what adapts them, by ``adapt_by``.
        held: whether they stand still at the configured ones from now on, by ``hold``.

    Raises:
        PinnxError: a column without a weight, or a weight without a column; a weight that is not finite and >= 0.
    """

    def __init__(self, weights: Mapping[str, float], names: Sequence[str], like: Tensor) -> None:
        missing, unknown = [name for name in names if name not in weights], sorted(set(weights) - set(names))
        if missing or unknown:
            got = f"none for {missing}" if missing else f"{unknown}"
            raise PinnxError(f"weights: expected one for each column of the loss, {', '.join(names)}, got {got}")
        wrong = {name: weight for name, weight in weights.items() if not 0.0 <= weight < float("inf")}
        if wrong:
            raise PinnxError(f"weights: expected finite numbers >= 0, got {wrong}")
        self.configured = like.new_tensor([weights[name] for name in names])
        self.values = self.configured.clone()
        self.strategies: tuple[WeightStrategy, ...] = ()
        self.held = False

    def adapt_by(self, *strategies: WeightStrategy) -> LossWeights:
        """Has the weights adapted, from the first step on. Returns itself.

        Raises:
            PinnxError: a strategy of another number of columns.
        """
        for strategy in strategies:
            if strategy.factors.shape != self.values.shape:
                wanted, got = (list(tensor.shape) for tensor in (self.values, strategy.factors))
                raise PinnxError(f"{strategy.name}: expected a factor for each column of the loss, {wanted}, got {got}")
        self.strategies = strategies
        self._multiply()
        return self

    def adapt(self, step: int, columns: Tensor, probes: Probes) -> None:
        """Has each strategy set its factors for the next step; see `WeightStrategy.adapt`."""
        if self.held or not self.adapts:
            return
        for strategy in self.strategies:
            strategy.adapt(step, columns, probes)
        self._multiply()

    @property
    def adapts(self) -> bool:
        """Whether a strategy changes the weights; one that is idle waits for what it needs."""
        return any(not getattr(strategy, "idle", False) for strategy in self.strategies)

    @property
    def easier(self) -> bool:
        """Whether the step at hand had easier equations than the last step will have."""
        return any(getattr(strategy, "easier", False) for strategy in self.strategies)

    @torch.no_grad()
    def hold(self) -> bool:
        """Takes the configured weights from now on. Returns whether that changes anything."""
        changes, self.held = self.adapts and not self.held, True
        self.values.copy_(self.configured)
        return changes

    def state_dict(self) -> dict[str, Any]:
        """The values, whether they are held, and the state of each strategy."""
        strategies = {strategy.name: strategy.state_dict() for strategy in self.strategies}
        return {"values": self.values, "held": self.held, **strategies}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what ``state_dict`` gave, in place.

        Raises:
            ValueError: another number of weights, or other strategies.
        """
        wanted, got = (sorted(keys) for keys in (self.state_dict(), state))
        if wanted != got:
            raise ValueError(f"weights: expected {', '.join(wanted)}, got {', '.join(got)}")
        if state["values"].shape != self.values.shape:
            raise ValueError(f"weights: expected {list(self.values.shape)}, got {list(state['values'].shape)}")
        self.values.copy_(state["values"])
        self.held = bool(state["held"])
        for strategy in self.strategies:
            strategy.load_state_dict(state[strategy.name])

    @torch.no_grad()
    def _multiply(self) -> None:
        if self.strategies:
            self.values.copy_(self.configured)
        for strategy in self.strategies:
            self.values.mul_(strategy.factors)
