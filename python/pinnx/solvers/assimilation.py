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
from scipy.optimize import least_squares

from pinnx.errors import PinnxError
from pinnx.solvers.box_flow import BoxFlow, NoSteadyFlowError, Solved
from pinnx.solvers.box_grid import interpolated
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
    known, unknown = np.isfinite(velocity), len(guess) + learn_nu
    if not 1 <= unknown <= known.sum() or len(problem.walls) != 1 + len(guess):
        expected = "fit_box: expected one unknown number or more, and as many measurements"
        raise PinnxError(f"{expected}; got {unknown} numbers and {known.sum()} measurements")
    places, wanted = (points - problem.origin) / problem.scales.length, velocity[known] / problem.scales.velocity
    numbers, errors = np.array([*guess, -np.log(problem.reynolds)]), np.empty(0)  # a_1, ..., a_K, log nu

    def seen(flow: BoxFlow, psi: Array, a: Array) -> Array:
        at_nodes = np.moveaxis(flow.velocity(psi, a), -1, 0)
        return interpolated(flow.x, flow.y, at_nodes, places, flow.degree)[known]

    def slopes(flow: BoxFlow, solved: Solved) -> Array:
        walls = [*np.eye(len(solved.a))[1:], 0 * solved.a]  # the viscosity moves no wall
        by = [seen(flow, *given) for given in zip(flow.sensitivities(solved), walls, strict=True)]
        return np.column_stack([*by[:-1], solved.nu * by[-1]])[:, :unknown]

    def solve(flow: BoxFlow, start: Solved | None) -> Solved:
        """The flow of the numbers that fit best on this grid, from those of the grid before."""
        nonlocal numbers, errors

        def flow_of(change: Array, guess: Solved | None) -> Solved:
            *a, log_nu = numbers + np.pad(change, (0, len(numbers) - unknown))
            return continued(flow, guess, float(np.exp(log_nu)), np.array([1.0, *a]))

        tried = [flow_of(np.zeros(unknown), start)]

        def misfit(change: Array) -> Array:
            try:
                tried.append(flow_of(change, tried[-1]))
            except NoSteadyFlowError:
                return np.full_like(wanted, np.inf)  # the step is tried again, shorter
            return seen(flow, flow.nodal(tried[-1].state, tried[-1].a)[0], tried[-1].a) - wanted

        search = {"xtol": SETTLED, "ftol": SETTLED}
        found = least_squares(misfit, np.zeros(unknown), lambda _: slopes(flow, tried[-1]), **search)
        misfit(found.x)
        freedom = max(1, len(wanted) - unknown)
        errors = np.sqrt(np.diag(np.linalg.pinv(found.jac.T @ found.jac)) * 2 * found.cost / freedom)
        numbers = np.append(tried[-1].a[1:], np.log(tried[-1].nu))
        return tried[-1]

    study = grid_sequence(problem, solve, num_cells or default_cells(problem.reynolds))
    left = (study.at(points)[:, :2] - velocity)[known]
    return Fit(study, errors, float(np.linalg.norm(left) / np.linalg.norm(velocity[known])))
