"""Training: the problem, the loop, optimisers, checkpoints."""

from __future__ import annotations

from pinnx.train.checkpoint import load_checkpoint, save_checkpoint
from pinnx.train.optimizers import cosine_schedule, make_optimizer
from pinnx.train.problem import Batch, PointCounts, Problem
from pinnx.train.trainer import LoggedStep, NonFiniteLossError, StoppedBetweenSteps, Trainer

__all__ = [
    "Batch",
    "LoggedStep",
    "NonFiniteLossError",
    "PointCounts",
    "Problem",
    "StoppedBetweenSteps",
    "Trainer",
    "cosine_schedule",
    "load_checkpoint",
    "make_optimizer",
    "save_checkpoint",
]
