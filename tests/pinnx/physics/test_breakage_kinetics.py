"""Rate and daughters of breakage: volume is kept, known forms, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import integrate

from pinnx.errors import PinnxError
from pinnx.physics import Daughters, Kinetics, TabulatedKinetics

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


WRONG: dict[str, tuple[Callable[[], object], str]] = {
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
