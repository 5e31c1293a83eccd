"""What is measured of size distributions, and what a solver says of it: values, and derivatives by unknowns.

    y(t) = H exp(A t) f_0

H reads a density, or the share of the volume in particles up to a size, at the measured volumes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pinnx.errors import PinnxError
from pinnx.physics.breakage_kinetics import Kinetics
from pinnx.solvers.breakage.distributions import SizeGrid
from pinnx.solvers.breakage.evolution import evolve, sensitivities

__all__ = ["MeasuredSizes", "ObservedModel"]

Array = NDArray[np.float64]

# Volume of a start beyond 1: the error of its integral on a coarse grid.
TOO_MUCH = 1e-3


@dataclass(frozen=True, eq=False)
class MeasuredSizes:
    """Size distributions as measured.

    Args:
        times: [T] rising, >= 0.
        v: [r] volumes, rising.
        values: [T, r]; NaN where nothing was measured.
        kind: "density": f(v), of number; "passing": the share of the volume in particles up to v, where the total
            volume M1 is 1.

    Raises:
        PinnxError: shapes that do not fit.
    """

    times: Array
    v: Array
    values: Array
    kind: Literal["density", "passing"] = "density"

    def __post_init__(self) -> None:
        wanted = (len(self.times), len(self.v))
        if self.values.shape != wanted:
            raise PinnxError(f"values: expected shape {list(wanted)}, got {list(self.values.shape)}")
        if self.kind not in ("density", "passing"):
            raise PinnxError(f"kind: expected density or passing, got {self.kind}")


class ObservedModel:
    """What would be measured, by the solver on one grid.

    Args:
        grid: of the sizes, from the smallest measured volume on or lower.
        measured: where and when.
        start: number density at t = 0, volumes [n] -> [n]; with unknown coefficients -> [n, k]; None: only a delta.
        delta_at: volume of one particle at t = 0, or None.

    Raises:
        PinnxError: a grid that begins above the smallest measured volume; nothing at the start, or for shares a start
            of more than the total volume 1.
    """

    def __init__(
        self,
        grid: SizeGrid,
        measured: MeasuredSizes,
        start: Callable[[Array], Array] | None,
        delta_at: float | None,
    ) -> None:
        if measured.v.min() < grid.low * (1 - 1e-9):
            raise PinnxError(f"grid: expected it from {measured.v.min():g} on or lower, got {grid.low:g}")
        if start is None and delta_at is None:
            raise PinnxError("fit: expected a start, a delta_at, or both")
        self.grid, self._times, self._delta_at = grid, measured.times, delta_at
        self._start = np.zeros(len(grid.v)) if start is None else grid.sample(start)
        delta = np.zeros(len(measured.v))
        if measured.kind == "density":
            self._offset, observe = 0.0, grid.interpolate(np.eye(len(grid.v)), measured.v).T
        else:
            self._offset, observe = 1.0, -grid.above(np.diag(grid.v), measured.v).T
            known = 0.0 if self._start.ndim == 2 else float(self._start @ (grid.weights * grid.v))
            if known + (delta_at or 0.0) > 1 + TOO_MUCH:
                raise PinnxError(
                    f"start: expected a total volume of 1 beside shares of it, got {known + (delta_at or 0.0):g}"
                )
            delta = -(delta_at or 0.0) * (measured.v < (delta_at or 0.0))
        self._observe = observe if delta_at is None else np.column_stack([observe, delta])  # [r, n]

    def predicted(self, kinetics: Kinetics, coefficients: Array) -> Array:
        """[T, r]."""
        states = evolve(self.matrix(kinetics), self._state(coefficients), self._times)
        return self._offset + states @ self._observe.T

    def slopes(self, kinetics: Kinetics, directions: Sequence[Array], coefficients: Array) -> Array:
        """Derivatives of what is measured by directions of the matrix, then by coefficients, [p + k, T, r]."""
        matrix, state = self.matrix(kinetics), self._state(coefficients)
        by_matrix = sensitivities(matrix, directions, state, self._times) @ self._observe.T
        if not len(coefficients):
            return by_matrix
        columns = self._start if self._delta_at is None else np.vstack([self._start, np.zeros(len(coefficients))])
        by_start = np.einsum("tnk,rn->ktr", evolve(matrix, columns, self._times), self._observe)
        return np.concatenate([by_matrix, by_start])

    def matrix(self, kinetics: Kinetics) -> Array:
        """That of the solver."""
        return self.grid.matrix(kinetics, self._delta_at)

    def _state(self, coefficients: Array) -> Array:
        state = self._start @ coefficients if self._start.ndim == 2 else self._start
        return state if self._delta_at is None else np.append(state, 1.0)
