"""Our pivots inside PySensors: an optimizer for its SSPOR, which then ranks, predicts and scores as ever.

    SSPOR(basis=SVD(n_basis_modes=12), optimizer=PySensorsOptimizer(n_sensors=12), n_sensors=12)

PySensors hands over a basis [n, r] and takes back places in the order of their rank. It shuffles
whatever stands behind the r-th, so only the wanted sensors are returned: their order
may change there, their choice does not.

Source: de Silva, Manohar, Clark, Brunton, Brunton, Kutz, "PySensors: a Python package for sparse
sensor placement", J. Open Source Softw. 6 (2021) 2828.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnx.errors import PinnxError
from pinnx.sensors.estimator import Estimator
from pinnx.sensors.selector import SensorSelector

__all__ = ["PySensorsOptimizer"]


class PySensorsOptimizer(Estimator):
    """`pinn_ext.pivoted_qr` with the protocol of `pysensors.optimizers.QR`.

    Args:
        n_sensors: as many as SSPOR is to use; None: as many as modes.
        method: "exact" or "randomized".
        weights, costs, forbidden, forced, positions, min_distance, regions, max_per_region, quotas:
            as in `SensorSelector`.
        seed: of method "randomized".

    Attributes, after `fit`:
        pivots_: [k] int64, the most telling first.
    """

    def __init__(
        self,
        n_sensors: int | None = None,
        *,
        method: str = "exact",
        weights: Any = None,
        costs: Any = None,
        forbidden: Any = None,
        forced: Any = None,
        positions: Any = None,
        min_distance: float | None = None,
        regions: Any = None,
        max_per_region: Any = None,
        quotas: Any = None,
        seed: int = 0,
    ) -> None:
        self.n_sensors = n_sensors
        self.method = method
        self.weights = weights
        self.costs = costs
        self.forbidden = forbidden
        self.forced = forced
        self.positions = positions
        self.min_distance = min_distance
        self.regions = regions
        self.max_per_region = max_per_region
        self.quotas = quotas
        self.seed = seed

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
