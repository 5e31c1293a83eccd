"""Tables say what metrics.json says, and a verdict that is not a plain pass is a failure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pinnx.report.formatting import rounded
from pinnx.report.frame import closing_tiles
from pinnx.report.tables import beside_errors, checks_table, datum, errors_table, facts_table, sensors_table

PASSED, FAILED = "verdict passed", "verdict failed"


def a_check(**changes: Any) -> dict[str, Any]:
    plain = {"name": "conservation", "value": 1e-6, "limit": 1e-5, "unit": "1/time", "note": ""}
    return {**plain, "status": "passed", "passed": True, **changes}


def test_passed_and_failed_checks() -> None:
    warned = a_check(status="warning", passed=False, red_line=1e-4, everywhere=0.75)
    markup = checks_table({"checks": [a_check(), warned, a_check(status="failed", passed=False)]})
    assert markup.count(PASSED) == markup.count(FAILED) == markup.count("verdict warning") == 1
    assert markup.count('<data value="1e-06">') == 3
    assert markup.count('<data value="0.0001">') == 1
    assert '; with them <data value="0.75">' in markup
    assert FAILED not in checks_table({"checks": [a_check()]})


def test_what_was_not_checked_is_neither_a_pass_nor_a_failure() -> None:
    markup = checks_table({"checks": [a_check(status="not checked", passed=False, note="nothing tells it")]})
    assert "verdict not-checked" in markup
    assert PASSED not in markup
    assert FAILED not in markup
    assert "times the limit" not in markup
    assert "nothing tells it" in markup
    both = [a_check(), a_check(status="not checked", passed=False)]
    assert '<dd class="not-checked">1 of 2' in closing_tiles({"checks": both})[1]


@pytest.mark.parametrize("changes", [{"passed": "true"}, {"passed": 1}, {"passed": None}, {"status": "yes"}])
def test_only_a_plain_pass_is_one(changes: dict[str, object]) -> None:
    markup = checks_table({"checks": [a_check(**changes)]})
    assert FAILED in markup
    assert PASSED not in markup


@pytest.mark.parametrize("metrics", [{}, {"checks": []}, {"checks": None}])
def test_no_checks_count_as_failed(metrics: dict[str, Any]) -> None:
    assert FAILED in checks_table(metrics)
    assert "No check was made" in checks_table(metrics)


def test_a_check_without_a_value_says_none() -> None:
    markup = checks_table({"checks": [a_check(value=None, passed=False, note="no points")]})
    assert "<td>none</td>" in markup
    assert "no points" in markup


def test_names_are_described_by_the_run() -> None:
    described = {"checks": [a_check(name="balance")], "descriptions": {"balance": "balance of <heat>", "c": "dose"}}
    markup = checks_table(described)
    assert ">balance of &lt;heat&gt;<" in markup
    assert ">balance</span>" in markup
    assert "my own check" in checks_table({"checks": [a_check(name="my_own_check")]})
    assert ">dose</span>" in errors_table({"relative_l2": {"c": 0.1}, **described})
    facts = facts_table({"c": 2.0, **described})
    assert ">dose<" in facts
    assert "balance" not in facts, "descriptions have no row of their own"


def test_errors_stand_beside_named_baselines() -> None:
    errors = {"u": 0.0123, "speed": 0.0381}
    baseline = {"interpolation": {"speed": 0.3456}, "mean flow": {"u": 0.5, "speed": 0.6}}
    markup = errors_table({"relative_l2": errors, "baseline": baseline})
    for value in (0.0123, 0.0381, 0.3456, 0.5, 0.6):
        assert f'<data value="{value!r}">' in markup
    assert ">interpolation</th>" in markup
    assert ">mean flow</th>" in markup
    assert markup.count("not recorded") == 1


def test_what_the_baselines_were_given_is_said_below() -> None:
    errors = {"speed": 0.0381}
    with_note = errors_table(
        {"relative_l2": errors, "baseline": {"mean": {"speed": 0.3}}, "baseline_note": "all 9 < 10 of them"}
    )
    assert with_note.endswith("<p>all 9 &lt; 10 of them</p>")
    absent = errors_table({"relative_l2": errors, "baseline": None, "baseline_note": "not available"})
    assert absent.endswith("<p>not available</p>")
    assert "baseline" not in absent
    assert "baseline" not in facts_table({"seed": 7, "baseline": None, "baseline_note": "not available"})


@pytest.mark.parametrize("metrics", [{}, {"relative_l2": {}}, {"relative_l2": None}])
def test_no_errors_without_a_reference(metrics: dict[str, Any]) -> None:
    assert "There is no reference" in errors_table(metrics)


def test_facts_leave_nothing_out() -> None:
    numbers = {"seed": 7, "something_new": 42.5, "resumed": True, "nu": None, "versions": {"torch": "2"}}
    markup = facts_table({**numbers, "scales": {"length": 0.5, "velocity": 2.0}})
    assert "length 0.5, velocity 2" in markup
    assert "something new" in markup
    assert '<data value="42.5">' in markup
    assert "<td>True</td>" in markup
    assert "<td>none</td>" in markup
    assert "torch 2" in markup
    assert "<td>length 2, velocity 0.5</td>" in facts_table({"scales": {"length": 2.0, "velocity": 0.5}})


def test_numbers_that_are_none() -> None:
    for value in (None, "3", True):
        assert "not recorded" in datum(value)
    assert datum(float("nan")) == '<data value="">not finite</data>'


def test_of_many_sensors_the_first_are_listed() -> None:
    markup = sensors_table(np.zeros((500, 2)))
    assert markup.count("<tr>") == 201
    assert "the first 200 of 500; sensors.csv has all" in markup


def test_sensors() -> None:
    markup = sensors_table(np.array([[0.125, 2.0], [3.0, 1 / 3]]))
    assert markup.count("<tr>") == 3
    assert f'<data value="{1 / 3!r}">0.33333</data>' in markup


def test_places_far_from_the_origin_are_told_apart() -> None:
    markup = sensors_table(np.array([[500000.25, 0.1], [500000.5, 1.0], [499999.0, 2.0]]))
    assert ">500000.25<" in markup
    assert ">500000.5<" in markup
    assert ">0.1<" in markup


def test_what_stands_beside_the_errors_is_said_and_nothing_is_made_up() -> None:
    metrics = {
        "beside_norms": {"rmse": 0.1, "largest": 0.4, "worst_at": [1.0, 2.5], "resolved_wavenumber": 6.0}
        | {"highest_wavenumber": 60.0},
        "forces": [{"center": [0.0, 0.5], "drag": 1.55, "lift": 0.01, "drag_of_box": 1.56}],
        "error_estimates": {"residual": 0.02},
        "free_sides": ["left", "right"],
    }
    worst, waves, forces, estimates = beside_errors(metrics)
    assert worst.startswith("The largest error of the velocity is 0.4, at (1, 2.5)")
    assert "Up to a wavenumber of 6 " in waves
    assert "(0, 0.5) has a drag coefficient of 1.55 (1.56 from a box around it)" in forces
    assert "none of them a bound: 2\N{NO-BREAK SPACE}% (residual). The velocity is not prescribed at the" in estimates
    assert "sides left and right" in estimates
    (*_, closed) = beside_errors(metrics | {"free_sides": []})
    assert closed.endswith("(residual).")
    assert list(beside_errors({"beside_norms": None, "forces": []})) == []


def test_formulas_are_shown_with_six_digits() -> None:
    assert rounded("-0.3333333333333333*(y-(1.0))**2+x1*2.5E-12") == "-0.333333*(y-(1))**2+x1*2.5e-12"
    assert rounded("sin(2*y)") == "sin(2*y)"


def test_a_check_that_did_not_pass_says_by_how_much_where_why_and_the_cheapest_way() -> None:
    item = a_check(value=2e-3, status="failed", passed=False, worst=0.5, worst_at=[1.0, 2.5], why="It is its own.")
    shown = checks_table({"checks": [item | {"remedy": "more <steps>"}]})
    wanted = '<td>200 times the limit; largest <data value="0.5">0.5</data> at (1, 2.5). It is its own. '
    assert wanted + "Cheapest way: more &lt;steps&gt;</td>" in shown
    assert "Cheapest" not in checks_table({"checks": [item]})
    passed = checks_table({"checks": [item | {"value": 2e-6, "status": "passed", "passed": True, "remedy": "more"}]})
    assert '<td>largest <data value="0.5">0.5</data> at (1, 2.5)</td>' in passed
    assert not any(words in passed for words in ("times the limit", "its own", "Cheapest"))
