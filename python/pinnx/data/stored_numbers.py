"""From what a file stores to numbers: packing, marks of missing values, digits.

    number = stored * scale_factor + add_offset;   NaN where it is marked as missing

The attributes are those of the CF conventions (cfconventions.org, sections 2.5 and 8.1): marks and limits are
compared with what is stored, before it is unpacked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pinnx.errors import PinnxError

__all__ = ["PLAIN", "REAL", "TIMES", "Packing", "packing_of", "require_digits", "text_of"]

REAL, TIMES = "biuf", "mM"  # dtype kinds: booleans and real numbers; spans of time and dates
# What the netCDF library leaves where nothing was written (netcdf.h, NC_FILL_...); bytes have none.
NETCDF_FILLS = {
    "i2": -32767,
    "u2": 65535,
    "i4": -2147483647,
    "u4": 4294967295,
    "i8": -9223372036854775806,
    "u8": 18446744073709551614,
    "f4": 9.969209968386869e36,
    "f8": 9.969209968386869e36,
}
# Fewest steps of float32 across the extent of a coordinate: below it, places are off by half a per cent of it.
LEAST_STEPS = 100


@dataclass(frozen=True)
class Packing:
    """How the numbers of one array are stored.

    Args:
        scale, offset: number = stored * scale + offset.
        missing: stored values that mark a missing one.
        low, high: stored values outside are missing.
        unsigned: integers are meant without a sign (netCDF 3 has no others).
    """

    scale: float = 1.0
    offset: float = 0.0
    missing: tuple[float, ...] = ()
    low: float = -np.inf
    high: float = np.inf
    unsigned: bool = False

    def unpack(self, stored: np.ndarray, *, single: bool = False) -> np.ndarray:
        """Return the numbers as a new float64 array; float32 stays where ``single`` says so and nothing is scaled."""
        if self.unsigned and stored.dtype.kind == "i":
            stored = stored.view(stored.dtype.str.replace("i", "u"))
        scaled = self.scale != 1.0 or self.offset != 0.0
        keep = single and stored.dtype == np.float32 and not scaled
        numbers = stored.astype(np.float32 if keep else np.float64)
        if scaled:
            numbers = numbers * self.scale + self.offset
        if self.missing:
            numbers[np.isin(stored, np.asarray(self.missing, dtype=stored.dtype))] = np.nan
        if self.low > -np.inf or self.high < np.inf:
            numbers[(stored < self.low) | (stored > self.high)] = np.nan
        return numbers


PLAIN = Packing()


def packing_of(name: str, dtype: np.dtype, attributes: Mapping[str, Any], fill: Any = None) -> Packing:
    """Read the attributes of an array.

    Args:
        name: of the array, for the error message.
        dtype: of what is stored.
        attributes: of the array.
        fill: what an HDF5 dataset holds where nothing was written.

    Raises:
        PinnxError: an attribute of this purpose that is no number.
    """
    found = {key: _numbers(name, key, attributes[key]) for key in ATTRIBUTES if key in attributes}
    marks = [*found.get("_FillValue", ()), *found.get("missing_value", ())]
    if fill is not None and fill == NETCDF_FILLS.get(dtype.str[1:]):
        marks.append(fill)
    if dtype.kind in "iuf":
        kept = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
        marks = [mark for mark in marks if kept.min <= mark <= kept.max and (dtype.kind == "f" or mark == int(mark))]
    low, high = found.get("valid_range", (-np.inf, np.inf))[:2]
    return Packing(
        scale=found.get("scale_factor", (1.0,))[0],
        offset=found.get("add_offset", (0.0,))[0],
        missing=tuple(marks),
        low=found.get("valid_min", (low,))[0],
        high=found.get("valid_max", (high,))[0],
        unsigned=text_of(attributes.get("_Unsigned", "")).lower() == "true",
    )


# How many numbers each attribute has; None: any.
ATTRIBUTES = {
    "scale_factor": 1,
    "add_offset": 1,
    "_FillValue": None,
    "missing_value": None,
    "valid_min": 1,
    "valid_max": 1,
    "valid_range": 2,
}


def _numbers(name: str, key: str, value: Any) -> tuple[float, ...]:
    array = np.asarray(value).reshape(-1)
    wanted = ATTRIBUTES[key]
    if array.dtype.kind not in REAL or wanted not in (None, array.size):
        count = "numbers" if wanted is None else "one number" if wanted == 1 else "two numbers"
        raise PinnxError(f"{name}: expected {count} as its attribute {key}, got {array.dtype} {list(np.shape(value))}")
    return tuple(array.tolist())


def text_of(value: Any) -> str:
    """Return an attribute as text; "" where it is none."""
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value if isinstance(value, str) else ""


def require_digits(name: str, array: np.ndarray) -> None:
    """Refuse a coordinate that float32 has rounded to a few places.

    Raises:
        PinnxError: fewer than 100 steps of float32 across its extent.
    """
    if array.dtype.kind != "f" or array.dtype.itemsize > 4 or not array.size or not np.isfinite(array).all():
        return
    low, high = float(array.min()), float(array.max())
    largest = max(abs(low), abs(high))
    step = float(np.spacing(array.dtype.type(largest)))
    if low < high < low + LEAST_STEPS * step and not np.array_equal(array, np.rint(array)):
        raise PinnxError(
            f"{name}: expected more digits than {array.dtype} has, got values near {largest:.9g} in steps of {step:g} "
            f"over an extent of {high - low:.9g}; store them as float64, or subtract an origin first"
        )
