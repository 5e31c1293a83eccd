"""The balance of breakage as a term of the loss, at all nodes of a grid of volumes and some times.

    breakage   mean of (G - B)^2 / (1 + B)^2,   G = (1 + t) (g_t + S),   B = (1 + t) births / f,   g = log f
    mass       mean of (ln M1(t) / M1(0))^2

G and B are per unit of tau = ln(1 + t): late times count as early ones. Every evaluation of the network is a point of
the residual and a node of all integrals. `pinn_ext.breakage_residual` takes these on a finer grid (`VolumeGrid`).
M1 follows from the balance; as a column of its own it stops the slow drift that small residuals add up to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

import pinn_ext
from pinnx.data.collocation import BoxPoints, uniform_points
from pinnx.errors import PinnxError
from pinnx.physics.breakage_grid import VolumeGrid
from pinnx.physics.breakage_model import BreakageModel
from pinnx.physics.equations import EVALUATION_STREAM
from pinnx.physics.term import WHOLE, Measured, Points, Share, TermLoss

__all__ = ["Balance", "BreakageTerm"]

# Of ln M1's slope below the smallest volume, times that volume: a series of three terms holds to 1e-3 of that mass.
STEEPEST = 1.5


class Balance(NamedTuple):
    """Both sides of the balance.

    Args:
        growth: G, [times, nodes].
        birth: B, [times, nodes].
        log_f: on the fine grid, [times, m].
    """

    growth: Tensor
    birth: Tensor
    log_f: Tensor

    @property
    def residual(self) -> Tensor:
        """(G - B) / (1 + B), [times, nodes]."""
        return (self.growth - self.birth) / (1 + self.birth)


class BreakageTerm(nn.Module):
    """The balance, at times that each step draws evenly in tau.

    Args:
        model: its case is what is stated.
        num_times: of a step.
        num_nodes: volumes at which the network is evaluated.
        pieces: of each gap between them, for the integrals.
        seed: key of the times.

    Attributes:
        grid: of the volumes, dimensionless.
    """

    name = "balance"
    names = ("breakage", "mass")
    _log_v: Tensor
    _v: Tensor
    _log_start: Tensor
    _log_weights: Tensor
    _interpolation: Tensor

    def __init__(
        self, model: BreakageModel, *, num_times: int = 16, num_nodes: int = 48, pieces: int = 16, seed: int = 0
    ) -> None:
        super().__init__()
        case = self._case = model.case
        unit = case.mean_volume
        self.grid = VolumeGrid(case.sizes[0] / unit, case.top / unit, num_nodes=num_nodes, pieces=pieces)
        self.num_times = num_times
        self._times = BoxPoints([0.0], [1.0], num_times, seed=seed, sampling="latin_hypercube")
        self._seed, self._last = seed, math.log1p(case.end / case.time)
        self._daughters = case.kinetics.daughters.power_laws()
        # Beyond the largest volume that is looked at, births come from a grid that ends.
        self._judged = int(np.sum(self.grid.nodes <= case.sizes[1] / unit * (1 + 1e-9)))
        like = model.frequencies
        for name, value in {
            "_log_v": np.log(self.grid.fine),
            "_v": self.grid.fine,
            "_log_start": case.log_start(self.grid.fine),
            "_log_weights": np.log(self.grid.weights * self.grid.fine),
            "_interpolation": self.grid.interpolation,
        }.items():
            self.register_buffer(name, torch.from_numpy(value).to(like), persistent=False)
        at_start = self._log_volume(self._log_start[None].double(), like.new_zeros(1).double())
        self._log_mass = 0.0 if case.delta_at is not None else float(at_start)

    def draw(self, step: int, share: Share = WHOLE) -> Points:
        """All nodes at the times of a step."""
        return self._at(np.expm1(self._times.draw(step, share.rows(self.num_times))[:, 0] * self._last))

    def _at(self, t: np.ndarray) -> Points:
        """All nodes at dimensionless times."""
        nodes = self.grid.nodes * self._case.mean_volume
        x = np.column_stack([np.repeat(t * self._case.time, len(nodes)), np.tile(nodes, len(t))])
        return {"x": x, "t": t}

    def balance(self, model: BreakageModel, x: Tensor, t: Tensor) -> Balance:
        """Both sides at inputs [times nodes, 2] and dimensionless times [times]."""
        excess, rate = model.growth(x, t.repeat_interleave(len(self.grid.nodes)))
        shape, late = (len(t), len(self.grid.nodes)), t[:, None]
        log_f = model.base(self._log_start, self._log_v, late) + excess.view(shape) @ self._interpolation
        return Balance(rate.view(shape), (1 + late) * self._births(model, log_f, t), log_f)

    def _births(self, model: BreakageModel, log_f: Tensor, t: Tensor) -> Tensor:
        """int beta S f dv' over f at the nodes, [times, nodes]."""
        rate = model.rate(self._log_v)
        lost = (-rate).expand_as(log_f)  # as the time derivative it cancels the loss: births are left
        births: Tensor | None = None
        for factor, exponent in self._daughters:
            tail = None
            if self._case.delta_at is not None:  # those of the delta
                log_rate, log_top = model.log_rate_of_delta(), self._log_v[-1]
                tail = log_rate - (exponent + 1) * log_top - torch.exp(log_rate) * t
            found = -pinn_ext.breakage_residual(log_f, lost, self._v, rate, daughter=exponent, tail=tail)
            births = found * factor if births is None else births + found * factor
        assert births is not None
        return births[:, :: self.grid.pieces]

    def _log_volume(self, log_f: Tensor, t: Tensor) -> Tensor:
        """ln of the volume of the continuous part at each time, [times]."""
        c = self._case.kinetics.daughters.c
        within = torch.logsumexp(log_f + self._log_weights, dim=1)
        # Below the smallest volume f is v^c times an exponential.
        slope = (log_f[:, 1] - log_f[:, 0]) / (self._log_v[1] - self._log_v[0]) - c
        s = slope.clamp(-STEEPEST, STEEPEST)
        below = (1 - s / (c + 3) * (1 - s / (c + 4))) / (c + 2)
        return torch.logaddexp(within, log_f[:, 0] + 2 * self._log_v[0] + torch.log(below))

    def _log_mass_ratio(self, model: BreakageModel, log_f: Tensor, t: Tensor) -> Tensor:
        """ln M1(t) / M1(0), [times]."""
        found = self._log_volume(log_f, t)
        if self._case.delta_at is not None:
            found = torch.logaddexp(found, -torch.exp(model.log_rate_of_delta()) * t)
        return found - self._log_mass

    def loss(
        self, model: Any, points: Mapping[str, Tensor], weights: Tensor, *, with_residual: bool = False
    ) -> TermLoss:
        """As `Term.loss`; the residual is [times nodes, 1]."""
        balance = self.balance(model, points["x"], points["t"])
        residual = balance.residual[:, : self._judged]
        mass = self._log_mass_ratio(model, balance.log_f, points["t"])
        columns = torch.stack([residual.square().mean(1).sum(), mass.square().sum()]) / self.num_times
        shown = balance.residual.detach().reshape(-1, 1) if with_residual else None
        return TermLoss(torch.dot(weights, columns), columns.detach(), shown)

    @torch.no_grad()
    def measure(self, model: Any, *, num_points: int, seed: int) -> list[Measured]:
        """Root mean square of the residual, and the largest drift of the mass, at times that no step has drawn.

        Raises:
            PinnxError: no points; nothing was checked.
        """
        if num_points < 1:
            raise PinnxError(f"{self.name}: expected at least one point to check, got {num_points}")
        num = max(1, num_points // len(self.grid.nodes))
        drawn = uniform_points([0.0], [1.0], num, seed=seed, step=0, stream=EVALUATION_STREAM)[:, 0]
        points = self._at(np.expm1(drawn * self._last))
        like = model.frequencies
        x, t = (torch.from_numpy(given).to(like) for given in (model.inputs(points["x"]), points["t"]))
        balance = self.balance(model, x, t)
        residual = balance.residual[:, : self._judged].square().mean().sqrt()
        drift = torch.expm1(self._log_mass_ratio(model, balance.log_f, t)).abs().max()
        return [Measured("breakage_residual", float(residual)), Measured("mass_drift", float(drift))]
