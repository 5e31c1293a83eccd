"""Settings of the points at which the equations and the boundary conditions are imposed; see docs/training.md."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from annotated_types import Ge, Gt, Le
from pydantic import AllowInfNan, Strict, model_validator

from pinnx.config.kinds import Count, Factor, MethodSection, NonNegative, Positive, Section, setting
from pinnx.data.collocation import Sampling
from pinnx.data.point_pool import Rule

__all__ = ["PointSettings", "Refine"]

Percentile = Annotated[float, Strict(), AllowInfNan(False), Ge(0), Le(100)]
Part = Annotated[float, Strict(), AllowInfNan(False), Gt(0), Le(1)]
POOLS: tuple[str, ...] = get_args(Rule)


class Refine(MethodSection):
    """A pool of points of the equations that follows the residual."""

    method: Literal["none", Rule] = setting(
        "none",
        "none: all points are fresh; rar: candidates where the residual is largest are added, and stay; rad: the pool "
        "is drawn anew by the size of the residual; r3: points above the mean residual stay, the others are drawn anew",
    )
    every: Count = setting(100, "steps from one refinement to the next", of=POOLS)
    share: Part = setting(0.5, "of a step's points that come from the pool, at most; the others are fresh", of=POOLS)
    candidates: Count = setting(2000, "rar, rad: fresh points at which the residual is looked at", of=("rar", "rad"))
    percentile: Percentile = setting(
        95.0, "rar: of the residual over the candidates, from which on one may be added", of=("rar",)
    )
    max_new_points: Count = setting(500, "rar: points that are added at once, at most", of=("rar",))
    max_points: Count = setting(8000, "points in the pool, at most; rar adds none from then on", of=POOLS)
    exponent: NonNegative = setting(1.0, "rad: of the residual; a larger one draws more where it is large", of=("rad",))
    floor: NonNegative = setting(1.0, "rad: a larger one draws more everywhere", of=("rad",))


class PointSettings(Section):
    """How the points of a step are spread over the domain."""

    sampling: Sampling = setting(
        "sobol",
        "uniform: independent of one another; latin_hypercube, sobol: evenly, new in each step too; grid: the centres "
        "of n^d equal cells in each step (boundary conditions then take sobol)",
    )
    walls: Factor = setting(
        0.0,
        "share of the points of the equations that is drawn near walls: sides and circles where all of the velocity is "
        "given and none crosses",
    )
    wall_layer: Positive | None = setting(
        None, "how far from a wall these are at most; null = a tenth of the domain's shortest side", "length"
    )
    time_windows: Count = setting(
        1, "equal parts of the time; the equations begin with the first, and one more is added at a time"
    )
    windows_until: Part = setting(0.5, "share of the steps from which on all of these parts are in")
    refine: Refine = setting(Refine(), "a pool of points of the equations that follows the residual")

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> PointSettings:
        if self.wall_layer is not None and self.walls == 0.0:
            raise ValueError("wall_layer: only with walls > 0, got walls 0")
        if self.time_windows == 1 and self.changed("windows_until"):
            raise ValueError("windows_until: only with time_windows > 1, got time_windows 1")
        if self.sampling == "grid" and (self.walls > 0.0 or self.refine.method != "none"):
            raise ValueError("sampling: expected walls 0 and refine.method none with grid, as they replace its points")
        if self.refine.method != "none" and self.refine.share + self.walls > 1.0:
            raise ValueError(
                f"walls: expected at most 1 - refine.share = {1.0 - self.refine.share:g}, got {self.walls:g}"
            )
        return self
