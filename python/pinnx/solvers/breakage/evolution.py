"""Breakage in time: df/dt = A f is solved by the exponential of A.

    f(t + tau) = exp(A tau) f(t)

The derivative of the exponential in a direction E is the corner block of the exponential of [[A, E], [0, A]]; that of
the transposed A is its adjoint. So sensitivities are as exact as the solution.

Source: Higham, "Functions of Matrices", SIAM (2008), chapter 10; of the derivative's algorithm: Al-Mohy and Higham,
SIAM Journal on Matrix Analysis and Applications 30 (2009) 1639-1657.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from pinnx.errors import PinnxError
from pinnx.physics.breakage_kinetics import Kinetics
from pinnx.solvers.breakage.distributions import SizeDistributions, SizeGrid

__all__ = ["evolve", "matrix_gradient", "sensitivities", "solve_breakage"]

Array = NDArray[np.float64]


def solve_breakage(
    kinetics: Kinetics,
    grid: SizeGrid,
    times: ArrayLike,
    *,
    start: Callable[[Array], Array] | None = None,
    delta_at: float | None = None,
) -> SizeDistributions:
    """The size distribution at times.

    Args:
        kinetics: rate and daughters.
        grid: of the sizes, a `ChebyshevGrid` or a `PivotGrid`.
        times: [T] rising, >= 0.
        start: number density at t = 0, volumes -> values; None: none but the delta.
        delta_at: volume of one particle at t = 0, beside ``start``; None: there is none.

    Raises:
        PinnxError: nothing at the start, or not a finite density for each volume; times that do not rise from 0 on;
            what the grid refuses.
    """
    if start is None and delta_at is None:
        raise PinnxError("breakage: expected a start, a delta_at, or both")
    state = np.zeros(len(grid.v)) if start is None else grid.sample(start)
    if delta_at is not None:
        state = np.append(state, 1.0)
    times = np.asarray(times, dtype=np.float64)
    found = evolve(grid.matrix(kinetics, delta_at), state, times)
    delta = np.zeros(len(times)) if delta_at is None else np.exp(-kinetics.rate(delta_at) * times)
    return SizeDistributions(grid, kinetics, times, found[:, : len(grid.v)], delta, delta_at)


def evolve(matrix: Array, state: Array, times: Array) -> Array:
    """The states at times [T], [T, n, ...], from that at t = 0, [n, ...], for a matrix [n, n].

    Raises:
        PinnxError: times that do not rise from 0 on.
    """
    steps, over = _exponentials(matrix, times)
    return np.array(list(accumulate(steps, lambda now, step: over[step] @ now, initial=state))[1:])


def sensitivities(matrix: Array, directions: Sequence[Array], state: Array, times: Array) -> Array:
    """Derivatives of the states at times [T] by p directions of the matrix, each [n, n]: [p, T, n].

    Raises:
        PinnxError: times that do not rise from 0 on.
    """
    steps, over = _exponentials(matrix, times)
    before = [state, *evolve(matrix, state, times)[:-1]]
    slopes = np.zeros((len(directions), len(times), len(state)))
    for slope, direction in zip(slopes, directions, strict=True):
        along = {step: linalg.expm_frechet(matrix * step, direction * step, compute_expm=False) for step in over}
        now = np.zeros_like(state)
        for k, (step, f) in enumerate(zip(steps, before, strict=True)):
            slope[k] = now = over[step] @ now + along[step] @ f
    return slopes


def matrix_gradient(matrix: Array, state: Array, times: Array, cotangents: Array) -> Array:
    """The gradient of sum_k cotangents[k] . f(t_k) by every entry of the matrix, [n, n], in one sweep back in time.

    The adjoint of the exponential: one derivative for each step, whatever the number of unknowns. The matrix is
    (B - 1) diag(S), so that the gradient by the rate of each size is the sum over a column of (B - 1) times it.

    Args:
        matrix: [n, n].
        state: [n] at t = 0.
        times: [T] rising from 0 on.
        cotangents: [T, n] derivatives of a number by the states.

    Raises:
        PinnxError: times that do not rise from 0 on.
    """
    steps, over = _exponentials(matrix, times)
    before = [state, *evolve(matrix, state, times)[:-1]]
    gradient, back = np.zeros_like(matrix), np.zeros_like(state)
    for step, f, cotangent in zip(steps[::-1], before[::-1], cotangents[::-1], strict=True):
        back = back + cotangent
        gradient += step * linalg.expm_frechet(matrix.T * step, np.outer(back, f), compute_expm=False)
        back = over[step].T @ back
    return gradient


def _exponentials(matrix: Array, times: Array) -> tuple[list[float], dict[float, Array]]:
    """The steps from one time to the next, the first one from 0, and the exponential of the matrix over each."""
    if times.ndim != 1 or not len(times) or not times[0] >= 0 or not (np.diff(times) > 0).all():
        raise PinnxError(f"times: expected rising times from 0 on, got {times.tolist()}")
    steps: list[float] = np.diff(times, prepend=0.0).tolist()
    return steps, {step: linalg.expm(matrix * step) for step in set(steps)}
