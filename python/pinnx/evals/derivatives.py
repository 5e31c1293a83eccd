"""Derivatives of fields given as numbers: on grids by finite differences or spectra, at scattered points by fits.

    f'(x_i) ~ sum_j w_ij f(x_j),   with weights w that are exact for polynomials of the stencil's degree

Sources: Fornberg, Math. Comp. 51 (1988) 699, for stencils on any grid; Liszka and Orkisz, Comput. Struct. 11 (1980) 83,
for fits at scattered points; Canuto, Hussaini, Quarteroni, Zang, "Spectral Methods", Springer 2006, for spectra.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray
from scipy import fft, sparse
from scipy.spatial import cKDTree

from pinnx.errors import PinnxError

__all__ = ["ORDERS", "Derivatives", "GridDerivatives", "ScatteredDerivatives", "local_fits", "powers"]

ORDERS = (2, 4, 6)
# Neighbours of a fit for each of its coefficients. With twice as many, a few fits on nodes of spectral elements around
# a cylinder had errors of 1e3; with three times none.
NEIGHBOURS = 3
# Nearest points out of which they are taken, evenly by direction: the nearest alone may all be on one line of a mesh.
POOL = 5
# Of the distance of the lines: as of a spectrum. Coordinates may have been stored in float32.
UNEVEN = 1e-3
# Of the largest extent of scattered points: with a smaller one across, they are on a line or in a plane.
FLAT = 1e-6
_BLOCK = 4096  # points whose fits are solved at once

Array = NDArray[np.float64]


class Derivatives:
    """How fields are differentiated and averaged. A field is ``[..., n]`` or ``[..., nx, ny[, nz]]``.

    Attributes:
        num_points: of a field.
        lengths: extent of the domain along each axis, [d].
    """

    num_points: int
    lengths: Array

    def first(self, field: Array, axis: int) -> Array:
        """The first derivative along an axis of space, from 0."""
        return self._derivative(field, axis, 1)

    def second(self, field: Array, axis: int) -> Array:
        """The second derivative along an axis of space."""
        return self._derivative(field, axis, 2)

    def mean(self, field: Array) -> Array:
        """The mean over the domain, of each frame: ``[...]``."""
        raise NotImplementedError

    def _derivative(self, field: Array, axis: int, number: int) -> Array:
        raise NotImplementedError


class GridDerivatives(Derivatives):
    """On a grid, even or not.

    Args:
        axes: the lines of the grid, x, y[, z], each rising.
        order: 2, 4 or 6 everywhere; stencils are one-sided at the edges.
        periods: of each axis, whose first point is not repeated at its end; None: not periodic.
        spectral: differentiate along periodic axes, which are even then, by Fourier transform.
        waves: share of the waves that a Fourier transform keeps, the longest.

    Raises:
        PinnxError: another order; an axis that is too short, does not rise, or is longer than its period; ``spectral``
            without a period, or along an axis that is not even.
    """

    def __init__(
        self,
        axes: Sequence[Array],
        order: int = 4,
        *,
        periods: Sequence[float | None] | None = None,
        spectral: bool = False,
        waves: float = 1.0,
    ) -> None:
        if order not in ORDERS:
            raise PinnxError(f"order: expected one of {', '.join(map(str, ORDERS))}, got {order}")
        self.axes = tuple(np.asarray(axis, dtype=np.float64) for axis in axes)
        self.periods = tuple(periods) if periods is not None else (None,) * len(self.axes)
        for axis, period in zip(self.axes, self.periods, strict=True):
            _require_axis(axis, period, order)
            if spectral and period is not None:
                _require_even(axis, period)
        if spectral and not any(self.periods):
            raise PinnxError("spectral: expected a period of at least one axis, got none")
        self.order, self.spectral, self._waves = order, spectral, waves
        self.num_points = math.prod(axis.size for axis in self.axes)
        self.lengths = np.array([period or np.ptp(axis) for axis, period in zip(self.axes, self.periods, strict=True)])

    def mean(self, field: Array) -> Array:
        for weights in reversed(self.weights()):
            field = field @ (weights / weights.sum())
        return field

    def weights(self) -> list[Array]:
        """The length that each point of an axis stands for, by axis."""
        found = []
        for x, period in zip(self.axes, self.periods, strict=True):
            ends = (2 * x[0] - x[1], 2 * x[-1] - x[-2]) if period is None else (x[-1] - period, x[0] + period)
            cells = np.diff(np.concatenate([ends[:1], x, ends[1:]]))
            if period is None:
                cells[[0, -1]] = 0.0
            found.append((cells[:-1] + cells[1:]) / 2)
        return found

    def _derivative(self, field: Array, axis: int, number: int) -> Array:
        x, period = self.axes[axis], self.periods[axis]
        along = field.ndim - len(self.axes) + axis
        if self.spectral and period is not None:
            return _spectral(field, along, period, number, self._waves)
        matrix = _stencils(x, self.order, number, period)
        moved = np.moveaxis(field, along, 0)
        return np.moveaxis((matrix @ moved.reshape(x.size, -1)).reshape(moved.shape), 0, along)


class ScatteredDerivatives(Derivatives):
    """At scattered points, by the least squares fit of a polynomial around each.

    Args:
        points: [n, d], d = 2 or 3.
        order: degree of the polynomial less one, 2 or more: that of the first derivatives.

    Raises:
        PinnxError: fewer points than a fit needs, or points that are all on a line or in a plane of space.
    """

    def __init__(self, points: Array, order: int = 2) -> None:
        points = np.asarray(points, dtype=np.float64)
        n, d = points.shape
        exponents = powers(d, order + 1)
        count = NEIGHBOURS * len(exponents)
        if n < count:
            raise PinnxError(f"points: expected at least {count} for fits of degree {order + 1}, got {n}")
        extents = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
        if extents[-1] <= FLAT * extents[0]:
            place = "on a line" if d == 2 else "in a plane"
            raise PinnxError(f"points: expected them to have an extent in {d} directions, got points {place}")
        self.lengths, self.num_points = np.ptp(points, axis=0), n
        tree, blocks = cKDTree(points), np.split(np.arange(n), np.arange(_BLOCK, n, _BLOCK))
        parts = [_neighbours(points, tree, rows, count) for rows in blocks]
        weights = np.concatenate([_fits(points, *part, exponents) for part in parts])  # [n, 2 d, count]
        neighbours = np.concatenate([part[0] for part in parts])
        pointers = np.arange(0, n * count + 1, count)
        matrices = [sparse.csr_array((r.ravel(), neighbours.ravel(), pointers), (n, n)) for r in weights.swapaxes(0, 1)]
        self._matrices = matrices[:d], matrices[d:]

    def _derivative(self, field: Array, axis: int, number: int) -> Array:
        matrix = self._matrices[number - 1][axis]
        return (matrix @ field.reshape(-1, self.num_points).T).T.reshape(field.shape)

    def mean(self, field: Array) -> Array:
        return np.asarray(field.mean(axis=-1))


def _require_axis(axis: Array, period: float | None, order: int) -> None:
    least = order + 3  # of the stencil of a second derivative
    if axis.ndim != 1 or axis.size < least:
        raise PinnxError(f"axes: expected lines of at least {least} points for order {order}, got {list(axis.shape)}")
    if not (np.isfinite(axis).all() and (np.diff(axis) > 0).all()):
        raise PinnxError("axes: expected finite coordinates that rise")
    if period is not None and not np.ptp(axis) < period:
        raise PinnxError(f"periods: expected more than the extent {np.ptp(axis):g} of the axis, got {period:g}")


def _require_even(axis: Array, period: float) -> None:
    steps = np.diff(np.append(axis, axis[0] + period)) * axis.size / period
    if np.abs(steps - 1.0).max() > UNEVEN:
        raise PinnxError(
            f"spectral: expected even lines of {period / axis.size:g} along a period of {period:g}, got distances of "
            f"{steps.min() * period / axis.size:g} to {steps.max() * period / axis.size:g}"
        )


def _stencils(x: Array, order: int, number: int, period: float | None) -> sparse.csr_array:
    """Weights [n, n] of the derivative of that number, exact for polynomials of degree ``order + number - 1``."""
    n, width = x.size, order + 1 if number == 1 else order + 3
    begin = np.arange(n) - width // 2
    if period is None:
        begin = np.clip(begin, 0, n - width)
    turns, columns = np.divmod(begin[:, None] + np.arange(width), n)
    offsets = x[columns] + turns * (period or 0.0) - x[:, None]
    scale = np.abs(offsets).max(axis=1, keepdims=True)
    vandermonde = (offsets / scale)[:, None, :] ** np.arange(width)[:, None]
    wanted = np.zeros((n, width, 1))
    wanted[:, number] = math.factorial(number)
    weights = np.linalg.solve(vandermonde, wanted)[..., 0] / scale**number
    return sparse.csr_array((weights.ravel(), columns.ravel(), np.arange(0, n * width + 1, width)), (n, n))


def _spectral(field: Array, along: int, period: float, number: int, kept: float) -> Array:
    n = field.shape[along]
    waves = 2j * np.pi / period * fft.rfftfreq(n, 1 / n)
    factors = waves**number
    if n % 2 == 0 and number == 1:
        factors[-1] = 0.0  # the derivative of the highest wave vanishes at the points
    factors[int(kept * (n // 2)) + 1 :] = 0.0
    spectrum = np.moveaxis(fft.rfft(field, axis=along), along, -1) * factors
    return np.moveaxis(fft.irfft(spectrum, n), -1, along)


def powers(dim: int, degree: int) -> list[tuple[int, ...]]:
    """Exponents of the monomials up to a degree: the constant, then x, y[, z], then the others."""
    products = [c for total in range(degree + 1) for c in combinations_with_replacement(range(dim), total)]
    return [tuple(product.count(axis) for axis in range(dim)) for product in products]


def _neighbours(points: Array, tree: cKDTree, rows: NDArray[np.intp], count: int) -> tuple[NDArray[np.intp], Array]:
    """Neighbours [b, k] of some points, itself first, in turn from each direction, and their distances."""
    size = min(POOL * count, len(points))
    distances, near = tree.query(points[rows], k=size)
    offsets, dim = points[near] - points[rows, None], points.shape[1]
    direction = (offsets > 0) @ (2 ** np.arange(dim)) + 2**dim * np.abs(offsets).argmax(axis=2)
    turn = np.zeros_like(near)
    for number in range(dim * 2**dim):
        here = direction == number
        turn = np.where(here, here.cumsum(axis=1), turn)
    turn[:, 0] = 0
    order = np.argsort(turn * size + np.arange(size), axis=1)[:, :count]
    return np.take_along_axis(near, order, axis=1), np.take_along_axis(distances, order, axis=1)


def local_fits(offsets: Array, distances: Array, exponents: Sequence[tuple[int, ...]]) -> Array:
    """Weights [b, coefficients, k] of values at offsets [b, k, d] in a least squares polynomial; near ones weigh most.

    Raises:
        PinnxError: no point is away from the place.
    """
    scale = distances.max(axis=1)[:, None, None]
    if not (scale > 0).all():
        raise PinnxError("points: expected distinct points, got too many copies of one")
    terms = np.stack([np.prod((offsets / scale) ** power, axis=2) for power in map(np.array, exponents)], axis=2)
    nearness = np.exp(-2.0 * (distances / scale[:, 0]) ** 2)
    inverse = np.linalg.pinv(terms * nearness[..., None], rcond=1e-10) * nearness[:, None, :]
    return np.asarray(inverse / scale ** np.sum(exponents, axis=1)[:, None])


def _fits(points: Array, neighbours: NDArray[np.intp], distances: Array, exponents: list[tuple[int, ...]]) -> Array:
    """Weights [b, 2 d, k] of the first and second derivatives at the points with these neighbours, itself first."""
    inverse = local_fits(points[neighbours] - points[neighbours[:, :1]], distances, exponents)
    unit = np.eye(points.shape[1], dtype=int)
    first = [inverse[:, exponents.index(tuple(axis))] for axis in unit]
    second = [2.0 * inverse[:, exponents.index(tuple(2 * axis))] for axis in unit]
    return np.stack(first + second, axis=1)
