"""The Gram matrix of a few long rows about their mean, and sums of the rows.

Snapshots of a field are such rows: their modes come out of the Gram matrix (the method of snapshots: Sirovich,
*Quarterly of Applied Mathematics* 45 (1987) 561), and are sums of them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pinn_ext import _core
from pinn_ext._impl.checks import check_same, check_tensor, describe
from pinn_ext._impl.operator import array, launch_place, register_operator

__all__ = ["RowGram", "project_rows", "row_gram"]

# Numbers of a block of columns on CUDA, where each of its products costs a launch.
CUDA_BLOCK_NUMBERS = 2**26


class RowGram(NamedTuple):
    """What `row_gram` returns: all that ``A A'`` is made of, with the mean kept apart.

    ``A A' = gram + along_mean 1' + 1 along_mean' + mean_square 1 1'``

    Attributes:
        gram: ``[r, r]`` float64, ``(A - 1 mean') (A - 1 mean')'``.
        mean: ``[n]``, of the rows, in ``A``'s dtype.
        along_mean: ``[r]`` float64, ``(A - 1 mean') mean``.
        mean_square: ``[]`` float64, ``mean' mean``.
    """

    gram: Tensor
    mean: Tensor
    along_mean: Tensor
    mean_square: Tensor


def row_gram(A: Tensor, *, in_double: bool = False) -> RowGram:
    """``(A - 1 m') (A - 1 m')'`` with ``m`` the mean of the rows, from one pass over ``A``.

    The mean, which is often a hundred times what the rows differ by, is taken off before anything is squared. Products
    of a block of columns are added to those of the others in float64, so that rounding does not grow with ``n``. Of a
    matrix that comes in blocks of columns the results are added (and the means joined) to those of all.

    On the CPU the lower triangle alone is computed, and bits do not depend on the number of threads. On CUDA the
    products are torch's, and follow its precision of float32 products (``torch.set_float32_matmul_precision``).

    Args:
        A: ``[r, n]``, float32 or float64, ``r >= 1``. Rows may lie apart (a slice of columns); other strides cost a
            copy.
        in_double: products of a float32 ``A`` in float64 too, at half the speed.

    Returns:
        A `RowGram`. Not differentiable: a backward pass raises. NaN and infinite numbers go through.

    Raises:
        TypeError, ValueError: wrong type, shape, dtype or device.
    """
    check_tensor("A", A, ("r", "n"))
    if A.shape[0] == 0:
        raise ValueError(f"A: expected at least one row, got {describe(A)}")
    if not isinstance(in_double, bool):
        raise TypeError(f"in_double: expected True or False, got {describe(in_double)}")
    return RowGram(*_row_gram(A, in_double))


def project_rows(A: Tensor, rotation: Tensor, *, mean: Tensor | None = None) -> Tensor:
    """``rotation (A - 1 mean')`` from one pass over ``A``: sums of the rows, with what all share taken off first.

    Each number is a sum in the order of the rows, in ``A``'s dtype; on the CPU its bits depend neither on the other
    columns nor on the number of threads.

    Args:
        A: ``[r, n]``, float32 or float64. Rows may lie apart (a slice of columns); other strides cost a copy.
        rotation: ``[l, r]``, like ``A``.
        mean: ``[n]``, like ``A``; None for zeros.

    Returns:
        ``[l, n]``. Not differentiable: a backward pass raises.

    Raises:
        TypeError, ValueError: wrong type, shape, dtype or device.
    """
    check_tensor("A", A, ("r", "n"))
    check_tensor("rotation", rotation, ("l", A.shape[0]))
    check_same("rotation", rotation, "A", A)
    if mean is not None:
        check_tensor("mean", mean, (A.shape[1],))
        check_same("mean", mean, "A", A)
    return _project_rows(A, rotation, mean)  # type: ignore[no-any-return]


def _with_long_rows(A: Tensor) -> Tensor:
    A = A.resolve_neg()
    return A if A.numel() == 0 or (A.stride(1) == 1 and A.stride(0) >= A.shape[1]) else A.contiguous()


def _empty_gram(A: Tensor, in_double: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r, n = A.shape
    return (
        A.new_empty((r, r), dtype=torch.float64),
        A.new_empty((n,)),
        A.new_empty((r,), dtype=torch.float64),
        A.new_empty((), dtype=torch.float64),
    )


def _gram_kernel(A: Tensor, in_double: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    results = _empty_gram(A, in_double)
    if A.is_cuda:
        return _gram_on_cuda(A, in_double, *results)
    A = _with_long_rows(A)
    gram, mean, along_mean, mean_square = map(array, results)
    with launch_place(A) as place:
        _core.row_gram(
            *place,
            a=array(A),
            gram=gram,
            mean=mean,
            along_mean=along_mean,
            mean_square=mean_square,
            r=A.shape[0],
            n=A.shape[1],
            stride=A.stride(0),
            in_double=in_double,
        )
    return results


def _gram_on_cuda(
    A: Tensor, in_double: bool, gram: Tensor, mean: Tensor, along_mean: Tensor, mean_square: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    for zero in (gram, along_mean, mean_square):
        zero.zero_()
    step = max(64, CUDA_BLOCK_NUMBERS // len(A))
    for low in range(0, A.shape[1], step):
        block = A[:, low : low + step]
        block = block.double() if in_double else block
        centre = block.mean(dim=0)
        block = block - centre
        mean[low : low + step] = centre
        gram += block @ block.T
        along_mean += block @ centre
        mean_square += centre.double().square().sum()
    return gram, mean, along_mean, mean_square


def _project_kernel(A: Tensor, rotation: Tensor, mean: Tensor | None) -> Tensor:
    out = A.new_empty((rotation.shape[0], A.shape[1]))
    if A.is_cuda:
        step = max(64, CUDA_BLOCK_NUMBERS // max(1, len(A)))
        for low in range(0, A.shape[1], step):
            block = A[:, low : low + step]
            torch.mm(rotation, block if mean is None else block - mean[low : low + step], out=out[:, low : low + step])
        return out
    A = _with_long_rows(A)
    rotation = rotation.resolve_neg().contiguous()
    mean = None if mean is None else mean.resolve_neg().contiguous()
    with launch_place(A) as place:
        _core.project_rows(
            *place,
            a=array(A),
            rotation=array(rotation),
            mean=array(mean),
            out=array(out),
            num_out=len(rotation),
            r=A.shape[0],
            n=A.shape[1],
            stride=A.stride(0),
        )
    return out


def _project_fake(A: Tensor, rotation: Tensor, mean: Tensor | None) -> Tensor:
    return A.new_empty((rotation.shape[0], A.shape[1]))


_row_gram = register_operator(
    "row_gram(Tensor A, bool in_double) -> (Tensor, Tensor, Tensor, Tensor)", _gram_kernel, _empty_gram
)
_project_rows = register_operator(
    "project_rows(Tensor A, Tensor rotation, Tensor? mean) -> Tensor", _project_kernel, _project_fake
)
