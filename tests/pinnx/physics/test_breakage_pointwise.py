"""The balance at single points: exact solutions, both forms, other daughters, and a limit of memory that holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate
from tolerances import POINTWISE_BIRTHS, WRONG_FLOW
from torch import Tensor

from pinnx.errors import PinnxError
from pinnx.evals import BREAKAGE_CASES
from pinnx.physics import Daughters, Kinetics
from pinnx.physics.breakage_model import BreakageCase, BreakageModel, Growth
from pinnx.physics.breakage_pointwise import NODES, pointwise_balance


def stated(name: str) -> BreakageCase:
    exact = BREAKAGE_CASES[name]
    start = None if exact.delta_at else lambda v: np.exp(-v)
    return BreakageCase(exact.kinetics, exact.sizes, exact.times[-1], start, exact.delta_at)


class ExactModel(BreakageModel):
    """log f in closed form, where units are one: in all four cases."""

    def __init__(self, name: str) -> None:
        super().__init__(stated(name), dtype=torch.float64)
        self.exact = BREAKAGE_CASES[name]

    def log_density_at(self, x: Tensor, log_start: Tensor, log_v: Tensor, t: Tensor) -> Tensor:
        with np.errstate(divide="ignore"):  # exp underflows: nothing is born there
            return torch.from_numpy(np.log(self.exact.formula(np.exp(log_v.numpy()), t.numpy())))

    def growth(self, x: Tensor, t: Tensor) -> Growth:
        v = np.exp(self._log_v(x))
        f = self.exact.formula(v, t.numpy() + 1e-30j)
        rate = (1 + t) * torch.from_numpy(f.imag / 1e-30 / f.real + self.exact.kinetics.rate(v))
        return Growth(rate, rate)

    def _log_v(self, x: Tensor) -> np.ndarray:
        low, high = self._ends
        return (low + high + x[:, 1].numpy() * (high - low)) / 2


@pytest.mark.parametrize("name", BREAKAGE_CASES)
def test_exact_solutions_balance(name: str) -> None:
    rng, model = np.random.default_rng(0), ExactModel(name)
    low, high = model.case.sizes
    v = np.exp(rng.uniform(np.log(low), np.log(min(high, 0.95 * (model.case.delta_at or 8.0))), 200))
    t = rng.uniform(0.01, 0.2, 200) * model.case.end
    keep = model.exact.density(v, t) > 1e-200
    with torch.no_grad():
        found = pointwise_balance(model, t[keep], v[keep])
        assert found.residual.abs().max() < POINTWISE_BIRTHS
        largest = (found.log_f.exp() * (1 + found.birth)).max()
        assert found.plain.abs().max() < POINTWISE_BIRTHS * largest
        model.log_s0 += 0.1
        assert pointwise_balance(model, t[keep], v[keep]).residual.abs().max() > WRONG_FLOW


def test_other_daughters() -> None:
    """f = exp(-v) at once and S = v: births of parabolic daughters by adaptive quadrature."""
    kinetics = Kinetics(daughters=Daughters.parabolic())
    model = BreakageModel(BreakageCase(kinetics, (1e-2, 10.0), 1.0, lambda v: np.exp(-v)), dtype=torch.float64)
    v = np.array([0.02, 0.5, 4.0])
    found = pointwise_balance(model, np.zeros(3), v)
    for birth, at in zip(found.birth.tolist(), v, strict=True):
        wanted, _ = integrate.quad(lambda w, at=at: 12 * at / w * (1 - at / w) * np.exp(at - w), at, model.case.top)
        assert birth == pytest.approx(wanted, rel=POINTWISE_BIRTHS)


def test_memory_has_a_limit_and_pieces_change_nothing() -> None:
    case = stated("case1")
    model = BreakageModel(case, width=8, layers=1, dtype=torch.float64)
    rng = np.random.default_rng(1)
    t, v = rng.uniform(0, 10, 60), rng.uniform(0.01, 8, 60)

    def run(most: int) -> tuple[Tensor, list[Tensor], int, int]:
        kept: list[int] = []
        sizes: list[int] = []
        jet = model.network.jet
        model.network.jet = lambda x, spec: (sizes.append(len(x)), jet(x, spec))[1]  # type: ignore[method-assign]
        with torch.autograd.graph.saved_tensors_hooks(lambda a: (kept.append(a.numel()), a)[1], lambda a: a):
            loss = pointwise_balance(model, t, v, most_evaluations=most).residual.square().mean()
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        del model.network.jet
        return loss, list(gradients), max(sizes), sum(kept)

    whole, all_at_once, most, _ = run(200_000)
    pieces, in_pieces, few, kept = run(10 * (NODES + 1))
    assert most == 60 * NODES
    assert few == 10 * NODES
    assert kept < 60 * NODES  # not one number for each evaluation of the network
    torch.testing.assert_close(pieces, whole)
    for one, other in zip(all_at_once, in_pieces, strict=True):
        torch.testing.assert_close(one, other)


def call(**changes: Any) -> object:
    model = BreakageModel(stated(changes.pop("case", "case1")), width=8, layers=1)
    return pointwise_balance(model, **({"t": [1.0], "v": [0.5]} | changes))


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "shapes": (lambda: call(t=[1.0, 2.0]), r"expected times and volumes of one shape \[n\], got \[2\] and \[1\]"),
    "no points": (lambda: call(t=[], v=[]), r"one shape \[n\], got \[0\] and \[0\]"),
    "above": (lambda: call(v=[50.0]), "v: expected volumes above 0 and below 30, got 50 to 50"),
    "no time": (lambda: call(case="case3", t=[0.0]), "t: expected times > 0, got 0"),
    "no memory": (lambda: call(most_evaluations=120), "most_evaluations: expected 121 or more, got 120"),
}


@pytest.mark.parametrize("name", WRONG)
def test_message(name: str) -> None:
    wrong, message = WRONG[name]
    with pytest.raises(PinnxError, match=message) as caught:
        wrong()
    assert "\n" not in str(caught.value)
