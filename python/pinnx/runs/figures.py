"""Figures of a run beside those of an earlier one: better, the same, or worse, with the noise of both in mind.

A figure is ``{"value", "unit", "better": "lower" or "higher", "spread"}``. Its spread is half the distance of the
quartiles of what was repeated, relative to the median; zero where nothing was. The ratio r of two figures, turned so
that more is better, counts as another value where |log r| exceeds log(1 + MARGIN) and SPREADS times both spreads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pinnx.errors import PinnxError

__all__ = ["compare_figures", "relative_spread"]

# A speed below 0.8 of the baseline, or as much more memory, is a warning in every gate of the package.
MARGIN = 0.25
# Of a normal distribution half the distance of the quartiles is 0.67 standard deviations: this is three of those.
SPREADS = 4.5


def relative_spread(numbers: Sequence[float]) -> float:
    """Half the distance of the quartiles over the median; 0 for fewer than four."""
    if len(numbers) < 4:
        return 0.0
    low, middle, high = np.quantile(numbers, (0.25, 0.5, 0.75))
    return float((high - low) / 2 / middle)


def compare_figures(now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The verdict on each figure that both have.

    Returns:
        Name -> ``{"before", "ratio" (of the values), "verdict"}``.

    Raises:
        PinnxError: a value that is not positive and finite.
    """
    found = {}
    for name in now:
        if name not in before:
            continue
        values = [float(item[name]["value"]) for item in (now, before)]
        if not all(0 < value < math.inf for value in values):
            raise PinnxError(f"{name}: expected values > 0, got {values[0]:g} now and {values[1]:g} before")
        change = math.log(values[0] / values[1]) * (1 if now[name]["better"] == "higher" else -1)
        noise = SPREADS * math.hypot(*(item[name].get("spread", 0.0) for item in (now, before)))
        another = abs(change) > max(math.log1p(MARGIN), noise)
        verdict = ("better" if change > 0 else "worse") if another else "same"
        found[name] = {"before": values[1], "ratio": values[0] / values[1], "verdict": verdict}
    return found
