"""The kinetics of breakage from measured size distributions, with intervals.

    least squares:  sum ((y(unknowns) - y_measured) / sigma)^2,    y = H exp(A t) f_0   (observed_sizes)

Where errors are relative, logarithms take the place of y: far from the answer the misfit of small values is flat
otherwise. The Jacobian is that of the solver: derivatives of the exponential in the directions dA / d unknown. What is
measured at t = 0 may be unknown too: coefficients of the start are then fitted with the kinetics, and their uncertainty
is in the intervals.

Intervals are those of linear least squares at the end, by Student's t. Each value brings its own residual as a measure
of its noise (HC3), since shares near 0 and 1 have less of it than others. They hold where the model is right and the
solver's error is far below the noise. So the fit is held against a finer grid, and repeated there until its numbers no
longer move by a part of their intervals.

Source of HC3: MacKinnon and White, "Some heteroskedasticity-consistent covariance matrix estimators with improved
finite sample properties", Journal of Econometrics 29 (1985) 305-325.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from pinnx.errors import PinnxError
from pinnx.physics.breakage_kinetics import Daughters, Kinetics, TabulatedKinetics
from pinnx.solvers.breakage.distributions import SizeGrid
from pinnx.solvers.breakage.observed_sizes import MeasuredSizes, ObservedModel

__all__ = ["FoundNumber", "KineticsFit", "fit_kinetics"]

Array = NDArray[np.float64]

LEVEL = 0.95
# The largest part of an interval's half width by which a finer grid may move a number: at a tenth, an interval of 95 %
# covers 94.9 %.
MOVED = 0.1
REFINEMENTS = 4
# A value that alone determines a number has a leverage of 1, and no residual.
LARGEST_LEVERAGE = 0.99
# Of numbers without noise, which have no interval: relative.
EXACT = 1e-6
# Of the central difference of the matrix by an unknown: an error of 1e-10 beside rounding of the same size.
STEP = 1e-5
# Of the largest density, below which grids of some 100 sizes have no digits.
FAINT = 1e-8
# Of the model to the measured value, below which a straight line continues its logarithm: on a coarse grid, or far from
# the answer, the model may be below zero where f is next to nothing.
LEAST_RATIO = 1e-3
# What each unknown is in the fit: s0, c + 1 and rates of a table by their logarithms, the last without bounds.
BOUNDS = {"s0": (-np.inf, np.inf), "a": (-10.0, 10.0), "c": (-7.0, 4.0), "q": (0.0, 50.0)}
FREE = (-np.inf, np.inf)
LARGEST_LOGARITHM = 709.0  # the exponential of 710 is beyond float64


class FoundNumber(NamedTuple):
    """A number and its interval of 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class KineticsFit:
    """What was found.

    Args:
        kinetics: with the numbers found.
        found: each of them with its interval, by name.
        start: [k] coefficients of an unknown start; empty where it was known.
        misfit: root mean square of the residuals in units of sigma.
        predicted: [T, r] what the model gives where was measured.
        grid: the sizes of the last fit.
        moved: by how much a finer grid moves the numbers, as a part of the half widths of their intervals; at most 0.1.
    """

    kinetics: Kinetics
    found: dict[str, FoundNumber]
    start: Array
    misfit: float
    predicted: Array
    grid: SizeGrid
    moved: float


