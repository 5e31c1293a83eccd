"""Optimisers and the schedule of their step size.

soap    Adam in the eigenbasis of Shampoo's preconditioner: Vyas et al., "SOAP: improving and stabilizing Shampoo
        using Adam", ICLR 2025. For PINNs: Wang et al., "Gradient alignment in physics-informed neural networks",
        2025. In soap.py.
adam    Kingma and Ba, ICLR 2015. From torch.
cosine  lr(step) = final + (lr - final) (1 + cos(pi step / steps)) / 2
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from pinnx.errors import PinnxError
from pinnx.train.soap import Soap

__all__ = ["cosine_schedule", "make_optimizer"]


def make_optimizer(
    name: str,
    parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
    *,
    lr: float,
    betas: tuple[float, float],
    precondition_frequency: int,
) -> torch.optim.Optimizer:
    """An optimiser without weight decay.

    Args:
        name: "soap" or "adam".
        parameters: what to optimise; or groups of it, each with options of its own.
        lr: step size at the start.
        betas: decay of the first and second moments.
        precondition_frequency: soap: steps from one eigenbasis to the next.

    Raises:
        PinnxError: an unknown name.
    """
    if name == "soap":
        return Soap(list(parameters), lr=lr, betas=betas, precondition_frequency=precondition_frequency)
    if name == "adam":
        return torch.optim.Adam(list(parameters), lr=lr, betas=betas)
    raise PinnxError(f"train.optimizer: expected soap or adam, got {name!r}")


def cosine_schedule(
    optimizer: torch.optim.Optimizer, steps: int, final_lr: float
) -> torch.optim.lr_scheduler.LRScheduler:
    """Half a cosine from the optimiser's lr down to ``final_lr`` over ``steps`` steps."""
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps, eta_min=final_lr)
