"""Proper orthogonal decomposition: the best orthonormal basis of a set of velocity snapshots.

    A = U S V',   A [T, n d] = snapshots, one per row, less their mean over time
    modes phi_j = V[:, j], reshaped to [n, d]: vector fields with sum over points and components
    of phi_i phi_j = delta_ij

The thin SVD of A itself is taken, not the eigenvectors of A A' ("method of snapshots"): squaring
would lose every mode below sqrt(eps) of the first. The cost, T^2 n d, is the same. The sums are
plain: on scattered points dense regions weigh more, which is what sensors on these points see.

Source: Berkooz, Holmes, Lumley, Annu. Rev. Fluid Mech. 25, 1993.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from pinnx.errors import PinnxError

__all__ = ["PodBasis", "pod_basis"]

EPS64 = float(np.finfo(np.float64).eps)
EPS32 = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, eq=False)
class PodBasis:
    """Orthonormal modes of velocity snapshots.

    Args:
        modes: [r, n, d] float64, r = rank; the sign of a mode is such that its entry of largest
            magnitude is positive.
        singular_values: [min(T, n d)] float64, decreasing, all of them; in units of velocity.
        mean: [n, d] float64, what was subtracted: the mean over time, or zeros.
        rank: number of singular values above eps * max(T, n d) * the first.
        num_above_rounding: number of singular values above what rounding the snapshots to float32
            makes: eps_32 * rms(velocity) * sqrt(max(T, n d)). Files hold float32 as a rule; a mode
            below this is noise, though its singular value is not zero.
    """

    modes: np.ndarray
    singular_values: np.ndarray
    mean: np.ndarray
    rank: int
    num_above_rounding: int

    def energy(self) -> np.ndarray:
        """Return the share of the energy in the first 1, 2, ... modes: [min(T, n d)]."""
        squares = self.singular_values**2
        return np.cumsum(squares) / squares.sum()


def pod_basis(velocity: np.ndarray, *, subtract_mean: bool = True) -> PodBasis:
    """Return all POD modes of velocity snapshots.

    Args:
        velocity: [T, n, d] float64, finite.
        subtract_mean: take the mean over time off first, so that the modes are those of the
            fluctuation; a single snapshot keeps it and is its own and only mode.

    Returns:
        The basis.

    Raises:
        PinnxError: a wrong shape, values that are not finite, or snapshots without any variation.
    """
    if velocity.ndim != 3 or 0 in velocity.shape:
        raise PinnxError(f"velocity: expected shape [T, n, d], got {list(velocity.shape)}")
    if not np.isfinite(velocity).all():
        raise PinnxError("velocity: expected finite snapshots, got NaN or infinite values")
    num_times, n, d = velocity.shape
    mean = velocity.mean(axis=0) if subtract_mean and num_times > 1 else np.zeros((n, d))
    snapshots = (velocity - mean).reshape(num_times, n * d)
    _, singular_values, modes = scipy.linalg.svd(snapshots, full_matrices=False)

    size = max(snapshots.shape)
    # The mean's own rounding leaves eps * |velocity| in snapshots that are all the same.
    rms = float(np.sqrt(np.mean(velocity**2)))
    smallest = EPS64 * size * max(singular_values[0], rms)
    rank = int(np.count_nonzero(singular_values > smallest))
    if rank == 0:
        raise PinnxError(f"velocity: expected snapshots that differ, got {num_times} without any variation")
    rounding = EPS32 * rms * np.sqrt(size)
    modes = modes[:rank]
    # An SVD leaves the sign open; fixing it makes the modes the same on every machine.
    largest = modes[np.arange(rank), np.abs(modes).argmax(axis=1)]
    modes = modes * np.sign(largest)[:, None]
    return PodBasis(
        modes=modes.reshape(rank, n, d),
        singular_values=singular_values,
        mean=mean,
        rank=rank,
        num_above_rounding=min(rank, int(np.count_nonzero(singular_values > rounding))),
    )
