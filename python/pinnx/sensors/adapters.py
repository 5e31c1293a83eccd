"""`SensorSelector` behind two other interfaces: a choice from a sketch, and an optimizer for PySensors.

    ApproximateQRSelector   l = max(k, ceil(rank_fraction * min(T, n))) rows,  Y = R A [l, n],  pivots of Y:
                            one read of the data, then pivoted QR on l rows instead of T
    PySensorsOptimizer      SSPOR(basis=SVD(n_basis_modes=12), optimizer=PySensorsOptimizer(n_sensors=12), n_sensors=12)

Source: de Silva, Manohar, Clark, Brunton, Brunton, Kutz, "PySensors: a Python package for sparse
sensor placement", J. Open Source Softw. 6 (2021) 2828.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnx.errors import PinnxError
from pinnx.sensors.constraints import Constraints
from pinnx.sensors.selector import SensorSelector

__all__ = ["ApproximateQRSelector", "PySensorsOptimizer"]


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
        options = {"oversampling": max(0, rows - int(n_sensors)), "seed": self.seed}
        selector = SensorSelector(n_sensors, basis="identity", method="randomized", **options)
        return selector.fit(data_matrix).selected_sensors_


@dataclass(eq=False, repr=False)
class PySensorsOptimizer(Constraints):
    """`pinn_ext.pivoted_qr` with the protocol of `pysensors.optimizers.QR`.

    Args:
        n_sensors: as many as SSPOR is to use; None: as many as modes.
        method: "exact" or "randomized".
        weights, costs, forbidden, forced, positions, min_distance, regions, max_per_region, quotas:
            as in `SensorSelector`.
        seed: of method "randomized".

    Attributes, after `fit`:
        pivots_: [k] int64, the most telling first. PySensors shuffles whatever stands behind the r-th, so
            only the wanted sensors are returned: their order may change there, their choice does not.
    """

    n_sensors: int | None = None
    _: KW_ONLY
    method: str = "exact"
    seed: int = 0

    def fit(self, basis_matrix: ArrayLike) -> Self:
        """Choose places.

        Args:
            basis_matrix: [n, r], a column for each mode.
        """
        basis = np.asarray(basis_matrix)
        if basis.ndim != 2:
            raise PinnxError(f"basis_matrix: expected shape [n, r], got {list(basis.shape)}")
        params = self.get_params(deep=False)
        count = params.pop("n_sensors")
        selector = SensorSelector(min(basis.shape) if count is None else count, basis="identity", **params)
        self.pivots_ = selector.fit(basis.T).selected_sensors_
        return self

    def get_sensors(self) -> NDArray[np.int64]:
        """Return the places [k], the most telling first; a copy, as SSPOR shuffles what it gets."""
        return self.pivots_.copy()
