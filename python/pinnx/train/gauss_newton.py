"""Gauss-Newton with the damping of Levenberg and Marquardt, at fresh points in each step.

    (J' J + mu 1) d = -J' r,    parameters += s d,    s = 1, 1/2, 1/4, 1/10, 1/30: the first that lowers the loss

r are the weighted residuals whose squares add up to the loss, J their Jacobian. mu is `damping` times the mean of the
diagonal of J' J. It shrinks after a whole and a half step, grows after shorter ones, and fourfold where none lowers the
loss. That a step raises the loss at the next points is no reason for more: next to corners a few points make up the
loss, and damping that follows them holds the field back elsewhere (cavity at Re 3200, 80 steps: 0.16 for 0.032).
Float64: the condition of J' J is the square of J's, and float32 has no digits left for it.

Levenberg, Q. Appl. Math. 2 (1944), 164-168; Marquardt, J. SIAM 11 (1963), 431-441. For networks of PDEs this is energy
natural gradient descent on least squares: Müller and Zeinhofer, ICML 2023.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pinnx.errors import PinnxError
from pinnx.kept_state import KeptState
from pinnx.train.flat_tensors import flat, place
from pinnx.train.normal_equations import NormalEquations
from pinnx.train.objective import Objective
from pinnx.train.problem import Batch, Problem
from pinnx.train.ranks import OneProcess
from pinnx.train.residual_rows import ResidualRows

__all__ = ["GaussNewton", "rows_for"]

LENGTHS = (1.0, 0.5, 0.25, 0.1, 1 / 30)
SMALLEST, LARGEST = 1e-14, 1e12
# Of the damping, by the length of the step; 1.2 for the others. With 1.2 for halves and quarters too, which the noise
# of fresh points asks for in most steps, 80 steps on the cavity at Re 3200 ended at 0.032 in place of 0.016.
GROWTH = {1.0: 0.5, 0.5: 0.7, 0.25: 1.0, 0.0: 4.0}
# Draws of the points in a row at which no step lowered the loss: then none will.
GIVES_UP = 20
# The loss has to be the sum of the rows' squares, to rounding; a robust loss is not.
SAME = 1e-6


def rows_for(problem: Problem, ranks: OneProcess) -> ResidualRows:
    """The rows of a problem's residuals, for a training by Gauss-Newton.

    Raises:
        PinnxError: several ranks; a network or a term that has no rows.
    """
    if ranks.size > 1:
        raise PinnxError(
            f"train.optimizer gauss_newton: expected one process, got {ranks.size} ranks; use another optimizer, or "
            "start without torchrun"
        )
    rows = ResidualRows(problem)
    rows.unknowns()
    return rows


class GaussNewton(KeptState):
    """Steps of damped Gauss-Newton.

    Args:
        objective: float64; its loss is a sum of squares.

    Attributes:
        stopped: see `Method`.

    Raises:
        PinnxError: float32; several ranks; a network or a term that has no rows (`ResidualRows`).
    """

    searches: ClassVar[bool] = True
    first_damping: ClassVar[float] = 1e-2
    kept = ("_damping", "_length", "_steps", "_failures", "_products", "stopped")
    stopped = ""

    def __init__(self, objective: Objective) -> None:
        dtype = objective.problem.model.frequencies.dtype
        if dtype != torch.float64:
            raise PinnxError(f"train.optimizer gauss_newton: expected a phase in float64, got {dtype}")
        self._objective, self._rows = objective, rows_for(objective.problem, objective.ranks)
        self._unknowns = self._rows.unknowns()
        self._damping, self._length, self._steps, self._failures, self._products = self.first_damping, 0.0, 0, 0, 0
        self._equations: NormalEquations | None = None
        self._total = 0.0

    @torch.no_grad()
    def evaluate(self, batch: Batch) -> Tensor:
        objective = self._objective
        total, columns = objective.problem.loss(batch, objective.weights)
        residual, blocks = self._rows.at(batch, objective.weights)
        squares, self._total = float(residual.square().sum()), float(total)
        if abs(squares - self._total) > SAME * abs(self._total):
            raise PinnxError(
                "train.optimizer gauss_newton: expected a loss that is a sum of squares (train.data_loss: squares), "
                f"got {self._total:g} where the squares add up to {squares:g}"
            )
        self._equations = NormalEquations(blocks, residual, seed=self._steps, memory=self._equations)
        return torch.cat([total.reshape(1), columns, self._equations.gradient.sum().reshape(1)])

    @torch.no_grad()
    def update(self, batch: Batch) -> None:
        equations = self._equations
        if equations is None:
            raise RuntimeError("update: expected evaluate at the same batch before it")
        step = equations.solve(self._damping)
        while step is None and self._damping < LARGEST:
            self._damping *= 10.0
            step = equations.solve(self._damping)
        self._length = 0.0 if step is None else self._searched(batch, step)
        self._products = equations.products
        growth = GROWTH.get(self._length, 1.2)
        self._damping = min(max(growth * self._damping, SMALLEST), LARGEST)
        self._failures = self._failures + 1 if self._length == 0.0 else 0
        self._steps += 1
        if self._failures == GIVES_UP:
            self.stopped = f"no step lowered the loss at {GIVES_UP} draws of the points"

    def _searched(self, batch: Batch, step: Tensor) -> float:
        """Moves along the step as far as the loss falls. Returns how far; 0: it fell nowhere, and nothing has moved."""
        start = flat(self._unknowns)
        for length in LENGTHS:
            place(start + length * step, self._unknowns)
            if float(self._objective.total(batch)) < self._total:  # not where it is NaN
                return length
        place(start, self._unknowns)
        return 0.0

    def shrink(self, factor: float) -> None:
        self._damping /= factor

    def logged(self) -> dict[str, float]:
        """``lr`` is the length of the step, 0 where none was taken; ``damping`` that of the next one."""
        found = {"lr": self._length, "damping": self._damping}
        return found | ({"products": float(self._products)} if self._products else {})
