"""What is minimised: the equations inside, the conditions at the boundaries, the measurements at the sensors.

Every step has its own collocation and boundary points; each point depends on (seed, step, its number) alone.
Layout: coordinates [n, D], columns t, x, y, z as far as the domain has them; fields [n, c], columns u, v[, w], p.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import pinn_ext
from pinnx.data.collocation import UniformPoints
from pinnx.errors import PinnxError
from pinnx.losses.terms import masked_mean_square
from pinnx.models.fourier_network import FourierNetwork
from pinnx.physics.boundary import BoundaryCondition
from pinnx.physics.corners import corner_weights, discontinuity_corners
from pinnx.physics.navier_stokes import NavierStokes
from pinnx.train.known_points import KnownPoints

__all__ = ["Batch", "PointCounts", "Problem"]

VALUE = pinn_ext.JetSpec()  # no derivatives


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
        low, high = np.array(list(self.bounds.values())).T
        self._inside = UniformPoints(low, high, counts.collocation, seed=seed)
        self._known = KnownPoints(
            self.conditions,
            self.corners,
            bounds=self.bounds,
            coordinates=coordinates,
            velocity=velocity,
            num_boundary=counts.boundary,
            num_measured=counts.measurements,
            seed=seed,
        )
        self._mask = torch.from_numpy(self._known.mask)

    @property
    def term_names(self) -> tuple[str, ...]:
        """The terms of this problem's loss, in their order."""
        boundary = ("boundary",) if self.conditions else ()
        return (*self.equations.residual_names, "data", *boundary)

    def batch(self, step: int) -> Batch:
        """The points of one step."""
        inside = self._inside.at(step)
        weighted = bool(self.corners) and self.corner_radius is not None
        like, known = self.network.frequencies, self._known
        shapes = (inside.shape, (len(inside) if weighted else 0,), (len(known), inside.shape[1]), known.mask.shape)
        sizes = [math.prod(shape) for shape in shapes]
        # One array on the host: one conversion, and one copy to the device.
        flat = torch.empty(sum(sizes), dtype=torch.float64)
        arrays = [part.numpy().reshape(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True)]
        arrays[0][:] = inside
        if weighted:
            arrays[1][:] = corner_weights(inside, self.corners, tuple(self.bounds), self.corner_radius)
        known.write(step, *arrays[2:])
        parts = flat.to(like).split(sizes)
        collocation, weights, points, targets = (part.view(shape) for part, shape in zip(parts, shapes, strict=True))
        self._mask = self._mask.to(like)
        return Batch(
            collocation=collocation,
            collocation_weights=weights if weighted else None,
            known=points,
            targets=targets,
            mask=self._mask,
            num_boundary=known.num_boundary,
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
