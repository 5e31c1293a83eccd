"""The factor on the loss in float16, so that small cotangents stay in its range.

It is halved where a gradient overflows, and doubled after some steps without.

Source: Micikevicius et al., "Mixed precision training", ICLR 2018.
"""

from __future__ import annotations

from pinnx.kept_state import KeptState

__all__ = ["LossScale"]

# As torch's GradScaler: the first scale, and the steps without an overflow after which it doubles.
FIRST_SCALE = 2.0**16
DOUBLED_AFTER = 2000
LARGEST_SCALE = 2.0**24


class LossScale(KeptState):
    """A power of two, from 1 to 2^24.

    Attributes:
        value: of the step at hand.
    """

    kept = ("value", "_good")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begins anew."""
        self.value, self._good = FIRST_SCALE, 0

    @property
    def is_new(self) -> bool:
        """Whether no step has shown yet that it does not overflow."""
        return self._good % DOUBLED_AFTER == 0

    def count(self) -> None:
        """After a step without an overflow."""
        self._good += 1
        if self._good % DOUBLED_AFTER == 0:
            self.value = min(2 * self.value, LARGEST_SCALE)

    def lower(self) -> bool:
        """Halves it after an overflow; False where it is 1 already."""
        if self.value <= 1.0:
            return False
        self.value, self._good = self.value / 2, 0
        return True
