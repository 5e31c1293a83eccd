"""The balance of breakage at single points, each with a quadrature of its own, and where among them it holds worst.

    G = (1 + t) (g_t + S),   B = (1 + t) int_v^top b(v / w) / w S(w) exp(g(w) - g(v)) dw,   g = log f
    of f itself:  f_t + S f - births = f (G - B) / (1 + t)

A grid of volumes by times (`BreakageTerm`) is a hundred times cheaper. Single points check it: another quadrature, at
places that no training has seen. They go through the network in pieces, so that memory has a limit, backward too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pinnx.data.point_pool import largest_residuals
from pinnx.errors import PinnxError
from pinnx.physics.breakage_model import BreakageModel

__all__ = ["PointBalance", "pointwise_balance", "residual_adaptive_refinement"]

Array = NDArray[np.float64]

# Gauss-Legendre points of each piece. Pieces of w - v grow by one factor from FIRST times v on: one of them fits the
# decay of f, whatever it is.
POINTS, PIECES, FIRST = 10, 12, 1e-3
NODES = POINTS * PIECES


class PointBalance(NamedTuple):
    """Both sides of the balance at points, dimensionless.

    Args:
        growth: G, [n].
        birth: B, [n].
        log_f: g, [n].
        t: dimensionless times, [n].
    """

    growth: Tensor
    birth: Tensor
    log_f: Tensor
    t: Tensor

    @property
    def residual(self) -> Tensor:
        """(G - B) / (1 + B), free of the scale of f, [n]."""
        return (self.growth - self.birth) / (1 + self.birth)

    @property
    def plain(self) -> Tensor:
        """f_t + S f - births, [n]."""
        return torch.exp(self.log_f) * (self.growth - self.birth) / (1 + self.t)


def pointwise_balance(
    model: BreakageModel, t: ArrayLike, v: ArrayLike, *, most_evaluations: int = 200_000
) -> PointBalance:
    """Both sides of the balance at times and volumes in pairs, differentiable in the model's parameters.

    Args:
        model: log f.
        t: [n] in the user's units, > 0 where all particles begin at one size.
        v: [n] volumes below the largest of the case, in the user's units.
        most_evaluations: of the network at once. A point takes 121; backward evaluates each piece again.

    Raises:
        PinnxError: shapes that differ, a volume or a time out of range, less than one point at once.
    """
    t, v = np.asarray(t, dtype=np.float64), np.asarray(v, dtype=np.float64)
    case = model.case
    if t.ndim != 1 or t.shape != v.shape or not len(t):
        raise PinnxError(
            f"points: expected times and volumes of one shape [n], got {list(t.shape)} and {list(v.shape)}"
        )
    if not ((v > 0) & (v < case.top)).all():
        raise PinnxError(f"v: expected volumes above 0 and below {case.top:g}, got {v.min():g} to {v.max():g}")
    if t.min() < 0 or (case.delta_at is not None and t.min() == 0):
        raise PinnxError(f"t: expected times > 0, got {t.min():g}")
    size = most_evaluations // (NODES + 1)
    if size < 1:
        raise PinnxError(f"most_evaluations: expected {NODES + 1} or more, got {most_evaluations}")
    pieces = [_piece(model, t[first : first + size], v[first : first + size]) for first in range(0, len(t), size)]
    return PointBalance(*(torch.cat(column) for column in zip(*pieces, strict=True)))


def _piece(model: BreakageModel, t: Array, v: Array) -> PointBalance:
    """Nothing but its inputs stays in memory until the backward pass."""
    if not torch.is_grad_enabled():
        return _balance(model, t, v)
    found: PointBalance = checkpoint(_balance, model, t, v, use_reentrant=False)
    return found


def _balance(model: BreakageModel, t: Array, v: Array) -> PointBalance:
    case, like = model.case, model.frequencies
    w, weights = _quadrature(v, case.top)  # [n, NODES]
    weights = weights * case.kinetics.daughters.density(v[:, None] / w) / w

    def tensor(array: Array) -> Tensor:
        return torch.from_numpy(array).to(like)

    def arguments(times: Array, volumes: Array) -> tuple[Tensor, ...]:
        """What the model takes at pairs: inputs, the start, ln v and t, dimensionless."""
        unit = volumes / case.mean_volume
        inputs = model.inputs(np.column_stack([times, volumes]))
        return tuple(tensor(given) for given in (inputs, case.log_start(unit), np.log(unit), times / case.time))

    x, log_start, log_v, own_t = arguments(t, v)
    log_f = model.log_density_at(x, log_start, log_v, own_t)
    larger = arguments(np.repeat(t, NODES), w.ravel())
    rise = model.log_density_at(*larger).view(w.shape) - log_f[:, None]
    births = (tensor(weights) * model.rate(larger[2]).view(w.shape) * torch.exp(rise)).sum(1)
    if case.delta_at is not None:
        ratio = case.kinetics.daughters.density(v / case.delta_at) * case.mean_volume / case.delta_at
        log_rate = model.log_rate_of_delta()
        births = births + tensor(ratio) * torch.exp(log_rate - torch.exp(log_rate) * own_t - log_f)
    return PointBalance(model.growth(x, own_t).rate, (1 + own_t) * births, log_f, own_t)


def _quadrature(v: Array, top: float) -> tuple[Array, Array]:
    """Volumes between v and the largest, and their weights, each [n, NODES]."""
    x, weight = np.polynomial.legendre.leggauss(POINTS)
    first = np.minimum(FIRST * v, top - v)
    grown = first[:, None] * ((top - v) / first)[:, None] ** np.linspace(0, 1, PIECES)
    ends = v[:, None] + np.column_stack([np.zeros(len(v)), grown])
    half = np.diff(ends, axis=1)[:, :, None] / 2
    w = ends[:, :-1, None] + half * (1 + x)
    return w.reshape(len(v), -1), (half * weight).reshape(len(v), -1)


def residual_adaptive_refinement(
    model: BreakageModel, v: ArrayLike, t: ArrayLike, *, percentile: float = 95.0, max_new_points: int = 500
) -> tuple[Array, Array]:
    """The candidates whose relative residual is at or above a percentile, the largest first.

    A training does the same with its pool of points (``train.points.refine.method: rar``), where they stay.

    Args:
        model: what is judged.
        v: volumes of the candidates, [n], in the sizes of the case.
        t: their times, [n].
        percentile: of the size of the residual, 0 to 100.
        max_new_points: at most as many.

    Returns:
        Volumes and times of the chosen ones, [k] each.

    Raises:
        PinnxError: no candidates, or another number of times than of volumes.

    Source: Lu, Meng, Mao, Karniadakis, "DeepXDE", SIAM Review 63 (2021).
    """
    v, t = np.asarray(v, dtype=np.float64).ravel(), np.asarray(t, dtype=np.float64).ravel()
    if not len(v) or len(v) != len(t):
        raise PinnxError(f"candidates: expected as many times as volumes, at least one, got {len(t)} and {len(v)}")
    with torch.no_grad():
        residual = pointwise_balance(model, t, v).residual.double().cpu().numpy()
    chosen = largest_residuals(residual, percentile=percentile, max_new_points=max_new_points)
    return v[chosen], t[chosen]
