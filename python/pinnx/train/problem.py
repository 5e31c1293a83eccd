"""What is minimised: the equations inside, the conditions at the boundaries, the measurements at the sensors.

Every step has its own collocation and boundary points; each point depends on (seed, step, its number) alone.
Layout: coordinates [n, D], columns t, x, y, z as far as the domain has them; fields [n, c], columns u, v[, w], p.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import pinn_ext
from pinnx.data.collocation import uniform_points
from pinnx.errors import PinnxError
from pinnx.losses.terms import masked_mean_square
from pinnx.models.fourier_network import FourierNetwork
from pinnx.physics.boundary import BoundaryCondition
from pinnx.physics.corners import corner_weights, discontinuity_corners
from pinnx.physics.navier_stokes import NavierStokes

__all__ = ["Batch", "PointCounts", "Problem"]

VALUE = pinn_ext.JetSpec()  # no derivatives

# Streams of random points: 0 inside, 1, 2, ... the boundary conditions (physics/boundary.py), then:
MEASUREMENT_STREAM = 1 << 20
CORNER_STREAM = MEASUREMENT_STREAM + 1
# Points of a corner where two sides disagree, per point of a side. Measured on the cavity at Re 1000, whose two corner
# nodes alone make up 0.02 of relative error where the network does not know to whom they belong.
CORNER_SHARE = 1 / 128


@dataclass(frozen=True)
class PointCounts:
    """Points of each step."""

    collocation: int
    boundary: int  # for each condition
    measurements: int | None = None  # None: all


@dataclass(frozen=True)
class Batch:
    """The points of one step, on the device."""

    collocation: Tensor  # [n, D]
    collocation_weights: Tensor | None  # [n]
    known: Tensor  # [b + k, D] boundary points, then measurements
    targets: Tensor  # [b + k, c]
    mask: Tensor  # [b + k, c] one where a component is known
    num_boundary: int  # b


class Problem:
    """The reconstruction of one flow.

    Args:
        network: coordinates -> (u, v[, w], p).
        equations: their residual.
        bounds: axis name -> (low, high) of the domain, "t" first where the flow has times.
        conditions: what is known at boundaries.
        coordinates: [k, D] float64, where and when was measured.
        velocity: [k, d] float64, what was measured.
        counts: points of each step.
        seed: key of all points.
        corner_radius: collocation points nearer than this to a corner where two sides disagree count less
            (physics/corners.py); None: all count alike.

    Raises:
        PinnxError: shapes that do not fit together, or measurements that are not finite.
    """

    def __init__(
        self,
        network: FourierNetwork,
        equations: NavierStokes,
        *,
        bounds: Mapping[str, tuple[float, float]],
        conditions: Sequence[BoundaryCondition],
        coordinates: np.ndarray,
        velocity: np.ndarray,
        counts: PointCounts,
        seed: int,
        corner_radius: float | None = None,
    ) -> None:
        axes = tuple(bounds)
        if coordinates.ndim != 2 or coordinates.shape[1] != len(axes) or not len(coordinates):
            raise PinnxError(f"coordinates: expected shape [k, {len(axes)}], k >= 1, got {list(coordinates.shape)}")
        if velocity.shape != (len(coordinates), equations.dim):
            raise PinnxError(
                f"velocity: expected shape [{len(coordinates)}, {equations.dim}], got {list(velocity.shape)}"
            )
        if not (np.isfinite(coordinates).all() and np.isfinite(velocity).all()):
            raise PinnxError("measurements: expected finite numbers, got NaN or infinity")
        self.network = network
        self.equations = equations
        self.bounds = dict(bounds)
        self.conditions = tuple(conditions)
        self.counts = counts
        self.seed = seed
        self.coordinates = coordinates
        self.velocity = velocity
        self.corners = discontinuity_corners(self.conditions, self.bounds)
        self.corner_radius = corner_radius
        self._low, self._high = np.array(list(self.bounds.values())).T

    @property
    def term_names(self) -> tuple[str, ...]:
        """The terms of this problem's loss, in their order."""
        boundary = ("boundary",) if self.conditions else ()
        return (*self.equations.residual_names, "data", *boundary)

    def batch(self, step: int) -> Batch:
        """The points of one step."""
        inside = uniform_points(self._low, self._high, self.counts.collocation, seed=self.seed, step=step)
        weights = None
        if self.corners and self.corner_radius is not None:
            weights = self._tensor(corner_weights(inside, self.corners, tuple(self.bounds), self.corner_radius))
        points, targets, masks = [], [], []
        for condition, at in self._boundary_points(step):
            values, mask = condition.targets(at)
            points.append(at)
            targets.append(values)
            masks.append(np.broadcast_to(mask, values.shape))
        num_boundary = sum(map(len, points))
        measured = self._measured(step)
        without_pressure = ((0, 0), (0, 1))
        points.append(self.coordinates[measured])
        targets.append(np.pad(self.velocity[measured], without_pressure))
        masks.append(np.pad(np.ones_like(self.velocity[measured]), without_pressure))
        return Batch(
            collocation=self._tensor(inside),
            collocation_weights=weights,
            known=self._tensor(np.concatenate(points)),
            targets=self._tensor(np.concatenate(targets)),
            mask=self._tensor(np.concatenate(masks)),
            num_boundary=num_boundary,
        )

    def loss(self, batch: Batch, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted total, and its terms without a graph, [len(term_names)].

        The terms are the mean square of each residual column, of the misfit at the sensors and of that at the
        boundaries.

        Args:
            batch: the points.
            weights: one for each of ``term_names``, [len(term_names)].
        """
        num_columns = len(self.equations.residual_names)
        total, columns = self.equations.loss(
            self.network, batch.collocation, weights[:num_columns], batch.collocation_weights
        )
        misfit = self.network.jet(batch.known, VALUE).value - batch.targets
        measured, boundary = slice(batch.num_boundary, None), slice(0, batch.num_boundary)
        known = torch.stack(
            [
                masked_mean_square(misfit[rows], batch.mask[rows])
                for rows in ((measured, boundary) if batch.num_boundary else (measured,))
            ]
        )
        return total + torch.dot(weights[num_columns:], known), torch.cat([columns, known.detach()])

    def _boundary_points(self, step: int) -> Iterator[tuple[BoundaryCondition, np.ndarray]]:
        """Conditions with fresh points; then the corners where two disagree, each with the condition that owns it."""
        for condition in self.conditions:
            yield condition, condition.points(self.counts.boundary, seed=self.seed, step=step)
        num = math.ceil(CORNER_SHARE * self.counts.boundary)
        origin, unit = np.zeros(len(self.bounds)), np.ones(len(self.bounds))
        for number, corner in enumerate(self.corners):
            along = uniform_points(
                origin, unit, num, seed=self.seed, step=step, first_index=number * num, stream=CORNER_STREAM
            )
            yield self.conditions[corner.owner], corner.points(along, self.bounds)

    def _measured(self, step: int) -> np.ndarray | slice:
        """The rows of the measurements that this step uses."""
        if self.counts.measurements is None or self.counts.measurements >= len(self.coordinates):
            return slice(None)
        draw = uniform_points(
            [0.0], [1.0], self.counts.measurements, seed=self.seed, step=step, stream=MEASUREMENT_STREAM
        )
        return (draw[:, 0] * len(self.coordinates)).astype(np.int64)

    def _tensor(self, array: np.ndarray) -> Tensor:
        like = self.network.frequencies
        return torch.as_tensor(np.ascontiguousarray(array), dtype=like.dtype, device=like.device)
