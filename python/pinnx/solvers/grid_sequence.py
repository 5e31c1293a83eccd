"""A flow in a box on three grids, each 1.5 times finer: its fields, extrapolated, and how far they are from converged.

    extrapolated = f_3 + (f_3 - f_2) / (r^2 - 1)                      Richardson, r = 1.5, errors of order h^2
    order p      = log(|f_2 - f_1| / |f_3 - f_2|) / log r             observed, of the velocity
    GCI          = 1.25 |f_3 - f_2| / ((r^p - 1) |f_3|)               with p kept in [1, 2]

The grid-convergence index is a bound of the error of the finest grid, before the extrapolation (Roache, J. Fluids Eng.
116 (1994) 405-413).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from scipy.interpolate import RectBivariateSpline

from pinnx.data.layout import grid_points
from pinnx.errors import PinnxError
from pinnx.physics.geometry import Bounds
from pinnx.physics.scales import Scales
from pinnx.solvers.box_flow import BoxFlow, NoSteadyFlowError, Solved, balanced
from pinnx.solvers.box_grid import SEQUENCE, interpolated, line_between, line_from_bodies, middles
from pinnx.solvers.walls import Walls

__all__ = ["BoxProblem", "GridFields", "Study", "continued", "default_cells", "grid_sequence", "made_again", "polish"]
__all__ += ["solve_box"]

Array = NDArray[np.float64]

RATIO, SAFETY = 1.5, 1.25
LEAST_CELLS = 18  # of the finest grid along a side of mean length
# The first Reynolds number of the coarsest grid, and the factor by which it grows while Newton's method converges.
FIRST_REYNOLDS, GROWTH, LEAST_GROWTH = 100.0, 4.0, 1.1
ROUGH, FINE = 1e-3, 1e-8  # tolerances on the path there, and at its end


@dataclass(frozen=True, eq=False)
class GridFields:
    """Fields at the nodes of a grid.

    Args:
        x: nodes, [n_x].
        y: nodes, [n_y].
        columns: u, v, p, psi, omega -> [n_x, n_y]; the pressure has the mean 0 over the box.
        mass: the largest net flow out of a cell, over U times its longer side.
        momentum: the largest net force between the middles of two cells, over U^2.
        mass_at: the middle of that cell, (x, y).
        momentum_at: the middle between these two, (x, y).
        degree: of the splines between nodes; 1 where blocks bend the fields.
    """

    x: Array
    y: Array
    columns: Mapping[str, Array]
    mass: float
    momentum: float
    mass_at: tuple[float, float]
    momentum_at: tuple[float, float]
    degree: int = 3

    def at(self, points: Array, names: Sequence[str] = ("u", "v", "p")) -> Array:
        """Fields at points [n, 2] in the box by splines, [n, c]."""
        return interpolated(self.x, self.y, [self.columns[name] for name in names], points, self.degree)


@dataclass(frozen=True, eq=False)
class BoxProblem:
    """A steady plane flow in a box, in the user's units.

    Args:
        bounds: "x" and "y" -> (low, high).
        nu: kinematic viscosity, > 0.
        walls: velocities along the sides, and what each coefficient that may be fitted adds.
        scales: units in which it is solved.
        forcing: constant force; it changes the pressure alone.
        close: spread evenly over the sides whatever flows in and not out.
        blocks: solid rectangles at rest, ((x low, high), (y low, high)) each.
        inside: places [n, 2] -> [n] bool, which of those in ``blocks`` are solid; None: all. What is left is bounded
            by faces of cells, so that errors fall with the first order, and nothing is extrapolated.
        far: whether sides are far away: cells grow from the blocks towards them.
    """

    bounds: Bounds
    nu: float
    walls: Sequence[Walls]
    scales: Scales
    forcing: Sequence[float] = (0.0, 0.0)
    close: bool = False
    blocks: Sequence[tuple[tuple[float, float], tuple[float, float]]] = ()
    inside: Callable[[Array], NDArray[np.bool_]] | None = None
    far: bool = False

    @property
    def origin(self) -> Array:
        """The low corner, [2]."""
        return np.array([self.bounds[axis][0] for axis in "xy"])

    @property
    def reynolds(self) -> float:
        """U L / nu; one over the viscosity in units of the scales."""
        return self.scales.viscosity / self.nu

    def on_grid(self, num_cells: int, ninths: int = SEQUENCE[-1]) -> BoxFlow:
        """The discrete equations on one of the grids of which the finest has ``num_cells`` on a side of mean length."""
        sides = [(self.bounds[axis][1] - self.bounds[axis][0]) / self.scales.length for axis in "xy"]
        units = [max(1, round(num_cells / SEQUENCE[-1] * math.sqrt(s / o))) for s, o in (sides, sides[::-1])]
        ends = self._blocks().swapaxes(0, 1).reshape(2, -1)
        make = line_from_bodies if self.far else line_between
        return self.on_lines([make(*given, ninths) for given in zip(sides, ends, units, strict=True)])

    def on_lines(self, lines: Sequence[Array]) -> BoxFlow:
        """The discrete equations on the nodes of these lines, in units of L from the low corner."""
        walls = [walls.scaled(self.bounds, self.scales) for walls in self.walls]
        return BoxFlow(*lines, walls, self._solid(lines), close=self.close)

    def _blocks(self) -> Array:
        """The blocks in units of L from the low corner, [b, 2 axes, 2 ends]."""
        return (np.array(self.blocks).reshape(-1, 2, 2) - self.origin[:, None]) / self.scales.length

    def _solid(self, lines: Sequence[Array]) -> NDArray[np.bool_]:
        """The nodes of cells whose middle is solid, [n_x, n_y]."""
        at = grid_points([*map(middles, lines)])
        cells = np.zeros(len(at), dtype=bool)
        for low, high in self._blocks().swapaxes(1, 2):
            cells |= ((at > low) & (at < high)).all(axis=-1)
        if self.inside is not None:
            cells[cells] = self.inside(self.origin + self.scales.length * at[cells])
        solid = np.pad(cells.reshape([len(line) - 1 for line in lines]), 1)  # cells outside the box
        return solid[1:, 1:] | solid[1:, :-1] | solid[:-1, 1:] | solid[:-1, :-1]

    def fields(self, flow: BoxFlow, solved: Solved) -> GridFields:
        """The fields of a solution, in the user's units."""
        scales, origin = self.scales, self.origin
        psi, omega = (values.reshape(flow.shape) for values in flow.nodal(solved.state, solved.a))
        u, v = np.moveaxis(flow.velocity(psi, solved.a), -1, 0)
        pressure, *left = balanced(flow, solved)
        x, y = origin[0] + scales.length * flow.x, origin[1] + scales.length * flow.y
        pressure = scales.pressure * pressure + self.forcing[0] * x[:, None] + self.forcing[1] * y
        pressure -= trapezoid(trapezoid(pressure, y), x) / ((x[-1] - x[0]) * (y[-1] - y[0]))
        columns = {"u": scales.velocity * u, "v": scales.velocity * v, "p": pressure}
        columns |= {"psi": scales.viscosity * psi, "omega": scales.rate * omega}
        (mass, mass_at), (momentum, momentum_at) = (
            (most, tuple((origin + scales.length * at).tolist())) for most, at in left
        )
        return GridFields(x, y, columns, mass, momentum, mass_at, momentum_at, flow.degree)


