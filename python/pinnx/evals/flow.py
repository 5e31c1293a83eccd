"""A trained network at many points: its fields, and how well they obey the equations.

Points go through in blocks, so memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pinnx.data.collocation import uniform_points
from pinnx.errors import PinnxError
from pinnx.models.fourier_network import FourierNetwork
from pinnx.physics.boundary import BoundaryCondition
from pinnx.physics.corners import Corner, corner_distance
from pinnx.physics.navier_stokes import NavierStokes

__all__ = [
    "EVALUATION_STREAM",
    "FlowFields",
    "boundary_error",
    "evaluate_flow",
    "periodic_error",
    "predict",
    "residual_norms",
]

# Points that no training step has drawn (train/problem.py has the streams of the training).
EVALUATION_STREAM = 1 << 21
PERIODIC_STREAM = EVALUATION_STREAM + 1
BLOCK = 8192


@dataclass(frozen=True, eq=False)
class FlowFields:
    """Fields and residuals at points.

    Args:
        fields: [n, d + 1] float64, columns u, v[, w], p.
        residual: [n, d + 1] float64, columns momentum_x, momentum_y[, momentum_z], continuity.
    """

    fields: NDArray[np.float64]
    residual: NDArray[np.float64]


@torch.no_grad()
def evaluate_flow(network: FourierNetwork, equations: NavierStokes, coordinates: NDArray[np.float64]) -> FlowFields:
    """Fields and residuals at [n, D] coordinates."""
    fields = np.empty((len(coordinates), equations.dim + 1))
    residual = np.empty_like(fields)
    for start in range(0, len(coordinates), BLOCK):
        block = slice(start, start + BLOCK)
        jet = network.jet(_points(network, coordinates[block]), equations.spec)
        fields[block] = jet.value.cpu().numpy()
        residual[block] = equations.residual(jet).cpu().numpy()
    return FlowFields(fields, residual)


@torch.no_grad()
def predict(network: FourierNetwork, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fields at [n, D] coordinates, [n, c] float64."""
    fields = np.empty((len(coordinates), network.biases[-1].shape[0]))
    for start in range(0, len(coordinates), BLOCK):
        block = slice(start, start + BLOCK)
        fields[block] = network(_points(network, coordinates[block])).cpu().numpy()
    return fields


def residual_norms(
    network: FourierNetwork,
    equations: NavierStokes,
    bounds: Mapping[str, tuple[float, float]],
    num_points: int,
    *,
    seed: int,
) -> tuple[float, float]:
    """L2 norms (root mean square over the domain) of the momentum residual's length and of the divergence.

    Args:
        network: the fields.
        equations: what they should obey.
        bounds: axis name -> (low, high) of the domain, time first.
        num_points: uniform points, none of which the training has seen.
        seed: names the points.

    Raises:
        PinnxError: no points; nothing was checked.
    """
    if num_points < 1:
        raise PinnxError(f"residual_norms: expected at least one point, got {num_points}")
    low, high = np.array(list(bounds.values())).T
    points = uniform_points(low, high, num_points, seed=seed, step=0, stream=EVALUATION_STREAM)
    residual = evaluate_flow(network, equations, points).residual
    momentum = np.sqrt(np.mean(np.sum(residual[:, :-1] ** 2, axis=1)))
    return float(momentum), float(np.sqrt(np.mean(residual[:, -1] ** 2)))


def boundary_error(
    network: FourierNetwork,
    conditions: Sequence[BoundaryCondition],
    num_points: int,
    *,
    corners: Sequence[Corner] = (),
    corner_radius: float = 0.0,
) -> float:
    """The largest error of a prescribed component at any boundary; NaN where the network gives NaN.

    Args:
        network: the fields.
        conditions: at least one.
        num_points: regular points of each condition, its ends included.
        corners: where two sides disagree: no field is right there, however good.
        corner_radius: points up to this distance of such a corner are left out, >= 0.

    Raises:
        PinnxError: no conditions, or none has points away from the corners; nothing was checked.
    """
    if not conditions:
        raise PinnxError("boundary_error: expected at least one boundary condition, got none")
    errors = []
    for condition in conditions:
        points = condition.validation_points(num_points)
        points = points[corner_distance(points, corners, tuple(condition.bounds)) > corner_radius]
        if not len(points):
            raise PinnxError(f"boundary_error: expected points of {condition.where} away from the corners, got none")
        targets, mask = condition.targets(points)
        errors.append(np.abs(predict(network, points) - targets)[:, mask].max())
    return float(np.max(errors))  # not max(), which would lose a NaN


def periodic_error(
    network: FourierNetwork,
    bounds: Mapping[str, tuple[float, float]],
    axes: Sequence[str],
    num_points: int,
    *,
    seed: int,
) -> float:
    """The largest difference of a field between two points that a period makes one.

    Args:
        network: the fields.
        bounds: axis name -> (low, high) of the domain, time first; on a periodic axis one whole period.
        axes: the periodic ones, at least one.
        num_points: pairs of points on each pair of sides, >= 1.
        seed: names the points.

    Raises:
        PinnxError: no axes or no points; nothing was checked.
    """
    if not axes or num_points < 1:
        raise PinnxError(
            f"periodic_error: expected at least one periodic axis and one point, got {list(axes)}, {num_points}"
        )
    low, high = np.array(list(bounds.values())).T
    errors = []
    for axis in axes:
        column = list(bounds).index(axis)
        here = uniform_points(low, high, num_points, seed=seed, step=0, stream=PERIODIC_STREAM)
        there = here.copy()
        here[:, column], there[:, column] = bounds[axis]
        errors.append(np.abs(predict(network, here) - predict(network, there)).max())
    return float(np.max(errors))  # not max(), which would lose a NaN


def _points(network: FourierNetwork, coordinates: NDArray[np.float64]) -> torch.Tensor:
    like = network.frequencies
    return torch.as_tensor(np.ascontiguousarray(coordinates), dtype=like.dtype, device=like.device)
