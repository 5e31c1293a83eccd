"""From the conditions of a case to a flow in a box that `pinnx.solvers` can solve, or a sentence on why it cannot.

It solves steady flows in the plane, around bodies at rest: with a prescribed velocity along all four sides, or without
friction there, or along three and an outflow on the right; or in a stream that is known far away (stream_case.py).
Bodies whose sides are not along the axes consist of whole cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.config import Config
from pinnx.errors import PinnxError
from pinnx.jobs.cases.case import Case
from pinnx.jobs.cases.case_bodies import in_bodies
from pinnx.jobs.cases.stream_case import NUMBERS, far_bounds, stream_speed, stream_walls
from pinnx.physics.boundary import BoundaryCondition
from pinnx.physics.boundary_slopes import Statement
from pinnx.physics.geometry import SIDES, Bounds, Side, beside
from pinnx.physics.outlines import Body, Outline
from pinnx.physics.scales import Scales
from pinnx.solvers import WALLS, BoxProblem, Fit, NotApplicableError, Profile, Study, Walls, fit_box, solve_box

__all__ = ["box_of", "box_problem", "is_open", "solve_case", "with_found_sides", "with_start"]

Array = NDArray[np.float64]

PROBES = 201  # along a side, on which a velocity is missing or not
ALONG_AXIS = 1e-9  # of the size of a body
# Cells of a start's finest grid: its extrapolated field is within 1 % of the cavity's up to Re 3200, in half a second.
CELLS = 54
NO_FRICTION, OUTFLOWS = ("slip", "symmetry"), ("zero_gradient", "no_stress")
Block = tuple[tuple[float, float], tuple[float, float]]


def box_of(
    config: Config,
    conditions: Sequence[BoundaryCondition],
    bounds: Bounds,
    *,
    nu: float,
    scales: Scales,
    slopes: Sequence[Statement] = (),
    bodies: Sequence[Body] = (),
    has_holes: bool = False,
    guides: bool = False,
    otherwise: Callable[[Array], Array] | None = None,
    farther: float = 1.0,
) -> BoxProblem:
    """The flow in a box of a case; the velocity along each side of ``solver.unknown`` has a coefficient of its own.

    In a stream that is known far away, whose velocity is not taken from ``otherwise``, coefficients are `NUMBERS`.

    Args:
        config: the sections domain, problem and solver are used.
        conditions: what is prescribed; of two that prescribe one component of a side, the first counts.
        bounds: axis name -> (low, high) of the domain.
        nu: kinematic viscosity.
        scales: of the case.
        slopes: what is known by name of sides: friction, outflow, a stream.
        bodies: in the domain.
        guides: whether values that are known roughly count too.
        has_holes: whether the data has places without flow that no body explains.
        otherwise: velocity at places [n, 2], for sides that have none; None: there must be one along all four.
        farther: how many times as far from bodies in a stream the sides are.

    Raises:
        NotApplicableError: a flow in time or space, a body, or sides without a velocity.
    """
    _require_plane_box(config, conditions, bounds, bodies, has_holes)
    force = [part for part in config.problem.forcing or (0.0, 0.0) if not isinstance(part, str)]  # see above
    speed = stream_speed(conditions, slopes) if otherwise is None else None
    around = bounds if speed is None else far_bounds(bodies, bounds, farther)
    blocks, inside = _solid(bodies, conditions, around)
    if speed is not None:
        if config.solver.unknown:
            raise NotApplicableError("in a stream it finds the speed of that, not of sides")
        walls = stream_walls(speed, bodies, around)
        return BoxProblem(around, nu, walls, scales, force, blocks=blocks, inside=inside, far=True)
    conditions = [c for c in conditions if guides or not c.rough]
    walls = _walls(config, conditions, slopes, bounds, bodies, guides, otherwise)
    return BoxProblem(bounds, nu, walls, scales, force, close=otherwise is not None, blocks=blocks, inside=inside)


def _walls(
    config: Config,
    conditions: Sequence[BoundaryCondition],
    slopes: Sequence[Statement],
    bounds: Bounds,
    bodies: Sequence[Body],
    guides: bool,
    otherwise: Callable[[Array], Array] | None,
) -> list[Walls]:
    """What is prescribed along the sides, and what the coefficient of each side of ``solver.unknown`` adds to it."""
    by_side = {side: [c for c in conditions if _is_on(c, side)] for side in WALLS}
    if is_open(conditions, slopes, guides):
        del by_side["right"]
    slip = [s for s in by_side if any(k.condition in NO_FRICTION and str(k.where) == s for k in slopes)]
    profiles = {
        side: _profile(side, given, bounds, bodies, _at_rest if side in slip else otherwise)
        for side, given in by_side.items()
    }
    for side, profile in profiles.items():
        missing = np.isnan(profile(np.linspace(*bounds[_along(side)], PROBES)[1:-1])).any(axis=0)
        if missing.any():
            names = " and no ".join(name for name, gone in zip("uv", missing, strict=True) if gone)
            raise NotApplicableError(
                "it needs the velocity along all four sides, or an outflow on the right, or a free_stream on the other "
                f"three, and there is no {names} on the {side}"
            )
    order = list(dict.fromkeys(c.where.name for c in conditions if isinstance(c.where, Side)))
    order = [side for side in order if side in WALLS] + [side for side in WALLS if side not in order]
    unknown = config.solver.unknown
    known = {side: _part(profile, side, along=side not in unknown) for side, profile in profiles.items()}
    walls = [Walls(known, order, slip)]
    for side in unknown:
        if (
            side not in profiles
            or not _part(profiles[side], side, through=False)(np.linspace(*bounds[_along(side)], 101)).any()
        ):
            raise PinnxError(f"solver.unknown: expected sides with a velocity along them, got {side}, which is at rest")
        still = dict.fromkeys(profiles, _at_rest)
        walls.append(Walls({**still, side: _part(profiles[side], side, through=False)}, order))
    return walls


def _require_plane_box(
    config: Config, conditions: Sequence[BoundaryCondition], bounds: Bounds, bodies: Sequence[Body], has_holes: bool
) -> None:
    if "t" in bounds:
        raise NotApplicableError("it solves steady flows, and this one changes in time")
    if "z" in bounds:
        raise NotApplicableError("it solves flows in the plane, and this one has three dimensions")
    if any(isinstance(part, str) for part in config.problem.forcing or ()):
        raise NotApplicableError("it takes a constant force, and flow.forcing has a formula")
    if config.problem.learn_forcing:
        raise NotApplicableError("it knows the force, and here one is fitted")
    if config.domain.periodic:
        raise NotApplicableError(
            f"it needs the velocity along all four sides, and {config.domain.periodic[0]} is periodic"
        )
    known = {str(body) for body in bodies}
    inside = [str(c.where) for c in conditions if not isinstance(c.where, Side) and str(c.where) not in known]
    if inside := [*inside, *(["a hole in the data"] if has_holes else [])]:
        raise NotApplicableError(f"it solves flows around bodies that the domain has, and here is another: {inside[0]}")


def _solid(
    bodies: Sequence[Body], conditions: Sequence[BoundaryCondition], bounds: Bounds
) -> tuple[list[Block], Callable[[Array], NDArray[np.bool_]] | None]:
    """The rectangles of all bodies, and which places in them are solid, where bodies do not fill them; else None."""
    filled, around = [], []
    for body in bodies:
        blocks = _blocks(body, conditions, bounds)
        (filled if blocks else around).append((body, blocks))
    blocks = [block for _, found in filled for block in found]
    for body, _ in around:
        low, high = (np.clip(corner, *np.array([bounds[axis] for axis in "xy"]).T) for corner in body.box)
        blocks.append(((float(low[0]), float(high[0])), (float(low[1]), float(high[1]))))
    return blocks, (lambda places: in_bodies(places, bodies, bounds)) if around else None


def _blocks(body: Body, conditions: Sequence[BoundaryCondition], bounds: Bounds) -> list[Block]:
    """The rectangles of which a body at rest consists, as far as they are in the domain; none where its sides turn."""
    plane = {axis: bounds[axis] for axis in ("x", "y")}
    still = [c.targets(c.validation_points(PROBES)) for c in conditions if str(c.where) == str(body)]
    if not any(mask[:2].all() and not values[:, :2].any() for values, mask in still):
        raise NotApplicableError(f"it takes bodies at rest with the velocity zero on them, and the {body} is not one")
    lines = body.lines if isinstance(body, Outline) else ()
    steps = [np.abs(np.diff(line, axis=0, append=line[:1])).min(axis=1) for line in lines]
    if not steps or np.concatenate(steps).max() > ALONG_AXIS * body.size:
        return []
    corners = np.concatenate(lines)
    cuts = [np.unique(np.clip(part, *plane[axis])).tolist() for part, axis in zip(corners.T, plane, strict=True)]
    cells = list(product(*map(pairwise, cuts)))
    solid = body.contains(np.array(cells).mean(axis=2), plane)
    return [cell for cell, is_in in zip(cells, solid, strict=True) if is_in]


def _is_on(condition: BoundaryCondition, side: str) -> bool:
    """Whether a condition holds on a side of the box, or on a part of it."""
    where = condition.where
    return isinstance(where, Side) and where.name == side and where.at_position is None


def is_open(conditions: Sequence[BoundaryCondition], slopes: Sequence[Statement] = (), guides: bool = False) -> bool:
    """Whether the flow leaves in parallel on the right: an outflow by name, or a constant pressure, and at most v = 0.

    With ``guides`` also where nothing is known of it.
    """
    given = [c for c in conditions if str(c.where) == "right"]
    fixed = {name: value for c in given for name, value in c.values.items() if value is not None}
    free = guides or any(s.condition in OUTFLOWS and str(s.where) == "right" for s in slopes)
    parallel = not isinstance(fixed.get("p"), str) and fixed.get("v", 0.0) == 0.0
    return set(fixed) <= {"p", "v"} and parallel and (free or "p" in fixed)


def box_problem(config: Config, case: Case, nu: float, **more: Any) -> BoxProblem:
    """The flow in a box of a case; more: ``guides`` and ``otherwise``, as for ``box_of``."""
    holes = not case.bodies and case.reference is not None and case.reference.holes is not None
    given = {"scales": case.scales, "slopes": case.slopes, "bodies": case.bodies, "has_holes": holes, **more}
    return box_of(config, case.conditions, case.bounds, nu=nu, **given)


def unknown_numbers(config: Config, problem: BoxProblem) -> tuple[str, ...]:
    """What the coefficients of the walls are that the sensors tell."""
    return (
        NUMBERS if problem.far else tuple(f"factor of the velocity along the {s} side" for s in config.solver.unknown)
    )


def with_found_sides(config: Config, case: Case) -> Case:
    """The case with the velocity along the sides of ``solver.unknown`` as its sensors say, for all that follows.

    Raises:
        PinnxError: a case that the solver does not solve, or too few measurements.
    """
    try:
        study, fit = solve_case(config, case, config.solver.cells)
    except NotApplicableError as error:
        raise PinnxError(f"solver.unknown: the solver does not apply: {error}; leave it empty") from None
    assert fit is not None
    conditions, notes = list(case.conditions), []
    for side, factor, error in zip(config.solver.unknown, study.a[1:], fit.errors, strict=False):
        component, factor = "u" if _along(side) == "x" else "v", float(f"{factor:.6g}")  # formulas are read by people
        for number, condition in enumerate(conditions):
            if str(condition.where) == side and condition.values.get(component) is not None:
                values = {**condition.values, component: _times(condition.values[component], factor)}
                conditions[number] = replace(condition, values=values)
        notes.append(
            f"The velocity along the {side} side is {factor:.4g} times the stated one (standard error {error:.1g}): "
            "the classical solver found it from the sensors, and the network is given it."
        )
    return replace(case, conditions=tuple(conditions), notes=(*case.notes, *notes), solved=(study, fit))


def with_start(config: Config, case: Case) -> Case:
    """The case with the solver's field on coarse grids to start from; without one a note says why.

    With ``train.warm_start`` auto only a stream that is known far away has a start.

    Raises:
        PinnxError: a case that the solver does not solve; with auto that is a note.
    """
    auto = config.train.warm_start == "auto"
    try:
        if auto and config.train.balance.method != "none":
            raise NotApplicableError(
                "train.balance.method follows the columns of the loss, and a start is one that fades"
            )
        if auto and not box_problem(config, case, case.nu).far:
            raise NotApplicableError("the stream is not stated on left, bottom and top alone")
        study, _ = solve_case(config, case, min(CELLS, config.solver.cells or CELLS), guides=True)
    except PinnxError as error:
        if auto:
            note = (
                f"The network started from random weights, and not from a classical solver's field: {error}. A steady "
                "flow past bodies in a stream often ends as fluid at rest around them then."
            )
            return replace(case, notes=(*case.notes, note))
        if isinstance(error, NotApplicableError):
            raise PinnxError(f"train.warm_start: the solver does not apply: {error}; set it to none") from None
        raise
    note = "The network started from the field of a classical solver on coarse grids, which also guided its training."
    return replace(case, start=study, notes=(*case.notes, note))


def _times(value: float | str | None, factor: float) -> float | str:
    return f"{factor!r}*({value})" if isinstance(value, str) else factor * float(value or 0.0)


def solve_case(config: Config, case: Case, num_cells: int | None, *, guides: bool = False) -> tuple[Study, Fit | None]:
    """The flow of a case on three grids; with the viscosity, or the speed of sides, from its sensors where unknown.

    With ``guides`` values that are known roughly count too.

    Raises:
        NotApplicableError: as ``box_of``.
        PinnxError: no steady flow was found, or there are too few measurements.
    """
    if case.solved is not None:
        return case.solved
    problem = box_problem(config, case, case.nu, guides=guides)
    unknown = problem.walls[1:]
    if not config.problem.learn_nu and not unknown:
        return solve_box(problem, num_cells), None
    fit = fit_box(
        problem,
        case.coordinates,
        case.velocity,
        learn_nu=config.problem.learn_nu,
        guess=[0.0 if problem.far else 1.0] * len(unknown),
        num_cells=num_cells,
    )
    return fit.study, fit


def _profile(
    side: str,
    given: Sequence[BoundaryCondition],
    bounds: Bounds,
    bodies: Sequence[Body],
    otherwise: Callable[[Array], Array] | None,
) -> Profile:
    """The velocity along a side: each component from the first condition that has it there, NaN where none has.

    Zero on bodies; of places without a condition that of ``otherwise``.
    """
    axis, end = SIDES[side]

    def velocity(along: Array) -> Array:
        places = beside(axis, bounds[axis][end], along)
        found = np.full((len(along), 2), np.nan)
        found[in_bodies(places, bodies, bounds)] = 0.0
        for condition in given:
            assert isinstance(condition.where, Side)
            values, mask = condition.targets(places)
            open_ones = np.isnan(found) & mask[:2] & condition.where.has(along, bounds)[:, None]
            found = np.where(open_ones, values[:, :2], found)
        return found if otherwise is None else np.where(np.isnan(found), otherwise(places)[:, :2], found)

    return velocity


def _part(profile: Profile, side: str, *, along: bool = True, through: bool = True) -> Profile:
    """The velocity along a side, the one through it, or both."""
    kept = np.array([through, along] if SIDES[side][0] == "x" else [along, through], dtype=np.float64)
    return lambda s: profile(s) * kept


def _along(side: str) -> str:
    """The axis along a side."""
    return "y" if SIDES[side][0] == "x" else "x"


def _at_rest(places: Array) -> Array:
    return np.zeros((len(places), 2))
