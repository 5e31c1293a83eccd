"""A flow in a box on three grids, each 1.5 times finer: its fields, extrapolated, and how far they are from converged.

    extrapolated = f_3 + (f_3 - f_2) / (r^2 - 1)                      Richardson, r = 1.5, errors of order h^2
    order p      = log(|f_2 - f_1| / |f_3 - f_2|) / log r             observed, of the velocity
    GCI          = 1.25 |f_3 - f_2| / ((r^p - 1) |f_3|)               with p kept in [1, 2]

The grid-convergence index is a bound of the error of the finest grid, before the extrapolation (Roache, J. Fluids Eng.
116 (1994) 405-413).
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline

from pinnx.errors import PinnxError
from pinnx.physics.geometry import Bounds
from pinnx.physics.scales import Scales
from pinnx.solvers.box_fields import GridFields, grid_fields
from pinnx.solvers.box_flow import BoxFlow, NoSteadyFlowError, Solved
from pinnx.solvers.box_grid import clustered_line, growing_line, middles
from pinnx.solvers.walls import Walls

__all__ = ["BoxProblem", "Study", "continued", "default_cells", "grid_sequence", "made_again", "polish", "solve_box"]

Array = NDArray[np.float64]

RATIO, SAFETY = 1.5, 1.25
# Cells of the grids along a side of mean length, in ninths of the finest.
SEQUENCE = (4, 6, 9)
LEAST_CELLS = 18
TINY = 1e-9  # of lengths that are one
# The first Reynolds number of the coarsest grid, and the factor by which it grows while Newton's method converges.
FIRST_REYNOLDS, GROWTH, LEAST_GROWTH = 100.0, 4.0, 1.1
# Cells that grow towards sides far away do so by this share, over a sixth of the cells of a side.
OUTWARDS = 0.7
ROUGH, FINE = 1e-3, 1e-8  # tolerances on the path there, and at its end


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

    def on_grid(self, num_cells: int, ninths: int = SEQUENCE[-1]) -> BoxFlow:
        """The discrete equations on one of the grids of which the finest has ``num_cells`` on a side of mean length."""
        sides = [(self.bounds[axis][1] - self.bounds[axis][0]) / self.scales.length for axis in "xy"]
        units = [max(1, round(num_cells / SEQUENCE[-1] * math.sqrt(s / o))) for s, o in (sides, sides[::-1])]
        ends = np.concatenate([np.empty((2, 0)), *self._blocks()], axis=1)
        make = _line_from_bodies if self.far else _line
        return self.on_lines([make(*given, ninths) for given in zip(sides, ends, units, strict=True)])

    def on_lines(self, lines: Sequence[Array]) -> BoxFlow:
        """The discrete equations on the nodes of these lines, in units of L from the low corner."""
        walls = [walls.scaled(self.bounds, self.scales) for walls in self.walls]
        return BoxFlow(*lines, walls, close=self.close, solid=self._solid(lines) if self.blocks else None)

    def _blocks(self) -> list[Array]:
        """Each block in units of L from the low corner, [2, 2]."""
        origin = np.array([[self.bounds[axis][0]] for axis in "xy"])
        return [(np.array(block) - origin) / self.scales.length for block in self.blocks]

    def _solid(self, lines: Sequence[Array]) -> NDArray[np.bool_]:
        """The nodes of cells whose middle is solid, [n_x, n_y]."""
        at = np.stack(np.meshgrid(*map(middles, lines), indexing="ij"), axis=-1)
        cells = np.any([((at > low) & (at < high)).all(axis=-1) for low, high in (b.T for b in self._blocks())], axis=0)
        if self.inside is not None:
            cells[cells] = self.inside([self.bounds[axis][0] for axis in "xy"] + self.scales.length * at[cells])
        solid = np.zeros([len(line) for line in lines], dtype=bool)
        for x, y in itertools.product((slice(-1), slice(1, None)), repeat=2):
            solid[x, y] |= cells
        return solid

    def fields(self, flow: BoxFlow, solved: Solved) -> GridFields:
        """The fields of a solution."""
        return grid_fields(flow, solved, self.scales, [self.bounds[axis][0] for axis in "xy"], self.forcing)


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
    nu, a = problem.nu / problem.scales.viscosity, np.eye(1, len(problem.walls))[0]
    cells = num_cells or default_cells(1 / nu)
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
    nu, a = problem.nu / problem.scales.viscosity, np.ones(len(problem.walls))
    flow = problem.on_grid(num_cells or default_cells(1 / nu))
    lines = [problem.bounds[axis][0] + problem.scales.length * line for axis, line in (("x", flow.x), ("y", flow.y))]
    places = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 2)
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
    scales, origins = problem.scales, [problem.bounds[axis][0] for axis in "xy"]
    flow = problem.on_lines([(line - low) / scales.length for line, low in zip((x, y), origins, strict=True)])
    state = flow.state(psi / scales.viscosity, omega / scales.rate)
    return problem.fields(flow, Solved(state, problem.nu / scales.viscosity, np.ones(len(problem.walls))))


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


def _line(side: float, ends: Array, unit: int, ninths: int) -> Array:
    """Nodes along a side, finer at its ends and at those of blocks, which are nodes."""
    cuts = [0.0, *np.unique(ends[(ends > TINY) & (ends < side - TINY)]), side]
    pieces = [
        low + clustered_line(high - low, ninths * max(1, round(unit * (high - low) / side)))[1:]
        for low, high in itertools.pairwise(cuts)
    ]
    return np.concatenate([[0.0], *pieces])


def _line_from_bodies(side: float, ends: Array, unit: int, ninths: int) -> Array:
    """Nodes along a side that is far from bodies: fine on and between them, growing from there to both ends."""
    low, *cuts, high = np.unique(np.clip([0.0, *ends, side], 0.0, side))
    cells = ninths * max(2, unit // 3)
    between = [a + clustered_line(b - a, cells)[1:] for a, b in itertools.pairwise(cuts)]
    first, growth = min(float(line[-1] - line[-2]) for line in between), OUTWARDS / unit * SEQUENCE[-1] / ninths

    def outwards(length: float) -> Array:
        cells = math.log1p(growth * length / first) / growth
        return growing_line(length, ninths * max(1, round(cells / ninths)), first)

    before, behind = outwards(cuts[0] - low), outwards(high - cuts[-1])
    return np.concatenate([cuts[0] - before[::-1], *between, cuts[-1] + behind[1:]])


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
    points = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)[1:-1, 1:-1].reshape(-1, 2)
    weight = np.sqrt(np.outer(np.gradient(x), np.gradient(y)))[1:-1, 1:-1].reshape(-1, 1)
    one, two, three = (weight * grid.at(points, ("u", "v")) for grid in grids)
    norms = (np.linalg.norm(f) for f in (two - one, three - two, _extrapolated(two, three) - _extrapolated(one, two)))
    first, last, moved = (float(norm) / (float(np.linalg.norm(three)) or 1.0) for norm in norms)
    order = math.log(first / last) / math.log(RATIO) if first > 0 and last > 0 else None
    used = 2.0 if order is None else min(max(order, 1.0), 2.0)
    return order, SAFETY * last / (RATIO**used - 1.0), moved
