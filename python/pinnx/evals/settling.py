"""Whether a number that the training finds has come to rest.

    change = | value_end - value_then | / max(| value_then |, floor)

then: where nine tenths of the sum of all learning rates were spent.

A decaying learning rate stops every number in the end, wherever it is. With a cosine the last tenth of the steps has
less than 1 % of the sum of the learning rates: a viscosity that moves by its learning rate in each step, far from its
goal, changes by 0.4 % there. The last tenth of the sum is the last 40 % of the steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import cumulative_trapezoid

__all__ = ["last_change"]

SHARE = 0.1
# Fewer logged steps in the last tenth say nothing.
FEWEST = 3


def last_change(steps: ArrayLike, rates: ArrayLike, values: ArrayLike, *, floor: float = 0.0) -> float | None:
    """The relative change of a number over the last tenth of the sum of the learning rates.

    Args:
        steps: [n] logged steps, rising.
        rates: [n] learning rates at these steps.
        values: [n] the number.
        floor: a size below which the number is as good as zero.

    Returns:
        NaN where a value is not finite; None where there are too few steps to tell.
    """
    step, rate, value = (np.asarray(column, dtype=np.float64) for column in (steps, rates, values))
    spent = cumulative_trapezoid(rate, step, initial=0)
    begin = (1 - SHARE) * spent[-1]
    if np.count_nonzero(spent >= begin) < FEWEST:
        return None
    then = float(np.interp(begin, spent, value))
    return abs(float(value[-1]) - then) / max(abs(then), floor)
