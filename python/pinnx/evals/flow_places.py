"""A flow given as numbers, and what its derivatives are taken by: on a grid, even or not, or at scattered points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.errors import PinnxError
from pinnx.evals.derivatives import ORDERS, Derivatives, GridDerivatives, ScatteredDerivatives
from pinnx.evals.numbers import as_array, as_scale

__all__ = ["Flow", "FlowPlaces"]

# Of the waves of a spectral derivative, for the comparison: what the highest third holds is about what is missing.
FEWER_WAVES = 2 / 3

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Flow:
    """Fields ``[T, ...]`` with the derivatives of two orders."""

    velocity: tuple[Array, ...]
    coarse: Derivatives
    fine: Derivatives
    where: Array  # 1.0 or 0.0 for each point
    places: tuple[Array, ...]  # x, y[, z] of each point
    speed: float
    length: float
    note: str  # of what was guessed
    left_out: str  # which points do not count, and why


class FlowPlaces:
    """Where and when a flow is given, its scales, and which points count; arguments as of `ConservationChecker`.

    Attributes:
        times: [T]; None: a steady flow, or one frame.

    Raises:
        PinnxError: what is given does not belong together.
    """

    def __init__(
        self,
        *,
        axes: Sequence[Any] | None,
        spacing: float | Sequence[float] | None,
        points: Any,
        periods: Sequence[float | None] | None,
        where: Any,
        reason: str,
        times: Any,
        order: int,
        spectral: bool,
        speed: float | None,
        length: float | None,
    ) -> None:
        if sum(given is not None for given in (axes, spacing, points)) > 1:
            raise PinnxError("checker: expected one of axes, spacing and points, got several")
        if order not in ORDERS[:-1]:
            raise PinnxError(f"order: expected one of {', '.join(map(str, ORDERS[:-1]))}, got {order}")
        self._axes = None if axes is None else [as_array("axes", axis) for axis in axes]
        self._spacing, self._periods, self._spectral, self._order = spacing, periods, spectral, order
        self._points = None if points is None else as_array("points", points)
        self._where = None if where is None else np.asarray(where, dtype=bool)
        self._reason = reason
        self.times = None if times is None else as_array("times", times)
        self._speed, self._length = as_scale("speed", speed), as_scale("length", length)
        # By shape and number of components: fits take seconds.
        self._made: dict[tuple[tuple[int, ...], int], tuple[Derivatives, Derivatives, str]] = {}

    def flow(self, u: Any, v: Any, w: Any) -> Flow:
        """The flow of components ``[...]``, with times ``[T, ...]``; w None: two dimensions.

        Raises:
            PinnxError: fields that have other shapes than the places, or are not finite; a flow at rest, and no speed.
        """
        names, given = ("u", "v", "w"), [part for part in (u, v, w) if part is not None]
        velocity = [as_array(name, part) for name, part in zip(names, given, strict=False)]
        if self.times is None:
            velocity = [part[None] for part in velocity]
        shape = velocity[0].shape
        for name, part in zip(names, velocity, strict=False):
            if part.shape != shape:
                raise PinnxError(f"{name}: expected the shape of u, {list(shape)}, got {list(part.shape)}")
        if self.times is not None and self.times.shape != shape[:1]:
            raise PinnxError(f"times: expected one for each of {shape[0]} frames, got {list(self.times.shape)}")
        key = (shape, len(velocity))
        if key not in self._made:
            self._made[key] = self._derivatives(shape[1:], len(velocity))
        coarse, fine, note = self._made[key]
        speed = self._speed or float(np.sqrt(sum((part**2 for part in velocity), np.zeros(shape)).max()))
        if not speed > 0:
            raise PinnxError("velocity: expected a flow that moves, got zero everywhere (give the scale speed)")
        where = np.ones(shape[1:]) if self._where is None else self._where.astype(np.float64)
        if where.shape != shape[1:]:
            raise PinnxError(f"where: expected shape {list(shape[1:])}, got {list(where.shape)}")
        if not where.any():
            raise PinnxError("where: expected a point that counts, got none")
        return Flow(
            tuple(velocity),
            coarse,
            fine,
            where,
            tuple(self._points.T) if isinstance(coarse, ScatteredDerivatives) else _mesh(coarse),
            speed,
            self._length or float(coarse.lengths.max()),
            note,
            self._left_out(where),
        )

    def pressure(self, flow: Flow, p: Any) -> Array:
        """The pressure of a flow, ``[T, ...]``.

        Raises:
            PinnxError: it has another shape than the velocity, or is not finite.
        """
        found = as_array("p", p)
        found = found[None] if self.times is None else found
        if found.shape != flow.velocity[0].shape:
            raise PinnxError(f"p: expected the shape of u, got {list(found.shape)}")
        return found

    def _left_out(self, where: Array) -> str:
        """How many points do not count, and why."""
        out = int(where.size - where.sum())
        return f"without {out:,} of {where.size:,} points{' ' if self._reason else ''}{self._reason}" if out else ""

    def _derivatives(self, shape: tuple[int, ...], dim: int) -> tuple[Derivatives, Derivatives, str]:
        if self._points is not None:
            if self._points.shape != (*shape, dim):
                raise PinnxError(f"points: expected shape {[*shape, dim]}, got {list(self._points.shape)}")
            return *(ScatteredDerivatives(self._points, order) for order in (2, 3)), ""
        if len(shape) != dim:
            raise PinnxError(f"u: expected a grid of {dim} dimensions (or points), got shape {list(shape)}")
        axes, note = self._axes, ""
        if axes is None:
            step = self._spacing if self._spacing is not None else 1.0 / (max(shape) - 1)
            if np.size(step) not in (1, dim):
                raise PinnxError(f"spacing: expected one number or {dim}, got {np.size(step)}")
            steps = np.broadcast_to(np.asarray(step, dtype=np.float64), dim)
            if not (np.isfinite(steps) & (steps > 0)).all():
                raise PinnxError(f"spacing: expected finite lengths > 0, got {steps.tolist()}")
            axes = [np.arange(n) * h for n, h in zip(shape, steps, strict=True)]
            note = "" if self._spacing is not None else "neither axes nor spacing: the longest side is taken as 1"
        if tuple(axis.size for axis in axes) != shape:
            raise PinnxError(f"u: expected shape {[axis.size for axis in axes]} of the axes, got {list(shape)}")
        options: dict[str, Any] = {"periods": self._periods, "spectral": self._spectral}
        coarse = GridDerivatives(axes, self._order, **options, waves=FEWER_WAVES)
        return coarse, GridDerivatives(axes, self._order + 2, **options), note


def _mesh(grid: Derivatives) -> tuple[Array, ...]:
    assert isinstance(grid, GridDerivatives)
    return tuple(np.meshgrid(*grid.axes, indexing="ij"))
