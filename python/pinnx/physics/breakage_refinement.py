"""Points at which the balance of breakage holds worst, among candidates."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from pinnx.data.point_pool import largest_residuals
from pinnx.errors import PinnxError
from pinnx.physics.breakage_model import BreakageModel
from pinnx.physics.breakage_pointwise import pointwise_balance

__all__ = ["residual_adaptive_refinement"]

Array = NDArray[np.float64]


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
