"""Losses that large residuals, and fields over many orders of magnitude, do not govern: functions of one point each.

For a field f that spans orders of magnitude (a number density, say) the weight of a residual r follows the field:

    w = s / (f^2 + share s),  at most cap;    s: the median of f^2 over the points, or its mean

    adaptive_epsilon   w r^2                       cap 100
    adaptive_huber     w huber(r / scale, delta)   cap 50, delta 0.1

Each takes [n] or [n, c], of residual and field alike, and gives the same shape, to be averaged by the term. Weights and
scales have no graph. A threshold is relative: w does not change with the unit of f, nor Huber's bend with that of r
where its scale is given. The mean of f^2 is governed by the largest f: over many orders of magnitude s and so w f^2
differ by as many.

Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35 (1964).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from pinnx.errors import PinnxError

__all__ = ["Statistic", "adaptive_epsilon", "adaptive_huber", "adaptive_weights", "clipped", "huber", "log_space"]

Statistic = Literal["median", "mean"]

# Of the largest f^2: below it more than half of the points hold no field, and the median says nothing about the rest.
SMALLEST_SCALE = 1e-12
# exp(20) is 5e8, and exp(-20) is 2e-9: of the scale.
LARGEST_LOGARITHM = 20.0


def adaptive_weights(field: Tensor, cap: float, *, share: float = 0.01, statistic: Statistic = "median") -> Tensor:
    """The weight w of each point, without a graph.

    Args:
        field: f; at least one.
        cap: largest weight.
        share: of s that is added to f^2; a weight is at most 1 / share.
        statistic: what s is.

    Raises:
        PinnxError: another statistic.
    """
    squares = field.detach().square()
    if statistic not in ("median", "mean"):
        raise PinnxError(f"statistic: expected median or mean, got {statistic!r}")
    scale = squares.median() if statistic == "median" else squares.mean()
    # The second bound keeps a field of zeros from 0 / 0.
    scale = torch.maximum(scale, SMALLEST_SCALE * squares.max()).clamp_min(torch.finfo(squares.dtype).tiny)
    return (1.0 / (squares / scale + share)).clamp_max(cap)


def huber(residual: Tensor, delta: float) -> Tensor:
    """r^2 up to |r| = delta, from there on the tangent, 2 delta |r| - delta^2: twice the usual one, to equal r^2."""
    return 2.0 * torch.nn.functional.huber_loss(residual, torch.zeros_like(residual), reduction="none", delta=delta)


def adaptive_epsilon(
    residual: Tensor, field: Tensor, *, cap: float = 100.0, share: float = 0.01, statistic: Statistic = "median"
) -> Tensor:
    """w r^2 of each point; arguments as of `adaptive_huber`.

    Raises:
        PinnxError: another shape of the field; another statistic.
    """
    _require_shape("field", field, residual)
    return adaptive_weights(field, cap, share=share, statistic=statistic) * residual.square()


def adaptive_huber(
    residual: Tensor,
    field: Tensor,
    *,
    scale: float = 1.0,
    delta: float = 0.1,
    cap: float = 50.0,
    share: float = 0.01,
    statistic: Statistic = "median",
) -> Tensor:
    """w huber(r / scale, delta) of each point.

    Args:
        residual: r, [n] or [n, c].
        field: f, of the same shape.
        scale: of the residual, > 0.
        delta: where the square ends and the tangent begins, in units of ``scale``, > 0.
        cap: largest weight.
        share: of s that is added to f^2.
        statistic: what s is, "median" or "mean".

    Raises:
        PinnxError: another shape of the field; another statistic.
    """
    _require_shape("field", field, residual)
    return adaptive_weights(field, cap, share=share, statistic=statistic) * huber(residual / scale, delta)


def log_space(log_field: Tensor, measured: Tensor, *, scale: float, floor: float = 1e-12) -> Tensor:
    """(log f - log measured)^2 of each point: a misfit by a factor counts alike for small and large f.

    Logarithms are those of f / scale, clipped to +-20: a prediction that is further off has no gradient.

    Args:
        log_field: log f, as a network gives that has the logarithm of the field.
        measured: f; a negative reading counts as 0.
        scale: of the measured values, such as the largest one, > 0.
        floor: what is added to f / scale; it makes the logarithm of 0 finite.

    Raises:
        PinnxError: ``measured`` has another shape than ``log_field``.
    """
    _require_shape("measured", measured, log_field)
    limit = LARGEST_LOGARITHM
    wanted = torch.log(measured.clamp_min(0.0) / scale + floor).clamp(-limit, limit)
    return ((log_field - math.log(scale)).clamp(-limit, limit) - wanted).square()


def clipped(residual: Tensor, limit: float, *, scale: float = 1.0) -> Tensor:
    """The residual within +-limit times its scale. Beyond, it has no gradient: such a point does not train."""
    return residual.clamp(-limit * scale, limit * scale)


def _require_shape(name: str, given: Tensor, like: Tensor) -> None:
    """[n, 1] with [n] would broadcast: every residual by the field of every other point."""
    if given.shape != like.shape:
        raise PinnxError(f"{name}: expected one value for each residual, {list(like.shape)}, got {list(given.shape)}")
