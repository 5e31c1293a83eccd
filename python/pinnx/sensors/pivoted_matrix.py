"""What is pivoted, out of a source of snapshots: modes, the snapshots themselves, or a sketch of them.

basis        A [r, n c]
pod          r modes, each times its singular value where `scale_modes`
randomized   the same by a range finder; with method "randomized" out of one pass over X
identity     the snapshots themselves, r = T; streamed, a sketch of k c + oversampling rows
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinnx.data.blocks import SnapshotSource
from pinnx.errors import PinnxError
from pinnx.sensors.basis import find_modes, modes_of_sketch, sketch_snapshots
from pinnx.sensors.estimator import Estimator

__all__ = ["BASES", "MatrixPlan", "PivotedMatrix", "default_modes", "work_rows"]

BASES = ("pod", "identity", "randomized")
# Numbers whose squares, and sums of them, are as exact as they are themselves.
MODERATE = {torch.float32: 1e15, torch.float64: 1e120}
LARGEST_EXPONENT = {torch.float32: 126, torch.float64: 1022}


@dataclass(frozen=True, eq=False)
class PivotedMatrix:
    """A matrix and the basis that it is made of.

    Args:
        matrix: [r, n c], what is pivoted.
        basis: [r, n c], rows of the basis.
        singular_values: [r] float64; None for the snapshots themselves.
        mean: [n c], what was taken off.
        num_snapshots: T.
        method: how the basis was made: "snapshots", "range_finder", "sketch", "identity".
    """

    matrix: Tensor
    basis: Tensor
    singular_values: Tensor | None
    mean: Tensor
    num_snapshots: int
    method: str


def default_modes(n_sensors: int, c: int) -> int:
    """Return r = k (1 + c) / 2, halfway from the number of sensors to that of what they measure.

    As many modes as measured numbers, k c, leave the reconstruction nothing to average noise with: see
    docs/sensors.md for the measurement.
    """
    return n_sensors * (1 + c) // 2


def work_rows(num_modes: int, oversampling: int = 10) -> int:
    """Return how many rows of n c numbers are held: modes, their scaled copy, and what a factorisation makes."""
    return 3 * (num_modes + oversampling)


@dataclass(eq=False, repr=False)
class MatrixPlan(Estimator):
    """How the matrix is made: arguments of `SensorSelector`, which says what they are."""

    n_sensors: int
    _: KW_ONLY
    basis: str = "pod"
    n_modes: int | None = None
    method: str = "exact"
    subtract_mean: bool = False
    scale_modes: bool = False
    areas: Any = None
    seed: int = 0
    oversampling: int = 10
    power_iterations: int = 2
    sketch: str = "gaussian"

    def _matrix_of(self, source: SnapshotSource) -> PivotedMatrix:
        """Return the matrix of a source.

        Raises:
            PinnxError: a source that cannot be read as often as needed, or does not fit.
        """
        if self.basis == "identity":
            return self._identity(source)
        # Products of snapshots may leave the range of their type where the snapshots do not. Modes, or their absence,
        # show it; looking at the size of all numbers first would cost every caller a pass.
        found, failure = None, None
        try:
            found = self._scaled_modes(source, 1.0)
        except (PinnxError, torch.linalg.LinAlgError) as error:
            failure = error
        most = MODERATE[source.dtype]
        if found is not None and found.singular_values is not None and 1 / most < found.singular_values[0] < most:
            return found
        source.scales = None
        largest = max(float(block.abs().max()) for block in source.rows()) if source.repeatable else math.nan
        if largest > most or 0.0 < largest < 1 / most:
            # A power of two rounds nothing; that of the least numbers has no inverse.
            return self._scaled_modes(source, 2.0 ** min(-math.frexp(largest)[1], LARGEST_EXPONENT[source.dtype]))
        if found is None:
            assert failure is not None
            raise failure
        return found

    def _scaled_modes(self, source: SnapshotSource, factor: float) -> PivotedMatrix:
        """The modes of factor A, with the singular values, the mean and the matrix of A itself."""
        if self.areas is None and factor == 1.0:
            return self._modes(source)
        # Modes of A W^(1/2), divided by W^(1/2), are orthonormal in the inner product of the areas.
        areas = np.ones(source.n) if self.areas is None else self._checked_areas(source.n)
        roots = torch.from_numpy(np.repeat(np.sqrt(areas), source.c)).to(source.device, source.dtype)
        source.scales = roots * factor
        found = self._modes(source)
        same = found.matrix is found.basis
        basis = found.basis.div_(roots)
        matrix = basis if same else found.matrix.div_(source.scales)
        values = None if found.singular_values is None else found.singular_values / factor
        return replace(found, matrix=matrix, basis=basis, singular_values=values, mean=found.mean / source.scales)

    def _checked_areas(self, n: int) -> NDArray[np.float64]:
        """Return the areas, divided by their mean."""
        areas = np.asarray(self.areas.detach().cpu() if isinstance(self.areas, Tensor) else self.areas, np.float64)
        if areas.shape != (n,) or not np.isfinite(areas).all() or not (areas > 0.0).all():
            raise PinnxError(f"areas: expected {n} finite numbers > 0, one for each place, got {list(areas.shape)}")
        return areas / areas.mean()

    def _rows(self, c: int) -> int:
        if self.basis == "identity":
            return int(self.n_sensors) * c
        return default_modes(int(self.n_sensors), c) if self.n_modes is None else self.n_modes

    def _modes(self, source: SnapshotSource) -> PivotedMatrix:
        most = self._rows(source.c)
        if self.basis == "randomized" and self.method == "randomized":
            sketch, mean, count = self._sketch(source)
            found = modes_of_sketch(sketch, mean, count, self.n_modes, most, subtract_mean=self.subtract_mean)
        else:
            if not source.repeatable:
                raise PinnxError(
                    "X: expected blocks that can be read again (a list, a dataset) for more than one pass, got an "
                    "iterator; basis='randomized' with method='randomized' needs one"
                )
            found = find_modes(
                source,
                self.n_modes,
                most,
                subtract_mean=self.subtract_mean,
                randomized=self.basis == "randomized",
                oversampling=self.oversampling,
                power_iterations=self.power_iterations,
                seed=self.seed,
            )
        values = found.singular_values
        matrix = found.modes * values.to(found.modes)[:, None] if self.scale_modes else found.modes
        mean = found.mean if self.subtract_mean else torch.zeros_like(found.mean)
        return PivotedMatrix(matrix, found.modes, values, mean, found.num_snapshots, found.method)

    def _identity(self, source: SnapshotSource) -> PivotedMatrix:
        if not source.in_memory and self.method != "randomized":
            raise PinnxError(
                "basis: expected snapshots that fit the memory limit for 'identity', got more; method='randomized' "
                "takes a sketch of them in one pass, basis='pod' their modes"
            )
        if not source.in_memory:
            matrix, mean, count = self._sketch(source)
            mean = mean if self.subtract_mean else torch.zeros_like(mean)
            return PivotedMatrix(matrix, matrix, None, mean, count, "sketch")
        (matrix,) = source.rows()
        mean = torch.zeros_like(matrix[0])
        if self.subtract_mean and len(matrix) > 1:
            mean = matrix.mean(dim=0)
            matrix = matrix - mean
        return PivotedMatrix(matrix, matrix, None, mean, len(matrix), "identity")

    def _sketch(self, source: SnapshotSource) -> tuple[Tensor, Tensor, int]:
        rows = self._rows(source.c) + self.oversampling
        return sketch_snapshots(source, rows, subtract_mean=self.subtract_mean, seed=self.seed, kind=self.sketch)
