"""How the terms of a loss are weighed."""

from __future__ import annotations

from pinnx.losses.balancing import GradNorm, ReLoBRaLo
from pinnx.losses.progressive import ProgressivePhysics, progressive_loss_weights
from pinnx.losses.weighting import LossWeights, WeightStrategy

__all__ = [
    "GradNorm",
    "LossWeights",
    "ProgressivePhysics",
    "ReLoBRaLo",
    "WeightStrategy",
    "progressive_loss_weights",
]
