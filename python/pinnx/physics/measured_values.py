"""The term of the measurements: the mean square of the model's misfit at the sensors.

    term = sum_ij mask_ij rho(q_j(x_i) - value_ij) / sum_ij mask_ij,    rho(r) = r^2 unless another is given

q_j is an output of the model, or, in a column behind the outputs, the length of a vector: sqrt(u^2 + v^2) where a speed
is measured without its direction; each in units of its scale. Numbers count one by one: a probe of u counts half as
much as one of u and v. Where standard deviations sigma_ij are known, less certain numbers count less:

    r_ij = s / sigma_ij (q_j(x_i) - value_ij),    1 / s^2 = mean of 1 / sigma_ij^2

so that the term is the mean square of misfit / sigma, times s^2. Values that only guide the first part of a training
fade: the share of their mean square falls linearly to nothing, max(0, 1 - step / until).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

import pinn_ext
from pinnx.data.collocation import BoxPoints
from pinnx.errors import PinnxError
from pinnx.models.field_model import FieldModel
from pinnx.physics.geometry import place_and_time
from pinnx.physics.term import WHOLE, JetTerm, Measured, Points, Share, largest_share

__all__ = ["FadingValues", "MeasuredValues"]

MEASUREMENT_STREAM = 1 << 20


class MeasuredValues(JetTerm):
    """Values of fields at places.

    Args:
        coordinates: [k, D] float64, where and when was measured.
        values: [k, c] float64, of the model's first c outputs in the user's units, NaN where one was not measured.
        lengths: [k] float64, of the vector whose components are the first ``vector`` outputs, NaN where not measured;
            None: nowhere.
        vector: number of the outputs, from the first, that are components of one vector; None: all c.
        scales: [c], what an output of one is in the user's units.
        deviations: [k, c], or [k, c + 1] with ``lengths``, standard deviations of the values in the user's units, > 0
            where one was measured; None: not known.
        num_points: measurements of a step, drawn anew in each; None, or k and more: all of them.
        seed: key of the draw.
        rho: what of each misfit is averaged; 0 at 0.
        axes: names of the D columns of the coordinates, for the place of the largest misfit; None: it is not named.
        fields: names of the outputs, for the note of a misfit that is not of the vector; None: they are not named.
        name: of the term and of its column; None: that of the class, "data".

    Attributes:
        scales: as they were given, for each column of the values.
        variance: s^2, what the term is where the misfit is that of the noise; None where that is not known.
        size: root mean square of the values as the term takes them.

    Raises:
        PinnxError: shapes that do not fit together, or numbers that are not finite.
    """

    name = "data"
    names = ("data",)
    spec = pinn_ext.JetSpec()

    def __init__(
        self,
        coordinates: NDArray[np.float64],
        values: NDArray[np.float64],
        *,
        lengths: NDArray[np.float64] | None = None,
        vector: int | None = None,
        scales: ArrayLike = 1.0,
        deviations: NDArray[np.float64] | None = None,
        num_points: int | None = None,
        seed: int = 0,
        rho: Callable[[Tensor], Tensor] = torch.square,
        axes: Sequence[str] | None = None,
        fields: Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        if name is not None:
            self.name, self.names = name, (name,)
        if coordinates.ndim != 2 or not len(coordinates):
            raise PinnxError(f"coordinates: expected shape [k, D], k >= 1, got {list(coordinates.shape)}")
        if values.ndim != 2 or len(values) != len(coordinates):
            raise PinnxError(f"measurements: expected shape [{len(coordinates)}, c], got {list(values.shape)}")
        self.vector, self._has_lengths = vector or values.shape[1], lengths is not None
        self.scales = scales = np.broadcast_to(np.asarray(scales, dtype=np.float64), values.shape[1])
        values = values / scales
        if lengths is not None:
            values = np.column_stack([values, lengths / scales[0]])
        mask = ~np.isnan(values)
        if not np.isfinite(coordinates).all() or np.isinf(values).any():
            raise PinnxError("measurements: expected finite numbers, got NaN or infinity")
        if not mask.any(axis=1).all():
            raise PinnxError("measurements: expected a finite number in each row, got one of NaN alone")
        self.coordinates, self.values, self.mask = coordinates, np.where(mask, values, 0.0), mask
        self._rho, self._axes, self._fields = rho, axes, fields
        # What each misfit is multiplied by, 0 where nothing was measured.
        self._factors, self.variance = mask.astype(np.float64), None
        if deviations is not None:
            self._factors, self.variance = _by_certainty(
                deviations / np.append(scales, scales[0])[: mask.shape[1]], mask
            )
        self._complete = bool((self._factors == 1.0).all())
        self.size = float(np.sqrt(np.mean(np.square(self._factors * self.values)[mask])))
        self.num_points = min(num_points or len(values), len(values))
        self._drawn = None
        if self.num_points < len(values):
            self._drawn = BoxPoints([0.0], [1.0], self.num_points, seed=seed, stream=MEASUREMENT_STREAM)
        # Numbers of a step, in the mean over the draws: then the loss of a part of the rows is that of all in the mean.
        self._num_measured = self.num_points * float(mask.sum()) / len(mask)

    def draw(self, step: int, share: Share = WHOLE) -> Points:
        """Places and dimensionless values, the step's own or all; a mask unless all was measured alike everywhere."""
        rows = share.rows(self.num_points)
        chosen: slice | NDArray[np.int64] = slice(rows.start, rows.stop)
        if self._drawn is not None:
            chosen = (self._drawn.draw(step, rows)[:, 0] * len(self.values)).astype(np.int64)
        drawn = {"x": self.coordinates[chosen], "values": self.values[chosen]}
        return drawn if self._complete else drawn | {"mask": self._factors[chosen]}

    def residual(self, jet: pinn_ext.Jet, points: Mapping[str, Tensor]) -> Tensor:
        """The misfit, [n, c], zero where nothing was measured."""
        misfit = self._measurable(jet.value) - points["values"]
        return misfit if self._complete else misfit * points["mask"]

    def columns(self, residual: Tensor, points: Mapping[str, Tensor]) -> Tensor:
        return self._rho(residual).sum().reshape(1) / self._num_measured

    def measure(self, model: FieldModel, *, num_points: int, seed: int) -> list[Measured]:
        """The misfit at all measurements, relative to them; nothing where all are zero (sensors on walls, say).

        Fields beside the vector have another unit: of them and of the vector the largest misfit counts. Where the noise
        is known, what it leaves in the mean is subtracted from the squares.
        """
        return self.relative_misfit(model, self)

    def relative_misfit(self, model: FieldModel, typical: MeasuredValues) -> list[Measured]:
        """The misfit as `measure` has it, relative to the root mean square of other measurements of the same fields.

        Args:
            model: whose misfit it is.
            typical: those of which these are a part, for instance.
        """
        found = self._measurable(torch.from_numpy(model.predict(self.coordinates) / model.field_scales)).numpy()
        misfit = np.where(self.mask, found - self.values, 0.0)
        noise = np.zeros_like(misfit)
        if self.variance is not None:
            noise[self.mask] = np.sqrt(self.variance) / self._factors[self.mask]
        groups = self._groups()
        sizes = [
            float(np.linalg.norm(typical.values[:, group])) * _root_ratio(self.mask[:, group], typical.mask[:, group])
            for group in groups
        ]
        beyond = [np.sum(misfit[:, group] ** 2 - noise[:, group] ** 2, axis=1) for group in groups]
        shares = [np.sqrt(np.maximum(b.sum(), 0.0)) / (size or np.inf) for b, size in zip(beyond, sizes, strict=True)]
        worst = int(np.argmax(shares))  # the first NaN
        said = [f"of {self._fields[groups[worst][0]]}"] if worst and self._fields is not None else []
        note = ", ".join(said + ([] if self.variance is None else ["beyond the noise"]))
        if not sizes[worst]:
            return [Measured("sensor_misfit", None, note)]
        rows = np.flatnonzero(self.mask[:, groups[worst]].any(axis=1))
        largest, row = largest_share(beyond[worst][rows], sizes[worst])
        place = None if self._axes is None else place_and_time(self.coordinates[rows[row]], self._axes)
        return [Measured("sensor_misfit", float(shares[worst]), note, worst=largest, worst_at=place)]

    def _groups(self) -> list[NDArray[np.intp]]:
        """Columns that have one unit: those of the vector and its length, and each other field."""
        columns = np.arange(self.values.shape[1])
        beside = columns[self.vector : len(columns) - self._has_lengths]
        return [np.setdiff1d(columns, beside), *beside.reshape(-1, 1)]

    def deviations_missed(self, model: FieldModel, variance: float) -> float:
        """The root mean square of misfit / sigma at all measurements, the mean 1 / sigma^2 being 1 / variance."""
        found = self._measurable(torch.from_numpy(model.predict(self.coordinates) / model.field_scales)).numpy()
        squares = np.square(self._factors * (found - self.values))
        return float(np.sqrt(squares.sum() / self.mask.sum() / variance))

    def _measurable(self, outputs: Tensor) -> Tensor:
        """[n, c] of the model's outputs: the fields that are measured, and behind them the length of the vector."""
        if not self._has_lengths:
            return outputs[:, : self.values.shape[1]]
        length = torch.linalg.vector_norm(outputs[:, : self.vector], dim=1, keepdim=True)  # gradient 0 at rest
        return torch.cat([outputs[:, : self.values.shape[1] - 1], length], dim=1)


