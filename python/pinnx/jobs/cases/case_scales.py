"""The scales of a case: chosen from its box and its speeds or given, and whether they can be right.

What is certainly wrong is refused before the training; what is odd is a note.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pinnx.config import Config
from pinnx.errors import PinnxError
from pinnx.physics.boundary import BoundaryCondition, component_names
from pinnx.physics.scales import Scales, length_of_box

__all__ = ["case_scales", "known_variation", "scale_notes"]

Box = Mapping[str, tuple[float, float]]

# Points of a condition at which its speed is looked for.
SPEED_POINTS = 101
# Reynolds numbers by the case's own scales. Above the last the viscous term is below the rounding of float32 beside the
# others, below the first these are beside it: no network finds such a flow, and a unit is wrong.
REYNOLDS = (1e-5, 1e7)
# Below this the square of the viscous term is 1e4 times that of the others, and of the data.
CREEPING = 1e-2
# Scales that are given may differ from those of the case by this factor. Fields a thousand times smaller than one are
# lost in a loss of mean squares.
SCALE_FACTOR = 1e3
# Beyond these factors two units are likely to be mixed: metres and millimetres, seconds and milliseconds.
ODD_SIDES, ODD_PASSES = 1e3, 1e3
# Places that span a smaller share of every side of the domain are likely to be in another unit than the domain.
ODD_SHARE = 0.02
# What moves by more than a domain between two times that follow one another is not seen to move.
ODD_MOVE = 1.0
# A coordinate needs so many steps of float64 inside the domain: with fewer, points fall onto one another.
STEPS_OF_A_SIDE = 1e5
# Velocities that differ by less, in units of the case's, are one: rounding of a formula.
SAME_VALUE = 1e-9


def case_scales(
    config: Config,
    bounds: Box,
    measured: Sequence[NDArray[np.float64] | None],
    conditions: Sequence[BoundaryCondition],
) -> Scales:
    """The scales that the configuration gives, else those of the case.

    ``measured``: velocities [k, d] and lengths of velocities [k], NaN where not measured; None: none.

    Raises:
        PinnxError: no speed to take a scale from, or scales that are far from those of the case.
    """
    given = config.problem.scales
    length, speed = length_of_box(bounds), _largest_speed(measured, conditions)
    if not speed > 0 and given.velocity is None:
        raise PinnxError(
            "flow.scales.velocity: expected a velocity, as nothing that is measured or prescribed moves, got none"
        )
    for name, ours, theirs in (("length", length, given.length), ("velocity", speed, given.velocity)):
        if theirs is not None and ours > 0 and not 1 / SCALE_FACTOR <= ours / theirs <= SCALE_FACTOR:
            raise PinnxError(
                f"flow.scales.{name}: expected about {ours:.3g}, the {name} of the case, got {theirs:g}; "
                "leave it out, or check the units"
            )
    return Scales(given.length or length, given.velocity or speed)


def scale_notes(
    scales: Scales,
    bounds: Box,
    nu: float,
    times: NDArray[np.float64] | None = None,
    measured_at: NDArray[np.float64] | None = None,
) -> list[str]:
    """What is odd about the units of a case.

    ``times`` [k], in any order, and ``measured_at`` [k, D] say when and where something was measured; None: not known.

    Raises:
        PinnxError: numbers that certainly do not belong to one system of units, or that float64 does not resolve.
    """
    for axis, (low, high) in bounds.items():
        if high - low < STEPS_OF_A_SIDE * np.spacing(max(abs(low), abs(high))):
            raise PinnxError(
                f"domain.{axis}: expected an extent that float64 resolves, got [{low!r}, {high!r}]; "
                f"subtract an origin from {axis} of the data"
            )
    reynolds = scales.viscosity / nu
    if not REYNOLDS[0] <= reynolds <= REYNOLDS[1]:
        raise PinnxError(
            f"flow.nu: expected a Reynolds number U L / nu from {REYNOLDS[0]:g} to {REYNOLDS[1]:g}, got {reynolds:.2g} "
            f"(U = {scales.velocity:.3g}, L = {scales.length:.3g}, nu = {nu:g}); nu is in the data's length^2/time, "
            "and an eddy viscosity where the flow is turbulent"
        )
    notes = []
    if reynolds < CREEPING:
        notes.append(
            f"The Reynolds number U L / nu is {reynolds:.2g}, so viscosity outweighs all else: check the units, or "
            "lower train.weights.momentum."
        )
    sides = {axis: high - low for axis, (low, high) in bounds.items() if axis != "t"}
    longest, shortest = max(sides, key=sides.__getitem__), min(sides, key=sides.__getitem__)
    ratio = sides[longest] / sides[shortest]
    if ratio > ODD_SIDES:
        notes.append(f"The domain is {ratio:.2g} times longer in {longest} than in {shortest}: are both in one unit?")
    if measured_at is not None:
        spans = np.ptp(measured_at[:, -len(sides) :], axis=0) / list(sides.values())
        if 0 < spans.max() < ODD_SHARE:
            notes.append(
                f"The measurements span {spans.max():.2g} of the domain or less in each direction: are their places "
                "and the domain in one unit?"
            )
    if "t" in bounds:
        per_time = scales.velocity / sides[longest]
        passes = (bounds["t"][1] - bounds["t"][0]) * per_time
        steps = np.empty(0) if times is None else np.diff(np.unique(times))
        move = float(np.median(steps)) * per_time if len(steps) else 0.0
        where, crossed = ("From one time to the next", move) if move > ODD_MOVE else ("In the time of the data", passes)
        if move > ODD_MOVE or not 1 / ODD_PASSES <= passes <= ODD_PASSES:
            notes.append(
                f"{where} the flow crosses the domain {crossed:.2g} times: do the units of time, length and velocity "
                "belong together?"
            )
    return notes


def known_variation(
    velocity: NDArray[np.float64],
    speed: NDArray[np.float64] | None,
    conditions: Sequence[BoundaryCondition],
    *,
    unit: float,
) -> float | None:
    """How much the velocity varies where it is known: the root of the sum of the variances of its components.

    Args:
        velocity: [k, d], what was measured, NaN where not.
        speed: [k], lengths that were measured without a direction, NaN where not; None: none. The larger of both
            variations counts.
        conditions: what is prescribed.
        unit: velocity of one in the result, > 0.

    Returns:
        0 where the velocity is the same at all of these places; None where none is known.
    """
    vectors = np.concatenate([velocity, *_prescribed(conditions)]) / unit
    found = [_variation(vectors), None if speed is None else _variation(speed.reshape(-1, 1) / unit)]
    return max((value for value in found if value is not None), default=None)


def _variation(vectors: NDArray[np.float64]) -> float | None:
    """Root of the sum of the variances of columns [k, d], without NaN; None where nothing else is there."""
    columns = [known for column in vectors.T if (known := column[np.isfinite(column)]).size]
    if not columns:
        return None
    return float(np.sqrt(sum(np.var(known) for known in columns if np.ptp(known) > SAME_VALUE)))


def _largest_speed(measured: Sequence[NDArray[np.float64] | None], conditions: Sequence[BoundaryCondition]) -> float:
    """Of what is measured and what is prescribed; 0 where there is neither."""
    known = [vectors.reshape(len(vectors), -1) for vectors in measured if vectors is not None]
    return max(map(_longest, (*known, *_prescribed(conditions))), default=0.0)


def _prescribed(conditions: Sequence[BoundaryCondition]) -> list[NDArray[np.float64]]:
    """The velocities [n, d] of each condition at points of its own, NaN where a component is not prescribed."""
    found = []
    for condition in conditions:
        values, mask = condition.targets(condition.validation_points(SPEED_POINTS))
        found.append(np.where(mask, values, np.nan)[:, np.array(component_names(condition.bounds)) != "p"])
    return found


def _longest(vectors: NDArray[np.float64]) -> float:
    """The length of the longest of vectors [k, d], NaN counting as zero; squares of 1e200 would overflow."""
    largest = float(np.nan_to_num(np.abs(vectors)).max(initial=0.0))
    if largest == 0.0:
        return 0.0
    return largest * float(np.sqrt(np.nansum((vectors / largest) ** 2, axis=1)).max())
