"""Values that guide the first part of a training: a mean square whose share falls linearly to nothing.

term = max(0, 1 - step / until)  mean_ij (field_j(x_i) - value_ij)^2
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from pinnx.models.field_model import FieldModel
from pinnx.physics.measured_values import MeasuredValues
from pinnx.physics.term import WHOLE, Measured, Points, Share

__all__ = ["FadingValues"]


class FadingValues(MeasuredValues):
    """Values of fields at places that count less from step to step.

    Args:
        values: coordinates, values and more, as for ``MeasuredValues``.
        until: the step from which on they do not count.
        more: as for ``MeasuredValues``.
    """

    name = "warm_start"
    names = ("warm_start",)

    def __init__(self, *values: Any, until: float, **more: Any) -> None:
        super().__init__(*values, **more)
        self.until = until

    def draw(self, step: int, share: Share = WHOLE) -> Points:
        """As ``MeasuredValues``, and the share of the step for each point."""
        drawn = super().draw(step, share)
        return {**drawn, "share": np.full((len(drawn["x"]), 1), max(0.0, 1.0 - step / self.until))}

    def columns(self, residual: Tensor, points: Mapping[str, Tensor]) -> Tensor:
        return super().columns(residual * points["share"].sqrt(), points)

    def measure(self, model: FieldModel, *, num_points: int, seed: int) -> list[Measured]:
        """Nothing: what guides a training says nothing of its result."""
        return []
