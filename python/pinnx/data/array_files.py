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

import numpy as np

from pinnx.data.raw_numbers import require_whole
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
    stated: bool = False  # by data.raw, as the file has no header
    done: dict[str, list[str]] = field(default_factory=dict)  # what was done while reading, and to which arrays

    def read(self, role: str, reference: str, part: tuple[slice, ...] | None = None) -> np.ndarray:
        """Return what is stored under a name, which may carry an index such as "velocity[..., 0]".

        Args:
            role: what the array is for, e.g. "u"; it begins the error message.
            reference: the name, with or without an index.
            part: of what the name stands for, a slice for each axis; None: all.

        Raises:
            PinnxError: no such array, a bad index, or damaged data.
        """
        name, index = self.named(role, reference)
        stored = self.arrays[name]
        parsed = () if index is None else _parse_index(role, index)
        require_whole(stored)
        with damage_named(self.path.name, f"{name} is damaged"):
            try:
                entry = _one_entry(parsed, stored.ndim)
                if part is not None and (not parsed or entry is not None):
                    place: list[Any] = list(part)
                    if entry is not None:
                        place.insert(*entry)
                    return np.asarray(stored[tuple(place)])
                array = np.asarray(stored) if index is None else np.asarray(stored[parsed])
                return array if part is None else array[part]
            except (IndexError, TypeError, ValueError) as error:
                if index is None or isinstance(error, PinnxError):
                    raise
                raise self._misfit(role, reference) from None

    def shape(self, role: str, reference: str) -> tuple[int, ...]:
        """The shape of what a name stands for, with the frames of a pattern; nothing is read.

        Raises:
            PinnxError: no such array, a bad index, frames of several shapes, or no real numbers.
        """
        frames = self.frames(reference)
        if frames is None:
            return self._shape(role, reference)
        shapes = {frame: self._shape(role, frame) for frame in frames.values()}
        first = next(iter(shapes))
        for frame, shape in shapes.items():
            if shape != shapes[first]:
                raise PinnxError(
                    f"{role}: expected one shape for {reference}, got {first} {list(shapes[first])} and "
                    f"{frame} {list(shape)}"
                )
        return (len(frames), *shapes[first])

    def _shape(self, role: str, reference: str) -> tuple[int, ...]:
        name, index = self.named(role, reference)
        stored = self.arrays[name]
        if not stored.size:
            raise PinnxError(f"{role}: expected real numbers, got {stored.dtype} of shape {list(stored.shape)}")
        whole = tuple(stored.shape)
        try:
            return whole if index is None else np.broadcast_to(0, whole)[_parse_index(role, index)].shape
        except IndexError:
            raise self._misfit(role, reference) from None

    def component(self, role: str, reference: str) -> tuple[str, tuple[int, int] | None]:
        """Return the name of an array, and of which axis which entry is meant; None: all.

        Raises:
            PinnxError: no such array, or another index.
        """
        name, index = self.named(role, reference)
        parsed = () if index is None else _parse_index(role, index)
        entry = _one_entry(parsed, self.arrays[name].ndim)
        if parsed and entry is None:
            raise PinnxError(
                f"{role}: expected a whole array or one component, 'name[..., 0]' or 'name[:, 0]', to be read in "
                f"blocks, got [{index}]; store it as an array of its own in HDF5"
            )
        return name, entry

    def _misfit(self, role: str, reference: str) -> PinnxError:
        name, index = self.named(role, reference)
        return PinnxError(f"{role}: index [{index}] does not fit {name} {list(self.arrays[name].shape)}")

    def numbers(
        self, role: str, reference: str, *, single: bool = False, part: tuple[slice, ...] | None = None
    ) -> np.ndarray:
        """Return real numbers as float64: unpacked, NaN where they are missing, dates as seconds from the first.

        Args:
            role: what the array is for.
            reference: a name, with or without an index; with * the arrays of that pattern, joined.
            single: float32 stays what it is.
            part: what of it is read, a slice for each axis of `shape`; None: all.

        Raises:
            PinnxError: as `read`; no real numbers; coordinates that have lost their digits to float32.
        """
        frames = self.frames(reference)
        if frames is None:
            return self._numbers(role, reference, single, part)
        chosen = list(frames.values())[slice(None) if part is None else part[0]]
        self.shape(role, reference)  # of all frames alike
        read = [self._numbers(role, frame, single, None if part is None else part[1:]) for frame in chosen]
        self.note(f"{len(read)} arrays are joined as frames, in the order of their numbers", f"{role} of {reference}")
        return np.stack(read)

    def _numbers(self, role: str, reference: str, single: bool, part: tuple[slice, ...] | None) -> np.ndarray:
        name, _ = self.named(role, reference)
        stored = self.read(role, reference, part)
        if stored.dtype.kind in TIMES and stored.size:
            return self._seconds(role, stored)
        if stored.dtype.kind not in REAL or not stored.size:
            raise PinnxError(f"{role}: expected real numbers, got {stored.dtype} of shape {list(stored.shape)}")
        if role in ("x", "y", "z", "t", "points"):
            require_digits(role, stored)
        packing = self.packing(name)
        if packing == PLAIN:
            with np.errstate(invalid="ignore"):  # what is no number in a wrong byte order
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
            return packing_of(name, stored.dtype, self.of_arrays.get(name, {}), getattr(stored, "fillvalue", None))

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
        """List the arrays with their shapes."""
        listed = [f"{name} {list(a.shape)}" for name, a in sorted(self.arrays.items())]
        more = [f"and {len(listed) - MAX_LISTED} more"] if len(listed) > MAX_LISTED else []
        return ", ".join(listed[:MAX_LISTED] + more) or "no numeric array"


def _one_entry(index: tuple[Any, ...], ndim: int) -> tuple[int, int] | None:
    """The axis, and the entry of it, that an index takes of whole axes otherwise; None: it is another index."""
    if Ellipsis in index:
        at = index.index(Ellipsis)
        index = (*index[:at], *[slice(None)] * (ndim + 1 - len(index)), *index[at + 1 :])
    entries = [(axis, entry) for axis, entry in enumerate(index) if isinstance(entry, int)]
    whole = all(entry == slice(None) for entry in index if not isinstance(entry, int))
    return entries[0] if whole and len(entries) == 1 and len(index) <= ndim else None


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
