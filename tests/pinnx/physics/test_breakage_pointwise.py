"""The balance at single points: exact solutions, both forms, a limit of memory; rates and daughters of breakage."""

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
from pinnx.physics import Daughters, Kinetics, TabulatedKinetics
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
    "no finite number": (lambda: Daughters(-1.0), "expected an exponent c > -1, .* got -1"),
    "a negative q": (lambda: Daughters(q=-0.5), "expected an exponent q >= 0, got -0.5"),
    "one daughter": (lambda: Daughters.product(1, 0.0), "expected 2 or more, got 1"),
    "a sum of half a power": (lambda: Daughters(q=0.5).power_laws(), "expected a whole exponent q up to 8 .* got 0.5"),
    "a negative rate": (lambda: Kinetics(-1.0), "expected s0 finite and >= 0.0, got -1"),
    "no exponent": (lambda: Kinetics(a=float("nan")), "expected a finite .* got nan"),
}


@pytest.mark.parametrize("name", WRONG)
def test_message(name: str) -> None:
    wrong, message = WRONG[name]
    with pytest.raises(PinnxError, match=message) as caught:
        wrong()
    assert "\n" not in str(caught.value)


FORMS = {
    "uniform": (Daughters.uniform(), 2.0, lambda z: 2.0 + 0 * z),
    "parabolic": (Daughters.parabolic(), 2.0, lambda z: 12 * z * (1 - z)),
    "power": (Daughters.power_law(-0.5), 3.0, lambda z: 1.5 * z**-0.5),
    "three at random": (Daughters.product(3, 0.0), 3.0, lambda z: 6 * (1 - z)),
    "four of a square": (Daughters.product(4, 2.0), 4.0, None),
}


@pytest.mark.parametrize("form", FORMS)
def test_daughters_are_as_many_as_said_and_keep_the_volume(form: str) -> None:
    daughters, number, formula = FORMS[form]
    assert daughters.number == pytest.approx(number)
    for z in (0.2, 0.7, 1.0):
        # z = x^2: the integrand is smooth at 0 whatever c > -1 here.
        below = [
            integrate.quad(lambda x, k=k: 2 * x ** (2 * k + 1) * daughters.density(x * x), 0, z**0.5)[0] for k in (0, 1)
        ]
        assert daughters.number_below(z) == pytest.approx(below[0], rel=1e-9)
        assert daughters.volume_below(z) == pytest.approx(below[1], rel=1e-9)
    assert daughters.volume_below(1.0) == pytest.approx(1.0, rel=1e-14)
    if formula is not None:
        z = np.array([0.01, 0.3, 0.999, 1.0])
        np.testing.assert_allclose(daughters.density(z), formula(z), rtol=1e-12, atol=1e-12)


def test_daughters_as_a_sum_of_power_laws() -> None:
    z = np.linspace(0.01, 1.0, 50)
    for daughters in (Daughters.parabolic(), Daughters.power_law(0.5), Daughters(0.3, 4.0)):
        total = sum(factor * (c + 2) * z**c for factor, c in daughters.power_laws())
        np.testing.assert_allclose(total, daughters.density(z), rtol=1e-9, atol=1e-11)
    assert len(Daughters.parabolic().power_laws()) == 2


def test_the_rate_and_its_threshold() -> None:
    v = np.array([[0.5, 1.0], [2.0, 4.0]])
    np.testing.assert_allclose(Kinetics(3.0, 2.0).rate(v), 3 * v**2)
    np.testing.assert_array_equal(Kinetics(3.0, 2.0, threshold=1.0).rate(v), [[0, 0], [12, 48]])


def test_a_table_is_a_power_law_where_its_rates_are_one() -> None:
    table = TabulatedKinetics(volumes=(0.1, 0.5, 3.0), rates=tuple(2.0 * v**1.5 for v in (0.1, 0.5, 3.0)))
    v = np.geomspace(1e-3, 100.0, 20)
    np.testing.assert_allclose(table.rate(v), Kinetics(2.0, 1.5).rate(v), rtol=1e-12)
    assert (table.s0, table.a) == pytest.approx((2.0, 1.5))
    bent = TabulatedKinetics(volumes=(0.1, 0.5, 3.0), rates=(0.1, 1.0, 1.0))
    np.testing.assert_allclose(bent.rate([0.1, 0.5, 3.0]), [0.1, 1.0, 1.0])
    assert bent.rate(1e-3) == pytest.approx(bent.s0 * 1e-3**bent.a)
    with pytest.raises(PinnxError, match="volumes: expected two or more that rise from above 0"):
        TabulatedKinetics(volumes=(1.0, 0.5), rates=(1.0, 1.0))
    with pytest.raises(PinnxError, match="rates: expected 2 numbers > 0, got"):
        TabulatedKinetics(volumes=(0.5, 1.0), rates=(1.0, 0.0))
