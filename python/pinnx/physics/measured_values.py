"""The term of the measurements: the mean square of the model's misfit at the sensors.

term = sum_ij (field_j(x_i) - value_ij)^2 / (k d),   j over the measured fields
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

import pinn_ext
from pinnx.data.collocation import BoxPoints
from pinnx.errors import PinnxError
from pinnx.models.fourier_network import FourierNetwork
from pinnx.physics.term import WHOLE, JetTerm, Measured, Points, Share

__all__ = ["MeasuredValues"]

MEASUREMENT_STREAM = 1 << 20


class MeasuredValues(JetTerm):
    """Values of the first fields at places.

    Args:
        coordinates: [k, D] float64, where and when was measured.
        values: [k, d] float64, of the model's first d outputs.
        num_points: measurements of a step, drawn anew in each; None, or k and more: all of them.
        seed: key of the draw.

    Raises:
        PinnxError: shapes that do not fit together, or numbers that are not finite.
    """

    name = "data"
    names = ("data",)
    spec = pinn_ext.JetSpec()

    def __init__(
        self,
        coordinates: NDArray[np.float64],
        values: NDArray[np.float64],
        *,
        num_points: int | None = None,
        seed: int = 0,
    ) -> None:
        if coordinates.ndim != 2 or not len(coordinates):
            raise PinnxError(f"coordinates: expected shape [k, D], k >= 1, got {list(coordinates.shape)}")
        if values.ndim != 2 or len(values) != len(coordinates):
            raise PinnxError(f"measurements: expected shape [{len(coordinates)}, d], got {list(values.shape)}")
        if not (np.isfinite(coordinates).all() and np.isfinite(values).all()):
            raise PinnxError("measurements: expected finite numbers, got NaN or infinity")
        self.coordinates, self.values = coordinates, values
        self.num_points = min(num_points or len(values), len(values))
        self._drawn = None
        if self.num_points < len(values):
            self._drawn = BoxPoints([0.0], [1.0], self.num_points, seed=seed, stream=MEASUREMENT_STREAM)

    def draw(self, step: int, share: Share = WHOLE) -> Points:
        """Places and values, the step's own or all."""
        rows = share.rows(self.num_points)
        chosen: slice | NDArray[np.int64] = slice(rows.start, rows.stop)
        if self._drawn is not None:
            chosen = (self._drawn.draw(step, rows)[:, 0] * len(self.values)).astype(np.int64)
        return {"x": self.coordinates[chosen], "values": self.values[chosen]}

    def residual(self, jet: pinn_ext.Jet, points: Mapping[str, Tensor]) -> Tensor:
        """The misfit, [n, d]."""
        values = points["values"]
        return jet.value[:, : values.shape[1]] - values

    def columns(self, residual: Tensor, points: Mapping[str, Tensor]) -> Tensor:
        return residual.square().sum().reshape(1) / (self.num_points * residual.shape[1])

    def measure(self, model: FourierNetwork, *, num_points: int, seed: int) -> list[Measured]:
        """The misfit at all measurements, relative to them; nothing where all are zero (sensors on walls, say)."""
        misfit = model.predict(self.coordinates)[:, : self.values.shape[1]] - self.values
        size = float(np.linalg.norm(self.values))
        return [Measured("sensor_misfit", float(np.linalg.norm(misfit)) / size if size else None)]