@dataclass(frozen=True, eq=False)
class Study:
    """A flow on three grids: its fields there, coarsest first, and what they say of one another.

    Args:
        grids: the fields.
        nu: viscosity, given or fitted; numbers that were fitted are extrapolated too.
        a: coefficients of the walls, [1 + K].
        order: observed, of the velocity; None where nothing changes.
        gci: of the velocity on the finest grid, relative.
        error: of the extrapolated velocity, relative: its change from the one that the first two grids give.
        seconds: that it took.
        smooth: whether the fields of two grids may be extrapolated.
    """

    grids: Sequence[GridFields]
    nu: float
    a: Array
    order: float | None
    gci: float
    error: float
    seconds: float
    smooth: bool = True

    def at(self, points: Array) -> Array:
        """u, v, p at points [n, 2], extrapolated where they are smooth, [n, 3]."""
        if not self.smooth:
            return self.grids[-1].at(points)
        return _extrapolated(*(grid.at(points) for grid in self.grids[-2:]))


def default_cells(reynolds: float) -> int:
    """Cells of the finest grid that leave the cavity an extrapolated error below 1e-3, but for its corners."""
    return SEQUENCE[-1] * max(6, min(24, round(2.2 * reynolds**0.25)))


def solve_box(problem: BoxProblem, num_cells: int | None = None) -> Study:
    """The flow on three grids; the finest has ``num_cells`` along a side of mean length, None: as many as needed.

    Raises:
        NotApplicableError: more flows in than out.
        NoSteadyFlowError: no steady flow was found.
    """
    nu, a = 1 / problem.reynolds, np.eye(1, len(problem.walls))[0]
    cells = num_cells or default_cells(problem.reynolds)
    return grid_sequence(problem, lambda flow, start: continued(flow, start, nu, a), cells)


def polish(
    problem: BoxProblem, velocity: Callable[[Array], Array], num_cells: int | None = None
) -> tuple[GridFields, int]:
    """The flow on one grid by Newton's method from a given field, and the steps that it took.

    Args:
        problem: what is solved; all coefficients of the walls are 1.
        velocity: u, v at places [n, 2], [n, 2] or with further columns.
        num_cells: as for ``solve_box``.

    Raises:
        NoSteadyFlowError: no steady flow was found from that field.
    """
    nu, a = 1 / problem.reynolds, np.ones(len(problem.walls))
    flow = problem.on_grid(num_cells or default_cells(problem.reynolds))
    places = problem.origin + problem.scales.length * grid_points([flow.x, flow.y])
    given = velocity(places)[:, :2].reshape(*flow.shape, 2) / problem.scales.velocity
    solved = flow.newton(flow.guess(given, nu, a), nu, a, tol=FINE)
    return problem.fields(flow, solved), solved.steps


