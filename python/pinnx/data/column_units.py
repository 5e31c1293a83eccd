"""Units in the names of columns: x [mm], u (m/s), t / s, "X mm", u_mm/s, u_mps, u_mm_s.

A flow has one unit of length and one of time. Columns that keep to one each are taken as they are; columns that do not
(x in mm, u in m/s) are refused, or converted to m and s.

    quantity    t   x, y, z   u, v, w, speed   p
    unit        T   L         L / T            L^2 / T^2
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pinnx.errors import PinnxError

__all__ = ["Unit", "is_foreign", "parse_unit", "refuse_foreign_units", "scales_to_si", "split_unit", "unit_notes"]

_SUPERSCRIPTS = {0x207B: "-", 0xB9: "1", 0xB2: "2"}
_MU = "\N{GREEK SMALL LETTER MU}"  # what casefold() makes of the micro sign, too
# In m and s; None: a unit that no number converts.
LENGTHS: dict[str, float | None] = {
    **{"m": 1.0, "dm": 1e-1, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, f"{_MU}m": 1e-6, "km": 1e3},
    **dict.fromkeys(("meter", "meters", "metre", "metres"), 1.0),
    **dict.fromkeys(("millimeter", "millimeters", "millimetre", "millimetres"), 1e-3),
    **dict.fromkeys(("centimeter", "centimeters", "centimetre", "centimetres"), 1e-2),
    **dict.fromkeys(("kilometer", "kilometers", "kilometre", "kilometres"), 1e3),
    **{"in": 0.0254, "ft": 0.3048, "px": None, "pix": None, "pixel": None, "pixels": None},
}
TIMES: dict[str, float | None] = {
    **{"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, f"{_MU}s": 1e-6, "ns": 1e-9},
    **dict.fromkeys(("second", "seconds"), 1.0),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("nanosecond", "nanoseconds"), 1e-9),
    **{"frame": None, "frames": None, "dt": None},
}
# Powers of length and time.
POWERS = {"t": (0, 1), **dict.fromkeys("xyz", (1, 0)), **dict.fromkeys(("u", "v", "w", "speed"), (1, -1)), "p": (2, -2)}
POWERS |= {f"{name}_std": POWERS[name] for name in ("u", "v", "w", "speed", "p")}
WANTED = {(0, 1): "time", (1, 0): "length", (1, -1): "velocity", (2, -2): "velocity^2"}
PRESSURES = ("pa", "hpa", "kpa", "mpa", "bar", "mbar", "psi", "mmhg", "atm", "n/m2", "n/m^2")
NO_UNIT = ("", "-", "1")
# What no quantity of a flow is measured in here: angles, temperatures, voltages, shares, speeds of other systems.
FOREIGN = (
    *("deg", "degree", "degrees", "rad", "\xb0"),
    *("\xb0c", "\xb0f", "degc", "k", "kelvin", "celsius"),
    *("v", "mv", "volt", "%", "percent"),
    *("kn", "kt", "knot", "knots", "mph", "rpm", "hz", "kg"),
)
# Diameter and height, by which lengths are divided; days and hours elsewhere.
LENGTHS_OF_A_CASE = ("d", "h")

_LENGTH, _TIME = "|".join(sorted(LENGTHS, key=len, reverse=True)), "|".join(sorted(TIMES, key=len, reverse=True))
_UNIT_OF_NAME = (
    r"(.+?)[\s/]*[\[(]\s*([^\])]*?)\s*[\])]",
    # u_mm/s is a name and its unit, not u_mm in seconds.
    rf"([a-z]\w*?)_((?:{_LENGTH})\^?2?/(?:{_TIME})\^?2?)",
    r"(\w+)\s*/\s*(\S+)",
    r"(\w+)\s+(\S+)",
    # x_mm, timestamp_ms; u_ms may be in m/s.
    r"([xyz]|t\w*)_(mm|cm|um|km|px|ms|us|ns)|([xyz])_(m)|(t|time)_(s|sec)",
)
# u_mm_s, u_m_per_s, u_m_s-1, u_mps: a length over a time. u_mph is no metre.
_WITHOUT_SLASH = rf"([a-z]\w*?)_((?:{_LENGTH})\^?2?)(?:_(?:per_)?((?:{_TIME})\^?2?)(?:\^?-[12])?|p(s))"
_PATTERNS = {
    (0, 1): rf"(?P<time>{_TIME})",
    (1, 0): rf"(?P<length>{_LENGTH})",
    (1, -1): rf"(?P<length>{_LENGTH})(/(?P<time>{_TIME})|(?P<time_>{_TIME})\^?-1)",
    (2, -2): rf"(?P<length>{_LENGTH})\^?2(/(?P<time>{_TIME})\^?2|(?P<time_>{_TIME})\^?-2)",
}


@dataclass(frozen=True)
class Unit:
    """The unit of a column.

    Args:
        text: as the file has it.
        length, time: of which it is made; None where it has none of them, or is not known.
    """

    text: str
    length: str | None = None
    time: str | None = None

    @property
    def known(self) -> bool:
        """Whether it is made of a length and a time that are known."""
        return self.length is not None or self.time is not None


def split_unit(name: str) -> tuple[str, str]:
    """Return the name and the unit of a column, "" where it has none: "x [mm]" -> ("x", "mm")."""
    spelled = re.fullmatch(_WITHOUT_SLASH, name.strip(), re.IGNORECASE)
    if spelled:
        first, length, *times = (part for part in spelled.groups() if part is not None)
        return first, f"{length}/{times[0]}"
    for pattern in _UNIT_OF_NAME:
        found = re.fullmatch(pattern, name.strip(), re.IGNORECASE)
        if found:
            first, unit = (part for part in found.groups() if part is not None)
            return first, unit
    return name.strip(), ""


def parse_unit(quantity: str, text: str) -> Unit | None:
    """Return the unit of a quantity ("t", "x", "u", "speed", "p", ...); None where the text says none.

    Raises:
        PinnxError: a pressure that is not divided by the density.
    """
    if text in NO_UNIT:
        return None
    plain = _plain(text)
    if quantity == "p" and plain in PRESSURES:
        raise PinnxError(
            f"p: expected the kinematic pressure (divided by the density), in m^2/s^2, got one in {text}; "
            "divide it by the density, or leave p out (p: null)"
        )
    found = re.fullmatch(_PATTERNS[POWERS[quantity]], plain)
    if not found:
        return Unit(text)
    parts = {name: value for name, value in found.groupdict().items() if value}
    return Unit(text, parts.get("length"), parts.get("time") or parts.get("time_"))


def refuse_foreign_units(headings: Mapping[str, str]) -> None:
    """Refuses units in brackets that are none of their quantity.

    Args:
        headings: quantity -> the name of its column, with its unit.

    Raises:
        PinnxError: a unit of another quantity, or "-" beside units.
    """
    units = {quantity: split_unit(heading)[1] for quantity, heading in headings.items()}
    known = [quantity for quantity, text in units.items() if _is_of(quantity, text)]
    for quantity, text in units.items():
        if not headings[quantity].endswith(("]", ")")):
            continue
        without = text in NO_UNIT[1:] and known
        if without or is_foreign(quantity, text):
            like = f", as {known[0]} has {units[known[0]]}" if without else ""
            leave = "" if quantity in "xy" else f", or leave it out by data.measurements.{quantity}=null"
            raise PinnxError(
                f"{quantity}: expected a unit of {WANTED[POWERS[quantity]]}{like}, got {headings[quantity]!r}; "
                f"convert the column{leave}"
            )


def is_foreign(quantity: str, text: str) -> bool:
    """Whether a text is a unit that no such quantity has: of another one, of angles, temperatures, ..."""
    plain = _plain(text)
    other = plain not in LENGTHS_OF_A_CASE and any(re.fullmatch(pattern, plain) for pattern in _PATTERNS.values())
    return not _is_of(quantity, text) and (other or plain in FOREIGN or (quantity, plain) == ("t", "c"))


def _is_of(quantity: str, text: str) -> bool:
    return re.fullmatch(_PATTERNS[POWERS[quantity]], _plain(text)) is not None


def _plain(text: str) -> str:
    return re.sub(r"[\s.*\xb7\u22c5{}]", "", text.replace("**", "^").translate(_SUPERSCRIPTS)).casefold()


def unit_notes(units: Mapping[str, Unit | None]) -> list[str]:
    """What must be known of units that are taken as they are.

    Args:
        units: quantity -> its unit; None where it has none.

    Raises:
        PinnxError: two units of length, or of time.
    """
    without = [quantity for quantity, unit in units.items() if unit is None]
    units = {quantity: unit for quantity, unit in units.items() if unit is not None}
    for kind in ("length", "time"):
        by_unit: dict[str, list[str]] = {}
        for quantity, unit in units.items():
            if getattr(unit, kind) is not None:
                by_unit.setdefault(getattr(unit, kind), []).append(f"{quantity} [{unit.text}]")
        if len(by_unit) > 1:
            raise PinnxError(
                f"expected one unit of {kind} in all columns, got "
                + " and ".join(f"{name} in {', '.join(columns)}" for name, columns in by_unit.items())
                + "; data.measurements.units=si converts all to m and s"
            )
    if all(unit.length in (None, "m") and unit.time in (None, "s") and unit.known for unit in units.values()):
        return []
    by_text: dict[str, list[str]] = {}
    for quantity, unit in units.items():
        by_text.setdefault(unit.text, []).append(quantity)
    shown = "; ".join(f"{', '.join(quantities)} in {text}" for text, quantities in by_text.items())
    said = f"Units of the file: {shown}. Nothing is converted: the domain, nu and all else must be in these units."
    return [said + (f" {', '.join(without)}: no unit in the file; taken to fit." if without else "")]


def scales_to_si(units: Mapping[str, Unit | None]) -> tuple[dict[str, float], list[str]]:
    """Return the factor of each quantity that makes m and s of its unit, and what must be known of it.

    Raises:
        PinnxError: a unit that no number converts.
    """
    factors = {}
    for quantity, unit in units.items():
        length_power, time_power = POWERS[quantity]
        factor = 1.0
        if unit is not None:
            length = LENGTHS.get(unit.length or "") if length_power else 1.0
            time = TIMES.get(unit.time or "") if time_power else 1.0
            if length is None or time is None:
                raise PinnxError(
                    f"{quantity}: expected a unit that can be converted to m and s, got {unit.text!r}; "
                    "convert the column before, or leave data.measurements.units at kept"
                )
            factor = length**length_power * time**time_power
        factors[quantity] = factor
    without = [quantity for quantity, unit in units.items() if unit is None]
    notes = ["All columns are converted to m and s: the domain, nu and all else must be in these units."]
    notes += [f"{', '.join(without)}: no unit in the file; taken to be in m and s."] if without else []
    return factors, notes
