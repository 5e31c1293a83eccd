"""Values as text and as HTML: three significant digits with a unit, no "e-05"; what is not HTML already is escaped."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SUPERSCRIPT",
    "TIMES",
    "Html",
    "coordinate_digits",
    "duration",
    "enumeration",
    "equation",
    "join",
    "number",
    "percent",
    "plural",
    "positions_text",
    "rounded",
    "table",
    "tag",
]

TIMES = "\N{MULTIPLICATION SIGN}"
_SPACE = "\u00a0"  # no line break between a number and its unit
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MOST_SPOKEN = 20
_VOID = {"img", "meta"}


def coordinate_digits(values: NDArray[np.float64]) -> int:
    """Significant digits that tell places apart: five, and as many as an offset takes (500000.25 within 2 of another).

    Args:
        values: of one coordinate, finite.
    """
    spread, largest = float(np.ptp(values)), float(np.abs(values).max())
    return 5 if not spread > 0.0 else min(5 + int(math.log10(largest / spread + 1.0)), 16)


def number(value: float, digits: int = 3) -> str:
    """A number to some significant digits: 0.0381, 12000, 1.2e-5 with a raised exponent."""
    if not math.isfinite(value):
        return "not finite"
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{value:.0f}"
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    exponent = int(power)
    if -4 < exponent < 6:
        decimals = max(0, digits - 1 - exponent)
        return _trimmed(f"{float(mantissa) * 10.0**exponent:.{decimals}f}")
    return f"{_trimmed(mantissa)}{_SPACE}{TIMES}{_SPACE}10{str(exponent).translate(SUPERSCRIPT)}"


def rounded(formula: str) -> str:
    """A formula whose numbers have six digits at most: "0.333333*y" for "0.3333333333333333*y"."""
    return re.sub(r"\d*\.\d+(e[-+]?\d+)?", lambda found: f"{float(found[0]):.6g}", formula, flags=re.IGNORECASE)


def percent(fraction: float) -> str:
    """A fraction in per cent: 0.0381 is "3.81 %"."""
    return f"{number(100 * fraction)}{_SPACE}%" if math.isfinite(fraction) else "not finite"


def duration(seconds: float) -> str:
    """A time span: "46.2 s", "3 min 20 s", "2 h 5 min"."""
    if not math.isfinite(seconds):
        return "not finite"
    if seconds < 120:
        return f"{number(seconds)}{_SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes}{_SPACE}min {rest}{_SPACE}s"
    return f"{minutes // 60}{_SPACE}h {minutes % 60}{_SPACE}min"


def equation(name: str, value: str) -> str:
    """A value with its name, unbroken: "t = 2.5"."""
    return f"{name} = {value}".replace(" ", _SPACE)


def plural(count: int, noun: str) -> str:
    """A count with its noun: "1 sensor", "12 sensors"."""
    return f"{count}{_SPACE}{noun}{'' if count == 1 else 's'}"


def enumeration(items: Sequence[str]) -> str:
    """Items as a sentence lists them: "u, v and p"."""
    return " and ".join(filter(None, (", ".join(items[:-1]), items[-1])))


def positions_text(positions: Iterable[Sequence[float]]) -> str:
    """Positions by rank, the first twenty: "1 at (0.5, 2); 2 at (1, 0)"."""
    spoken = [
        f"{rank} at ({', '.join(f'{c:.3g}' for c in position)})" for rank, position in enumerate(positions, start=1)
    ]
    more = len(spoken) - _MOST_SPOKEN
    return "; ".join(spoken if more <= 0 else [*spoken[:_MOST_SPOKEN], f"and {more} more"])


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


class Html(str):
    """Text that is HTML already. Only this module and string constants make it."""

    __slots__ = ()


def join(children: Iterable[str]) -> Html:
    """Children one after another, each escaped unless it is HTML."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children))


def tag(name: str, /, *children: str, **attributes: str | None) -> Html:
    """One element: ``tag("p", "a < b", class_="note")``.

    A trailing underscore in an attribute's name is dropped; an attribute that is None is left out.
    """
    pairs = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items() if value is not None)
    if name in _VOID:
        return Html(f"<{name}{pairs}>")
    return Html(f"<{name}{pairs}>{join(children)}</{name}>")


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Html:
    """A table whose first column names the rows."""
    head = tag("thead", tag("tr", *(tag("th", text, scope="col") for text in header)))
    body = [tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows]
    whole = tag("table", tag("caption", caption), head, tag("tbody", *body))
    return tag("div", whole, class_="scroll")
