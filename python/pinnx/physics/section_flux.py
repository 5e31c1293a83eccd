"""The term of a known flux through a section of the flow.

    residual = (integral over the section of u . a  -  Q) / (U L^(d-1)),   a along the axis that the section fixes

Gauss-Legendre sums over what of the section borders the flow; of a flow with times at fresh times in each step. A flux
that is the same through several sections says what continuity says, over a whole piece of the flow at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import pinn_ext
from pinnx.data.collocation import BoxPoints
from pinnx.data.layout import grid_points
from pinnx.errors import PinnxError
from pinnx.models.field_model import FieldModel
from pinnx.physics.boundary import FIRST_STREAM, place_of
from pinnx.physics.geometry import Bounds, Side, place_and_time
from pinnx.physics.scales import Scales
from pinnx.physics.term import WHOLE, JetTerm, Measured, Points, Share

__all__ = ["Flux", "SectionFlux", "section_fluxes"]

Array = NDArray[np.float64]
# Of a Gauss-Legendre sum along each axis of a section; times in a step, and of the check.
NODES, TIMES, CHECK_TIMES = 32, 4, 32


@dataclass(frozen=True, eq=False)
class Flux:
    """A volume flux that is known.

    Args:
        where: a section, or a side.
        value: along its axis, length^2 / time (length^3 / time in three dimensions).
        bounds: axis name -> (low, high) of the domain.
        stream: of the random times.
    """

    where: Side
    value: float
    bounds: Bounds
    stream: int

    def nodes(self, times: Array) -> tuple[Array, Array]:
        """Points [T m, D] at times [T] in [0, 1], and the weights of one time [m]; one time where there is none."""
        line, weights = np.polynomial.legendre.leggauss(NODES)
        axes = len(self.bounds) - 1 - ("t" in self.bounds)
        mesh = grid_points([0.5 * (line + 1.0)] * axes)
        product = np.ones(1)
        for _ in range(axes):
            product = np.multiply.outer(product, 0.5 * weights).reshape(-1)
        if "t" not in self.bounds:
            return self.where.at(mesh, self.bounds), product * self._area
        parameters = np.column_stack([np.repeat(times, len(mesh)), np.tile(mesh, (len(times), 1))])
        return self.where.at(parameters, self.bounds), product * self._area

    @property
    def _area(self) -> float:
        low, high = self.where.range or self.bounds[self.where.along]
        free = [axis for axis in self.bounds if axis not in ("t", self.where.axis, self.where.along)]
        share = sum(last - first for first, last in self.where.parts)
        return float((high - low) * share * np.prod([self.bounds[a][1] - self.bounds[a][0] for a in free]))


def section_fluxes(entries: Sequence[Mapping[str, Any]], bounds: Bounds, **places: Any) -> tuple[Flux, ...]:
    """The known fluxes among entries of a configuration; arguments as for `slope_statements`.

    Raises:
        PinnxError: what is wrong, preceded by the entry's number.
    """
    found = []
    for number, entry in enumerate(entries):
        if entry.get("flux") is None:
            continue
        try:
            where = place_of(entry["where"], bounds, **places)
            if not isinstance(where, Side):
                raise PinnxError(f"flux: expected a section or a side, got {where}")
            found.append(Flux(where, float(entry["flux"]), bounds, FIRST_STREAM + number))
        except PinnxError as error:
            raise PinnxError(f"boundaries.{number}: {error}") from None
    return tuple(found)


class SectionFlux(JetTerm):
    """Known fluxes, at fresh times in each step.

    Args:
        fluxes: at least one.
        scales: of the case.
        seed: key of the times.

    Raises:
        PinnxError: no fluxes.
    """

    name = "flux"
    names = ("flux",)
    spec = pinn_ext.JetSpec()

    def __init__(self, fluxes: Sequence[Flux], *, scales: Scales, seed: int) -> None:
        if not fluxes:
            raise PinnxError("flux: expected at least one known flux, got none")
        self.fluxes, self._scales, self._seed = tuple(fluxes), scales, seed
        bounds = fluxes[0].bounds
        self._times = TIMES if "t" in bounds else 1
        self._unit = scales.velocity * scales.length ** (len(bounds) - 1 - ("t" in bounds))
        self._count = len(fluxes) * self._times
        self.num_points = self._count * len(fluxes[0].nodes(np.zeros(1))[0])

    def draw(self, step: int, share: Share = WHOLE) -> Points:
        """Nodes of all sums [n m, D], their weights [n, m d], of the components of the velocity, and what they make."""
        x, weights, targets = [], [], []
        for flux in self.fluxes:
            times = BoxPoints(np.zeros(1), np.ones(1), self._times, seed=self._seed, stream=flux.stream)
            points, product = flux.nodes(times.draw(step, range(self._times))[:, 0])
            x.append(points.reshape(self._times, -1, points.shape[1]))
            weights.append(np.tile(self._row(flux, product), (self._times, 1)))
            targets.append(np.full(self._times, flux.value / self._unit))
        rows = share.rows(self._count)
        chosen = slice(rows.start, rows.stop)
        joined = np.concatenate(x)[chosen]
        return {
            "x": joined.reshape(-1, joined.shape[-1]),
            "weights": np.concatenate(weights)[chosen],
            "targets": np.concatenate(targets)[chosen],
        }

    def _row(self, flux: Flux, product: Array) -> Array:
        """Weights of the sum, [m c], of all fields of each node."""
        fields = len(flux.bounds) + ("t" not in flux.bounds)
        row = np.zeros((len(product), fields))
        row[:, "xyz".index(flux.where.axis)] = product * self._scales.velocity / self._unit
        return row.reshape(-1)

    def residual(self, jet: pinn_ext.Jet, points: Mapping[str, Tensor]) -> Tensor:
        """The deviation of each sum, [n, 1]."""
        values = jet.value.reshape(points["weights"].shape)
        return ((values * points["weights"]).sum(1) - points["targets"])[:, None]

    def columns(self, residual: Tensor, points: Mapping[str, Tensor]) -> Tensor:
        return residual.square().sum(0) / self._count

    @torch.no_grad()
    def measure(self, model: FieldModel, *, num_points: int, seed: int) -> list[Measured]:
        """The largest deviation of each flux, relative to it; its place is the middle of the section, then the time."""
        found = []
        for flux in self.fluxes:
            points, product = flux.nodes(np.linspace(0.0, 1.0, CHECK_TIMES if self._times > 1 else 1))
            through = model.predict(points)[:, "xyz".index(flux.where.axis)].reshape(-1, len(product)) @ product
            unit = abs(flux.value) or self._unit
            apart = np.abs(through - flux.value) / unit
            row = int(apart.argmax())
            middle = points.reshape(len(apart), len(product), -1)[row].mean(axis=0)
            value, place = float(apart[row]), place_and_time(middle, flux.bounds)
            found.append(Measured("section_flux", value, part=str(flux.where), worst=value, worst_at=place))
        return found
