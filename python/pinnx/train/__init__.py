"""Training: the problem and its parts, the loop, what watches it, optimisers, checkpoints."""

from __future__ import annotations

from pinnx.train.checkpoint import load_checkpoint, save_checkpoint
from pinnx.train.checkpoint_folder import CheckpointFolder, SaveCheckpoints
from pinnx.train.distributed import DistributedPINNTrainer
from pinnx.train.gauss_newton import GaussNewton
from pinnx.train.guard import Guard, PhysicsLostError
from pinnx.train.hooks import Hook, LoggedStep
from pinnx.train.interrupt import StoppedBetweenSteps
from pinnx.train.last_good import NonFiniteLossError
from pinnx.train.objective import Objective
from pinnx.train.optimizers import cosine_schedule, make_optimizer, make_quasi_newton
from pinnx.train.phases import Phase
from pinnx.train.precision import AdaptivePrecisionTrainer
from pinnx.train.problem import Batch, Problem
from pinnx.train.ranks import ALONE
from pinnx.train.stateful import Stateful
from pinnx.train.step_method import FirstOrder, Method
from pinnx.train.streams import CUDAStreamManager
from pinnx.train.tensor_pool import TensorPool
from pinnx.train.trainer import Trainer

__all__ = [
    "ALONE",
    "AdaptivePrecisionTrainer",
    "Batch",
    "CUDAStreamManager",
    "CheckpointFolder",
    "DistributedPINNTrainer",
    "FirstOrder",
    "GaussNewton",
    "Guard",
    "Hook",
    "LoggedStep",
    "Method",
    "NonFiniteLossError",
    "Objective",
    "Phase",
    "PhysicsLostError",
    "Problem",
    "SaveCheckpoints",
    "Stateful",
    "StoppedBetweenSteps",
    "TensorPool",
    "Trainer",
    "cosine_schedule",
    "load_checkpoint",
    "make_optimizer",
    "make_quasi_newton",
    "save_checkpoint",
]
