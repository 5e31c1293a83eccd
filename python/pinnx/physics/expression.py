"""Formulas in coordinates that a user writes in a configuration: "4*y*(1-y)", "x**2 + y**2 < 1".

    expression = numbers, the variables x y z t, the constants pi and e, + - * / // % **,
                 comparisons (also chained), and / or / not (also & | ~), the functions below

The text is parsed once and its tree is checked against this whitelist: no attribute, index,
keyword, lambda or unknown name can appear, so nothing but arithmetic ever runs. Every number is a
float64, which also turns `9**9**9` into an overflow (reported) instead of an endless integer.
"""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pinnx.errors import PinnxError

__all__ = ["VARIABLES", "Expression", "number_or_formula"]

VARIABLES = ("x", "y", "z", "t")
CONSTANTS = {"pi": np.pi, "e": np.e}
# NumPy's functions of these names, which torch has too -> their number of arguments
FUNCTIONS = {
    **dict.fromkeys(("abs", "arccos", "arcsin", "arctan", "cos", "cosh", "exp", "floor", "log"), 1),
    **dict.fromkeys(("sign", "sin", "sinh", "sqrt", "tan", "tanh"), 1),
    **dict.fromkeys(("arctan2", "heaviside", "hypot", "maximum", "minimum"), 2),
    **dict.fromkeys(("clip", "where"), 3),
}
OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.And: operator.and_,
    ast.Or: operator.or_,
    ast.Not: operator.invert,
    # Python binds & and | tighter than comparisons, so both sides must stand in brackets; a number
    # beside them is then an error ("expected a condition") and not a bit operation.
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.Invert: operator.invert,
}
LOGICAL = (ast.And, ast.Or, ast.Not, ast.BitAnd, ast.BitOr, ast.Invert)


class _Given(NamedTuple):
    """What a formula is evaluated with: coordinates by axis, NumPy or torch, and what makes a number one of theirs."""

    coordinates: Mapping[str, Any]
    library: Any
    constant: Callable[[float], Any]


Formula = Callable[[_Given], Any]


class Expression:
    """A checked formula in x, y, z, t.

    Args:
        text: the formula, in Python's notation.

    Attributes:
        text: the formula as given.
        variables: names of the coordinates that it uses, in the order x, y, z, t.

    Raises:
        PinnxError: on construction, for a syntax error, anything outside the whitelist or an
            unknown name (the nearest known one is named).
    """

    def __init__(self, text: str) -> None:
        self.text, used = text, set[str]()
        try:
            self._formula = _parsed(ast.parse(text.strip(), mode="eval").body, text, used)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            if isinstance(error, PinnxError):
                raise
            reason = getattr(error, "msg", None) or str(error)
            raise PinnxError(f"expression {text!r}: expected a formula in x, y, z, t, got {reason}") from None
        self.variables = tuple(name for name in VARIABLES if name in used)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def values(self, coordinates: Mapping[str, np.ndarray], *, finite: bool = True) -> np.ndarray:
        """Evaluate the formula as a number at every point.

        Args:
            coordinates: axis name -> [n] float64.
            finite: raise where it is not; False: some points are places where it means nothing, inside a body.

        Returns:
            [n] float64.

        Raises:
            PinnxError: it uses a coordinate that is not given, is a condition and no number, or is
                not finite somewhere (the first such point is named).
        """
        result = self._evaluate(coordinates)
        if result.dtype == bool:
            raise PinnxError(f"expression {self.text!r}: expected a number, got a condition")
        bad = ~np.isfinite(result)
        if finite and bad.any():
            first = int(np.argmax(bad))
            place = ", ".join(f"{axis}={column[first]:g}" for axis, column in coordinates.items())
            raise PinnxError(f"expression {self.text!r}: expected finite values, got {result[first]} at {place}")
        return result

    def tensor(self, coordinates: Mapping[str, Tensor]) -> Tensor:
        """Evaluate the formula in torch, differentiable where its functions are; nothing is checked.

        Args:
            coordinates: axis name -> [n].

        Returns:
            [n].
        """
        like = next(iter(coordinates.values()))
        return torch.broadcast_to(self._formula(_Given(coordinates, torch, partial(like.new_full, ()))), like.shape)

    def mask(self, coordinates: Mapping[str, np.ndarray]) -> np.ndarray:
        """Evaluate the formula as a condition at every point.

        Args:
            coordinates: axis name -> [n] float64.

        Returns:
            [n] bool.

        Raises:
            PinnxError: it uses a coordinate that is not given, or is a number and no condition.
        """
        result = self._evaluate(coordinates)
        if result.dtype != bool:
            raise PinnxError(f"expression {self.text!r}: expected a condition such as 'x < 0.5', got a number")
        return result

    def _evaluate(self, coordinates: Mapping[str, np.ndarray]) -> np.ndarray:
        missing = [name for name in self.variables if name not in coordinates]
        if missing:
            raise PinnxError(
                f"expression {self.text!r}: uses {', '.join(missing)}, but the coordinates are {', '.join(coordinates)}"
            )
        sizes = {len(column) for column in coordinates.values()}
        if len(sizes) != 1:
            raise PinnxError(f"coordinates: expected columns of one length, got {sorted(sizes)}")
        # What comes out is checked by the caller; a warning would only say the same less clearly.
        with np.errstate(all="ignore"):
            result = self._formula(_Given(coordinates, np, np.float64))
        return np.broadcast_to(result, (sizes.pop(),)).copy()


