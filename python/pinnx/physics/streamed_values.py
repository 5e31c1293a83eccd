"""The term of a field that stays in its file: the mean square of the model's misfit at random points of it.

    term = mean_i w_i |q(x_i) - value_i|^2 / d,    w_i the weight of the point, 0 where the file has no value

Which points: `pinnx.data.streamed_field`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

import pinn_ext
from pinnx.data.streamed_field import StreamedField
from pinnx.models.field_model import FieldModel
from pinnx.physics.geometry import place_and_time
from pinnx.physics.term import WHOLE, JetTerm, Measured, Points, Share, largest_share

__all__ = ["StreamedValues"]

# A step of its own for the checks, which no training reaches.
CHECKED_STEP = 2**40


class StreamedValues(JetTerm):
    """The velocity of a field in a file.

    Args:
        field: which is drawn from.
        scales: [d], what an output of one is in the user's units.
        num_points: of a step.
        axes: names of the columns of its coordinates.
        rho: what of each misfit is averaged; 0 at 0.
    """

    name = "field"
    names = ("field",)
    spec = pinn_ext.JetSpec()

    def __init__(
        self,
        field: StreamedField,
        *,
        scales: ArrayLike,
        num_points: int,
        axes: Sequence[str],
        rho: Callable[[Tensor], Tensor] = torch.square,
    ) -> None:
        self._field, self._rho, self._axes, self.num_points = field, rho, tuple(axes), num_points
        self._scales = np.asarray(scales, dtype=np.float64)

    def draw(self, step: int, share: Share = WHOLE) -> Points:
        """Places and dimensionless velocities, and the roots of the weights."""
        drawn = self._field.draw(step, share.rows(self.num_points), self.num_points)
        return {"x": drawn.coordinates, "values": drawn.values / self._scales, "mask": np.sqrt(drawn.weights)[:, None]}

    def residual(self, jet: pinn_ext.Jet, points: Mapping[str, Tensor]) -> Tensor:
        """The misfit, [n, d], zero where the file has no value."""
        return (jet.value[:, : len(self._scales)] - points["values"]) * points["mask"]

    def columns(self, residual: Tensor, points: Mapping[str, Tensor]) -> Tensor:
        return self._rho(residual).sum().reshape(1) / (self.num_points * len(self._scales))

    def measure(self, model: FieldModel, *, num_points: int, seed: int) -> list[Measured]:
        """The misfit at points of a step of its own, relative to the field there."""
        drawn = self._field.draw(CHECKED_STEP + seed, range(num_points), num_points)
        found = model.predict(drawn.coordinates)[:, : len(self._scales)]
        squares = np.sum(drawn.weights[:, None] * (found - drawn.values) ** 2, axis=1)
        size = float(np.sqrt(np.sum(drawn.weights[:, None] * drawn.values**2)))
        if not size:
            return [Measured("sensor_misfit", None, part="streamed field")]
        worst, row = largest_share(squares, size)
        place, value = place_and_time(drawn.coordinates[row], self._axes), float(np.sqrt(squares.sum())) / size
        return [Measured("sensor_misfit", value, part="streamed field", worst=worst, worst_at=place)]
