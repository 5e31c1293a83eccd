"""Training on several processes: ``torchrun --nproc-per-node N`` starts them, docs/cluster.md says how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pinnx.train.phases import Phase
from pinnx.train.problem import Problem
from pinnx.train.ranks import OneProcess, RankLostError, joined_ranks
from pinnx.train.trainer import Trainer

__all__ = ["DistributedPINNTrainer", "RankLostError", "joined_ranks"]


class DistributedPINNTrainer(Trainer):
    """A `Trainer` whose steps are shared by the processes that ``torchrun`` started, and one of one process else.

    The trajectory is that of one process, to rounding, whatever the number of ranks. All ranks call the same methods in
    the same order; ``hooks`` that write files belong on the first one alone (``ranks.first``).

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
