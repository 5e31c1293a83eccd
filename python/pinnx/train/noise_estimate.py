"""The noise of measurements, found by leaving each sensor out: in closed form, from the Jacobian of all residuals.

Linear in the weights of the network, damped by mu, the rows are Gaussian processes. Equations and sides (p) say
what the sensors (d) should see, with a covariance C; the measurements differ from it by z:

    G = J J' + mu 1,    C = J_d J_d' - G_dp G_pp^-1 G_pd,    z = r_d - G_dp G_pp^-1 r_p

With a variance nu of the noise and K = C + nu 1, all others predict a sensor s with the error e_s, and a fit to all of
them misses it by r_s:

    e_s = ([K^-1]_ss)^-1 [K^-1 z]_s,    r_s = nu [K^-1 z]_s

That nu is taken whose errors e_s are the least. The covariance of r_s and e_s is the variance of the noise, so the mean
of their product is its estimate. What the equations cannot explain (a wrong viscosity, say) counts as noise.

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), section 5.4.2.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pinnx.physics.measured_values import MeasuredValues
from pinnx.train.number_estimates import DAMPING, POINTS
from pinnx.train.problem import Problem
from pinnx.train.residual_rows import ResidualRows, damped_factor, mean_diagonal, thinned

__all__ = ["estimated_noise"]

# Of nu over the mean of the diagonal of C, each: from "the sensors are exact" to "they say nothing".
TRIALS = np.logspace(-8, 4, 49)


def estimated_noise(problem: Problem, weights: Tensor, step: int) -> float | None:
    """The standard deviation of the noise of a problem's measurements; None where no sensor can be left out.

    It is that of a measurement with the mean weight, in the units in which the network is trained.

    Args:
        problem: at any time of its training; it is computed in float64 and left as it was.
        weights: of the columns of the loss, [c].
        step: whose points are used.

    Raises:
        PinnxError: a network or a term that `ResidualRows` does not take.
    """
    with problem.in_dtype(torch.float64):
        return _estimate(problem, weights.double(), step)


@torch.no_grad()
def _estimate(problem: Problem, weights: Tensor, step: int) -> float | None:
    batch = problem.batch(step)
    ((number, term),) = [(i, term) for i, term in enumerate(problem.terms) if type(term) is MeasuredValues]
    residual, blocks = ResidualRows(problem).at(batch, weights, most=POINTS)
    pieces = list(residual.split([len(block) for block in blocks]))
    data, seen = blocks.pop(number), pieces.pop(number)
    others = torch.cat(pieces)
    x = thinned(batch[term.name], weights, POINTS)[0]["x"]
    places = torch.unique(x[:, -term.vector :], dim=0, return_inverse=True)[1].repeat_interleave(len(data) // len(x))
    kept = data.abs().sum(1) > 0.0  # a number that was not measured has a row of zeros
    data, seen, places = data[kept], seen[kept], places[kept]
    if len(places.unique()) < 2:
        return None
    factor = damped_factor(blocks, DAMPING * mean_diagonal([*blocks, data]))
    cross = torch.cat([block @ data.T for block in blocks])
    solved = torch.cholesky_solve(torch.cat([cross, others[:, None]], dim=1), factor)
    explained = data @ data.T - cross.T @ solved[:, :-1]
    _, noise = _least(explained, seen - cross.T @ solved[:, -1], places)
    return (max(noise, 0.0) / float(weights[problem.names.index(*term.names)])) ** 0.5


def _least(explained: Tensor, misfit: Tensor, places: Tensor) -> tuple[float, float]:
    """Sums of e^2 and of r e, of the trial whose e^2 are the least."""
    values, vectors = torch.linalg.eigh(explained)
    scale = float(explained.diagonal().mean())
    groups = [torch.nonzero(places == place)[:, 0] for place in places.unique()]
    found = []
    for trial in TRIALS * scale:
        inverse = (vectors / (values.clamp_min(0.0) + trial)) @ vectors.T
        pulled = inverse @ misfit
        errors = torch.empty_like(misfit)
        for group in groups:
            errors[group] = torch.linalg.solve(inverse[group][:, group], pulled[group])
        noise = float((trial * pulled * errors).sum())
        found.append((float(errors.square().sum()), noise))
    return min(found)
