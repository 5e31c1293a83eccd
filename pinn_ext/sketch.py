"""Random sketches of the rows of a matrix: few rows that keep the geometry of its columns.

``Y = S A`` with a random ``S [l, r]`` that is never stored: lengths of columns, and angles between them, survive up to
a factor of about ``1 +- sqrt(k / l)`` on a span of ``k`` dimensions (Halko, Martinsson and Tropp, *Finding structure
with randomness*, SIAM Review 53 (2011) 217).
"""

from __future__ import annotations

import torch
from torch import Tensor

from pinn_ext import _core
from pinn_ext._impl.checks import check_same, check_tensor, describe
from pinn_ext._impl.operator import array, launch_place, register_operator, transforms_active

__all__ = ["SKETCHES", "check_seed", "sketch_rows"]

SKETCHES = tuple(_core.SketchKind.__members__)
"""What a sketch may be: ``"gaussian"`` or ``"sparse_sign"``."""


def sketch_rows(
    A: Tensor,
    num_rows: int,
    *,
    seed: int,
    kind: str = "gaussian",
    row_offset: int = 0,
    out: Tensor | None = None,
) -> Tensor:
    """``S[:, row_offset : row_offset + r] @ A``, or ``out`` plus that.

    An entry of ``S`` is a function of ``seed``, ``kind``, ``num_rows``, its own row and the row of ``A`` alone
    (Philox4x32-10: Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, SC'11):

    - ``"gaussian"``: independent, normal, variance ``1 / num_rows``. ``num_rows`` products for each number of ``A``.
    - ``"sparse_sign"``: for each row of ``A`` 8 entries ``+-1 / sqrt(8)`` at distinct places, the rest zero (where
      ``num_rows`` is less than 8, so many signs). 8 additions for each number of ``A``, whatever ``num_rows``; on CUDA
      both kinds cost the same.

    So the rows of a matrix larger than memory may come in blocks, each added to ``out`` with its ``row_offset``, and
    ranks that hold different rows add up their results. Each number of the result adds its terms in the order of the
    rows, to what was there. Bitwise alike are therefore, on one device and instruction set, results for any number of
    threads, for any selection of the columns, and for blocks in ascending order of the rows as against one call with
    all of them. To rounding alike are those of other orders, sums over ranks, other devices and instruction sets, and
    the entries themselves in float32 and float64.

    Args:
        A: ``[r, n]``, float32 or float64. Rows may lie apart (a slice of columns); other strides cost a copy.
        num_rows: ``l``, of the sketch, at least 1.
        seed: ``0 <= seed < 2^63``.
        kind: ``"gaussian"`` or ``"sparse_sign"``.
        row_offset: number of the first row of ``A``, ``>= 0``.
        out: ``[num_rows, n]``, contiguous, like ``A``, in memory of its own; is added to, and returned.

    Returns:
        ``[num_rows, n]``. Not differentiable: a backward pass raises.

    Raises:
        TypeError, ValueError: wrong type, shape, dtype, device or number.
    """
    check_tensor("A", A, ("r", "n"))
    _check_whole("num_rows", num_rows, 1, 2**31 - 1)
    _check_whole("row_offset", row_offset, 0, 2**62)
    check_seed(seed)
    if kind not in SKETCHES:
        raise ValueError(f"kind: expected one of {', '.join(SKETCHES)}, got {kind!r}")
    if out is None:
        return _sketch_rows(A, None, num_rows, seed, kind, row_offset)  # type: ignore[no-any-return]
    if transforms_active():
        raise ValueError("out: expected None inside the transforms of torch.func (add the result to it), got a tensor")
    check_tensor("out", out, (num_rows, A.shape[1]))
    check_same("out", out, "A", A)
    if not out.is_contiguous():
        raise ValueError(f"out: expected a contiguous tensor, got strides {list(out.stride())}")
    if out.requires_grad and out.is_leaf and torch.is_grad_enabled():
        raise ValueError("out: expected a tensor that may be written to, got a leaf that requires a gradient")
    if not torch.compiler.is_compiling() and _overlap(A, out):
        raise ValueError("out: expected memory of its own, got a part of A")
    if torch.compiler.is_compiling() or out.requires_grad or A.requires_grad or out.is_neg():
        return out.copy_(_sketch_rows(A, out, num_rows, seed, kind, row_offset))
    return _add(A, out, num_rows, seed, kind, row_offset, accumulate=True)


def _overlap(A: Tensor, out: Tensor) -> bool:
    """Whether the spans of memory from the first number to the last do."""

    def end(x: Tensor) -> int:
        return (
            x.data_ptr() + (sum((n - 1) * step for n, step in zip(x.shape, x.stride(), strict=True)) + 1) * x.itemsize
        )

    return A.numel() > 0 and out.numel() > 0 and A.data_ptr() < end(out) and out.data_ptr() < end(A)


def check_seed(seed: object) -> None:
    """Raises unless ``seed`` is a whole number that the kernels take."""
    _check_whole("seed", seed, 0, 2**63 - 1)


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    # torch.compile traces whole numbers as symbols, which are no instances of int.
    if isinstance(value, bool) or not isinstance(value, int | torch.SymInt):
        raise TypeError(f"{name}: expected a whole number, got {describe(value)}")
    if not least <= value <= most:
        raise ValueError(f"{name}: expected {least} to {most}, got {value}")


def _add(A: Tensor, out: Tensor, num_rows: int, seed: int, kind: str, row_offset: int, *, accumulate: bool) -> Tensor:
    r, n = A.shape
    A = A.resolve_neg()
    if n > 0 and r > 0 and not (A.stride(1) == 1 and A.stride(0) >= n):
        A = A.contiguous()
    workspace = A.new_empty((min(r, _core.SKETCH_CHUNK), num_rows)) if A.is_cuda else None
    with launch_place(A) as place:
        _core.sketch_rows(
            *place,
            a=array(A),
            out=array(out),
            workspace=array(workspace),
            kind=getattr(_core.SketchKind, kind),
            seed=seed,
            num_rows=num_rows,
            r=r,
            n=n,
            stride=A.stride(0),
            row_offset=row_offset,
            accumulate=accumulate,
        )
    return out


def _kernel(A: Tensor, start: Tensor | None, num_rows: int, seed: int, kind: str, row_offset: int) -> Tensor:
    if start is None:
        out = A.new_empty((num_rows, A.shape[1]))
    else:
        out = start.resolve_neg().clone(memory_format=torch.contiguous_format)
    return _add(A, out, num_rows, seed, kind, row_offset, accumulate=start is not None)


def _fake(A: Tensor, start: Tensor | None, num_rows: int, seed: int, kind: str, row_offset: int) -> Tensor:
    return A.new_empty((num_rows, A.shape[1]))


_sketch_rows = register_operator(
    "sketch_rows(Tensor A, Tensor? start, int num_rows, int seed, str kind, int row_offset) -> Tensor", _kernel, _fake
)