def made_again(problem: BoxProblem, x: Array, y: Array, psi: Array, omega: Array) -> GridFields:
    """The fields, and what is left of the balances, of a flow that was solved before.

    Args:
        problem: what it should solve; all coefficients of the walls are 1.
        x: nodes, [n_x], of the grid.
        y: nodes, [n_y].
        psi: stream function, [n_x, n_y], at the nodes; at those of the sides the problem has its own.
        omega: vorticity, the same.
    """
    scales, origin = problem.scales, problem.origin
    flow = problem.on_lines([(x - origin[0]) / scales.length, (y - origin[1]) / scales.length])
    state = flow.state(psi / scales.viscosity, omega / scales.rate)
    return problem.fields(flow, Solved(state, 1 / problem.reynolds, np.ones(len(problem.walls))))


def grid_sequence(problem: BoxProblem, solve: Callable[[BoxFlow, Solved | None], Solved], num_cells: int) -> Study:
    """Solves on three grids: ``solve`` gets the equations and a guess, None on the coarsest.

    Raises:
        PinnxError: too few cells.
    """
    if num_cells < LEAST_CELLS:
        raise PinnxError(f"solver.cells: expected {LEAST_CELLS} or more, got {num_cells}")
    began, flows, solved = time.perf_counter(), [], []
    for ninths in SEQUENCE:
        flows.append(problem.on_grid(num_cells, ninths))
        solved.append(solve(flows[-1], _on_finer(flows[-2], solved[-1], flows[-1]) if solved else None))
    grids = [problem.fields(*pair) for pair in zip(flows, solved, strict=True)]
    order, gci, error = _convergence(grids)
    pair = [np.append(s.a, s.nu * problem.scales.viscosity) for s in solved[-2:]]
    smooth = problem.inside is None
    numbers = _extrapolated(*pair) if smooth else pair[-1]
    seconds = time.perf_counter() - began
    return Study(grids, float(numbers[-1]), numbers[:-1], order, gci, error if smooth else gci, seconds, smooth)


def continued(flow: BoxFlow, start: Solved | None, nu: float, a: Array) -> Solved:
    """The flow from a guess; None: from a creeping one, at Reynolds numbers that grow to the one wanted.

    Raises:
        NoSteadyFlowError: no steady flow was found at some of them.
    """
    at, growth = nu, GROWTH
    if start is None:  # not from rest at once, which may lead to a flow of the discrete equations alone
        start, at = flow.newton(None, max(nu, 1.0), a, tol=ROUGH), max(nu, 1 / FIRST_REYNOLDS)
    while True:
        try:
            solved = flow.newton(start, at, a, tol=ROUGH if at > nu else FINE)
        except NoSteadyFlowError:
            growth = math.sqrt(growth)
            if growth < LEAST_GROWTH or start.nu <= nu:
                raise
        else:
            if at == nu:
                return solved
            start = solved
        at = max(nu, start.nu / growth)


def _extrapolated(coarse: Array, fine: Array) -> Array:
    return fine + (fine - coarse) / (RATIO**2 - 1.0)


def _on_finer(coarse: BoxFlow, solved: Solved, fine: BoxFlow) -> Solved:
    """The solution on a coarser grid as a guess; omega is singular at corners, which a cubic would carry inside."""
    guess = []
    for values, degree in zip(coarse.nodal(solved.state, solved.a), (3, 1), strict=True):
        spline = RectBivariateSpline(coarse.x, coarse.y, values.reshape(coarse.shape), kx=degree, ky=degree)
        guess.append(spline(fine.x, fine.y))
    return Solved(fine.state(*guess), solved.nu, solved.a)


def _convergence(grids: Sequence[GridFields]) -> tuple[float | None, float, float]:
    """The observed order of the velocity, its grid-convergence index, the error of the extrapolated one."""
    x, y = grids[-1].x, grids[-1].y
    points = grid_points([x[1:-1], y[1:-1]])
    weight = np.sqrt(np.outer(np.gradient(x), np.gradient(y)))[1:-1, 1:-1].reshape(-1, 1)
    one, two, three = (weight * grid.at(points, ("u", "v")) for grid in grids)
    norms = (np.linalg.norm(f) for f in (two - one, three - two, _extrapolated(two, three) - _extrapolated(one, two)))
    first, last, moved = (float(norm) / (float(np.linalg.norm(three)) or 1.0) for norm in norms)
    order = math.log(first / last) / math.log(RATIO) if first > 0 and last > 0 else None
    used = 2.0 if order is None else min(max(order, 1.0), 2.0)
    return order, SAFETY * last / (RATIO**used - 1.0), moved
