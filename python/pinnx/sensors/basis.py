"""Modes of snapshots without a full SVD: method of snapshots, range finder, or a sketch alone.

    A = U S V',   A [T, n c] = snapshots, one per row, with or without their mean over time

    method of snapshots   G = A A' [T, T] from one pass over blocks of columns;  G = U S^2 U'
                          V = S^-1 U' A in a second pass. X itself is never copied, and the
                          mean m, which is often a hundred times the fluctuations, is never
                          squared in float32 (`pinn_ext.row_gram`):
        (A - m) (A - m)' = J A A' J = F,   J = I - 1 1' / T         products in `dtype`
        A A' = F + g 1' + 1 g' + (m'm) 1 1',   g = (A - m) m        added in float64
    range finder          Y = R A, R [l, T] random, l = r + oversampling; Q = orth(Y');
                          `power_iterations` times Q = orth(A' A Q); then SVD of A Q [T, l]
    sketch                V of Y itself: one pass, on average the right lengths and angles

The method of snapshots squares the condition: rounding adds eps S_1^2 to each S_j^2. So products
of float32 resolve modes down to about 1e-3 of the first, and those of float64 down to 1e-7. It is
used where the wanted modes are above that; the range finder does not square.

Rows of `modes` are orthonormal; the sign is such that the entry of largest magnitude is positive.

Sources: Sirovich, Q. Appl. Math. 45 (1987) 561; Halko, Martinsson and Tropp, SIAM Review 53 (2011)
217, algorithms 4.3, 4.4 and 5.1, of the rows; Tropp, Yurtsever, Udell and Cevher, SIAM J. Sci.
Comput. 41 (2019) A2430, for one pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pinn_ext import project_rows, row_gram, sketch_rows
from pinnx.data.blocks import ArraySource, SnapshotSource
from pinnx.data.open_snapshots import FEW_SNAPSHOTS
from pinnx.errors import PinnxError
from pinnx.threads import on_one_thread

__all__ = ["Modes", "find_modes", "gram_matrix", "modes_of_sketch", "sketch_snapshots"]

EPS32 = torch.finfo(torch.float32).eps
# Up to so many, products in float64 take a few milliseconds and save a pass.
DOUBLE_SNAPSHOTS = 64
# Singular values whose squares stand this much above the rounding of the first one's square.
RESOLVED = 16.0


@dataclass(frozen=True, eq=False)
class Modes:
    """The first r modes.

    Args:
        modes: [r, n c], orthonormal rows, in the dtype of the snapshots.
        singular_values: [r] float64, decreasing, in units of the snapshots.
        mean: [n c], over time; zeros where it was not taken off and no pass has computed it.
        num_snapshots: T.
        method: "snapshots", "range_finder" or "sketch".
    """

    modes: Tensor
    singular_values: Tensor
    mean: Tensor
    num_snapshots: int
    method: str


def find_modes(
    source: SnapshotSource,
    num_modes: int | None,
    max_modes: int,
    *,
    subtract_mean: bool,
    randomized: bool = False,
    oversampling: int = 10,
    power_iterations: int = 2,
    seed: int = 0,
) -> Modes:
    """Return the first modes, by the method of snapshots where it serves.

    Passes over the data: two by the method of snapshots, a third where float32 products did not
    resolve the modes; 2 + power_iterations by the range finder.

    Args:
        source: the snapshots; must be readable more than once.
        num_modes: r; None takes ``max_modes``, save those that are no more than the rounding of float32
            data, eps_32 rms sqrt(max(T, n c)).
        max_modes: number of modes that are of use where none is given.
        subtract_mean: take the mean over time off first.
        randomized: the range finder in any case.
        oversampling: l - r >= 0.
        power_iterations: >= 0; each makes what the sketch has missed of mode j smaller by
            (S_l / S_j)^2.
        seed: of the random matrix.

    Raises:
        PinnxError: values that are not finite, no variation, or more modes than the rank.
    """
    wanted = max_modes if num_modes is None else num_modes
    num_snapshots = source.num_snapshots
    found = None
    if not randomized and source.reads_columns and num_snapshots is not None:
        few = num_snapshots <= max(FEW_SNAPSHOTS, 8 * (wanted + oversampling))
        found = _method_of_snapshots(source, num_modes, max_modes, subtract_mean) if few else None
    if found is None:
        found = _range_finder(source, wanted, subtract_mean, oversampling, power_iterations, seed)
    return _limited(found, source, num_modes, max_modes, subtract_mean)


def _limited(found: Modes, source: SnapshotSource, num_modes: int | None, max_modes: int, subtract_mean: bool) -> Modes:
    """Leave out what is rounding, and object where those were wanted."""
    values = found.singular_values
    count, size = found.num_snapshots, source.n * source.c
    mean_square = float(found.mean.double().square().sum()) if subtract_mean else 0.0
    norm = (count * mean_square + float(values.square().sum())) ** 0.5
    # Rounding every number of X, and a mean by a few eps, turns up in a singular value with its norm, at most.
    rank = int((values > 4.0 * torch.finfo(source.dtype).eps * norm).sum())
    if rank == 0:
        raise PinnxError(
            f"snapshots: expected fields that {'differ' if subtract_mean else 'are not zero'}, got "
            f"{found.num_snapshots} without any variation"
        )
    if num_modes is None:
        above = int((values > EPS32 * norm / min(count, size) ** 0.5).sum())
        keep = max(1, min(max_modes, above, rank))
    elif num_modes > rank:
        raise PinnxError(
            f"n_modes: expected at most {rank}, the rank of the {found.num_snapshots} snapshots, got {num_modes}"
        )
    else:
        keep = num_modes
    modes = found.modes[:keep]
    # An SVD leaves the sign open; fixing it makes the modes the same on every machine.
    low, high = torch.aminmax(modes, dim=1)
    turned = torch.nonzero(-low > high).reshape(-1)
    if len(turned):
        modes[turned] *= -1.0
    return Modes(modes, values[:keep], found.mean, found.num_snapshots, found.method)


def _method_of_snapshots(
    source: SnapshotSource, num_modes: int | None, max_modes: int, subtract_mean: bool
) -> Modes | None:
    """None where the wanted modes are lost in the rounding of squares, in float64 too."""
    wanted = max_modes if num_modes is None else num_modes
    assert source.num_snapshots is not None
    cheap = source.dtype == torch.float32 and source.num_snapshots > DOUBLE_SNAPSHOTS
    for dtype in [torch.float32, torch.float64] if cheap else [torch.float64]:
        gram = gram_matrix(source, subtract_mean=subtract_mean, dtype=dtype)
        count = len(gram.matrix)
        with on_one_thread():
            squares, vectors = torch.linalg.eigh(gram.matrix)
        squares, vectors = squares.flip(0)[:wanted], vectors.flip(1)[:, :wanted]
        # Of the products of fluctuations (the mean enters in float64): each of the T^2 numbers is rounded by
        # itself, which is a matrix of norm eps |G| / sqrt(T).
        rounding = RESOLVED * torch.finfo(dtype).eps * gram.fluctuation / count**0.5
        resolved = squares > max(rounding, RESOLVED * torch.finfo(torch.float64).eps * float(squares[0]))
        enough = min(wanted, count - int(subtract_mean))
        # The rounding of float32 data is as good as zero, where no number was given.
        if num_modes is None:
            data_rounding = (EPS32 * gram.rms * max(count, source.n * source.c) ** 0.5) ** 2
            enough = min(enough, int((squares > 4.0 * data_rounding).sum()))
        keep = int(resolved.sum())
        if keep >= enough:
            values = squares[:keep].clamp(min=0.0).sqrt()
            rotation = (vectors[:, :keep] / values).T
            modes = _project(source, rotation, gram.mean if subtract_mean else None)
            return Modes(modes, values, gram.mean, count, "snapshots")
    return None


@dataclass(frozen=True, eq=False)
class Gram:
    """Args:
    matrix: [T, T] float64, of the snapshots with or without their mean.
    mean: [n c] over time, in the dtype of the snapshots.
    fluctuation: Frobenius norm of the Gram matrix of the fluctuations alone.
    rms: root mean square of the snapshots.
    """

    matrix: Tensor
    mean: Tensor
    fluctuation: float
    rms: float


def gram_matrix(source: SnapshotSource, *, subtract_mean: bool, dtype: torch.dtype) -> Gram:
    """Return the Gram matrix from one pass over the columns.

    Args:
        source: the snapshots.
        subtract_mean: leave the mean over time out; a single snapshot keeps it.
        dtype: of the products.

    Raises:
        PinnxError: values that are not finite.
    """
    count = source.num_snapshots
    assert count is not None
    device, size = source.device, source.n * source.c
    total = torch.zeros(count, count, dtype=torch.float64, device=device)
    along_mean = torch.zeros(count, dtype=torch.float64, device=device)
    mean = torch.empty(size, dtype=source.dtype, device=device)
    mean_square = torch.zeros((), dtype=torch.float64, device=device)
    for begin, end, columns in source.columns():
        part = row_gram(columns, in_double=dtype == torch.float64)
        total += part.gram
        along_mean += part.along_mean
        mean_square += part.mean_square
        mean[begin:end] = part.mean
    # J G J: the mean that was taken off is itself rounded.
    total -= total.mean(dim=0)
    total -= total.mean(dim=1, keepdim=True)
    if not bool(torch.isfinite(total).all()) or not bool(torch.isfinite(mean_square)):
        raise PinnxError("snapshots: expected finite values, got NaN or infinite ones")
    fluctuation = float(torch.linalg.norm(total))
    rms = float(((total.trace() / count + mean_square) / size).sqrt())
    if not subtract_mean or count == 1:
        total += along_mean[:, None] + along_mean + mean_square
        if subtract_mean:
            mean.zero_()
    return Gram(total.cpu(), mean, fluctuation, rms)


def _project(source: SnapshotSource, rotation: Tensor, mean: Tensor | None) -> Tensor:
    """Return rotation (A - mean) [r, n c] from one pass over the columns.

    Args:
        source: the snapshots.
        rotation: [r, T] float64.
        mean: [n c] or None for zero.
    """
    size = source.n * source.c
    left = rotation.to(source.device, source.dtype)
    out = torch.empty(len(left), size, dtype=source.dtype, device=source.device)
    for begin, end, columns in source.columns():
        out[:, begin:end] = project_rows(columns, left, mean=None if mean is None else mean[begin:end])
    return out


def _range_finder(
    source: SnapshotSource, wanted: int, subtract_mean: bool, oversampling: int, power_iterations: int, seed: int
) -> Modes:
    size = source.n * source.c
    known = source.num_snapshots
    num_rows = min(wanted + oversampling, size if known is None else min(size, known))
    sketch, mean, count = sketch_snapshots(source, num_rows, subtract_mean=subtract_mean, seed=seed)
    for step in range(1 + power_iterations):
        basis = torch.linalg.qr(sketch.T).Q  # [n c, l]
        del sketch
        shift = mean @ basis if subtract_mean else None
        last = step == power_iterations
        coefficients, sketch = [], torch.zeros(basis.shape[1], size, dtype=source.dtype, device=source.device)
        for block in source.rows():
            seen = block @ basis if shift is None else block @ basis - shift
            if last:
                coefficients.append(seen.double())
            else:
                # The coefficients add up to zero over all times, so the mean drops out.
                sketch.addmm_(seen.T, block)
    with on_one_thread():
        _, values, directions = torch.linalg.svd(torch.cat(coefficients), full_matrices=False)
    modes = directions[:wanted].to(source.dtype) @ basis.T
    return Modes(modes, values[:wanted], mean, count, "range_finder")


def sketch_snapshots(
    source: SnapshotSource, num_rows: int, *, subtract_mean: bool, seed: int, kind: str = "gaussian"
) -> tuple[Tensor, Tensor, int]:
    """Return a random sketch R A [num_rows, n c], what was taken off [n c] and T, in one pass.

    The sketch depends on the seed alone, not on how the snapshots come in blocks.

    Raises:
        PinnxError: values that are not finite.
    """
    size = source.n * source.c
    sketch = torch.zeros(num_rows, size, dtype=source.dtype, device=source.device)
    ones = torch.zeros(num_rows, 1, dtype=torch.float64, device=source.device)
    total = torch.zeros(size if subtract_mean else 0, dtype=torch.float64, device=source.device)
    count = 0
    for block in source.rows():
        sketch_rows(block, num_rows, seed=seed, kind=kind, row_offset=count, out=sketch)
        if subtract_mean:
            one = torch.ones(len(block), 1, dtype=torch.float64, device=source.device)
            sketch_rows(one, num_rows, seed=seed, kind=kind, row_offset=count, out=ones)
            total += block.sum(dim=0)
        count += len(block)
    if not bool(sketch.sum(dim=0).isfinite().all()):
        raise PinnxError("snapshots: expected finite values, got NaN or infinite ones")
    mean = torch.zeros(size, dtype=source.dtype, device=source.device)
    if subtract_mean and count > 1:
        mean = (total / count).to(source.dtype)
        sketch.addmm_(ones.to(source.dtype), mean[None], alpha=-1.0)
    return sketch, mean, count


def modes_of_sketch(
    sketch: Tensor, mean: Tensor, count: int, num_modes: int | None, max_modes: int, *, subtract_mean: bool
) -> Modes:
    """Return the modes of a sketch, for those of the snapshots: no further pass over them."""
    source = ArraySource(sketch)
    wanted = min(max_modes if num_modes is None else num_modes, len(sketch))
    found = _method_of_snapshots(source, wanted, max_modes, subtract_mean=False)
    if found is None:
        found = _range_finder(source, wanted, subtract_mean=False, oversampling=10, power_iterations=0, seed=0)
    found = Modes(found.modes, found.singular_values, mean, count, "sketch")
    return _limited(found, source, num_modes, max_modes, subtract_mean)
