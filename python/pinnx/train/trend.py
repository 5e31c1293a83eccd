"""Whether a loss still falls: the mean of its logarithm over some steps, against that over as many steps before."""

from __future__ import annotations

import math

from pinnx.kept_state import KeptState

__all__ = ["Trend"]

# A loss whose geometric mean falls by less than this share has stopped. Points that are drawn anew in each step move
# the loss of one step by tens of per cent, the mean over some tens of logged steps by a few.
FALL = 0.05


class Trend(KeptState):
    """The logged losses of a phase, as far back as they matter.

    Args:
        patience: steps without a fall after which the loss has stopped falling; None: it never has.
    """

    kept = ("_logged",)

    def __init__(self, patience: int | None) -> None:
        self.patience = patience
        self._logged: list[tuple[int, float]] = []  # step, logarithm of the loss

    def add(self, step: int, loss: float) -> None:
        """Takes a logged loss in."""
        if self.patience is not None:
            self._logged.append((step, math.log(loss) if loss > 0 else -math.inf))
            self._logged = [entry for entry in self._logged if step - entry[0] <= 2 * self.patience]

    @property
    def stalled(self) -> bool:
        """Whether the loss has stopped falling."""
        if self.patience is None or not self._logged or self._logged[-1][0] - self._logged[0][0] < 2 * self.patience:
            return False
        return self._mean(0, self.patience) > self._mean(self.patience, 2 * self.patience) + math.log1p(-FALL)

    def _mean(self, after: int, until: int) -> float:
        """Of the logarithms logged less than ``until`` steps ago, but not less than ``after``."""
        last = self._logged[-1][0]
        chosen = [value for step, value in self._logged if after <= last - step < until]
        return math.fsum(chosen) / len(chosen)
