"""The noise of measurements, found by leaving each sensor out: in closed form, from the Jacobian of all residuals.

Linear in the weights of the network, damped by mu, the rows are Gaussian processes. Equations and sides (p) say
what the sensors (d) should see, with a covariance C; the measurements differ from it by z:

    G = J J' + mu 1,    C = J_d J_d' - G_dp G_pp^-1 G_pd,    z = r_d - G_dp G_pp^-1 r_p

With a variance nu of the noise and K = C + nu 1, all others predict a sensor s with the error e_s, and a fit to all of
them misses it by r_s:

    e_s = ([K^-1]_ss)^-1 [K^-1 z]_s,    r_s = nu [K^-1 z]_s

That nu is taken whose errors e_s are the least. The covariance of r_s and e_s is the variance of the noise, so the mean
of their product is its estimate. What the equations cannot explain (a wrong viscosity, say) counts as noise.

One sensor that is wrong spoils the errors of all others, so each is taken out of the measurements as well:

    others_s = min over nu of the sum of e_q^2 of all q != s without s,    F_s = (Q - Q_s) / c_s : Q_s / (n - c_s)

with Q = z' K^-1 z of all n numbers, Q_s without the c_s of sensor s: the test of s as an outlier. Both must stand out.
An error alone may be large because no other sensor tells what is there.

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), section 5.4.2; of the outlier
test Cook and Weisberg, Residuals and Influence in Regression (1982), section 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pinnx.physics.measured_values import MeasuredValues
from pinnx.train.number_estimates import DAMPING, POINTS
from pinnx.train.problem import Problem
from pinnx.train.residual_rows import ResidualRows, damped_factor, mean_diagonal, thinned

__all__ = ["NoiseEstimate", "estimated_noise"]

# Of nu over the mean of the diagonal of C, each: from "the sensors are exact" to "they say nothing".
TRIALS = np.logspace(-8, 4, 49)
# By how much taking one sensor out divides the sum of squares of the others, and F. Chosen on 14 to 20 sensors, one of
# them wrong (suction, stagnation, cells, a vortex, an oscillating plate): 5.7 to 86 and 19 to 94 where it stands out,
# 2.4 and 27 where it does less. Right ones: at most 3.3 and 9.4, also where the viscosity is wrong, and 2.0 and 17 in a
# vortex without sides where another one is wrong.
DIVIDED, OUTLYING, FEWEST = 4.0, 15.0, 8


class Contradicting(NamedTuple):
    """A sensor that the others and the equations contradict.

    Args:
        place: [dim], where it stands, in the user's units.
        left_out: as of `NoiseEstimate`, of all others where it is not among the measurements.
    """

    place: list[float]
    left_out: float


class NoiseEstimate(NamedTuple):
    """In the units in which the network is trained.

    Args:
        deviation: standard deviation of the noise, of a measurement with the mean weight.
        left_out: root mean square of the errors at sensors that are left out.
        contradicting: the one sensor without which these are half as large or less; None: there is none.
    """

    deviation: float
    left_out: float
    contradicting: Contradicting | None = None


def estimated_noise(problem: Problem, weights: Tensor, step: int) -> NoiseEstimate | None:
    """The noise of the measurements of a problem; None where no sensor can be left out.

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
def _estimate(problem: Problem, weights: Tensor, step: int) -> NoiseEstimate | None:
    batch = problem.batch(step)
    ((number, term),) = [(i, term) for i, term in enumerate(problem.terms) if type(term) is MeasuredValues]
    residual, blocks = ResidualRows(problem).at(batch, weights, most=POINTS)
    pieces = list(residual.split([len(block) for block in blocks]))
    data, seen = blocks.pop(number), pieces.pop(number)
    others = torch.cat(pieces)
    x = thinned(batch[term.name], weights, POINTS)[0]["x"]
    at, places = torch.unique(x[:, -term.vector :], dim=0, return_inverse=True)
    places = places.repeat_interleave(len(data) // len(x))
    kept = data.abs().sum(1) > 0.0  # a number that was not measured has a row of zeros
    data, seen, places = data[kept], seen[kept], places[kept]
    if len(places.unique()) < 2:
        return None
    factor = damped_factor(blocks, DAMPING * mean_diagonal([*blocks, data]))
    cross = torch.cat([block @ data.T for block in blocks])
    solved = torch.cholesky_solve(torch.cat([cross, others[:, None]], dim=1), factor)
    explained = data @ data.T - cross.T @ solved[:, :-1]
    misfit = seen - cross.T @ solved[:, -1]
    named = places.unique()
    groups = [torch.nonzero(places == place)[:, 0] for place in named]
    (left_out, noise), odd = _least(explained, misfit, groups)
    weight = float(weights[problem.names.index(*term.names)])
    contradicting = None
    if odd is not None and len(groups) >= FEWEST and odd[0] <= left_out / DIVIDED:
        model, place = problem.model, at[named[odd[1]]].cpu().numpy()
        place = place * model.coordinate_scales[-term.vector :] + model.origin[-term.vector :]
        contradicting = Contradicting(place.tolist(), (odd[0] / weight) ** 0.5)
    return NoiseEstimate((max(noise, 0.0) / weight) ** 0.5, (left_out / weight) ** 0.5, contradicting)


def _least(
    explained: Tensor, misfit: Tensor, groups: Sequence[Tensor]
) -> tuple[tuple[float, float], tuple[float, int] | None]:
    """Sums of e^2 and of r e, of the trial whose e^2 are the least; the least e^2 without an outlier, and which it is.

    Args:
        explained: C, [n, n].
        misfit: z, [n].
        groups: rows of each sensor.
    """
    values, vectors = torch.linalg.eigh(explained)
    found, without = [], []
    for trial in (TRIALS * float(explained.diagonal().mean())).tolist():
        inverse = (vectors / (values.clamp_min(0.0) + trial)) @ vectors.T
        pulled, errors = inverse @ misfit, _errors(inverse, misfit, groups)
        found.append((float(errors.square().sum()), trial * float(pulled @ errors)))
        outlying, s = max((_outlying(pulled, errors, misfit, group), s) for s, group in enumerate(groups))
        if outlying >= OUTLYING:
            group = groups[s]
            rest = inverse - inverse[:, group] @ torch.linalg.solve(inverse[group][:, group], inverse[group])
            without.append((float(_errors(rest, misfit, [*groups[:s], *groups[s + 1 :]]).square().sum()), s))
    return min(found), min(without, default=None)


def _outlying(pulled: Tensor, errors: Tensor, misfit: Tensor, group: Tensor) -> float:
    """F of a sensor: Q - Q_s is K^-1 z times e, over its rows."""
    own, square = float(pulled[group] @ errors[group]), float(pulled @ misfit)
    return own / len(group) * (len(misfit) - len(group)) / max(square - own, np.finfo(float).tiny)


def _errors(inverse: Tensor, misfit: Tensor, groups: Sequence[Tensor]) -> Tensor:
    """e of each sensor where it is left out, [n]; 0 in rows of no group."""
    pulled, errors = inverse @ misfit, torch.zeros_like(misfit)
    for group in groups:
        errors[group] = torch.linalg.solve(inverse[group][:, group], pulled[group])
    return errors
