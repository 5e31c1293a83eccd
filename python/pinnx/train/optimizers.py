"""Optimisers and the schedule of their step size.

soap    Adam in the eigenbasis of Shampoo's preconditioner: Vyas et al., "SOAP: improving and stabilizing Shampoo
        using Adam", ICLR 2025. For PINNs: Wang et al., "Gradient alignment in physics-informed neural networks",
        2025. In soap.py.
adam    Kingma and Ba, ICLR 2015. From torch, which has the whole update as one kernel on CUDA.
lbfgs   Nocedal, Math. Comp. 35, 1980; and ssbroyden, self-scaled Broyden. In quasi_newton.py.
cosine  lr(step) = final + (lr - final) (1 + cos(pi step / steps)) / 2, behind a linear warm-up if there is one
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import nn

from pinnx.errors import PinnxError
from pinnx.train.flat_tensors import flat
from pinnx.train.soap import Soap

if TYPE_CHECKING:
    from pinnx.train.objective import Objective
    from pinnx.train.quasi_newton import QuasiNewton

__all__ = ["FIRST_ORDER", "FirstOrderName", "cosine_schedule", "make_optimizer", "make_quasi_newton"]

# What `make_optimizer` makes.
FirstOrderName = Literal["soap", "adam"]
FIRST_ORDER: tuple[str, ...] = get_args(FirstOrderName)


def make_optimizer(
    name: str,
    parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
    *,
    lr: float,
    betas: tuple[float, float] = (0.95, 0.95),
    precondition_frequency: int = 5,
    replay: Callable[[Callable[[], None]], Callable[[], None]] | None = None,
) -> torch.optim.Optimizer:
    """An optimiser without weight decay.

    Args:
        name: one of ``FIRST_ORDER``.
        parameters: what to optimise; or groups of it, each with options of its own.
        lr: step size at the start.
        betas: decay of the first and second moments; those of ``train.betas`` unless others are given.
        precondition_frequency: soap: steps from one eigenbasis to the next; adam has none.
        replay: as for `Soap`; of Adam, says that its step is to be capturable, as it is on CUDA.

    Raises:
        PinnxError: an unknown name.
    """
    if name == "soap":
        frequency = precondition_frequency
        return Soap(list(parameters), lr=lr, betas=betas, precondition_frequency=frequency, replay=replay)
    if name == "adam":
        adam = torch.optim.Adam(list(parameters), lr=lr, betas=betas)
        for group in adam.param_groups:
            on_cuda = replay is not None or all(p.is_cuda for p in group["params"])
            group["fused"], group["capturable"] = on_cuda or None, on_cuda
        return adam
    raise PinnxError(f"train.optimizer: expected {' or '.join(FIRST_ORDER)}, got {name!r}")


def make_quasi_newton(name: str, objective: Objective, *, pairs: int = 50) -> QuasiNewton:
    """A method that searches along lines, for a `Phase` in float64 with ``points_for`` some hundred steps.

    Args:
        name: "lbfgs", or "ssbroyden", whose matrix is dense.
        objective: loss and gradients.
        pairs: lbfgs: last steps, with the changes of the gradient along them, that it remembers.

    Raises:
        PinnxError: an unknown name, a phase in float32, too many parameters for ssbroyden.
    """
    from pinnx.train.curvature import LimitedMemory, SelfScaledBroyden  # SciPy's optimisers only where they are used
    from pinnx.train.quasi_newton import QuasiNewton

    if name not in ("lbfgs", "ssbroyden"):
        raise PinnxError(f"train.optimizer: expected lbfgs or ssbroyden, got {name!r}")
    if (dtype := objective.problem.model.frequencies.dtype) != torch.float64:
        raise PinnxError(f"train.optimizer {name}: expected a phase in float64, got {dtype}")
    like = flat(objective.parameters)
    return QuasiNewton(objective, LimitedMemory(like, pairs) if name == "lbfgs" else SelfScaledBroyden(like))


def cosine_schedule(
    optimizer: torch.optim.Optimizer, steps: int, final_lr: float, *, warm_up: int = 0
) -> torch.optim.lr_scheduler.LRScheduler:
    """Half a cosine from the optimiser's lr down to ``final_lr``.

    Args:
        optimizer: each of its groups has an lr of its own.
        steps: of both together.
        final_lr: after ``steps`` steps, of all groups.
        warm_up: steps before the cosine, in which the rate grows linearly: lr / warm_up in the first, lr in the last.

    Raises:
        PinnxError: no step is left for the cosine.
    """
    if warm_up >= steps:
        raise PinnxError(f"train.warm_up: expected less than the {steps} steps, got {warm_up}")
    schedulers = torch.optim.lr_scheduler
    if not warm_up:
        return schedulers.CosineAnnealingLR(optimizer, T_max=steps, eta_min=final_lr)
    cosine = schedulers.CosineAnnealingLR(optimizer, T_max=steps - warm_up, eta_min=final_lr)
    rising = schedulers.LinearLR(optimizer, start_factor=1.0 / warm_up, total_iters=warm_up - 1)
    return schedulers.SequentialLR(optimizer, [rising, cosine], milestones=[warm_up])
