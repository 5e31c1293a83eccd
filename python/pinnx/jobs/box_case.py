"""From the conditions of a case to a flow in a box that `pinnx.solvers` can solve, or a sentence on why it cannot.

It solves steady flows in the plane, without bodies, with a prescribed velocity along all four sides, or along three and
a constant pressure on the right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pinnx.config import Config
from pinnx.errors import PinnxError
from pinnx.jobs.case import Case
from pinnx.physics.boundary import BoundaryCondition
from pinnx.physics.geometry import SIDES, Bounds, Side
from pinnx.physics.scales import Scales
from pinnx.solvers import WALLS, BoxProblem, Fit, NotApplicableError, Profile, Study, Walls, fit_box, solve_box

__all__ = ["box_of", "box_problem", "is_open", "solve_case", "with_found_sides"]

Array = NDArray[np.float64]


def box_of(
    config: Config,
    conditions: Sequence[BoundaryCondition],
    bounds: Bounds,
    *,
    nu: float,
    scales: Scales,
    has_holes: bool = False,
    otherwise: Callable[[Array], Array] | None = None,
) -> BoxProblem:
    """The flow in a box of a case; the velocity along each side of ``solver.unknown`` has a coefficient of its own.

    Args:
        config: the sections domain, problem and solver are used.
        conditions: what is prescribed; of two that prescribe one component of a side, the first counts.
        bounds: axis name -> (low, high) of the domain.
        nu: kinematic viscosity.
        scales: of the case.
        has_holes: whether the data has places without flow.
        otherwise: velocity at places [n, 2], for sides that have none; None: there must be one along all four.

    Raises:
        NotApplicableError: a flow in time or space, a body, or sides without a velocity.
    """
    _require_plane_box(config, conditions, bounds, has_holes)
    by_side = {side: [c for c in conditions if str(c.where) == side] for side in WALLS}
    if is_open(conditions):
        del by_side["right"]
    for side, given in by_side.items():
        missing = [name for i, name in enumerate("uv") if not any(c.mask[i] for c in given)]
        if missing and otherwise is None:
            raise NotApplicableError(
                "it needs the velocity along all four sides, or a constant pressure on the right, and there is no "
                f"{' and no '.join(missing)} on the {side}"
            )
    order = list(dict.fromkeys(str(condition.where) for condition in conditions))
    order += [side for side in WALLS if side not in order]
    profiles = {side: _profile(side, given, bounds, otherwise) for side, given in by_side.items()}
    unknown = config.solver.unknown
    known = {side: _part(profile, side, along=side not in unknown) for side, profile in profiles.items()}
    walls = [Walls(known, order)]
    for side in unknown:
        if (
            side not in profiles
            or not _part(profiles[side], side, through=False)(np.linspace(*bounds[_along(side)], 101)).any()
        ):
            raise PinnxError(f"solver.unknown: expected sides with a velocity along them, got {side}, which is at rest")
        still = dict.fromkeys(profiles, _at_rest)
        walls.append(Walls({**still, side: _part(profiles[side], side, through=False)}, order))
    force = config.problem.forcing or (0.0, 0.0)
    return BoxProblem(bounds, nu, walls, scales, force, close=otherwise is not None)


def _require_plane_box(
    config: Config, conditions: Sequence[BoundaryCondition], bounds: Bounds, has_holes: bool
) -> None:
    if "t" in bounds:
        raise NotApplicableError("it solves steady flows, and this one changes in time")
    if "z" in bounds:
        raise NotApplicableError("it solves flows in the plane, and this one has three dimensions")
    if config.problem.learn_forcing:
        raise NotApplicableError("it knows the force, and here one is fitted")
    if config.domain.periodic:
        raise NotApplicableError(
            f"it needs the velocity along all four sides, and {config.domain.periodic[0]} is periodic"
        )
    bodies = [str(c.where) for c in conditions if not isinstance(c.where, Side)] + ["a hole in the data"] * has_holes
    if bodies:
        raise NotApplicableError(f"it solves flows in a box without bodies, and here is something inside: {bodies[0]}")


def is_open(conditions: Sequence[BoundaryCondition]) -> bool:
    """Whether the right side has a constant pressure and no velocity but v = 0: the flow leaves there in parallel."""
    given = [c for c in conditions if str(c.where) == "right"]
    fixed = {name: value for c in given for name, value in c.values.items() if value is not None}
    return set(fixed) in ({"p"}, {"p", "v"}) and not isinstance(fixed["p"], str) and fixed.get("v", 0.0) == 0.0


def box_problem(config: Config, case: Case, nu: float, otherwise: Callable[[Array], Array] | None = None) -> BoxProblem:
    """The flow in a box of a case, as ``box_of``."""
    holes = bool(case.bodies) or (case.reference is not None and case.reference.holes is not None)
    return box_of(config, case.conditions, case.bounds, nu=nu, scales=case.scales, has_holes=holes, otherwise=otherwise)


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


def _times(value: float | str | None, factor: float) -> float | str:
    return f"{factor!r}*({value})" if isinstance(value, str) else factor * float(value or 0.0)


def solve_case(config: Config, case: Case, num_cells: int | None) -> tuple[Study, Fit | None]:
    """The flow of a case on three grids; with the viscosity, or the speed of sides, from its sensors where unknown.

    Raises:
        NotApplicableError: as ``box_of``.
        PinnxError: no steady flow was found, or there are too few measurements.
    """
    if case.solved is not None:
        return case.solved
    problem, unknown = box_problem(config, case, case.nu), config.solver.unknown
    if not config.problem.learn_nu and not unknown:
        return solve_box(problem, num_cells), None
    fit = fit_box(
        problem,
        case.coordinates,
        case.velocity,
        learn_nu=config.problem.learn_nu,
        guess=[1.0] * len(unknown),
        num_cells=num_cells,
    )
    return fit.study, fit


def _profile(
    side: str, given: Sequence[BoundaryCondition], bounds: Bounds, otherwise: Callable[[Array], Array] | None
) -> Profile:
    """The velocity along a side, each component from the first condition that prescribes it."""
    axis, end = SIDES[side]
    firsts = [next((c for c in given if c.mask[component]), None) for component in (0, 1)]

    def velocity(along: Array) -> Array:
        across = np.full(len(along), bounds[axis][end])
        places = np.column_stack([across, along] if axis == "x" else [along, across])
        values = [otherwise(places) if condition is None else condition.targets(places)[0] for condition in firsts]
        return np.column_stack([column[:, i] for i, column in enumerate(values)])

    return velocity


def _part(profile: Profile, side: str, *, along: bool = True, through: bool = True) -> Profile:
    """The velocity along a side, the one through it, or both."""
    kept = np.array([through, along] if SIDES[side][0] == "x" else [along, through], dtype=np.float64)
    return lambda s: profile(s) * kept


def _along(side: str) -> str:
    """The axis along a side."""
    return "y" if SIDES[side][0] == "x" else "x"


def _at_rest(along: Array) -> Array:
    return np.zeros((len(along), 2))