def _root_ratio(some: NDArray[np.bool_], others: NDArray[np.bool_]) -> float:
    """The root of how many numbers are marked, over those that are marked in another mask; 0 where none is there."""
    return float(np.sqrt(some.sum() / max(others.sum(), 1)))


def _by_certainty(deviations: NDArray[np.float64], mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Factors s / sigma, [k, c], 0 where nothing was measured, and s^2.

    Raises:
        PinnxError: a deviation that is no number > 0 where something was measured.
    """
    if deviations.shape != mask.shape or not (deviations[mask] > 0.0).all():
        raise PinnxError(f"deviations: expected numbers > 0 of shape {list(mask.shape)} where something was measured")
    certainty = 1.0 / np.where(mask, deviations, np.inf)
    variance = 1.0 / float(np.mean(certainty[mask] ** 2))
    factors = certainty * np.sqrt(variance)
    # Equal ones to rounding are equal: then the points need no mask.
    return np.where(np.abs(factors - 1.0) < 1e-12, 1.0, factors), variance


class FadingValues(MeasuredValues):
    """Values of fields at places that count less from step to step.

    Args:
        values: coordinates, values and more, as for ``MeasuredValues``.
        until: the step from which on they do not count.
        more: as for ``MeasuredValues``.
    """

    name = "warm_start"
    names = ("warm_start",)

    def __init__(self, *values: Any, until: float, **more: Any) -> None:
        super().__init__(*values, **more)
        self.until = until

    def draw(self, step: int, share: Share = WHOLE) -> Points:
        """As ``MeasuredValues``, and the share of the step for each point."""
        drawn = super().draw(step, share)
        return {**drawn, "share": np.full((len(drawn["x"]), 1), max(0.0, 1.0 - step / self.until))}

    def columns(self, residual: Tensor, points: Mapping[str, Tensor]) -> Tensor:
        return super().columns(residual * points["share"].sqrt(), points)

    def measure(self, model: FieldModel, *, num_points: int, seed: int) -> list[Measured]:
        """Nothing: what guides a training says nothing of its result."""
        return []
