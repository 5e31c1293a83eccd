"""A matrix product in a chosen precision: operands with fewer bits, sums and result in the tensors' own dtype.

    product(a, b)[i, j] = sum_k round(a[i, k]) round(b[k, j])

    ieee      nothing is rounded
    tf32      10 bits of mantissa and the exponent of float32; CUDA alone
    bfloat16  7 bits, and the exponent of float32
    float16   10 bits; above 65504 an operand becomes infinite, below 6e-8 zero

The hardware rounds where it can: tensor cores, and oneDNN on a CPU with AVX-512 BF16 or AMX. Elsewhere on the CPU the
operands are rounded before a product in float32, which gives the same numbers and saves nothing. Tiny products may stay
in IEEE float32, where oneDNN finds that faster.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from pinn_ext._impl.checks import describe

__all__ = ["PRODUCTS", "Products", "check_products", "hardware_products", "product"]

Products = Literal["ieee", "tf32", "bfloat16", "float16"]
PRODUCTS: tuple[str, ...] = get_args(Products)
ROUNDED = {"bfloat16": torch.bfloat16, "float16": torch.float16}
# torch.backends.*.fp32_precision, and a product of 16-bit operands whose result is float32, came with torch 2.9.
CHOOSES = hasattr(torch.backends.mkldnn, "matmul")


def check_products(products: str, like: Tensor) -> None:
    """Raises unless products of tensors like ``like`` can be taken in this precision."""
    if products == "ieee":
        return
    if products not in PRODUCTS:
        raise ValueError(f"products: expected one of {', '.join(PRODUCTS)}, got {products!r}")
    if like.dtype != torch.float32:
        raise ValueError(f"products: expected ieee for tensors that are not float32, got {products}")
    if not CHOOSES:
        raise ValueError(
            f"products: expected ieee, as torch {torch.__version__} has no choice (2.9 has), got {products}"
        )
    if products == "tf32" and not like.is_cuda:
        raise ValueError(f"products: expected tensors on CUDA for tf32, got {describe(like)}")


@cache
def hardware_products(device_type: str = "cpu") -> tuple[Products, ...]:
    """Which precisions of ``products`` a device multiplies in; others are rounded before a product in float32.

    Args:
        device_type: "cpu", or "cuda" for the current CUDA device.

    Returns:
        On a CPU none or bfloat16; on CUDA tf32, bfloat16 and float16, or what an old device has of them.
    """
    if not CHOOSES:
        return ()
    if device_type == "cuda":
        major, _ = torch.cuda.get_device_capability()
        if major >= 8:
            return ("tf32", "bfloat16", "float16")
        return ("float16",) if major == 7 else ()
    operand = torch.full((64, 64), 1 + 2.0**-12)
    return ("bfloat16",) if _multiplied(operand, operand, None, False, "bf16")[0, 0] == 64 else ()


def product(a: Tensor, b: Tensor, products: str = "ieee", *, out: Tensor | None = None, add: bool = False) -> Tensor:
    """``a b``, [i, k] [k, j] -> [i, j].

    Args:
        a: left operand, [i, k].
        b: right operand, [k, j].
        products: precision of the operands; anything but ieee for float32 alone.
        out: memory for the result, [i, j].
        add: add to what ``out`` holds.
    """
    rounded = ROUNDED.get(products)
    if rounded is None:
        return _multiplied(a, b, out, add, products)
    if a.is_cuda:
        result = torch.mm(a.to(rounded), b.to(rounded), out_dtype=torch.float32)
        if out is None:
            return result
        return out.add_(result) if add else out.copy_(result)
    if products in hardware_products():
        return _multiplied(a, b, out, add, "bf16")
    return _multiplied(a.to(rounded).to(a.dtype), b.to(rounded).to(b.dtype), out, add, "ieee")


def _multiplied(a: Tensor, b: Tensor, out: Tensor | None, add: bool, setting: str) -> Tensor:
    """The product under a setting of torch's backend, whatever the process has set."""
    backend: Any = torch.backends.cuda.matmul if a.is_cuda else getattr(torch.backends.mkldnn, "matmul", None)
    before = backend.fp32_precision if CHOOSES else setting
    if before in (setting, "none" if setting == "ieee" else setting):
        return _mm(a, b, out, add)
    backend.fp32_precision = setting
    try:
        return _mm(a, b, out, add)
    finally:
        backend.fp32_precision = before


def _mm(a: Tensor, b: Tensor, out: Tensor | None, add: bool) -> Tensor:
    return out.addmm_(a, b) if add and out is not None else torch.mm(a, b, out=out)
