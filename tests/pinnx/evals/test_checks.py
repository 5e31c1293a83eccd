"""Gates: right numbers pass, wrong ones fail, and nothing to check is a failure."""

from __future__ import annotations

import json
import math

import pytest

from pinnx.errors import PinnxError
from pinnx.evals import GATES, check, verify
from pinnx.physics import Measured

# A residual with all points, and without the worst.
FEW_POINTS = [(5e-3, 5e-4), (5e-3, 2e-3), (5e-4, 1e-4), (5e-3, None)]


@pytest.mark.parametrize("name", GATES)
def test_default_gate_divides_good_from_bad(name: str) -> None:
    limit = GATES[name].limit
    assert check(name, 0.99 * limit).passed
    assert not check(name, 1.01 * limit).passed
    assert check(name, limit).passed == GATES[name].inclusive
    red = GATES[name].red * limit
    assert check(name, 1.01 * red).status == "failed"
    between = check(name, 0.99 * red)
    assert between.status == ("passed" if GATES[name].red == 1.0 else "warning")
    assert between.passed == (between.status == "passed"), "a warning is no pass"


def test_default_limits_are_those_of_the_design() -> None:
    assert GATES["pde_residual_l2"].limit == 1e-3
    assert GATES["boundary_error_max"].limit == 1e-4
    assert GATES["neumann_error_max"].limit == 1e-3
    assert GATES["conservation"].limit == 1e-5
    assert GATES["reconstruction"].limit == 0.15
    red = {name: check(name, 1.0).red_line for name in ("pde_residual_l2", "conservation", "boundary_error_max")}
    assert red == pytest.approx({"pde_residual_l2": 1e-2, "conservation": 1e-4, "boundary_error_max": 1e-3})
    assert check("reconstruction", 1.0).red_line == pytest.approx(0.2)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, -1e-9])
def test_a_number_that_says_nothing_fails_and_says_so(value: float | None) -> None:
    verdict = check("conservation", value, note="interior")
    assert not verdict.passed
    assert verdict.note.endswith("; interior")
    assert verdict.status == "failed"
    json.dumps(verdict.as_dict(), allow_nan=False)


def test_limits_can_be_set_and_are_reported() -> None:
    verdict = check("conservation", 1e-3, limits={"conservation": 1e-2})
    assert verdict.passed
    assert (verdict.limit, verdict.red_line) == (1e-2, 1e-1), "a red line moves with its limit"
    for limit in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(PinnxError, match="limit of conservation: expected a finite number"):
            check("conservation", 1e-3, limits={"conservation": limit})


def test_verify_drops_nothing_and_keeps_the_order_of_the_gates() -> None:
    measured = [
        Measured("reconstruction", 0.04),
        Measured("boundary_error_max", None),
        Measured("pde_residual_l2", math.nan, "inside"),
        Measured("pde_residual_l2", 1e-4, "outside", 2.0),
    ]
    checks = verify(measured, limits={"reconstruction": 0.05})
    names = ["pde_residual_l2", "pde_residual_l2", "boundary_error_max", "reconstruction"]
    assert [c.name for c in checks] == names
    assert [c.passed for c in checks] == [False, True, False, True]
    assert [c.note for c in checks][1::2] == ["outside", ""]
    assert [c.as_dict().get("everywhere") for c in checks] == [None, 2.0, None, None], "shown, and not judged"
    assert checks[-1].limit == 0.05
    assert verify([]) == []


def test_what_did_not_pass_says_whether_the_other_points_do() -> None:
    made = [Measured("pde_residual_l2", value, why="It is large.", rest=rest) for value, rest in FEW_POINTS]
    assert [item.why.removeprefix("It is large.").strip() for item in verify(made)] == [
        "The other 95 % of the points keep the limit.",
        "The other 95 % of the points miss the limit too.",
        "",
        "",
    ]
    assert verify(made[:1], limits={"pde_residual_l2": 4e-4})[0].why.endswith("miss the limit too."), (
        "the limit in force"
    )


def test_unknown_names_are_refused_with_the_nearest() -> None:
    for call in (
        lambda: check("conservations", 0.0),
        lambda: verify([Measured("conservations", 0.0)]),
        lambda: verify([], limits={"conservations": 1.0}),
    ):
        with pytest.raises(PinnxError, match=r"did you mean conservation\?"):
            call()
