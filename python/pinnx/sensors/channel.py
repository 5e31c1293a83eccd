"""Where a channel's physics says to look: near its walls.

    weight_j = factor   where the nearest wall is less than distance * half_height away, else 1

In y / h < 0.1 of a turbulent channel lie the buffer layer and most of the production of turbulent
energy, while the modes of largest energy live in its middle; the weight multiplies what a sensor
there would add. A rule of thumb, not a law: `factor` and `distance` are yours to change.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnx.errors import PinnxError

__all__ = ["channel_wall_weights"]

# Coordinates are known to float32 as a rule; a place at the distance itself is not nearer.
SLACK = 1e-5


def channel_wall_weights(
    y: ArrayLike, half_height: float, factor: float = 5.0, distance: float = 0.1, *, centre: float = 0.0
) -> NDArray[np.float64]:
    """Return weights of places in a channel for `SensorSelector(weights=...)`.

    Args:
        y: [n] the coordinate across the channel, |y - centre| <= half_height, in units of length.
        half_height: h > 0; the walls are at centre - h and centre + h.
        factor: > 0, the weight near a wall.
        distance: from the wall, as a part of h, between 0 and 1.
        centre: of the channel; 0 where y runs from -h to h, h where it runs from 0 to 2 h.

    Returns:
        [n] float64.

    Raises:
        PinnxError: a place outside the channel (by more than the rounding of float32), or a number
            out of its range.
    """
    across = np.asarray(y, dtype=np.float64)
    if across.ndim != 1 or not np.isfinite(across).all():
        raise PinnxError(f"y: expected finite coordinates [n], got {list(across.shape)}")
    for name, value, holds in (
        ("half_height", half_height, half_height > 0),
        ("factor", factor, factor > 0),
        ("distance", distance, 0 < distance <= 1),
    ):
        if not holds:
            raise PinnxError(f"{name}: expected a number > 0{' up to 1' if name == 'distance' else ''}, got {value}")
    from_wall = 1.0 - np.abs(across - centre) / half_height
    if across.size and from_wall.min() < -float(np.finfo(np.float32).eps):
        worst = float(across[np.argmin(from_wall)])
        raise PinnxError(
            f"y: expected places from {centre - half_height:g} to {centre + half_height:g}, got {worst:g}; a channel "
            "from 0 to 2 h has centre=h"
        )
    # Less than the distance by more than rounding, so that both walls are treated alike.
    return np.where(from_wall < distance * (1.0 - SLACK), float(factor), 1.0)
