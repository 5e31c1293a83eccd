"""Numbers as a reader likes them: three significant digits, a unit, no "e-05"."""

from __future__ import annotations

import math

__all__ = ["NU", "TIMES", "duration", "equation", "number", "percent", "plural"]

NU = "\N{GREEK SMALL LETTER NU}"
TIMES = "\N{MULTIPLICATION SIGN}"
_SPACE = "\u00a0"  # no line break between a number and its unit
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


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
    return f"{_trimmed(mantissa)}{_SPACE}{TIMES}{_SPACE}10{str(exponent).translate(_SUPERSCRIPT)}"


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


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
