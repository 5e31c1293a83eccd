"""Approximations of the inverse Hessian from pairs of a step s and the change y of the gradient along it.

With rho = 1 / (y . s), both satisfy H y = s; a pair without curvature (y . s <= 0, to rounding) is left out.

L-BFGS (Nocedal, Mathematics of Computation 35, 1980; two loops: Nocedal and Wright, "Numerical optimization", 2006,
algorithm 7.4): the last pairs, applied to gamma I with gamma = s . y / y . y of the last one.

Self-scaled Broyden (Urban, Stefanou, Pons, "Unveiling the optimization process of physics informed neural networks:
how accurate and competitive can PINNs be?", J. Comput. Phys. 523 (2025), equations 13 to 23, after Al-Baali; Kiyani,
Shukla, Urban, Darbon, Karniadakis, CMAME 446 (2025), arXiv 2501.16371): all of H, [n, n],

    H <- (H - Hy Hy^T / y.Hy + phi y.Hy v v^T) / tau + s s^T / y.s,      v = s / y.s - Hy / y.Hy
    b = s . H^-1 s / y.s,   h = y.Hy / y.s,   a = b h - 1,   r = min(1, h (1 - sqrt(a / (1 + a))))
    theta = max((r - 1) / a, min(1 / r, (1 - b) / b)),   sigma = 1 + a theta,   phi = (1 - theta) / sigma
    tau = min(1, 1 / b) min(sigma^(1 / (1 - n)), 1 / theta) where theta > 0,
          else min(min(1, 1 / b) sigma^(1 / (1 - n)), sigma)

theta = 0 and tau = 1 are BFGS. The first pair finds H = gamma I.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from pinnx.errors import PinnxError
from pinnx.kept_state import KeptState

__all__ = ["Curvature", "LimitedMemory", "SelfScaledBroyden", "broyden_numbers"]

# A dense inverse Hessian of more unknowns takes more than 512 MiB, in memory and in each checkpoint.
MOST_UNKNOWNS = 8192


class Curvature(Protocol):
    """An approximation H of the inverse Hessian, the identity before the first pair.

    Attributes:
        empty: whether it has seen no pair since it was made or cleared.
    """

    empty: bool

    def times(self, gradient: Tensor) -> Tensor:
        """H g, [n]."""
        ...

    def add(self, step: Tensor, change: Tensor, step_product: float) -> None:
        """Takes a pair in.

        Args:
            step: s, [n].
            change: y, the gradient behind the step less that before it, [n], with y . s > 0.
            step_product: s . H^-1 s.
        """
        ...

    def clear(self) -> None:
        """Back to the identity."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class LimitedMemory:
    """L-BFGS; see the file's head.

    Args:
        like: a vector of the unknowns, [n]: number, dtype and device.
        pairs: how many are kept.
    """

    def __init__(self, like: Tensor, pairs: int) -> None:
        self._like, self._pairs = like, pairs
        self._steps: list[Tensor] = []
        self._changes: list[Tensor] = []

    @property
    def empty(self) -> bool:
        return not self._steps

    def times(self, gradient: Tensor) -> Tensor:
        pairs = [(s, y, s.dot(y)) for s, y in zip(self._steps, self._changes, strict=True)]
        vector, taken = gradient.clone(), []
        for s, y, product in reversed(pairs):
            taken.append(s.dot(vector) / product)
            vector -= taken[-1] * y
        for _, y, product in pairs[-1:]:
            vector *= product / y.dot(y)
        for (s, y, product), share in zip(pairs, reversed(taken), strict=True):
            vector += (share - y.dot(vector) / product) * s
        return vector

    def add(self, step: Tensor, change: Tensor, step_product: float) -> None:
        self._steps = [*self._steps, step][-self._pairs :]
        self._changes = [*self._changes, change][-self._pairs :]

    def clear(self) -> None:
        self._steps, self._changes = [], []

    def state_dict(self) -> dict[str, Any]:
        """The pairs, the oldest first."""
        return {"steps": list(self._steps), "changes": list(self._changes)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what ``state_dict`` gave.

        Raises:
            ValueError: pairs of another number of unknowns.
        """
        for vector in (*state["steps"], *state["changes"]):
            if vector.shape != self._like.shape:
                raise ValueError(f"lbfgs: expected vectors {list(self._like.shape)}, got {list(vector.shape)}")
        self._steps, self._changes = (
            [v.to(self._like, copy=True) for v in state[name]] for name in ("steps", "changes")
        )


class SelfScaledBroyden(KeptState):
    """Self-scaled Broyden; see the file's head.

    Args:
        like: a vector of the unknowns, [n]: number, dtype and device.

    Raises:
        PinnxError: more unknowns than a dense matrix is for.
    """

    kept = ("_inverse", "empty")

    def __init__(self, like: Tensor) -> None:
        n = len(like)
        if n > MOST_UNKNOWNS:
            raise PinnxError(
                f"train.optimizer: expected at most {MOST_UNKNOWNS} parameters for ssbroyden, whose matrix is dense, "
                f"got {n}; use lbfgs, or a smaller network"
            )
        self._inverse = torch.eye(n, dtype=like.dtype, device=like.device)
        self.empty = True

    def times(self, gradient: Tensor) -> Tensor:
        return self._inverse @ gradient

    def add(self, step: Tensor, change: Tensor, step_product: float) -> None:
        product = float(step.dot(change))
        if self.empty:
            scale = product / float(change.dot(change))
            self._inverse.mul_(scale)
            step_product /= scale
            self.empty = False
        turned = self._inverse @ change
        turned_product = float(change.dot(turned))
        phi, tau = broyden_numbers(step_product / product, turned_product / product, len(step))
        # The whole update as [s, Hy] M [s, Hy]^T, in one pass over H.
        both = torch.stack([step, turned])
        corner = -phi / (tau * product)
        first = (phi * turned_product / (tau * product) + 1.0) / product
        mixed = both.new_tensor([[first, corner], [corner, (phi - 1.0) / (tau * turned_product)]])
        self._inverse.addmm_(both.T, mixed @ both, beta=1.0 / tau)

    def clear(self) -> None:
        self._inverse.zero_().fill_diagonal_(1.0)
        self.empty = True


def broyden_numbers(b: float, h: float, n: int) -> tuple[float, float]:
    """phi and tau of the file's head, for n unknowns."""
    a = b * h - 1.0  # >= 0, but for rounding: 0 where s and Hy are parallel, and BFGS then is all there is
    if a <= 1e-14:
        return 1.0, min(1.0, 1.0 / b)
    r = min(1.0, h * (1.0 - math.sqrt(a / (1.0 + a))))
    theta = max((r - 1.0) / a, min(1.0 / r, (1.0 - b) / b))
    sigma = 1.0 + a * theta
    scale, volume = min(1.0, 1.0 / b), abs(sigma) ** (1.0 / (1 - n)) if n > 1 else 1.0
    tau = scale * min(volume, 1.0 / theta) if theta > 0 else min(scale * volume, sigma)
    return (1.0 - theta) / sigma, tau
