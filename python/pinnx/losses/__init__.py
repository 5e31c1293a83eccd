"""From residuals to the number that is minimised."""

from __future__ import annotations

from pinnx.losses.terms import mean_square, weighted_total

__all__ = ["mean_square", "weighted_total"]
