"""The viscosity, and coefficients of what drives a flow in a box, from sensors: Gauss-Newton on the discrete equations.

    minimise  sum |velocity(x_i; a_1, ..., a_K, log nu) - measured_i|^2

Every field that is tried satisfies the equations. Derivatives are exact: the factors of one Jacobian serve all numbers.
Steps are kept in a region of trust (Branch, Coleman and Li, SIAM J. Sci. Comput. 21, 1999; in SciPy).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline
from scipy.optimize import least_squares

from pinnx.errors import PinnxError
from pinnx.solvers.box_flow import BoxFlow, NoSteadyFlowError, Solved
from pinnx.solvers.grid_sequence import BoxProblem, Study, continued, default_cells, grid_sequence

__all__ = ["Fit", "fit_box"]

Array = NDArray[np.float64]

# Changes of log nu and of coefficients that end the search.
SETTLED = 1e-4


@dataclass(frozen=True, eq=False)
class Fit:
    """What sensors say of a flow.

    Args:
        study: the flow on three grids; its ``nu`` and ``a`` are those found.
        errors: relative standard errors: of a_1, ..., a_K in units of one, and of nu where it was fitted.
        misfit: |velocity - measured| / |measured|, extrapolated as the fields are.
    """

    study: Study
    errors: Array
    misfit: float


class _Search:
    """Least squares on one grid after another, each from the numbers of the one before."""

    def __init__(self, problem: BoxProblem, points: Array, velocity: Array, learn_nu: bool, guess: Sequence[float]):
        origin = [problem.bounds[axis][0] for axis in "xy"]
        self._points, self._known = (points - origin) / problem.scales.length, np.isfinite(velocity)
        self._measured = velocity[self._known] / problem.scales.velocity
        self._learn_nu = learn_nu
        self.nu, self.a = problem.nu / problem.scales.viscosity, np.array([1.0, *guess])
        self.errors = np.empty(0)

    def solve(self, flow: BoxFlow, start: Solved | None) -> Solved:
        """The flow of the numbers that fit best on this grid."""
        tried: list[Solved] = [continued(flow, start, self.nu, self.a)]

        def misfit(change: Array) -> Array:
            log_nu = change[-1] if self._learn_nu else 0.0
            a = self.a + np.append(0.0, change[: len(self.a) - 1])
            try:
                tried.append(continued(flow, tried[-1], self.nu * float(np.exp(log_nu)), a))
            except NoSteadyFlowError:
                return np.full_like(self._measured, np.inf)  # the step is tried again, shorter
            return self._seen(flow, flow.nodal(tried[-1].state, a)[0], a) - self._measured

        zero = np.zeros(len(self.a) - 1 + self._learn_nu)
        found = least_squares(misfit, zero, lambda _: self._slopes(flow, tried[-1]), xtol=SETTLED, ftol=SETTLED)
        misfit(found.x)
        freedom = max(1, len(self._measured) - len(zero))
        self.errors = np.sqrt(np.diag(np.linalg.pinv(found.jac.T @ found.jac)) * 2 * found.cost / freedom)
        self.nu, self.a = tried[-1].nu, tried[-1].a
        return tried[-1]

    def _slopes(self, flow: BoxFlow, solved: Solved) -> Array:
        """Derivatives of what is seen with respect to a_1, ..., a_K and log nu, [k, K or K + 1]."""
        by = flow.sensitivities(solved)
        walls = [*np.eye(len(self.a))[1:], 0 * self.a]  # the viscosity moves no wall
        nodal = [flow.nodal(np.append(psi, psi), wall)[0] for psi, wall in zip(by.T, walls, strict=True)]
        *seen, by_nu = (self._seen(flow, psi, wall) for psi, wall in zip(nodal, walls, strict=True))
        return np.column_stack([*seen, solved.nu * by_nu] if self._learn_nu else seen)

    def _seen(self, flow: BoxFlow, psi: Array, a: Array) -> Array:
        """The velocity at the sensors, where it was measured."""
        columns = np.moveaxis(flow.velocity(psi, a), -1, 0)
        splines = [RectBivariateSpline(flow.x, flow.y, values, kx=flow.degree, ky=flow.degree) for values in columns]
        return np.column_stack([spline.ev(*self._points.T) for spline in splines])[self._known]


def fit_box(
    problem: BoxProblem,
    points: Array,
    velocity: Array,
    *,
    learn_nu: bool,
    guess: Sequence[float] = (),
    num_cells: int | None = None,
) -> Fit:
    """The viscosity and the coefficients of the walls from measured velocities.

    Args:
        problem: the flow; its ``nu`` is the first guess where ``learn_nu``.
        points: [k, 2], places of the sensors.
        velocity: [k, 2], measured there; NaN where a component was not.
        learn_nu: whether the viscosity is fitted.
        guess: of a_1, ..., a_K.
        num_cells: as for ``solve_box``; None: by the Reynolds number of the guess.

    Raises:
        PinnxError: nothing to fit, or fewer measurements than numbers.
        NoSteadyFlowError: no steady flow was found.
    """
    measured, unknown = int(np.isfinite(velocity).sum()), len(guess) + learn_nu
    if not 1 <= unknown <= measured or len(problem.walls) != 1 + len(guess):
        wanted = "fit_box: expected one unknown number or more, and as many measurements"
        raise PinnxError(f"{wanted}; got {unknown} numbers and {measured} measurements")
    search = _Search(problem, points, velocity, learn_nu, guess)
    study = grid_sequence(problem, search.solve, num_cells or default_cells(1 / search.nu))
    left = (study.at(points)[:, :2] - velocity)[np.isfinite(velocity)]
    return Fit(study, search.errors, float(np.linalg.norm(left) / np.linalg.norm(velocity[np.isfinite(velocity)])))
