"""Sensors by a random sketch of the data, of a rank that is a fraction of the full one.

    l = max(k, ceil(rank_fraction * min(T, n))) rows,  Y = R A [l, n],  pivots of Y

One read of the data for the sketch, then pivoted QR on l rows instead of T.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.errors import PinnxError
from pinnx.sensors.selector import SensorSelector

__all__ = ["ApproximateQRSelector"]


class ApproximateQRSelector:
    """Pivoted QR on a sketch.

    Args:
        rank_fraction: of the full rank min(T, n) that the sketch keeps, 0 < rank_fraction <= 1; at
            least as many rows as sensors.
        seed: of the sketch.
    """

    def __init__(self, rank_fraction: float = 0.1, *, seed: int = 0) -> None:
        if not 0.0 < rank_fraction <= 1.0:
            raise PinnxError(f"rank_fraction: expected a number > 0 up to 1, got {rank_fraction}")
        self.rank_fraction = rank_fraction
        self.seed = seed

    def __repr__(self) -> str:
        return f"ApproximateQRSelector(rank_fraction={self.rank_fraction:g})"

    def select_sensors_approximate(self, data_matrix: Any, n_sensors: int) -> NDArray[np.int64]:
        """Return the places [n_sensors] int64, by rank.

        Args:
            data_matrix: [T, n] or [T, n, c] snapshots, NumPy or torch, float32 or float64.
            n_sensors: k, 1 <= k <= n.

        Raises:
            PinnxError: a wrong shape, values that are not finite, or more sensors than places.
        """
        shape = np.shape(data_matrix)
        if len(shape) not in (2, 3):
            raise PinnxError(f"data_matrix: expected shape [T, n] or [T, n, c], got {list(shape)}")
        rows = math.ceil(self.rank_fraction * min(shape[0], math.prod(shape[1:])))
        selector = SensorSelector(
            n_sensors,
            basis="identity",
            method="randomized",
            oversampling=max(0, rows - int(n_sensors)),
            seed=self.seed,
        )
        return selector.fit(data_matrix).selected_sensors_
