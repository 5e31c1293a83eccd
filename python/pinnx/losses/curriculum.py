"""Easier equations first: numbers of the equations by stages of the training.

    number(step) = that of the first stage with step / steps < until, that of the equations after the last

A flow of a smaller Reynolds number is smoother, and a start for that of a larger one. Krishnapriyan, Gholami, Zhe,
Kirby, Mahoney, "Characterizing possible failure modes in physics-informed neural networks", NeurIPS 2021: their
curriculum regularization trains with a coefficient of the equation that grows by stages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pinnx.errors import PinnxError
from pinnx.kept_state import KeptState
from pinnx.losses.weighting import Probes
from pinnx.physics.equations import Equations

__all__ = ["Curriculum"]

Stage = tuple[float, Mapping[str, float]]


class Curriculum(KeptState):
    """Sets numbers of the equations, in place; the columns keep their weights.

    Args:
        equations: with ``numbers``; they hold those of the end.
        stages: (share of the steps up to which it holds, name of a number -> its value in the user's units), rising.
        steps: of the whole training.
        like: weights of all columns, [c].

    Attributes:
        easier: whether the last step was one of a stage.

    Raises:
        PinnxError: a number that the equations do not have, or a value <= 0 where it must be positive.
    """

    name = "curriculum"
    kept = ()  # the numbers are in the state of the equations

    def __init__(self, equations: Equations, stages: Sequence[Stage], steps: int, like: Tensor) -> None:
        known = equations.numbers()
        for place, (_, values) in enumerate(stages):
            for name, value in values.items():
                where = f"train.curriculum.{place}.numbers"
                if name not in known:
                    wanted = f"known numbers of the equations ({', '.join(known) or 'there is none'})"
                    raise PinnxError(f"{where}: expected {wanted}, got {name}")
                if known[name].positive and value <= 0:
                    raise PinnxError(f"{where}.{name}: expected a number > 0, got {value:g}")
        self._equations, self._stages, self._steps = equations, tuple(stages), steps
        self._final = {name: float(known[name].tensor) for _, values in stages for name in values}
        self.factors = torch.ones_like(like)
        self.easier = True
        self._set(0)

    def adapt(self, step: int, columns: Tensor, probes: Probes) -> None:
        self.easier = step < self._stages[-1][0] * self._steps
        self._set(step + 1)

    @torch.no_grad()
    def _set(self, step: int) -> None:
        known = self._equations.numbers()
        values = next((values for until, values in self._stages if step < until * self._steps), {})
        for name, final in self._final.items():
            # fill_ takes the number as an argument of the kernel: nothing is copied from the host.
            known[name].tensor.fill_(values[name] / known[name].unit if name in values else final)
