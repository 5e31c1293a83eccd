"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner, for all parameters of one shape at once.

    M <- beta1 M + (1 - beta1) G            S <- beta2 S + (1 - beta2) (U G V^T)^2
    W <- W - lr sqrt(1 - beta2^t) / (1 - beta1^t)  U^T [U M V^T / (sqrt(S) + eps)] V
    L <- beta2 L + (1 - beta2) G G^T        R <- beta2 R + (1 - beta2) G^T G        rows of U, V: eigenvectors of L, R

G is the gradient of a matrix W. What is no matrix (biases, numbers) has no preconditioner: U and V are one, which is
Adam. The first step draws U and V out of the first gradient and changes nothing else; t counts the others. Every
``precondition_frequency`` steps U and V take one step of power iteration and QR, in the order of their eigenvalues.

Source: Vyas, Morwani, Zhao, Kwun, Shapira, Brandfonbrener, Janson, Kakade, "SOAP: improving and stabilizing Shampoo
using Adam", ICLR 2025, algorithm 3; the numbers are those of pytorch-optimizer's SOAP without weight decay, but for the
first eigenvectors of eigenvalue zero, which there rounding chooses. These alone are read back from the device.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from pinnx.errors import PinnxError
from pinnx.threads import on_one_thread
from pinnx.train.soap_stack import Replay, SoapStack, first_state, state_shapes

__all__ = ["Soap"]

# Torch wraps these methods, so that they are never compiled; the wrapper imports the compiler, a second of each start.
_add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
_state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
_load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)


class Soap(torch.optim.Optimizer):
    """SOAP without weight decay.

    Args:
        params: what to optimise: matrices, vectors and numbers, float32 or float64; or groups of them.
        lr: step size, >= 0.
        betas: decay of the first and of the second moments (and of L and R), each in [0, 1).
        eps: added to the root of the second moments, >= 0.
        precondition_frequency: steps from one eigenbasis to the next, >= 1.
        replay: makes of a function, which changes tensors in place, one that does the same, such as an `UpdateGraph`;
            None: updates are eager. First states and new eigenbases are eager either way.

    Raises:
        PinnxError: a number out of its range, or a parameter of three or more dimensions or of another dtype.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float = 3e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        eps: float = 1e-8,
        precondition_frequency: int = 10,
        replay: Replay | None = None,
    ) -> None:
        self._replay = replay
        self._stacks: dict[int, list[SoapStack]] = {}  # number of a group -> its stacks
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "precondition_frequency": precondition_frequency}
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group of parameters, with options of its own or those of the optimiser."""
        _add_param_group(self, param_group)
        _check(self.param_groups[-1])

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes over a loaded or a copied state; the stacks are built from it in the next step."""
        super().__setstate__(state)
        self._stacks = {}
        self._replay = getattr(self, "_replay", None)  # a copy has none

    def state_dict(self) -> dict[str, Any]:
        """What ``load_state_dict`` takes."""
        return _state_dict(self)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes back to where ``state_dict()`` was taken, to the bit.

        Raises:
            ValueError: a state of other parameters, or of another optimiser.
        """
        _load_state_dict(self, state_dict)
        for p, state in self.state.items():
            wanted = state_shapes(p)
            got = {name: tuple(value.shape) for name, value in state.items() if isinstance(value, Tensor)}
            if got != wanted:
                raise ValueError(f"soap: expected the state {wanted} of a parameter {list(p.shape)}, got {got}")

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """One step with the gradients that are there; a parameter whose ``grad`` is None stays as it is.

        Args:
            closure: computes the loss and the gradients anew; None: they are there.

        Returns:
            The closure's loss.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        # One thread is as fast as two up to widths of 512, where QR takes most of the time, and rounds one way.
        with on_one_thread():
            self._update()
        return loss

    def _update(self) -> None:
        for number, group in enumerate(self.param_groups):
            beta1, beta2 = group["betas"]
            params = [p for p in group["params"] if p.grad is not None]
            for p in params:
                if p not in self.state:
                    self.state[p] = first_state(p.grad, beta2)
            t = group["step"] = group.get("step", -1) + 1
            if t == 0:
                continue
            step_size = group["lr"] * math.sqrt(1.0 - beta2**t) / (1.0 - beta1**t)
            for stack in self._stacks_of(number, params):
                stack.update(step_size, beta1, beta2, group["eps"])
                if t % group["precondition_frequency"] == 0:
                    stack.turn_bases()

    def _stacks_of(self, number: int, params: list[nn.Parameter]) -> list[SoapStack]:
        """The stacks of a group, one for each device and dtype, built anew where other parameters have gradients."""
        stacks = self._stacks.get(number)
        if stacks is None or set(map(id, params)) != {id(p) for stack in stacks for p in stack.params}:
            kinds: dict[tuple[torch.device, torch.dtype], list[nn.Parameter]] = {}
            for p in params:
                kinds.setdefault((p.device, p.dtype), []).append(p)
            stacks = self._stacks[number] = [SoapStack(each, self.state, self._replay) for each in kinds.values()]
        return stacks


def _check(group: dict[str, Any]) -> None:
    if not group["lr"] >= 0:
        raise PinnxError(f"soap: expected lr >= 0, got {group['lr']}")
    if len(group["betas"]) != 2 or not all(0 <= beta < 1 for beta in group["betas"]):
        raise PinnxError(f"soap: expected two betas in [0, 1), got {group['betas']}")
    if not group["eps"] >= 0:
        raise PinnxError(f"soap: expected eps >= 0, got {group['eps']}")
    if not group["precondition_frequency"] >= 1:
        raise PinnxError(f"soap: expected precondition_frequency >= 1, got {group['precondition_frequency']}")
    for p in group["params"]:
        if p.dim() > 2 or p.dtype not in (torch.float32, torch.float64):
            raise PinnxError(
                f"soap: expected matrices, vectors and numbers, float32 or float64, got {list(p.shape)} {p.dtype}"
            )
