"""Weights that follow the losses: how much each column counts is found during the training.

With L_i = configured_i column_i, m of them that count at all (configured_i > 0), and factors that begin at 1 and have
the mean 1:

ReLoBRaLo (Bischof and Kraus, "Multi-objective loss balancing for physics-informed deep learning", arXiv 2110.09813,
"relative loss balancing with random lookback"): with balance_i(t, t') = m softmax_i(L_i(t) / (T L_i(t'))), a column
that has fallen less counts more:

    factor(t) = a (rho factor(t - 1) + (1 - rho) balance(t, 0)) + (1 - a) balance(t, t - 1),    rho in {0, 1} drawn

GradNorm (Chen, Badrinarayanan, Lee, Rabinovich, "GradNorm: gradient normalization for adaptive loss balancing in deep
multitask networks", ICML 2018, section 3 and algorithm 1): with G_i = factor_i |grad L_i| and the relative inverse rate
r_i = (L_i / L_i(0)) / mean_j (L_j / L_j(0)), a descent step of Adam on

    sum_i |G_i - mean_j(G_j) r_i^alpha / mean_j(r_j^alpha)|,    the second part held constant

so that a slowly falling loss gets a larger weight. Departures: the step is taken in log factor_i, which keeps factors
positive over orders of magnitude; gradients are those of all parameters of the network, not of one layer; and the last
divisor is ours: without it all G_i can be below what they should be at once (alpha > 1), and the factors drift.

NTK (Wang, Yu, Perdikaris, "When and why PINNs fail to train: a neural tangent kernel perspective", Journal of
Computational Physics 449 (2022), algorithm 1): factor_i in proportion to sum_j tr_j / tr_i, so that all columns are
learned at one rate, with tr_i = configured_i mean_points |grad residual_i|^2, the mean diagonal entry of the tangent
kernel of column i. Departures: a mean in place of a trace, so that the number of points has no say; it is estimated by
random signs v, E |grad sum_p v_p residual_p|^2 (Hutchinson's estimator), and averaged over updates.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pinnx.data.collocation import uniform_points
from pinnx.errors import PinnxError
from pinnx.kept_state import KeptState
from pinnx.losses.weighting import Probes

__all__ = ["GradNorm", "ReLoBRaLo", "TangentKernel"]

# Random numbers of their own; see pinnx.physics.equations for the streams of the points.
LOOKBACK_STREAM = 1 << 22
# Share of the traces that stays from one update to the next: one probe is off by up to sqrt(2), the mean of ten is not.
KERNEL_MEMORY = 0.9


class _Balancing(KeptState):
    """What the methods have in common: the columns that count, their first losses, the factors.

    Args:
        configured: weights of the columns, [c]; those that are 0 keep the factor 1.

    Raises:
        PinnxError: fewer than two columns count; there is nothing to balance.
    """

    kept: ClassVar[tuple[str, ...]] = ("factors", "_first", "_started")

    def __init__(self, configured: Tensor) -> None:
        self._active = (configured > 0).nonzero().flatten()
        if len(self._active) < 2:
            raise PinnxError(
                f"train.balance: expected two columns of the loss with a weight > 0, got {len(self._active)}"
            )
        self._configured = configured[self._active]
        self._smallest = torch.finfo(configured.dtype).tiny ** 0.5  # a column that is 0 divides nothing by 0
        self._first = torch.ones_like(self._configured)
        self._started = False
        self.factors = torch.ones_like(configured)

    def _losses(self, columns: Tensor) -> Tensor:
        """L_i of the columns that count; the first ones are kept."""
        losses = columns[self._active] * self._configured + self._smallest
        if not self._started:
            self._first.copy_(losses)
            self._started = True
        return losses


class ReLoBRaLo(_Balancing):
    """Relative loss balancing with random lookback; see the file's head.

    Args:
        configured: weights of the columns, [c].
        temperature: T; a smaller one lets the slowest column take more.
        decay: a, from 0 to 1.
        lookback: expected value of rho: 1 minus how often the factors are held against the first losses.
        seed: key of the draws.
    """

    name = "relobralo"
    kept = (*_Balancing.kept, "_previous")

    def __init__(
        self,
        configured: Tensor,
        *,
        temperature: float = 0.1,
        decay: float = 0.999,
        lookback: float = 0.999,
        seed: int = 0,
    ) -> None:
        super().__init__(configured)
        self._temperature, self._decay, self._lookback, self._seed = temperature, decay, lookback, seed
        self._previous = torch.ones_like(self._first)

    @torch.no_grad()
    def adapt(self, step: int, columns: Tensor, probes: Probes) -> None:
        if not self._started:
            self._previous.copy_(self._losses(columns))
            return
        losses = self._losses(columns)
        history = self.factors[self._active]
        if self._draw(step) >= self._lookback:
            history = self._balance(losses, self._first)
        recent = self._balance(losses, self._previous)
        self.factors[self._active] = self._decay * history + (1 - self._decay) * recent
        self._previous.copy_(losses)

    def _balance(self, losses: Tensor, before: Tensor) -> Tensor:
        return len(losses) * torch.softmax(losses / (self._temperature * before), 0)

    def _draw(self, step: int) -> float:
        """A number in [0, 1) that depends on seed and step alone: a resumed run draws it again."""
        return float(uniform_points([0.0], [1.0], 1, seed=self._seed, step=step, stream=LOOKBACK_STREAM)[0, 0])


class TangentKernel(_Balancing):
    """Weights by traces of the neural tangent kernel; see the file's head.

    Args:
        configured: weights of the columns, [c].
        every: steps from one update to the next; an update takes one backward pass for each column.
    """

    name = "ntk"
    kept = (*_Balancing.kept, "_traces")

    def __init__(self, configured: Tensor, *, every: int = 10) -> None:
        super().__init__(configured)
        self._every = every
        self._traces = torch.zeros_like(self._configured)

    @torch.no_grad()
    def adapt(self, step: int, columns: Tensor, probes: Probes) -> None:
        if step % self._every:
            return
        found = probes.tangent_traces()[self._active] * self._configured + self._smallest
        self._traces.lerp_(found, 1.0 - KERNEL_MEMORY if self._started else 1.0)
        self._started = True
        inverse = 1.0 / self._traces
        self.factors[self._active] = inverse / inverse.mean()


class GradNorm(_Balancing):
    """Gradient normalisation; see the file's head.

    Args:
        configured: weights of the columns, [c].
        asymmetry: alpha; 0 makes all gradients of one length, a larger one pulls slow columns harder.
        lr: learning rate of the factors' logarithms.
        every: steps from one update to the next; an update takes one backward pass for each column.
    """

    name = "gradnorm"
    kept = (*_Balancing.kept, "_logarithms", "_adam")

    def __init__(self, configured: Tensor, *, asymmetry: float = 1.5, lr: float = 0.025, every: int = 10) -> None:
        super().__init__(configured)
        self._asymmetry, self._every = asymmetry, every
        self._logarithms = torch.zeros_like(self._configured)
        self._adam = torch.optim.Adam([self._logarithms], lr=lr, capturable=configured.is_cuda)

    @torch.no_grad()
    def adapt(self, step: int, columns: Tensor, probes: Probes) -> None:
        losses = self._losses(columns)
        if step % self._every:
            return
        lengths = self.factors[self._active] * self._configured * probes.gradient_norms()[self._active]
        rates = losses / self._first
        pulls = (rates / rates.mean()) ** self._asymmetry
        target = lengths.mean() * pulls / pulls.mean()
        self._logarithms.grad = torch.sign(lengths - target) * lengths
        self._adam.step()
        self._logarithms.sub_(self._logarithms.exp().mean().log())  # the mean of the factors stays 1
        self.factors[self._active] = self._logarithms.exp()
