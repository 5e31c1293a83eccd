"""How the terms of a loss are weighed."""

from __future__ import annotations

from pinnx.losses.balancing import GradNorm, ReLoBRaLo, TangentKernel
from pinnx.losses.causal import CausalWeights
from pinnx.losses.curriculum import Curriculum
from pinnx.losses.discrepancy import Discrepancy, usual_square
from pinnx.losses.lagrangian import AugmentedLagrangian
from pinnx.losses.progressive import ProgressivePhysics, progressive_loss_weights
from pinnx.losses.robust import adaptive_epsilon, adaptive_huber, adaptive_weights, clipped, huber, log_space
from pinnx.losses.weighting import LossWeights, Probes, WeightStrategy

__all__ = [
    "AugmentedLagrangian",
    "CausalWeights",
    "Curriculum",
    "Discrepancy",
    "GradNorm",
    "LossWeights",
    "Probes",
    "ProgressivePhysics",
    "ReLoBRaLo",
    "TangentKernel",
    "WeightStrategy",
    "adaptive_epsilon",
    "adaptive_huber",
    "adaptive_weights",
    "clipped",
    "huber",
    "log_space",
    "progressive_loss_weights",
    "usual_square",
]
