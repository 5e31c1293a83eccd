"""The weight of measurements whose noise is known: the discrepancy principle.

    minimise the other columns so that   mean of ((q(x_i) - value_i) / sigma_i)^2 = usual

A network that fits noisy values closer than their noise fits the noise. The multiplier of this constraint is the weight
of the data, which is found while training: after each step

    log factor <- log factor + rate * clip(misfit^2 / (usual sigma^2) - 1, -1, 1),    factor at most 1

`usual` is what the mean square of n numbers of unit variance exceeds in 19 of 20 draws: 0.58 for n = 24, towards 1 for
many. With 1, a draw of the noise that happens to be small makes the training drop its sensors: the cavity at Re 1000
with 5 % noise at 12 sensors ends at 0.041 for 0.016 then (one seed of three).

Source: Morozov, Soviet Math. Dokl. 7 (1966), 414-417.
"""

from __future__ import annotations

import torch
from scipy.special import chdtri
from torch import Tensor

from pinnx.kept_state import KeptState
from pinnx.losses.weighting import Probes

__all__ = ["Discrepancy", "usual_square"]

# Of the factor's logarithm in a step: from 1 to 1e-4 in 500 steps, a fifth of the preset cavity's.
RATE = 0.02
SMALLEST = 1e-8
RARE = 0.05


def usual_square(numbers: int) -> float:
    """What the mean square of so many normal numbers of variance 1 exceeds in 19 of 20 draws."""
    return float(chdtri(numbers, 1.0 - RARE) / numbers)


class Discrepancy(KeptState):
    """The factor on the weight of one column; see the file's head.

    Args:
        configured: weights of the columns, [c].
        column: that of the data.
        square: what its value shall be: the variance of the noise in the column's units, times the usual share; 0: not
            known yet, and the weight stays.

    Attributes:
        square: [], as given, on the device.
        idle: whether the weight stays from step to step.
    """

    name = "noise"
    kept = ("factors", "square")

    def __init__(self, configured: Tensor, column: int, square: float) -> None:
        self._column = column
        self.square, self.idle = configured.new_tensor(square), square == 0.0
        self.factors = torch.ones_like(configured)

    @torch.no_grad()
    def adapt(self, step: int, columns: Tensor, probes: Probes) -> None:
        if self.idle:
            return
        beyond = (columns[self._column] / self.square - 1.0).clamp(-1.0, 1.0)
        self.factors[self._column].mul_(torch.exp(RATE * beyond)).clamp_(SMALLEST, 1.0)
