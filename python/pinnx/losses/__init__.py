"""How the terms of a loss are weighed."""

from __future__ import annotations

from pinnx.losses.weighting import LossWeights

__all__ = ["LossWeights"]
