"""Causal weights in time: the equations count at a time once they hold at the times before.

    w_i = exp(-tolerance sum_{k < i} L_k),    L_k: the weighted mean square of the residual in the k-th part of the time

Wang, Sankaran, Perdikaris, "Respecting causality is all you need for training physics-informed neural networks", arXiv
2203.07404 (2022), the temporal weights: a training may else make the residual small at late times first, where nothing
says yet which solution it is. The weights have no graph. The last one tends to 1 where all times are learned.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pinnx.kept_state import KeptState
from pinnx.losses.weighting import Probes
from pinnx.physics.equations import EquationTerm

__all__ = ["CausalWeights"]


class CausalWeights(KeptState):
    """Sets the weights in time of an `EquationTerm`, in place; the columns keep their weights.

    Args:
        term: with ``time_weights``, one for each of equal parts of the time.
        configured: weights of all columns of the loss, [c].
        names: of these columns.
        tolerance: a larger one holds later times back until earlier ones are learned better.
        every: steps from one update to the next; an update takes one forward pass of the term.
    """

    name = "causal"
    kept = ("_time_weights",)

    def __init__(
        self, term: EquationTerm, configured: Tensor, names: tuple[str, ...], *, tolerance: float, every: int = 10
    ) -> None:
        if term.time_weights is None:
            raise ValueError(f"term {term.name}: expected time_weights, got none")
        self._term, self._tolerance, self._every = term, tolerance, every
        self._weights = configured[[names.index(name) for name in term.names]]
        self._time_weights = term.time_weights
        self._parts = torch.arange(len(self._time_weights), device=configured.device)
        self.factors = torch.ones_like(configured)

    @torch.no_grad()
    def adapt(self, step: int, columns: Tensor, probes: Probes) -> None:
        if step % self._every:
            return
        points, residual = probes.residual(self._term.name)
        # A product with zeros and ones: sums in a fixed order, which a scattered sum on a CUDA device has not.
        inside = (points["part"].long()[:, None] == self._parts).to(residual.dtype)
        squares = residual.square() @ self._weights.to(residual.dtype)
        sums, counts = squares @ inside, inside.sum(0)
        probes.add([sums, counts])
        losses = sums / counts.clamp_min(1.0)
        self._time_weights.copy_(torch.exp(-self._tolerance * (losses.cumsum(0) - losses)))
