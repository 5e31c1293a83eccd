"""Constraints in place of weights: an augmented Lagrangian whose multipliers and penalties adapt.

    minimise  J + sum_i (lambda_i C_i + mu_i C_i^2 / 2),    C_i: the constraint columns, J: the others

Basir and Senocak, "An adaptive augmented Lagrangian method for training physics and equality constrained artificial
neural networks", arXiv 2306.04904 (2023), algorithm 3 with its constants 0.01, 0.99 and 1e-8, which are also those of
the authors' programs (github.com/HiPerSimLab/PECANN-DDM, forward/poisson_simple/main.py at 73be447). With
L_i = configured_i column_i for C_i, after each step

    v_i <- memory v_i + (1 - memory) C_i^2,    mu_i = growth / (sqrt(v_i) + 1e-8),    lambda_i <- lambda_i + mu_i C_i

so a multiplier grows by about ``growth`` in a step while its column stays as large as it was, and less once it falls.
The gradient of the sum is that of weights lambda_i + mu_i C_i; C_i is here that of the step before. lambda_i begins
at 1, v_i at 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pinnx.errors import PinnxError
from pinnx.kept_state import KeptState
from pinnx.losses.weighting import Probes

__all__ = ["AugmentedLagrangian"]

SMALLEST_ROOT = 1e-8


class AugmentedLagrangian(KeptState):
    """Holds some columns as equality constraints; see the file's head.

    Args:
        configured: weights of the columns, [c].
        constraints: one for each column: whether it is one.
        growth: of a multiplier in a step, gamma of the paper.
        memory: share of v that stays from step to step.

    Raises:
        PinnxError: no constraint.
    """

    name = "lagrangian"
    kept = ("factors", "_multipliers", "_squares")

    def __init__(
        self, configured: Tensor, constraints: list[bool], *, growth: float = 0.01, memory: float = 0.99
    ) -> None:
        if not any(constraints):
            raise PinnxError("train.balance: expected a column of the loss that can be a constraint, got none")
        self._configured, self._growth, self._memory = configured, growth, memory
        self._constrained = configured.new_tensor([float(column) for column in constraints])
        self._squares = torch.zeros_like(configured)
        self._multipliers = torch.ones_like(configured)
        self.factors = torch.ones_like(configured)

    @torch.no_grad()
    def adapt(self, step: int, columns: Tensor, probes: Probes) -> None:
        constraints = columns * self._configured * self._constrained
        self._squares.lerp_(constraints.square(), 1.0 - self._memory)
        pull = self._growth / (self._squares.sqrt() + SMALLEST_ROOT) * constraints
        self._multipliers.add_(pull)
        torch.add(self._multipliers, pull, out=self.factors)
