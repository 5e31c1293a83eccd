"""Measured size distributions as a term: the misfit of f at volumes and times, each point by its logarithm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from pinnx.errors import PinnxError
from pinnx.physics.breakage_model import BreakageModel
from pinnx.physics.term import WHOLE, Measured, Points, Share, TermLoss

__all__ = ["SizeMeasurements"]


def _squares(log_f: Tensor, measured: Tensor) -> Tensor:
    return (log_f - torch.log(measured)).square()


class SizeMeasurements:
    """Number densities at volumes and times.

    Args:
        model: whose units the measurements take.
        t: times, [k], >= 0.
        v: volumes, [k], > 0; below the delta where there is one.
        f: measured densities, [k], > 0.
        misfit: (log f of the model, f as measured), both dimensionless -> loss of each point.

    Raises:
        PinnxError: arrays of other shapes, or numbers out of their range.
    """

    name = "data"
    names = ("data",)

    def __init__(
        self,
        model: BreakageModel,
        t: ArrayLike,
        v: ArrayLike,
        f: ArrayLike,
        *,
        misfit: Callable[[Tensor, Tensor], Tensor] = _squares,
    ) -> None:
        t, v, f = (np.asarray(given, dtype=np.float64) for given in (t, v, f))
        case = model.case
        if not (t.ndim == 1 and len(t) and t.shape == v.shape == f.shape):
            raise PinnxError(
                f"measurements: expected times, volumes and densities [k], got {list(t.shape)}, {list(v.shape)} and "
                f"{list(f.shape)}"
            )
        first = 0.0 if case.delta_at is None else np.nextafter(0.0, 1.0)
        for name, numbers, low, high in (
            ("t", t, first, case.end),
            ("v", v, case.sizes[0], case.sizes[1] if case.delta_at is None else np.nextafter(case.delta_at, 0.0)),
            ("f", f, np.nextafter(0.0, 1.0), np.finfo(np.float64).max),
        ):
            wrong = np.flatnonzero(~((numbers >= low) & (numbers <= high)))
            if len(wrong):
                wanted = "finite f > 0" if name == "f" else f"{name} from {low:g} to {high:g}"
                row = int(wrong[0])
                raise PinnxError(f"measurements: expected {wanted}, got {numbers[row]:g} in row {row + 1}")
        self._misfit = misfit
        self.coordinates, self.f = np.column_stack([t, v]), f
        unit = v / case.mean_volume
        self._given = {
            "x": self.coordinates,
            "t": t / case.time,
            "log_v": np.log(unit),
            "log_start": case.log_start(unit),
            "f": f * case.mean_volume / case.number,
        }

    def draw(self, step: int, share: Share = WHOLE) -> Points:
        """All measurements."""
        rows = share.rows(len(self.f))
        return {name: numbers[rows.start : rows.stop] for name, numbers in self._given.items()}

    def loss(
        self, model: Any, points: Mapping[str, Tensor], weights: Tensor, *, with_residual: bool = False
    ) -> TermLoss:
        """As `Term.loss`; the residual is that of the logarithms, [n, 1]."""
        log_f = model.log_density_at(points["x"], points["log_start"], points["log_v"], points["t"])
        column = self._misfit(log_f, points["f"]).sum().reshape(1) / len(self.f)
        shown = (log_f - torch.log(points["f"])).detach()[:, None] if with_residual else None
        return TermLoss(torch.dot(weights, column), column.detach(), shown)

    def measure(self, model: Any, *, num_points: int, seed: int) -> list[Measured]:
        """Root mean square of the logarithm of predicted over measured densities; its place is (volume, time)."""
        apart = model.predict(self.coordinates)[:, 0] - np.log(self.f)
        row = int(np.abs(apart).argmax())
        value, largest = float(np.sqrt(np.mean(apart**2))), float(abs(apart[row]))
        place = tuple(self.coordinates[row, ::-1].tolist())
        return [Measured("size_misfit", value, f"at {len(self.f)} measurements", worst=largest, worst_at=place)]
