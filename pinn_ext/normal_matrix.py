"""The normal matrix of a Jacobian, ``J' J``: what Gauss-Newton and natural gradients factor."""

from __future__ import annotations

import torch
from torch import Tensor

from pinn_ext import _core
from pinn_ext._impl.checks import DTYPES, check_tensor, describe
from pinn_ext._impl.operator import array, launch_place

__all__ = ["normal_matrix"]

# Rows of a float32 product on CUDA before it is added in float64.
CUDA_ROWS = 8192


@torch.no_grad()
def normal_matrix(
    rows: Tensor, *, products: torch.dtype | None = None, out: Tensor | None = None, add: bool = False
) -> Tensor:
    """The upper triangle of ``J' J``, in float64.

    On the CPU only squares of columns on and above the diagonal are multiplied: half of the operations of ``J.T @ J``.
    Products of 192 rows are summed in their dtype, these sums in float64; bits do not depend on the number of threads.
    On CUDA the products are torch's.

    Args:
        rows: J, ``[rows, p]``, float32 or float64, with any strides: ``J J'`` is the normal matrix of ``J.T``.
        products: dtype in which products of rows are summed, float32 in half the time; None: that of the rows.
        out: ``[p, p]`` float64, contiguous, where to write; None: new memory.
        add: to what ``out`` has.

    Returns:
        ``[p, p]`` float64; what is below the diagonal means nothing. Not differentiable: carries no graph.

    Raises:
        TypeError, ValueError: wrong type, shape, dtype or device; ``add`` without ``out``.
    """
    check_tensor("rows", rows, ("rows", "p"))
    products = rows.dtype if products is None else products
    if products not in DTYPES:
        raise ValueError(f"products: expected torch.float32 or torch.float64, got {describe(products)}")
    p = rows.shape[1]
    if out is None:
        if add:
            raise ValueError("add: expected an out to add to, got none")
        out = rows.new_empty((p, p), dtype=torch.float64)
    check_tensor("out", out, (p, p))
    if not out.is_contiguous() or out.dtype != torch.float64 or out.device != rows.device:
        raise ValueError(f"out: expected a contiguous float64 tensor on {rows.device}, got {describe(out)}")
    if rows.is_cuda:
        out.mul_(1.0 if add else 0.0)
        for piece in torch.split(rows.to(products), CUDA_ROWS):
            out += piece.T @ piece
        return out
    rows = rows.resolve_neg()
    if min(rows.stride()) < 1:  # an expanded axis
        rows = rows.contiguous()
    with launch_place(rows) as place:
        _core.normal_matrix(
            *place,
            a=array(rows),
            out=array(out),
            rows=len(rows),
            p=p,
            row_stride=rows.stride(0),
            column_stride=rows.stride(1),
            in_single=products == torch.float32,
            accumulate=add,
        )
    return out
