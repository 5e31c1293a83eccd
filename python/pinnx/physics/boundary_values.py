"""The term of the boundary and initial conditions: the mean square of the misfit over what is prescribed.

    term = sum_ij mask_ij weight_i (field_j(x_i) - value_ij)^2 / sum_ij mask_ij

Fields and values are in units of the fields' scales. Components count one by one: a wall prescribes two velocities, an
outlet one pressure. The weight is that of the condition, which may fall to nothing in the course of a training. An
initial condition is the same at points with a time of their own. Rows: the conditions in their order; then the corners
where two sides disagree, each with the values of the condition that owns it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

import pinn_ext
from pinnx.data.collocation import Sampling
from pinnx.errors import PinnxError
from pinnx.models.field_model import FieldModel
from pinnx.physics.boundary import BoundaryCondition
from pinnx.physics.concentration import largest_without_worst, where_errors_are
from pinnx.physics.corners import Corner, corner_distance, discontinuity_corners, left_out
from pinnx.physics.geometry import Bounds, place_and_time
from pinnx.physics.measured_values import MEASUREMENT_STREAM
from pinnx.physics.term import WHOLE, JetTerm, Measured, Points, Share

__all__ = ["BoundaryValues"]

CORNER_STREAM = MEASUREMENT_STREAM + 1
# Points of a corner where two sides disagree, per point of a side. Measured on the cavity at Re 1000, whose two corner
# nodes alone make up 0.02 of relative error where the network does not know to which side they belong.
CORNER_SHARE = 1 / 128
# Regular points of each condition at which its largest error is looked for.
CHECK_POINTS = 1001
PENALTY = "It is learned at points, as a penalty."


@dataclass(frozen=True)
class _Place:
    """Points of one condition."""

    condition: BoundaryCondition
    num: int
    draw: Callable[[int], NDArray[np.float64]]  # step -> [num, D]
    fixed: bool  # the same points in all steps


class BoundaryValues(JetTerm):
    """Prescribed values at places, at fresh points in each step.

    Args:
        conditions: at least one.
        num_points: points of each condition, one number or one for each; 0: it is checked and not trained.
        bounds: axis name -> (low, high) of the domain.
        seed: key of the points.
        scales: [c], what a field of one is in the user's units.
        check_radius: corners where sides disagree are not checked up to this distance: no field is right there.
        sampling: how points are spread over a place.
        steps: of the training, for conditions that hold up to a share of them.

    Attributes:
        corners: where two sides disagree.

    Raises:
        PinnxError: no conditions.
    """

    name = "boundary"
    names = ("boundary",)
    spec = pinn_ext.JetSpec()

    def __init__(
        self,
        conditions: Sequence[BoundaryCondition],
        num_points: int | Sequence[int],
        *,
        bounds: Bounds,
        seed: int,
        scales: ArrayLike = 1.0,
        check_radius: float = 0.0,
        sampling: Sampling = "uniform",
        steps: int = 1,
    ) -> None:
        if not conditions:
            raise PinnxError("boundary: expected at least one boundary condition, got none")
        self.conditions = tuple(conditions)
        self.scales = np.asarray(scales, dtype=np.float64)
        self.corners = discontinuity_corners(conditions, bounds, scales=scales)
        self.check_radius = check_radius
        nums = [num_points] * len(conditions) if isinstance(num_points, int) else list(num_points)
        draws = [c.sampler(n, seed=seed, sampling=sampling) for c, n in zip(conditions, nums, strict=True)]
        places = [_Place(c, n, draw, fixed=False) for c, n, draw in zip(conditions, nums, draws, strict=True)]
        places += _corner_places(conditions, self.corners, bounds, [math.ceil(CORNER_SHARE * n) for n in nums], seed)
        self.num_points = sum(place.num for place in places)
        # What all steps have in common is computed once: masks, prescribed numbers, corners that are one place.
        num_fields = len(conditions[0].mask)
        self._x = np.zeros((self.num_points, len(bounds)))
        self._values = np.zeros((self.num_points, num_fields))
        self._mask = np.zeros((self.num_points, num_fields))
        self._fresh: list[tuple[slice, _Place]] = []
        stop = 0
        for place in places:
            rows = slice(stop, stop := stop + place.num)
            self._mask[rows] = place.condition.mask
            if place.fixed or place.condition.constant:
                self._x[rows] = place.draw(0)
                self._values[rows] = place.condition.targets(self._x[rows])[0] / self.scales
            if not place.fixed:
                self._fresh.append((rows, place))
        self._num_prescribed = float(self._mask.sum())
        weights = np.concatenate([np.full(place.num, place.condition.weight) for place in places])
        self._mask *= np.sqrt(weights)[:, None]
        lasts = [math.inf if (share := place.condition.until) is None else share * steps for place in places]
        self._until = np.repeat(lasts, [place.num for place in places])

    def draw(self, step: int, share: Share = WHOLE) -> Points:
        """Places, dimensionless values, and a mask: the root of the weight where a field is prescribed, else 0.

        Raises:
            PinnxError: a formula that is not finite somewhere.
        """
        x, values = self._x.copy(), self._values.copy()
        for rows, place in self._fresh:
            x[rows] = place.draw(step)
            if not place.condition.constant:
                values[rows] = place.condition.targets(x[rows])[0] / self.scales
        left = np.sqrt(np.maximum(0.0, 1.0 - step / self._until))
        # A share draws all points and keeps its own: they are few, and spread over several conditions.
        part = share.rows(self.num_points)
        rows = slice(part.start, part.stop)
        return {"x": x[rows], "values": values[rows], "mask": (self._mask * left[:, None])[rows]}

    def residual(self, jet: pinn_ext.Jet, points: Mapping[str, Tensor]) -> Tensor:
        """The misfit, [n, c], zero where nothing is prescribed."""
        return (jet.value - points["values"]) * points["mask"]

    def columns(self, residual: Tensor, points: Mapping[str, Tensor]) -> Tensor:
        return residual.square().sum().reshape(1) / self._num_prescribed

    def measure(self, model: FieldModel, *, num_points: int, seed: int) -> list[Measured]:
        """The largest error of a prescribed field, in units of its scale; NaN where the model gives NaN.

        Conditions that are known roughly are left out where there are others.

        Raises:
            PinnxError: a condition without points away from the corners; nothing would be checked.
        """
        inside, everywhere, places, named = [], [], [], []
        certain = [condition for condition in self.conditions if not condition.rough]
        for condition in certain or self.conditions:
            at = condition.validation_points(CHECK_POINTS)
            away = corner_distance(at, self.corners, tuple(condition.bounds)) > self.check_radius
            if not away.any():
                raise PinnxError(f"boundary: expected points of {condition.where} away from the corners, got none")
            values, mask = condition.targets(at)
            errors = np.abs((model.predict(at) - values) / self.scales)[:, mask].max(axis=1)
            worst = int(np.argmax(np.where(away, errors, -1.0)))
            inside.append(float(errors[worst]))
            places.append(place_and_time(at[worst], condition.bounds))
            everywhere.append(errors.max())
            named.append((str(condition.where), errors[away]))
        worst, whole = int(np.argmax(inside)), float(np.max(everywhere))  # not max(), which would lose a NaN
        rough = len(self.conditions) - len(certain) if certain else 0
        notes = [left_out(self.corners, self.check_radius), f"without {rough} that are known roughly" if rough else ""]
        note = ", ".join(filter(None, notes))
        largest, whole = inside[worst], whole if self.corners else None
        given = {"everywhere": whole, "worst": largest, "worst_at": places[worst]}
        if self.num_points and math.isfinite(largest):
            given |= {"why": f"{PENALTY} {where_errors_are(named)}", "rest": largest_without_worst(named)}
        return [Measured("boundary_error_max", largest, note, **given)]


def _corner_places(
    conditions: Sequence[BoundaryCondition], corners: Sequence[Corner], bounds: Bounds, nums: Sequence[int], seed: int
) -> Iterator[_Place]:
    """Corners are edges where the domain has more axes than the two that they fix: points are drawn along them."""
    for number, corner in enumerate(corners):
        num = nums[corner.owner]
        draw = corner.sampler(num, bounds, seed=seed, stream=CORNER_STREAM, first_index=number * num)
        yield _Place(conditions[corner.owner], num, draw, fixed=set(bounds) == set(corner.axes))
