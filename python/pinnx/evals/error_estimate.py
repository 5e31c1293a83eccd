"""An estimate of the error of a flow from its residual alone, where there is no reference: its dual norm.

    -lap psi = r inside, psi = 0 at the sides        ||r||_-1 = (integral of r . psi)^(1/2)
    estimate = ( ||r_momentum||_-1^2 / U^2  +  ||div u||_-1^2 )^(1/2) / ||u||

The mean square of a residual counts short waves for more than their share of the error: an error e of wavenumber k has
a residual of U k e. The dual norm divides by k again. ||div u||_-1 is the length of the part of u that is the gradient
of a potential, so the error is not smaller (with the right flux through the sides). That of momentum is an error only
up to a factor, which is why this is an estimate and no bound: it ranks answers to one problem. It sees nothing of a
wrong viscosity, or of sides that are wrong but obeyed.

Sources: M. Ainsworth, J. T. Oden, "A Posteriori Error Estimation in Finite Element Analysis", Wiley 2000, for dual
norms of residuals. The problem on the box is solved by sine transforms, exact for second differences.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from pinnx.errors import PinnxError

__all__ = ["dual_norm", "residual_estimate"]

Array = NDArray[np.float64]


def dual_norm(residual: Array, spacing: Sequence[float]) -> float:
    """``||r||_-1`` on a box, whose sides are one spacing beyond the outermost points.

    Args:
        residual: [n_x, n_y[, n_z]], finite.
        spacing: of the points along each axis, units of length.

    Returns:
        In units of the residual, times a length, times the root of the box's volume.
    """
    if residual.size == 0 or not np.isfinite(residual).all() or len(spacing) != residual.ndim:
        raise PinnxError(f"residual: expected finite numbers on a grid of {len(spacing)} axes, got {residual.shape}")
    waves = fft.dstn(residual, type=1, norm="ortho")
    eigenvalues = np.zeros(())
    for n, h in zip(residual.shape, spacing, strict=True):
        along = (2.0 * np.sin(np.pi * np.arange(1, n + 1) / (2 * (n + 1))) / h) ** 2
        eigenvalues = np.add.outer(eigenvalues, along)
    return float(np.sqrt((waves**2 / eigenvalues).sum() * np.prod(spacing)))


def residual_estimate(momentum: Array, divergence: Array, velocity: Array, spacing: Sequence[float]) -> float:
    """The estimate of the relative L2 error of a velocity, of one frame.

    Args:
        momentum: [*grid, d], the residual, length / time^2; 0 where the equations are not asked.
        divergence: [*grid], 1 / time.
        velocity: [*grid, d], length / time. U is its root mean square, so that units cancel.
        spacing: of the points along each axis, units of length.

    Raises:
        PinnxError: numbers that are not finite; a flow at rest.
    """
    size = float(np.sqrt((velocity**2).sum() * np.prod(spacing)))
    if not size > 0.0:
        raise PinnxError("velocity: expected a flow that moves, got zero everywhere")
    speed = float(np.sqrt((velocity**2).sum(axis=-1).mean()))
    parts = [dual_norm(part, spacing) / speed for part in np.moveaxis(momentum, -1, 0)]
    return float(np.linalg.norm([*parts, dual_norm(divergence, spacing)]) / size)