def fit_kinetics(
    measured: MeasuredSizes,
    guess: Kinetics,
    grid: SizeGrid,
    *,
    start: Callable[[Array], Array] | None = None,
    start_guess: ArrayLike = (),
    unknown: Sequence[str] = ("s0", "a"),
    sigma: ArrayLike = 1.0,
    relative: bool = False,
    delta_at: float | None = None,
) -> KineticsFit:
    """Finds numbers of the kinetics.

    Args:
        measured: size distributions.
        guess: rate and daughters; what is not unknown stays. With ``TabulatedKinetics`` the rate has any form.
        grid: of the sizes, from the smallest measured volume on or lower.
        start: number density at t = 0, volumes [n] -> [n]; with unknown coefficients -> [n, k].
        start_guess: [k] first values of these coefficients.
        unknown: names out of s0, a, and c, q of the daughters; of a table out of S, c, q. S is its rates, each of which
            is found by a name such as "S(0.5)".
        sigma: standard deviation of each value up to a common factor, of a shape that broadcasts to [T, r].
        relative: sigma is relative to the values, which are > 0: their logarithms are compared.
        delta_at: volume of one particle at t = 0, as for ``solve_breakage``.

    Raises:
        PinnxError: another name, fewer values than unknowns, values that do not determine them, or a noise below what
            the solver reaches.
    """
    names, coefficients = _names(guess, unknown), np.asarray(start_guess, dtype=np.float64)
    fit = _Misfit(measured, guess, names, np.broadcast_to(sigma, measured.values.shape), relative)
    x = np.append(_parameters(guess, names), coefficients)
    model = ObservedModel(grid, measured, start, delta_at)
    for _ in range(REFINEMENTS):
        solved = fit.solve(model, x)
        x, errors = solved.x, fit.errors(solved)
        finer = ObservedModel(model.grid.finer(), measured, start, delta_at)
        change = fit.residual(finer, x) - solved.fun
        step = np.abs(np.linalg.lstsq(solved.jac, change, rcond=None)[0])[: len(names)]
        if (step <= np.maximum(MOVED * errors, EXACT)).all():
            noise = float(np.sqrt(np.sum(solved.fun**2) / fit.freedom(x)))
            widths = np.pad(errors, (0, len(x) - len(errors)))
            ends = [_moved(guess, names, x + sign * widths) for sign in (0.0, -1.0, 1.0)]
            found = {name: FoundNumber(*(_number(kinetics, name) for kinetics in ends)) for name in names}
            moved = float(np.max(step / np.maximum(errors, EXACT)))
            predicted = model.predicted(ends[0], x[len(names) :])
            return KineticsFit(ends[0], found, x[len(names) :], noise, predicted, model.grid, moved)
        model = finer
    worst = names[int(np.argmax(step / errors))]
    raise PinnxError(
        f"fit: expected an error of the solver far below the noise, got one that moves {worst} by "
        f"{np.max(step / errors):.2g} of its interval with {len(model.grid.v)} sizes; begin with a finer grid, "
        "or with edges where the start has kinks"
    )


class _Misfit:
    """Residuals of all unknowns: numbers of the kinetics, then coefficients of the start."""

    def __init__(
        self, measured: MeasuredSizes, guess: Kinetics, names: Sequence[str], sigma: Array, relative: bool
    ) -> None:
        values, self._known = measured.values, np.isfinite(measured.values)
        if not (sigma[self._known] > 0).all() or (relative and not (values[self._known] > 0).all()):
            raise PinnxError("sigma, and values with relative errors: expected numbers > 0 wherever one was measured")
        if relative and (values < FAINT * np.nanmax(values, axis=1, keepdims=True)).any():
            raise PinnxError(
                f"values with relative errors: expected none below {FAINT:g} of the largest at its time, which no grid "
                "has; leave these out"
            )
        self._guess, self._names, self._relative = guess, names, relative
        self._values, self._sigma = values, sigma

    def residual(self, model: ObservedModel, x: Array) -> Array:
        found = model.predicted(_moved(self._guess, self._names, x), x[len(self._names) :])
        if not self._relative:
            return ((found - self._values) / self._sigma)[self._known]
        ratio = found / self._values
        bounded = np.maximum(ratio, LEAST_RATIO)
        return ((np.log(bounded) + (ratio - bounded) / LEAST_RATIO) / self._sigma)[self._known]

    def jacobian(self, model: ObservedModel, x: Array) -> Array:
        u, coefficients = x[: len(self._names)], x[len(self._names) :]
        kinetics = _moved(self._guess, self._names, u)
        directions = [self._direction(model, number, u) for number in range(len(u))]
        slopes = model.slopes(kinetics, directions, coefficients)
        if self._relative:
            slopes = slopes / np.maximum(model.predicted(kinetics, coefficients), LEAST_RATIO * self._values)
        return np.array([(slope / self._sigma)[self._known] for slope in slopes]).T

    def _direction(self, model: ObservedModel, number: int, u: Array) -> Array:
        """The derivative of the matrix by an unknown: a difference, central where the bound of q leaves room."""
        ahead, behind = u.copy(), u.copy()
        ahead[number] += STEP
        behind[number] = max(u[number] - STEP, BOUNDS.get(self._names[number], FREE)[0])
        pair = [model.matrix(_moved(self._guess, self._names, place)) for place in (ahead, behind)]
        difference: Array = (pair[0] - pair[1]) / (ahead[number] - behind[number])
        return difference

    def solve(self, model: ObservedModel, x: Array) -> optimize.OptimizeResult:
        free = [FREE] * (len(x) - len(self._names))
        if self.freedom(x) < 1:
            raise PinnxError(f"values: expected more than {len(x)} numbers, got {int(self._known.sum())}")
        return optimize.least_squares(
            lambda at: self.residual(model, at),
            x,
            jac=lambda at: self.jacobian(model, at),
            bounds=np.array([*(BOUNDS.get(name, FREE) for name in self._names), *free]).T,
            xtol=1e-10,
            ftol=1e-12,
        )

    def freedom(self, x: Array) -> int:
        """How many values there are beyond the unknowns."""
        return int(self._known.sum()) - len(x)

    def errors(self, solved: optimize.OptimizeResult) -> Array:
        """Half widths of the intervals of the numbers of the kinetics, as the fit has them."""
        orthogonal, triangle = np.linalg.qr(solved.jac)
        lengths = np.linalg.norm(triangle, axis=0)
        if not solved.success or not lengths.all() or np.linalg.cond(triangle / lengths) > 1e8:
            names = ", ".join(self._names)
            raise PinnxError(f"fit: the values do not determine {names}; fewer unknowns or more times may help")
        leverage = np.minimum(np.sum(orthogonal**2, axis=1), LARGEST_LEVERAGE)
        spread = np.linalg.inv(triangle) @ (orthogonal * (solved.fun / (1 - leverage))[:, None]).T
        deviations = np.linalg.norm(spread, axis=1)[: len(self._names)]
        widths: Array = deviations * stats.t.ppf((1 + LEVEL) / 2, self.freedom(solved.x))
        return widths


