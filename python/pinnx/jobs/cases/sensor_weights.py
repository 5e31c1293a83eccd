"""The formula `sensors.weight`: how much each place counts where sensors are chosen."""

from __future__ import annotations

import numpy as np

from pinnx.config import Config
from pinnx.errors import PinnxError
from pinnx.physics.expression import Expression

__all__ = ["sensor_weights"]


def sensor_weights(config: Config, points: np.ndarray) -> np.ndarray | None:
    """The weight of each place [n, d], float64, >= 0; None where all count alike.

    Raises:
        PinnxError: weights that are negative, all 0 or not finite; a formula with t.
    """
    text = config.sensors.weight
    if text is None:
        return None
    weights = Expression(text).values(dict(zip("xyz", points.T, strict=False)))
    if (weights < 0.0).any() or not weights.any():
        raise PinnxError(
            f"sensors.weight: expected weights >= 0 that are not all 0, got {weights.min():g} to {weights.max():g}"
        )
    return weights
