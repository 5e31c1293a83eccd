"""Which path serves a network: fused, all layers in one kernel, or composed of the jet kernels and torch's products."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import torch
from torch import Tensor

from pinn_ext import _core
from pinn_ext.build_info import build_info

__all__ = ["fused_serves"]


def fused_serves(shape: Any, x: Tensor) -> bool:
    """Whether the fused kernel takes this network on this device; where not, it is said once."""
    # A build without CUDA has no path for a CUDA tensor: the fused kernel's twin says how to rebuild.
    if not x.is_cuda or not _built_with_cuda():
        return True
    if _core.cuda_fused_serves(shape, x.dtype == torch.float64):
        return True
    _say_composed(str(x.dtype).removeprefix("torch."))
    return False


@cache
def _built_with_cuda() -> bool:
    return build_info().cuda_version is not None


@cache
def _say_composed(dtype: str) -> None:
    warnings.warn(
        f"pinn_ext: a network in {dtype} on CUDA goes layer by layer (composed); fused there are, in {dtype}: "
        f"{build_info().fused[f'cuda {dtype}']} (pinn_ext.build_info().fused)",
        stacklevel=2,
    )