def _rates(kinetics: Kinetics) -> dict[str, float]:
    """Rates of a table by their names; none of a power law."""
    if not isinstance(kinetics, TabulatedKinetics):
        return {}
    return {f"S({v:g})": rate for v, rate in zip(kinetics.volumes, kinetics.rates, strict=True)}


def _names(guess: Kinetics, unknown: Sequence[str]) -> tuple[str, ...]:
    """The unknown numbers, with those of a table in place of S."""
    rates, known = list(_rates(guess)), ("c", "q")
    allowed = ("S", *known) if rates else ("s0", "a", *known)
    if not unknown or not set(unknown) <= set(allowed) or len(set(unknown)) != len(unknown):
        raise PinnxError(f"unknown: expected names out of {', '.join(allowed)}, each once, got {list(unknown)}")
    return tuple(name for given in unknown for name in (rates if given == "S" else [given]))


def _number(kinetics: Kinetics, name: str) -> float:
    rates = _rates(kinetics)
    return rates[name] if name in rates else float(getattr(kinetics.daughters if name in "cq" else kinetics, name))


def _parameters(kinetics: Kinetics, names: Sequence[str]) -> Array:
    """The unknowns as the fit has them."""
    if "s0" in names and kinetics.s0 == 0:
        raise PinnxError("guess: expected s0 > 0 where it is unknown, got 0")
    scaled = {"s0": np.log(kinetics.s0 or 1.0), "a": kinetics.a}
    scaled |= {"c": np.log1p(kinetics.daughters.c), "q": kinetics.daughters.q}
    scaled |= {name: np.log(rate) for name, rate in _rates(kinetics).items()}
    return np.array([scaled[name] for name in names])


def _moved(kinetics: Kinetics, names: Sequence[str], u: Array) -> Kinetics:
    """The kinetics with unknowns of the fit, the first ones of u."""
    given = dict(zip(names, u.tolist(), strict=False))
    daughters = Daughters(
        float(np.expm1(given["c"])) if "c" in given else kinetics.daughters.c,
        max(given.get("q", kinetics.daughters.q), 0.0),
    )
    if isinstance(kinetics, TabulatedKinetics):
        rates = tuple(float(np.exp(given.get(name, np.log(rate)))) for name, rate in _rates(kinetics).items())
        return replace(kinetics, rates=rates, daughters=daughters)
    if given.get("s0", 0.0) > LARGEST_LOGARITHM:
        raise PinnxError("fit: expected values that tell s0, got some for which it, or its interval, has no bound")
    s0 = float(np.exp(given["s0"])) if "s0" in given else kinetics.s0
    return replace(kinetics, s0=s0, a=given.get("a", kinetics.a), daughters=daughters)
