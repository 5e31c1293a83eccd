"""How fast a training converges: decades that its losses fall in 1,000 steps.

The mean over the columns of log10 of their loss, of the earlier half of the last logged steps less that of the later
half, over the steps between. A weight adds the same number to both, so weights do not matter while they stay.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping

__all__ = ["Convergence", "mean_logarithm"]

# Logged steps in each half: points that are new in each step move the loss of one by tens of per cent.
WINDOW, FEWEST = 10, 2


def mean_logarithm(row: Mapping[str, float]) -> float | None:
    """Of the columns of the loss in a row of the history, to the base 10; None where none of them is > 0."""
    losses = [value for name, value in row.items() if name.startswith("loss/") and name != "loss/total"]
    logarithms = [math.log10(value) for value in losses if 0 < value < math.inf]
    return math.fsum(logarithms) / len(logarithms) if logarithms else None


class Convergence:
    """The rate of the last logged steps.

    Args:
        rows: of the history, in order.
        window: logged steps in each half; None: half of them all.
    """

    def __init__(self, rows: Iterable[Mapping[str, float]] = (), window: int | None = WINDOW) -> None:
        self._last: deque[tuple[float, float]] = deque(maxlen=window and 2 * window)  # step, mean logarithm
        for row in rows:
            self.add(row)

    def add(self, row: Mapping[str, float]) -> None:
        """The next row of the history; one without a loss > 0 does not count."""
        if (logarithm := mean_logarithm(row)) is not None:
            self._last.append((row["step"], logarithm))

    @property
    def rate(self) -> float | None:
        """Decades in 1,000 steps; None where too few steps were logged."""
        half = len(self._last) // 2
        if half < FEWEST:
            return None
        earlier, later = list(self._last)[:half], list(self._last)[-half:]
        (step_before, before), (step_after, after) = (
            [math.fsum(column) / half for column in zip(*part, strict=True)] for part in (earlier, later)
        )
        return 1000.0 * (before - after) / (step_after - step_before)
