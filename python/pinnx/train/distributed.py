"""Training on several processes: ``torchrun --nproc-per-node N`` starts them, docs/cluster.md says how.

`DistributedPINNTrainer` adds gradients in every step. `train_locally` has each rank take H steps by itself, on its own
points, and then moves all by the mean of where they came (Douillard et al., "DiLoCo: Distributed low-communication
training of language models", arXiv 2311.08105, algorithm 1, with Nesterov's momentum outside):

    d = x - mean over ranks of x after H steps,    m <- momentum m + d,    x <- x - lr (d + momentum m)

It sends H times less, and ends worse after as many steps; docs/scaling.md has from which link on it pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pinnx.errors import PinnxError
from pinnx.train.flat_tensors import flat, place
from pinnx.train.joined_ranks import joined_ranks
from pinnx.train.phases import Phase
from pinnx.train.problem import Problem
from pinnx.train.ranks import OneProcess, RankLostError
from pinnx.train.trainer import Trainer

__all__ = ["Apart", "DistributedPINNTrainer", "RankLostError", "joined_ranks", "train_locally"]


class DistributedPINNTrainer(Trainer):
    """A `Trainer` whose steps are shared by the processes that ``torchrun`` started, and one of one process else.

    Each step is that of one process, to rounding, whatever the number of ranks; rounding grows over many steps. All
    ranks call the same methods in the same order; the first one alone (``ranks.first``) has the ``hooks`` that write
    files, such as `SaveCheckpoints`.

    Args:
        problem: the same on all ranks.
        phases: as for `Trainer`.
        ranks: that train together; None: those that torchrun started.
        options: as for `Trainer`.

    Raises:
        PinnxError: a strategy that does not work across ranks, with the remedy.
    """

    def __init__(
        self, problem: Problem, phases: Sequence[Phase], *, ranks: OneProcess | None = None, **options: Any
    ) -> None:
        super().__init__(problem, phases, ranks=ranks or joined_ranks(), **options)


class Apart(OneProcess):
    """A rank that takes steps by itself, on its share of the points: what its trainer of `train_locally` is given.

    Args:
        ranks: whose share it takes.
    """

    def __init__(self, ranks: OneProcess) -> None:
        self.rank, self.size, self.first, self.share = ranks.rank, ranks.size, ranks.first, ranks.share

    def summed(self, parameters: Sequence[Tensor], numbers: Tensor) -> Tensor:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(self.size)  # a share of the points is divided by the number of all
        return numbers * self.size


def train_locally(
    trainer: Trainer, ranks: OneProcess, *, rounds: int, every: int, lr: float = 0.7, momentum: float = 0.9
) -> None:
    """Trains ``rounds`` times ``every`` steps by the file's head; each rank keeps the state of its own optimiser.

    It writes no checkpoints and knows no guard. All ranks end with the same parameters.

    Args:
        trainer: with ``ranks=Apart(ranks)``, a method of first order and weights that stay.
        ranks: that train.
        rounds: how often the parameters are brought together.
        every: steps of a rank between, H.
        lr: of the outer step; 1 with momentum 0 is the mean.
        momentum: of the outer step.

    Raises:
        PinnxError: weights that adapt or a method that searches: each rank would follow its own losses.
    """
    if trainer.method.searches or trainer.weights.strategies:
        raise PinnxError("train_locally: expected an optimizer of first order and constant weights, got others")
    parameters = trainer.problem.parameters()
    ranks.take_first(parameters)
    start = flat(parameters)
    speed = torch.zeros_like(start)
    for _ in range(rounds):
        for _ in range(every):
            trainer.train_step()
        mean = flat(parameters)
        ranks.add([mean])
        moved = start - mean / ranks.size
        speed.mul_(momentum).add_(moved)
        start.sub_(moved + momentum * speed, alpha=lr)
        place(start, parameters)
