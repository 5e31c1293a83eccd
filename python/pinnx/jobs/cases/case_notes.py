"""What must be known of a case before it is trained: what was overridden or assumed, and where it may not be so."""

from __future__ import annotations

import numpy as np

from pinnx.config import Config
from pinnx.data.gaps import largest_gap
from pinnx.data.snapshots import Snapshots
from pinnx.jobs.cases.case_bodies import in_bodies
from pinnx.physics.boundary import BoundaryCondition, component_names
from pinnx.physics.corners import corner_distance, discontinuity_corners
from pinnx.physics.outlines import Body
from pinnx.physics.scales import Scales
from pinnx.report.formatting import plural

__all__ = ["gap_notes", "setting_notes", "singular_corners"]

# Distances to a corner, over the length scale, that are rounding of coordinates stored in float32.
SAME_PLACE = 1e-6


def setting_notes(
    config: Config, data_nu: float | None, bounds: dict[str, tuple[float, float]], reference: Snapshots | None
) -> list[str]:
    """What the configuration overrides in the data, and what it leaves to a default."""
    notes, given = [], config.problem.nu
    if reference is not None and reference.error is not None:
        notes.append(
            f"The reference has a relative error of {reference.error:.2g} of its own: an error near it or below says "
            "nothing of the reconstruction."
        )
    if given is not None and data_nu is not None and given != data_nu:
        notes.append(f"The viscosity is flow.nu = {given:g}; that of the data, {data_nu:g}, is not used.")
    for axis in config.domain.periodic:
        if getattr(config.domain, axis) is None:
            low, high = bounds[axis]
            notes.append(f"domain.{axis} is not given: the period in {axis} is that of the data, {high - low:g}.")
    return notes


def gap_notes(
    places: np.ndarray,
    reference: Snapshots | None,
    bodies: tuple[Body, ...],
    bounds: dict[str, tuple[float, float]],
) -> list[str]:
    """Whether scattered places leave out a part of the domain that may be a solid."""
    if reference is not None and (reference.grid_shape is not None or reference.holes is not None):
        return []  # a grid has no gaps, and what is missing is known to be no flow
    gap = largest_gap(places, lambda points: in_bodies(points, bodies, bounds))
    if gap is None:
        return []
    middle = ", ".join(f"{coordinate:.3g}" for coordinate in gap.middle)
    return [
        f"The data has no place within {gap.radius:.3g} of ({middle}), where its spacing is {gap.spacing:.2g}. If "
        "that is a solid, the equations must not hold there: describe it by domain.holes, "
        "or cut it off the domain."
    ]


def singular_corners(
    config: Config,
    conditions: tuple[BoundaryCondition, ...],
    bounds: dict[str, tuple[float, float]],
    scales: Scales,
    places: np.ndarray,
) -> tuple[np.ndarray | None, list[str]]:
    """Which of the places are corners with a Stokes flow, whose pressure grows as 1/r; where it is added, where not."""
    corners = discontinuity_corners(conditions, bounds, scales=scales.of_fields(component_names(bounds)))
    if config.train.corner_radius is not None and not corners:
        return None, ["train.corner_radius has no effect: there is no corner at which two sides disagree."]
    if not config.model.corner_flow:
        return None, []
    known = [corner for corner in corners if corner.step is not None]
    singular = corner_distance(places, known, tuple("xyz"[: places.shape[1]])) < SAME_PLACE * scales.length
    notes, left = [], len(corners) - len(known)
    if known:
        note = (
            f"At {plural(len(known), 'corner')} two sides prescribe different velocities: the Stokes flow there is "
            "added to the network."
        )
        if singular.any():
            at = plural(int(singular.sum()), "output point")
            note += (
                f" Its pressure is infinite at the corner itself: {at} there have no values, and no error counts them."
            )
        notes.append(note)
    if left:
        where = f"At {plural(left, 'corner')} two sides disagree, and no Stokes flow is added"
        notes.append(f"{where}: that takes two dimensions, and constant velocities on both sides.")
    return singular, notes
