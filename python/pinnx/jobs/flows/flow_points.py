"""From the configuration and the case of a flow to the points of its equations."""

from __future__ import annotations

from functools import partial

from pinnx.config import Config
from pinnx.data.point_pool import PointPool, Refinement
from pinnx.errors import PinnxError
from pinnx.jobs.cases.case import Case
from pinnx.physics.inner_points import InnerPoints, growing_window, walls_of

__all__ = ["flow_points", "flow_pool"]

# Of the domain's shortest side: where the setting leaves it open.
WALL_LAYER = 0.1


def flow_points(config: Config, case: Case) -> InnerPoints:
    """The points of the equations in a step.

    Raises:
        PinnxError: walls that there are none of, a layer that is too thick, windows of a flow without times.
    """
    train, given = config.train, config.train.points
    shortest = min(high - low for axis, (low, high) in case.bounds.items() if axis != "t")
    layer = given.wall_layer or WALL_LAYER * shortest
    if layer > shortest:
        raise PinnxError(
            f"train.points.wall_layer: expected at most the domain's shortest side, {shortest:g}, got {layer:g}"
        )
    if given.walls > 0.0 and not walls_of(case.conditions):
        raise PinnxError(
            "train.points.walls: expected a side or circle where all of the velocity is given and none crosses, "
            "got none in boundaries; set it to 0"
        )
    window = None
    if given.time_windows > 1:
        if case.steady:
            raise PinnxError("train.points.time_windows: expected a flow with times, got a steady one; set it to 1")
        last_step = given.windows_until * train.steps
        window = partial(growing_window, windows=given.time_windows, last_step=last_step)
    try:
        return InnerPoints(
            case.bounds,
            train.collocation_points,
            seed=train.seed,
            sampling=given.sampling,
            bodies=case.bodies,
            walls=walls_of(case.conditions),
            wall_share=given.walls,
            wall_layer=layer,
            window=window,
        )
    except PinnxError as error:
        wrong_grid = given.sampling == "grid" and str(error).startswith("grid:")
        raise PinnxError(f"train.collocation_points: {error}" if wrong_grid else str(error)) from None


def flow_pool(config: Config, points: InnerPoints) -> PointPool | None:
    """The pool of points that follows the residual; None where all points are fresh.

    Raises:
        PinnxError: too few candidates.
    """
    given = config.train.points.refine
    if given.method == "none":
        return None
    try:
        return PointPool(points, Refinement(**given.model_dump()), seed=config.train.seed)
    except PinnxError as error:
        raise PinnxError(f"train.points.{error}") from None
