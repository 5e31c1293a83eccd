"""Gates: right numbers pass, wrong ones fail, and nothing to check is a failure."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from pinnx.errors import PinnxError
from pinnx.evals import GATES, all_passed, check, check_l2, check_max, check_sensors, verify


@pytest.mark.parametrize("name", GATES)
def test_default_gate_divides_good_from_bad(name: str) -> None:
    limit = GATES[name].limit
    assert check(name, 0.99 * limit).passed
    assert not check(name, 1.01 * limit).passed
    assert check(name, limit).passed == GATES[name].inclusive


def test_default_limits_are_those_of_the_design() -> None:
    assert GATES["pde_residual_l2"].limit == 1e-3
    assert GATES["boundary_error_max"].limit == 1e-4
    assert GATES["neumann_error_max"].limit == 1e-3
    assert GATES["conservation"].limit == 1e-5
    assert GATES["reconstruction"].limit == 0.15


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, -1e-9])
def test_a_number_that_says_nothing_fails_and_says_so(value: float | None) -> None:
    verdict = check("conservation", value, note="interior")
    assert not verdict.passed
    assert verdict.note.endswith("; interior")
    json.dumps(verdict.as_dict(), allow_nan=False)


@pytest.mark.parametrize("measure", [check_l2, check_max])
@pytest.mark.parametrize("array", [[], np.empty((0, 3)), [0.0, math.nan], [0.0, math.inf]])
def test_arrays_with_nothing_to_check_fail(measure: object, array: object) -> None:
    verdict = measure("pde_residual_l2", array)  # type: ignore[operator]
    assert not verdict.passed
    assert verdict.note.startswith(("nothing to check", "not a finite number"))


def test_norms() -> None:
    residual = np.array([[3e-4, 4e-4], [0.0, 0.0]])
    assert check_l2("pde_residual_l2", residual).value == pytest.approx(2.5e-4, rel=1e-15)
    assert check_max("boundary_error_max", -residual).value == 4e-4
    assert check_l2("pde_residual_l2", residual).passed
    assert not check_max("boundary_error_max", -residual).passed


def test_sensors() -> None:
    measured = np.array([[1.0, 0.0], [0.0, -2.0]])
    assert check_sensors(1.01 * measured, measured).passed
    assert not check_sensors(1.06 * measured, measured).passed
    assert not check_sensors(measured, np.zeros_like(measured)).passed
    assert not check_sensors(np.empty((0, 2)), np.empty((0, 2))).passed
    assert not check_sensors(measured * math.nan, measured).passed
    with pytest.raises(PinnxError, match=r"sensor_misfit: expected shape \[2, 2\], got \[2\]"):
        check_sensors(measured[0], measured)


def test_limits_can_be_set_and_are_reported() -> None:
    verdict = check("conservation", 1e-3, limits={"conservation": 1e-2})
    assert verdict.passed
    assert verdict.limit == 1e-2
    for limit in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(PinnxError, match="limit of conservation: expected a finite number"):
            check("conservation", 1e-3, limits={"conservation": limit})


def test_verify_drops_nothing() -> None:
    checks = verify(
        {"reconstruction": 0.04, "pde_residual_l2": math.nan},
        required=("boundary_error_max", "pde_residual_l2"),
    )
    assert [c.name for c in checks] == [
        "pde_residual_l2",
        "boundary_error_max",
        "reconstruction",
    ]
    assert [c.passed for c in checks] == [False, False, True]
    assert not all_passed(checks)
    assert all_passed(checks[2:])


def test_no_checks_is_no_pass() -> None:
    assert verify({}) == []
    assert not all_passed([])


def test_unknown_names_are_refused_with_the_nearest() -> None:
    for call in (
        lambda: check("conservations", 0.0),
        lambda: verify({"conservations": 0.0}),
        lambda: verify({}, limits={"conservations": 1.0}),
        lambda: verify({}, required=["conservations"]),
    ):
        with pytest.raises(PinnxError, match=r"did you mean conservation\?"):
            call()
