"""Units that a file of arrays names, brought to one system.

Arrays that keep to one unit of length and one of time are taken as they are. Where they do not (times in "minutes since
2024-05-01", coordinates in mm beside a velocity in m/s), all become m and s. Arrays without an attribute `units` stay
as they are.
"""

from __future__ import annotations

from pinnx.data.array_files import ArrayFile
from pinnx.data.column_units import LENGTHS, POWERS, TIMES, WANTED, Unit, is_foreign, parse_unit, scales_to_si
from pinnx.data.mapping import DataMapping
from pinnx.errors import PinnxError

__all__ = ["factors_to_one_system", "texts_of_units", "units_of_flow"]


def factors_to_one_system(file: ArrayFile, mapping: DataMapping) -> dict[str, float]:
    """Return what arrays are to be multiplied by, by role (x, t, u, p, ...): nothing where the file has one system.

    Raises:
        PinnxError: coordinates in degrees; a unit of another quantity, or one that is not known beside known ones;
            components of the velocity in different units; a pressure that is not divided by the density.
    """
    velocity = {name: file.units(reference) for name, reference in mapping.components.items()}
    if len({_size_of(text) for text in velocity.values()}) > 1:
        listed = ", ".join(f"{name} {units or 'without units'}" for name, units in velocity.items())
        raise PinnxError(f"{', '.join(velocity)}: expected one unit, got {listed}; convert them in the file")
    units, since = _units_of(file, mapping)
    named = {role: unit for role, unit in units.items() if unit is not None}
    if since and (unit := units["t"]) is not None and TIMES.get(unit.time or "") is None:
        raise PinnxError(f"t: expected seconds, minutes, hours or days since a date, got {unit.text} since {since}")
    known = [f"{role} in {unit.text}" for role, unit in named.items() if unit.known]
    unknown = [(role, unit) for role, unit in named.items() if not unit.known]
    if known and unknown:
        role, unit = unknown[0]
        raise PinnxError(
            f"{role}: expected a unit of {WANTED[POWERS[role]]} that is known beside {known[0]}, got {unit.text!r}; "
            "convert it in the file, or remove its attribute units if it has the same"
        )
    sizes: set[float | str] = set()
    mixed = bool(since) and units["u"] is None  # else the velocity would be in another time than seconds
    for kind, table in (("length", LENGTHS), ("time", TIMES)):
        by_size: dict[float | str, str] = {}
        for role, unit in named.items():
            name = getattr(unit, kind)
            if name is not None:
                by_size.setdefault(table[name] or name, f"{role} in {unit.text}")
        if len(by_size) > 1 and any(isinstance(size, str) for size in by_size):
            raise PinnxError(
                f"expected units of {kind} that convert, got {', '.join(by_size.values())}; convert them in the file"
            )
        sizes |= set(by_size)
        mixed |= len(by_size) > 1
    if mixed:
        factors, notes = scales_to_si(units)
        changed = [f"{role} (times {factor:g})" for role, factor in factors.items() if factor != 1.0]
        if changed:
            file.note("Converted to m and s, in which the domain, positions, nu and all else must be too", *changed)
            file.done.update({note.removesuffix("."): [] for note in notes[1:]})
        return factors
    if unknown or not sizes <= {1.0}:
        shown = ", ".join(f"{role} in {unit.text}" for role, unit in named.items())
        file.note(
            f"Nothing is converted, and the domain, positions, nu and all else must be in the file's units: {shown}"
        )
    return {}


def units_of_flow(file: ArrayFile, mapping: DataMapping, factors: dict[str, float]) -> tuple[str, str]:
    """The units of length and time of a flow whose arrays have been multiplied by the factors; "" where unknown."""
    if factors:
        return "m", "s"
    units, _ = _units_of(file, mapping)
    lengths = [unit.length for unit in units.values() if unit is not None and unit.length is not None]
    times = [unit.time for unit in units.values() if unit is not None and unit.time is not None]
    return _shortest(lengths, LENGTHS), _shortest(times, TIMES)


def _shortest(names: list[str], table: dict[str, float | None]) -> str:
    """The first of units that are all one, by its usual symbol: m of metres."""
    size = table[names[0]] if names else None
    return next(name for name in table if table[name] == size) if size is not None else "".join(names[:1])


def texts_of_units(length: str, time: str) -> dict[str, str]:
    """The units of the arrays of a flow as CF writes them, by name; those that are not known are left out."""
    found = {**dict.fromkeys("xyz", length), "t": time}
    if length and time:
        found |= {**dict.fromkeys("uvw", f"{length} {time}-1"), "p": f"{length}2 {time}-2"}
    return {name: text for name, text in found.items() if text}


def _units_of(file: ArrayFile, mapping: DataMapping) -> tuple[dict[str, Unit | None], str]:
    """The units of the arrays by role, and since when the times count."""
    named = mapping.coordinates | mapping.components | ({} if mapping.p is None else {"p": mapping.p})
    texts, since = {role: file.units(reference) for role, reference in named.items()}, ""
    if isinstance(mapping.t, str):
        texts["t"], _, since = (part.strip() for part in file.units(mapping.t).partition(" since "))
    return {role: _unit_of(role, text) for role, text in texts.items()}, since


def _size_of(text: str) -> tuple[float | str | None, ...] | str:
    """What two spellings of a unit of velocity have in common: m/s, m s-1; an unknown one has its text alone."""
    unit = parse_unit("u", text.replace(" per ", "/"))
    if unit is None or not unit.known:
        return text
    return LENGTHS.get(unit.length or "") or unit.length, TIMES.get(unit.time or "") or unit.time


def _unit_of(role: str, text: str) -> Unit | None:
    plain = text.replace(" per ", "/")
    if plain.casefold().startswith("degree") and role in "xyz":
        raise PinnxError(f"{role}: expected a length, got {text}; project longitude and latitude to metres first")
    if is_foreign(role, plain):
        raise PinnxError(
            f"{role}: expected a unit of {WANTED[POWERS[role]]}, got {text}; convert it in the file, or correct its "
            "attribute units"
        )
    return parse_unit(role, plain)
