"""Arrays of numbers in files without a header, as simulations write them: what is not in the file is stated.

    {name: u, file: u.bin, shape: [21, 64, 128], dtype: ">f4", order: C, offset: 0}    a memory map, read when indexed
    {name: x, line: [0.0, 4.0], shape: [128]}                                         evenly spaced numbers, no file

Several arrays may share a file, one behind the other by their offsets; together they have to fill it.
Lines alone are added to the arrays of a file that has a header.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from pinnx.data.stored_numbers import REAL
from pinnx.errors import PinnxError

__all__ = ["RawArray", "raw_arrays", "raw_hint"]


@dataclass(frozen=True)
class RawArray:
    """One array, or with * in its name and its file one for each file of that pattern.

    Args:
        name: of the array.
        shape: lengths of its axes.
        file: beside the path of the data, or in it where that is a folder; None: the path itself.
        line: first and last of evenly spaced numbers, in place of a file.
        dtype: NumPy's name of the numbers, with their byte order: "f4", ">f8", "i2".
        order: C, the last axis varies fastest, or F, the first one does.
        offset: bytes before the first number.
        after: bytes behind the last one.
    """

    name: str
    shape: tuple[int, ...]
    file: str | None = None
    line: tuple[float, float] | None = None
    dtype: str = "f4"
    order: Literal["C", "F"] = "C"
    offset: int = 0
    after: int = 0

    @property
    def kind(self) -> np.dtype:
        """The type of the numbers.

        Raises:
            PinnxError: none of real numbers.
        """
        try:
            found = np.dtype(self.dtype)
        except TypeError:
            found = np.dtype(object)
        if found.kind not in REAL:
            raise PinnxError(f"data.raw: expected a dtype such as f4, '>f8' or i2 of {self.name}, got {self.dtype!r}")
        return found

    @property
    def end(self) -> int:
        """The byte behind the last number."""
        return self.offset + math.prod(self.shape) * self.kind.itemsize


def raw_hint(path: Path) -> str:
    """How to state what a file without a header holds."""
    return (
        f"numbers without a header, {path.stat().st_size:,} bytes here, are stated by data.raw: [{{name: {path.stem}, "
        f"file: {path.name}, shape: [NY, NX], dtype: f4, order: C, offset: 0}}, "
        "{name: x, line: [0.0, 1.0], shape: [NX]}, ...]"
    )


def raw_arrays(path: Path, stated: Sequence[RawArray]) -> dict[str, np.ndarray]:
    """Return arrays by name; nothing is read but the sizes of files.

    Raises:
        PinnxError: no such file, one whose size is not the one that is stated, or arrays that overlap.
    """
    arrays: dict[str, np.ndarray] = {}
    parts: dict[Path, dict[str, RawArray]] = {}
    for array in stated:
        if [other.name for other in stated].count(array.name) > 1 or None not in (array.file, array.line):
            raise PinnxError(f"data.raw: expected {array.name} once, out of a file or a line, got more than one")
        if array.line is not None:
            arrays[array.name] = np.linspace(*array.line, math.prod(array.shape)).reshape(array.shape)
            continue
        for name, file in _files(path, array).items():
            parts.setdefault(file, {})[name] = array
    for file, those in parts.items():
        _require_size(file, those)
        for name, array in those.items():
            arrays[name] = np.memmap(file, array.kind, "r", array.offset, array.shape, array.order)
    return arrays


def _files(path: Path, array: RawArray) -> dict[str, Path]:
    folder = path if path.is_dir() else path.parent
    file = path if array.file is None else folder / array.file
    if array.file is not None and "*" in array.file and array.name.count("*") == 1:
        pattern = re.compile(re.escape(array.file).replace(r"\*", "(.*)", 1))
        matches = {each: pattern.fullmatch(each.name) for each in sorted(folder.glob(array.file))}
        found = {array.name.replace("*", match[1]): each for each, match in matches.items() if match}
    else:
        found = {array.name: file} if file.is_file() else {}
    if not found:
        raise PinnxError(f"data.raw: expected a file of {array.name}, found none at {file}")
    return found


def _require_size(file: Path, arrays: Mapping[str, RawArray]) -> None:
    ordered = sorted(arrays.items(), key=lambda item: item[1].offset)
    for (name, array), (other, behind) in pairwise(ordered):
        if behind.offset < array.end:
            raise PinnxError(
                f"data.raw: expected {other} behind {name} in {file.name}, from byte {array.end:,} on, got "
                f"offset {behind.offset:,}"
            )
    name, last = ordered[-1]
    wanted, found = last.end + last.after, file.stat().st_size
    if found != wanted:
        raise PinnxError(
            f"{file.name}: expected {wanted:,} bytes by data.raw: {name} {list(last.shape)} of {last.kind} from byte "
            f"{last.offset:,} on, and {last.after:,} bytes behind it; got {found:,}"
        )
