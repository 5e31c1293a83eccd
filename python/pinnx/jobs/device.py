"""The device on which a run trains."""

from __future__ import annotations

import warnings

import torch

import pinn_ext
from pinnx.errors import PinnxError

__all__ = ["choose_device"]


def choose_device(name: str) -> torch.device:
    """The device of a configuration.

    Warns where ``auto`` leaves a CUDA device unused because this build has no kernels for it.

    Raises:
        PinnxError: the device is cuda, and torch sees no device or this build has no kernels for it.
    """
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise PinnxError("train.device: expected a CUDA device that torch can use, found none; use cpu or auto")
    if name == "cpu" or not found:
        return torch.device("cpu")
    if pinn_ext.build_info().cuda_version is None:
        if name == "cuda":
            raise PinnxError(
                "train.device: expected kernels with CUDA for cuda, got a build for the CPU alone; "
                "rebuild (pinnx doctor says how), or set train.device=cpu"
            )
        warnings.warn(
            "train.device: a CUDA device was found, but pinn_ext was built without CUDA; the CPU is used "
            "(pinnx doctor says how to rebuild)",
            stacklevel=2,
        )
        return torch.device("cpu")
    return torch.device("cuda")
