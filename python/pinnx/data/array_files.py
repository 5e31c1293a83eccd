"""The arrays of one file by name, as numbers; `file_formats` opens it.

A name may carry an index, "velocity[..., 0]". A name with * is several arrays, "u_*": they are joined along a new first
axis, in the order of their numbers. HDF5 arrays are read when they are indexed, and only that part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pinnx.data.stored_numbers import PLAIN, REAL, TIMES, Packing, packing_of, require_digits, text_of
from pinnx.errors import PinnxError, damage_named

__all__ = ["ArrayFile"]

MAX_LISTED = 24  # arrays listed in an error message: more would bury the first line
INDEXED_NAME = re.compile(r"(?P<name>[^\[\]]+?)\s*\[(?P<index>[^\[\]]*)\]")


@dataclass(frozen=True)
class ArrayFile:
    """The arrays of one open file, with attributes of the file and of each array."""

    path: Path
    arrays: Mapping[str, Any]  # NumPy arrays or HDF5 datasets, of real numbers or times
    others: Mapping[str, str] = field(default_factory=dict)  # what else there is, and what it is
    attributes: Mapping[str, Any] = field(default_factory=dict)
    of_arrays: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # attributes by array
    matlab: bool = False
    reversed_axes: bool = False  # written by MATLAB through HDF5
    done: dict[str, list[str]] = field(default_factory=dict)  # what was done while reading, and to which arrays

    def read(self, role: str, reference: str) -> np.ndarray:
        """Return what is stored under a name, which may carry an index such as "velocity[..., 0]".

        Args:
            role: what the array is for, e.g. "u"; it begins the error message.
            reference: the name, with or without an index.

        Raises:
            PinnxError: no such array, a bad index, or damaged data.
        """
        name, index = self.named(role, reference)
        stored = self.arrays[name]
        with damage_named(self.path.name, f"{name} is damaged"):
            try:
                if index is None or self.reversed_axes:
                    array = np.asarray(stored).T if self.reversed_axes else np.asarray(stored)
                    return array if index is None else array[_parse_index(role, index)]
                return np.asarray(stored[_parse_index(role, index)])
            except (IndexError, TypeError, ValueError) as error:
                if index is None or isinstance(error, PinnxError):
                    raise
                shape = list(stored.shape[:: -1 if self.reversed_axes else 1])
                raise PinnxError(f"{role}: index [{index}] does not fit {name} {shape}") from None

    def numbers(self, role: str, reference: str, *, single: bool = False) -> np.ndarray:
        """Return real numbers as float64: unpacked, NaN where they are missing, dates as seconds from the first.

        Args:
            role: what the array is for.
            reference: a name, with or without an index; with * the arrays of that pattern, joined.
            single: float32 stays what it is.

        Raises:
            PinnxError: as `read`; no real numbers; coordinates that have lost their digits to float32.
        """
        frames = self.frames(reference)
        if frames is None:
            return self._numbers(role, reference, single)
        read = [self._numbers(role, frame, single) for frame in frames.values()]
        for frame, array in zip(frames.values(), read, strict=True):
            if array.shape != read[0].shape:
                first = next(iter(frames.values()))
                raise PinnxError(f"{role}: expected one shape for {reference}, got {first} {list(read[0].shape)} and "
                                 f"{frame} {list(array.shape)}")  # fmt: skip
        self.note(f"{len(read)} arrays are joined as frames, in the order of their numbers", f"{role} of {reference}")
        return np.stack(read)

    def _numbers(self, role: str, reference: str, single: bool) -> np.ndarray:
        name, _ = self.named(role, reference)
        stored = self.read(role, reference)
        if stored.dtype.kind in TIMES and stored.size:
            return self._seconds(role, stored)
        if stored.dtype.kind not in REAL or not stored.size:
            raise PinnxError(f"{role}: expected real numbers, got {stored.dtype} of shape {list(stored.shape)}")
        if role in ("x", "y", "z", "t", "points"):
            require_digits(role, stored)
        packing = self.packing(name)
        if packing == PLAIN:
            return stored if single and stored.dtype == np.float32 else stored.astype(np.float64)
        if packing.scale != 1.0 or packing.offset != 0.0:
            self.note("Unpacked by scale_factor and add_offset", role)
        numbers = packing.unpack(stored, single=single)
        missing = int(np.count_nonzero(np.isnan(numbers)))
        if missing:
            self.note("Missing, by the marks of the file", f"{role} {missing:,} of {numbers.size:,} values")
        return numbers

    def _seconds(self, role: str, stored: np.ndarray) -> np.ndarray:
        if stored.dtype.kind == "M":
            first = stored.reshape(-1)[0]
            stored = stored - first
            self.note(f"Seconds from {first}", role)
        found = stored.astype("timedelta64[ns]").astype(np.float64) * 1e-9
        found[np.isnat(stored)] = np.nan
        return found

    def note(self, what: str, *roles: str) -> None:
        """Keep what was done while reading, and to which arrays."""
        known = self.done.setdefault(what, [])
        known.extend(role for role in roles if role not in known)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was done while reading."""
        return tuple(f"{what}: {', '.join(roles)}." if roles else f"{what}." for what, roles in self.done.items())

    def frames(self, reference: str) -> dict[int, str] | None:
        """Return the references that a pattern with * stands for by their numbers, in order; None: it is no pattern."""
        name, bracket, index = reference.partition("[")
        name = name.strip()
        if name in self.arrays or name.count("*") != 1:
            return None
        pattern = re.compile(re.escape(name).replace(r"\*", r"(\d+)"))
        found = {int(match[1]): key for key in self.arrays if (match := pattern.fullmatch(key))}
        if not found:
            raise PinnxError(f"no arrays {name} with a number for * in {self.path.name}; it holds {self}")
        return {number: found[number] + bracket + index for number in sorted(found)}

    def named(self, role: str, reference: str) -> tuple[str, str | None]:
        """Return the name of an array and its index.

        Raises:
            PinnxError: no such array, with what there is.
        """
        name, index = reference.strip(), None
        if name not in self.arrays and (match := INDEXED_NAME.fullmatch(name)):
            name, index = match["name"], match["index"]
        if name in self.arrays:
            return name, index
        if name in self.others:
            raise PinnxError(f"{role}: expected real numbers in {name!r} of {self.path.name}, got {self.others[name]}")
        cells = f"; name its cells by {name}/*" if f"{name}/1" in self.arrays else ""
        raise PinnxError(f"{role}: no array {name!r} in {self.path.name}{cells}; it holds {self}")

    def packing(self, name: str) -> Packing:
        """Return how the numbers of an array are stored."""
        stored = self.arrays[name]
        with damage_named(self.path.name, f"the attributes of {name} are damaged"):
            fill = stored.fillvalue if isinstance(stored, h5py.Dataset) else None
            return packing_of(name, stored.dtype, self.of_arrays.get(name, {}), fill)

    def units(self, reference: str) -> str:
        """Return the attribute units of an array; "" where it has none."""
        frames = self.frames(reference)
        reference = reference if frames is None else next(iter(frames.values()))
        with damage_named(self.path.name, f"the attributes of {reference} are damaged"):
            return text_of(self._attributes_of(reference.strip()).get("units", "")).strip()

    def scalar(self, role: str, reference: str, *, owner: str | None = None) -> float:
        """Return one number: an array of one element, or an attribute ("@nu", "p@frame").

        Args:
            role: what the number is for, e.g. "nu".
            reference: name of the array or attribute.
            owner: array whose attributes "@name" looks at before those of the file.

        Raises:
            PinnxError: no such array or attribute, or not one finite real number.
        """
        holder, at, name = reference.partition("@")
        value = self._attribute(role, holder, name, owner) if at else self.read(role, reference)
        value = np.asarray(value)
        if value.size != 1 or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
            raise PinnxError(f"{role}: expected one number in {reference!r}, got {value.dtype} {list(value.shape)}")
        return float(value.item())

    def _attribute(self, role: str, holder: str, name: str, owner: str | None) -> Any:
        """Look into the array that is named, else into the owner and then the file."""
        tables = [self._attributes_of(holder)] if holder else [self._attributes_of(owner or ""), self.attributes]
        with damage_named(self.path.name, "its attributes are damaged"):
            for table in tables:
                if name in table:
                    return table[name]
            known = ", ".join(dict.fromkeys(key for table in tables for key in table)) or "none"
        place = f"{holder} of {self.path.name}" if holder else self.path.name
        raise PinnxError(f"{role}: no attribute {name!r} in {place}; it has {known}")

    def _attributes_of(self, reference: str) -> Mapping[str, Any]:
        if reference not in self.arrays and (match := INDEXED_NAME.fullmatch(reference)):
            reference = match["name"]
        return self.of_arrays.get(reference, {})

    def __str__(self) -> str:
        """List the arrays with their shapes, as they are indexed here."""
        order = -1 if self.reversed_axes else 1
        listed = [f"{name} {list(a.shape[::order])}" for name, a in sorted(self.arrays.items())]
        more = [f"and {len(listed) - MAX_LISTED} more"] if len(listed) > MAX_LISTED else []
        return ", ".join(listed[:MAX_LISTED] + more) or "no numeric array"


def _parse_index(role: str, text: str) -> tuple[Any, ...]:
    """Turn "..., 0" or "::2, 1" into a NumPy index, without evaluating anything."""
    index: list[Any] = []
    for part in (piece.strip() for piece in text.split(",")):
        if part == "...":
            index.append(Ellipsis)
        elif re.fullmatch(r"-?\d+", part):
            index.append(int(part))
        elif re.fullmatch(r"(-?\d+)?:(-?\d+)?(:(-?\d+)?)?", part):
            index.append(slice(*(int(x) if x else None for x in part.split(":"))))
        else:
            raise PinnxError(f"{role}: expected an index such as [..., 0], got [{text}]")
    return tuple(index)
