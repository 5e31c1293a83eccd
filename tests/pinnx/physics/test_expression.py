"""Formulas: the same numbers as NumPy, and nothing but arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from pinnx.errors import PinnxError
from pinnx.physics.expression import FUNCTIONS, Expression, number_or_formula

X = np.linspace(0.1, 0.9, 7)
Y = np.linspace(-0.5, 0.7, 7)
T = np.linspace(0.0, 3.0, 7)
COLUMNS = {"t": T, "x": X, "y": Y}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4*y*(1-y)", 4 * Y * (1 - Y)),
        ("1 - exp(-200*x)", 1 - np.exp(-200 * X)),
        ("sin(2*pi*t)", np.sin(2 * np.pi * T)),
        ("-x**2 + +y", -(X**2) + Y),
        ("2**-1 * e", np.full(7, np.e / 2)),
        ("7 // 2 + 7 % 4", np.full(7, 6.0)),
        ("where(x < 0.5, 1, y)", np.where(X < 0.5, 1.0, Y)),
        ("where(0 < y < 0.5 and not x > 0.8, 1, 0)", 1.0 * ((Y > 0) & (Y < 0.5) & ~(X > 0.8))),
        ("where((y > 0) & (y < 0.5) | ~(x > 0.2), 1, 0)", 1.0 * ((Y > 0) & (Y < 0.5) | (X <= 0.2))),
        ("hypot(x, y) + arctan2(y, x)", np.hypot(X, Y) + np.arctan2(Y, X)),
        ("minimum(x, y) * maximum(x, 0.5)", np.minimum(X, Y) * np.maximum(X, 0.5)),
        ("clip(y, 0, 0.25)", np.clip(Y, 0, 0.25)),
        (" 3 ", np.full(7, 3.0)),
    ],
)
def test_values_are_numpys(text: str, expected: np.ndarray) -> None:
    values = Expression(text).values(COLUMNS)
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, expected)


def test_every_function_is_numpys_own() -> None:
    for name, num_arguments in FUNCTIONS.items():
        arguments = (X < 0.5, X, 0.5 * X) if name == "where" else (X, 0.2, 0.6)[:num_arguments]
        texts = ("x < 0.5", "x", "0.5*x") if name == "where" else ("x", "0.2", "0.6")[:num_arguments]
        values = Expression(f"{name}({', '.join(texts)})").values({"x": X, "y": Y})
        np.testing.assert_array_equal(values, getattr(np, name)(*arguments))


def test_mask_and_variables() -> None:
    condition = Expression("abs(x**2 + y**2 - 0.25) < 1e-1 or t == 0")
    assert condition.variables == ("x", "y", "t")
    mask = condition.mask(COLUMNS)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, (np.abs(X**2 + Y**2 - 0.25) < 1e-1) | (T == 0))


def test_result_is_the_callers_own() -> None:
    column = X.copy()
    Expression("x").values({"x": column, "y": Y})[:] = 0.0
    np.testing.assert_array_equal(column, X)


def test_no_points_give_no_values() -> None:
    empty = np.empty(0)
    assert Expression("x + 1").values({"x": empty, "y": empty}).shape == (0,)


@pytest.mark.parametrize(
    "text",
    [
        "x.real",
        "__import__('os')",
        "().__class__.__bases__[0]",
        "x[0]",
        "lambda: 1",
        "[x for x in (1, 2)]",
        "(y := 3)",
        "f'{x}'",
        "'a'",
        "True",
        "None",
        "1j",
        "sin(x=1)",
        "sin(*x)",
        "sin(x)(y)",
        "x if y > 0 else 1",
        "x is y",
        "x in (1, 2)",
        "x ^ y",
        "x << 2",
        "x; y",
        "x = 1",
        "",
        "4*y*(1-y",
        "(" * 400 + "x" + ")" * 400,
        "-" * 100_000 + "x",
        "x\x00",
        "1" + "0" * 400,
    ],
)
def test_refuses_all_but_arithmetic(text: str) -> None:
    with pytest.raises(PinnxError, match="expression") as caught:
        Expression(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sinn(x)", "expression 'sinn(x)': unknown name sinn; did you mean sin?"),
        ("2*piy", "expression '2*piy': unknown name piy; did you mean pi?"),
        ("pi(x)", "expression 'pi(x)': expected a function, got pi(...)"),
        ("sin(x, y)", "expression 'sin(x, y)': expected 1 arguments for sin, got 2"),
    ],
)
def test_names_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        Expression(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x < 1", "expected a number, got a condition"),
        ("z + 1", "uses z, but the coordinates are t, x, y"),
        ("1 / (t - 1.5)", "expected finite values, got inf at t=1.5, x=0.5, y=0.1"),
        ("sqrt(y)", "expected finite values, got nan at t=0, x=0.1, y=-0.5"),
        ("9**9**9", "expected finite values, got inf"),
        ("(x < 1) + 1", "expected numbers in arithmetic"),
        ("x > 0 & y > 0", "expected conditions on both sides"),
    ],
)
def test_values_refuses(text: str, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        Expression(text).values(COLUMNS)
    assert message in str(caught.value)


def test_mask_refuses_a_number() -> None:
    with pytest.raises(PinnxError, match="expected a condition such as"):
        Expression("x").mask(COLUMNS)


def test_a_formula_without_coordinates_is_its_number() -> None:
    assert number_or_formula("2*pi") == 2 * np.pi
    assert number_or_formula("-0.1") == number_or_formula(-0.1) == -0.1
    assert number_or_formula("2*x") == Expression("2*x")
    for text, message in (("1 < 2", "expected a number, got a condition"), ("1/0", "expected finite values, got inf")):
        with pytest.raises(PinnxError, match=message):
            number_or_formula(text)


def test_values_outside_the_flow_need_not_be_finite() -> None:
    found = Expression("1/x").values({"x": np.array([0.0, 2.0])}, finite=False)
    np.testing.assert_array_equal(found, [np.inf, 0.5])
    with pytest.raises(PinnxError, match="expected a number, got a condition"):
        Expression("x < 1").values({"x": np.zeros(1)}, finite=False)
