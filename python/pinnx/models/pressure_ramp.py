"""A pressure that falls evenly along periodic axes, beside fields that repeat: what drives a channel.

    p(x) = sum over axes of g_a (x_a - low_a),   g_a = (jump of p over the period of a) / period

Added to a network that is periodic, it makes a pressure with a jump. It has one derivative, so the fused loss of the
equations takes it as a force -g.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

import pinn_ext

__all__ = ["PressureRamp"]


class PressureRamp(nn.Module):
    """The field, dimensionless, at inputs whose origin is the low end of each axis.

    Args:
        slopes: column of the inputs -> g.
        first_space: column of x.
        dim: space dimensions.
        dtype: of the result.
    """

    gradient: Tensor  # [dim]

    def __init__(self, slopes: Mapping[int, float], *, first_space: int, dim: int, dtype: torch.dtype) -> None:
        super().__init__()
        self._first = first_space
        gradient = [slopes.get(first_space + axis, 0.0) for axis in range(dim)]
        self.register_buffer("gradient", torch.tensor(gradient, dtype=dtype), persistent=False)

    def jet(self, x: Tensor, spec: pinn_ext.JetSpec) -> pinn_ext.Jet:
        """As `FieldModel.jet`."""
        dim = len(self.gradient)
        data = x.new_zeros(spec.num_streams, len(x), dim + 1)
        data[0, :, -1] = (x[:, self._first :] * self.gradient).sum(1)  # no product of matrices: bits for any threads
        for stream, column in enumerate(spec.first, start=1):
            if column >= self._first:
                data[stream, :, -1] = self.gradient[column - self._first]
        return pinn_ext.Jet(data, spec)

    def beside(self, x: Tensor) -> dict[str, Any]:
        """What the fused loss of the equations takes in its place."""
        return {"pressure_gradient": self.gradient}
