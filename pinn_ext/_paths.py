"""Which path serves a network: fused, all layers in one kernel, or composed of the jet kernels and torch's products."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import torch
from torch import Tensor

from pinn_ext import _core

__all__ = ["fused_serves"]


def fused_serves(shape: Any, x: Tensor) -> bool:
    """Whether the fused kernel takes this network on this device; where not, it is said once."""
    if not x.is_cuda:
        return True
    if _core.cuda_fused_serves(shape, x.dtype == torch.float64):
        return True
    _say_composed(str(x.dtype).removeprefix("torch."))
    return False


@cache
def _say_composed(dtype: str) -> None:
    warnings.warn(
        f"pinn_ext: this network in {dtype} runs on the composed path on CUDA: the fused kernel takes "
        f"{_core.build_info()['cuda_fused']} (pinn_ext.build_info().cuda_fused)",
        stacklevel=2,
    )