def number_or_formula(given: float | str) -> float | Expression:
    """A number, or a formula in coordinates; a formula that uses none of them is its number.

    Raises:
        PinnxError: as `Expression`; a formula without coordinates that is no finite number.
    """
    if not isinstance(given, str):
        return float(given)
    formula = Expression(given)
    return formula if formula.variables else float(formula.values({"x": np.zeros(1)})[0])


def _parsed(node: ast.AST, text: str, used: set[str]) -> Formula:
    """Check a tree against the whitelist, and add the names of its variables; return what evaluates it."""
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            try:
                constant = float(number)
            except OverflowError:
                raise _refused(text, "a number beyond the range of float64") from None
            return lambda given: given.constant(constant)
        case ast.Name(id=name) if name in VARIABLES:
            used.add(name)
            return lambda given: given.coordinates[name]
        case ast.Name(id=name) if name in CONSTANTS:
            return lambda given: given.constant(CONSTANTS[name])
        case ast.Name(id=name):
            raise _unknown(text, name, (*VARIABLES, *CONSTANTS, *FUNCTIONS))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            if name in VARIABLES or name in CONSTANTS:
                raise PinnxError(f"expression {text!r}: expected a function, got {name}(...)")
            if name not in FUNCTIONS:
                raise _unknown(text, name, tuple(FUNCTIONS))
            if len(arguments) != FUNCTIONS[name]:
                raise PinnxError(
                    f"expression {text!r}: expected {FUNCTIONS[name]} arguments for {name}, got {len(arguments)}"
                )
            parts = [_parsed(argument, text, used) for argument in arguments]
            return lambda given: getattr(given.library, name)(*[part(given) for part in parts])
        case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
            return _applied(op, [_parsed(operand, text, used)], text)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return _applied(op, [_parsed(side, text, used) for side in (left, right)], text)
        case ast.BoolOp(op=op, values=values):
            return reduce(lambda a, b: _applied(op, [a, b], text), [_parsed(value, text, used) for value in values])
        case ast.Compare(left=left, ops=ops, comparators=comparators) if all(type(op) in OPERATORS for op in ops):
            terms = [_parsed(term, text, used) for term in (left, *comparators)]
            pairs = zip(ops, pairwise(terms), strict=True)
            return reduce(lambda a, b: _applied(ast.And(), [a, b], text), [_applied(op, ab, text) for op, ab in pairs])
        case ast.IfExp():
            raise _refused(text, "'a if condition else b' (write where(condition, a, b))")
    raise _refused(text, f"{ast.unparse(node)!r}")


def _applied(op: ast.AST, operands: Sequence[Formula], text: str) -> Formula:
    return lambda given: _apply(op, [operand(given) for operand in operands], text)


def _apply(op: ast.AST, operands: list[Any], text: str) -> Any:
    conditions = [operand.dtype in (np.dtype(bool), torch.bool) for operand in operands]
    if isinstance(op, LOGICAL) and not all(conditions):
        raise PinnxError(
            f"expression {text!r}: expected conditions on both sides of and, or, not, &, |, ~; "
            f"got a number (put comparisons in brackets)"
        )
    if not isinstance(op, LOGICAL) and any(conditions):
        raise PinnxError(
            f"expression {text!r}: expected numbers in arithmetic and comparisons, "
            f"got a condition (where(condition, 1, 0) makes a number)"
        )
    return OPERATORS[type(op)](*operands)


def _refused(text: str, what: str) -> PinnxError:
    return PinnxError(f"expression {text!r}: expected arithmetic in x, y, z, t and functions such as sin, got {what}")


def _unknown(text: str, name: str, known: tuple[str, ...]) -> PinnxError:
    nearest = max(known, key=lambda other: difflib.SequenceMatcher(None, name, other).ratio())
    return PinnxError(f"expression {text!r}: unknown name {name}; did you mean {nearest}?")
