"""What the end of a training says of the numbers that it found: where the loss would take them, and an interval.

A viscosity and the fields that belong to it move together: along that valley the loss is so flat that a training ends
before its floor. There the weighted residuals r are nearly linear in the network's weights (J) and in the numbers (C):

    loss = |r + J w + C d|^2 + mu |w|^2,    V = mu (J J' + mu 1)^-1 C,    d = -(C' V)^-1 V' r

d is what the numbers have left to go once the fields may follow, the step of Gauss-Newton. Its standard error is that
of least squares with residuals of unequal size (White, Econometrica 48 (1980)):

    covariance = (C' V)^-1 V' diag(r^2) V (C' V)^-1

The interval is value + d -+ (|d| + 2 standard errors): what was not linear is taken to be as large as d itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from pinnx.train.problem import Problem
from pinnx.train.residual_rows import ResidualRows, damped_factor, mean_diagonal

__all__ = ["Estimate", "number_estimates"]

# Of each term: 2 to 7 s and up to 0.9 GB on the presets. Twice as many take three times that, and of eight intervals
# of presets they make two too narrow in place of one.
POINTS = 512
# mu, relative to the mean diagonal of J' J: with 1e-5 the weakest directions, which go with the viscosity, are held.
DAMPING = 1e-7
# An interval of a larger half width, relative, says no more than that the number is not determined, or has not arrived.
WIDEST = 0.6


class Estimate(NamedTuple):
    """A number in units of its parameter (a viscosity by its logarithm): the estimate and its interval."""

    value: float
    low: float
    high: float


def number_estimates(
    problem: Problem, weights: Tensor, step: int, *, widest: float = WIDEST
) -> Mapping[str, Estimate | None]:
    """An estimate of each number that the equations of a problem learn.

    Args:
        problem: at the end of its training; it is computed in float64 and left as it was.
        weights: of the columns of the loss, [c].
        step: whose points are used; of one that the training has not drawn they are new.
        widest: half width of an interval, relative, from which on there is none.

    Returns:
        Name of the parameter -> its estimate; None where its interval is too wide to say anything.

    Raises:
        PinnxError: a network or a term that `ResidualRows` does not take.
    """
    with problem.in_dtype(torch.float64):
        return _estimates(problem, weights.double(), step, widest)


@torch.no_grad()
def _estimates(problem: Problem, weights: Tensor, step: int, widest: float) -> dict[str, Estimate | None]:
    rows = ResidualRows(problem)
    residual, blocks = rows.at(problem.batch(step), weights, most=POINTS)
    num_weights = blocks[0].shape[1] - len(rows.numbers)
    by_numbers = torch.cat([block[:, num_weights:] for block in blocks])
    by_weights = [block[:, :num_weights] for block in blocks]
    damping = DAMPING * mean_diagonal(by_weights)
    factor = damped_factor(by_weights, damping)
    reached = damping * torch.cholesky_solve(by_numbers, factor)
    inverse = torch.linalg.inv(by_numbers.T @ reached)
    steps = -inverse @ (reached.T @ residual)
    spread = (inverse @ (reached * residual[:, None]).T).square().sum(1).sqrt()
    found = zip(rows.names_of_numbers, rows.numbers, steps.tolist(), spread.tolist(), strict=True)
    return {
        name: _estimate(float(number), *given, widest, logarithmic=name.startswith("log_"))
        for name, number, *given in found
    }


def _estimate(number: float, step: float, error: float, widest: float, *, logarithmic: bool) -> Estimate | None:
    """None where the interval is too wide: of a logarithm, or of a force relative to it and to its unit."""
    half, most = abs(step) + 2 * error, widest * (1.0 if logarithmic else max(1.0, abs(number)))
    return Estimate(number + step, number + step - half, number + step + half) if half < most else None
