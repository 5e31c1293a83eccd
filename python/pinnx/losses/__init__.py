"""Terms of a loss."""

from __future__ import annotations

from pinnx.losses.terms import masked_mean_square

__all__ = ["masked_mean_square"]
