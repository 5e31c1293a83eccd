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
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinnx.errors import PinnxError

__all__ = ["VARIABLES", "Expression"]

VARIABLES = ("x", "y", "z", "t")
CONSTANTS = {"pi": np.pi, "e": np.e}
# NumPy's functions of these names, which torch has too -> their number of arguments
FUNCTIONS = {
    "abs": 1,
    "arccos": 1,
    "arcsin": 1,
    "arctan": 1,
    "arctan2": 2,
    "clip": 3,
    "cos": 1,
    "cosh": 1,
    "exp": 1,
    "floor": 1,
    "heaviside": 2,
    "hypot": 2,
    "log": 1,
    "maximum": 2,
    "minimum": 2,
    "sign": 1,
    "sin": 1,
    "sinh": 1,
    "sqrt": 1,
    "tan": 1,
    "tanh": 1,
    "where": 3,
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
        self.text = text
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
            used = _names_of(self._tree, text)
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

    def values(self, coordinates: Mapping[str, np.ndarray]) -> np.ndarray:
        """Evaluate the formula as a number at every point.

        Args:
            coordinates: axis name -> [n] float64.

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
        if bad.any():
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
        return torch.broadcast_to(_evaluate(self._tree, coordinates, self.text, _Torch(like)), like.shape)

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
            result = _evaluate(self._tree, coordinates, self.text, _NumPy())
        return np.broadcast_to(result, (sizes.pop(),)).copy()


def _names_of(node: ast.AST, text: str) -> set[str]:
    """Check a tree against the whitelist; return the names of its variables."""
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            try:
                float(number)
            except OverflowError:
                raise _refused(text, "a number beyond the range of float64") from None
            return set()
        case ast.Name(id=name) if name in VARIABLES:
            return {name}
        case ast.Name(id=name) if name in CONSTANTS:
            return set()
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
            children = arguments
        case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
            children = [operand]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            children = [left, right]
        case ast.BoolOp(values=values):
            children = values
        case ast.Compare(left=left, ops=ops, comparators=comparators) if all(type(op) in OPERATORS for op in ops):
            children = [left, *comparators]
        case ast.IfExp():
            raise _refused(text, "'a if condition else b' (write where(condition, a, b))")
        case _:
            raise _refused(text, f"{ast.unparse(node)!r}")
    return set().union(*(_names_of(child, text) for child in children))


class _NumPy:
    """What a formula is made of, in NumPy."""

    functions: Any = np

    def constant(self, number: float) -> Any:
        return np.float64(number)


class _Torch:
    """The same in torch, in the dtype of the coordinates."""

    functions: Any = torch

    def __init__(self, like: Tensor) -> None:
        self._like = like

    def constant(self, number: float) -> Any:
        return self._like.new_full((), float(number))


def _evaluate(node: ast.AST, coordinates: Mapping[str, Any], text: str, library: _NumPy | _Torch) -> Any:
    def value(child: ast.AST) -> Any:
        return _evaluate(child, coordinates, text, library)

    match node:
        case ast.Constant(value=number):
            return library.constant(number)  # type: ignore[arg-type]
        case ast.Name(id=name):
            return library.constant(CONSTANTS[name]) if name in CONSTANTS else coordinates[name]
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return getattr(library.functions, name)(*(value(argument) for argument in arguments))
        case ast.UnaryOp(op=op, operand=operand):
            return _apply(op, [value(operand)], text)
        case ast.BinOp(left=left, op=op, right=right):
            return _apply(op, [value(left), value(right)], text)
        case ast.BoolOp(op=op, values=values):
            return reduce(lambda a, b: _apply(op, [a, b], text), map(value, values))
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            terms = [value(term) for term in (left, *comparators)]
            pairs = zip(ops, terms[:-1], terms[1:], strict=True)
            return reduce(operator.and_, (_apply(op, [a, b], text) for op, a, b in pairs))
    raise AssertionError(f"{ast.dump(node)} passed the whitelist")


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
