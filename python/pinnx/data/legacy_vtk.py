"""Points and fields of a legacy file of VTK (.vtk, versions 1 to 5.1), ASCII or binary, structured or not.

    # vtk DataFile Version 5.1
    title
    BINARY                         big-endian numbers, or ASCII
    DATASET STRUCTURED_GRID        or STRUCTURED_POINTS, RECTILINEAR_GRID, UNSTRUCTURED_GRID, POLYDATA
    DIMENSIONS 9 6 1
    POINTS 54 double               numbers follow; x varies fastest
    POINT_DATA 54
    VECTORS U double               or SCALARS, NORMALS, TENSORS, ..., or FIELD with arrays of any size

VTK's own reader fills up what is missing in a file that ends too early, or ends the process; this one refuses it.
Source: "VTK File Formats", docs.vtk.org.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np

from pinnx.errors import damage_named

__all__ = ["LegacyVtk", "read_legacy_vtk"]

HEADER = re.compile(rb"# vtk DataFile Version (\d{1,2})\.\d{1,2}[ \t\r]*\n.*\n")
NUMBERS = {
    **{"char": "i1", "signed_char": "i1", "unsigned_char": "u1", "short": ">i2", "unsigned_short": ">u2"},
    **{"int": ">i4", "unsigned_int": ">u4", "long": ">i8", "unsigned_long": ">u8", "vtkidtype": ">i4"},
    **{"vtktypeint64": ">i8", "vtktypeuint64": ">u8", "float": ">f4", "double": ">f8"},
}
# Numbers at a point, by the word before the name.
WIDTHS = {"VECTORS": 3, "NORMALS": 3, "TENSORS": 9, "TENSORS6": 6, "GLOBAL_IDS": 1, "PEDIGREE_IDS": 1, "EDGE_FLAGS": 1}
CELLS = ("CELLS", "VERTICES", "LINES", "POLYGONS", "TRIANGLE_STRIPS")


class LegacyVtk(NamedTuple):
    """Points [..., 3] and fields at them [..., c], axes (z, y, x) without those of one line, or [n]; other arrays."""

    points: np.ndarray
    fields: dict[str, np.ndarray]
    of_cells: list[str]
    of_file: dict[str, np.ndarray]


def read_legacy_vtk(path: Path) -> LegacyVtk:
    """Read all points, and the arrays at them.

    Raises:
        PinnxError: the file is damaged, or holds numbers or sections that this does not know.
    """
    with damage_named(path.name, "cannot be read as VTK"):
        reader = _Reader(path.read_bytes())
        while words := reader.words():
            reader.section(words[0].upper(), words)
        points = reader.points()
        shape = points.shape[:-1]
        fields = {name: a.reshape(*shape, *a.shape[1:]) for name, a in reader.arrays["POINT_DATA"].items()}
    return LegacyVtk(points, fields, list(reader.arrays["CELL_DATA"]), reader.arrays[""])


class _Reader:
    """The bytes of a file, the place that has been reached, and what was found before it."""

    def __init__(self, data: bytes) -> None:
        self._data, self._width, head = data, 1, HEADER.match(data)
        if head is None:
            raise ValueError("it does not begin with # vtk DataFile Version")
        self._version, self._at = int(head[1]), head.end()
        self._ascii = self.words() == ["ASCII"]
        self.arrays: dict[str, dict[str, np.ndarray]] = {"": {}, "POINT_DATA": {}, "CELL_DATA": {}}
        self._place, self._rows = "", 0
        self._given: dict[str, list[str]] = {}
        self._lines: dict[str, np.ndarray] = {}

    def words(self) -> list[str]:
        """The words of the next line that is not empty, notes about arrays left out; none at the end."""
        while self._at < len(self._data):
            words = self._line().split()
            if words[:1] == ["METADATA"]:
                self._skip_notes()
            elif words:
                return words
        return []

    def _line(self) -> str:
        end = self._data.find(b"\n", self._at) % (len(self._data) + 1)  # of the file where there is none
        line, self._at = self._data[self._at : end].decode("latin-1"), end + 1
        return line.strip()

    def _skip_notes(self) -> None:
        """Skips what is said of an array: names of its components, which may be empty, and more up to an empty line."""
        line = self._line()
        if line == "COMPONENT_NAMES":
            for _ in range(self._width + 1):
                line = self._line()
        while line:
            line = self._line()

    def _numbers(self, kind: str, *shape: int) -> np.ndarray:
        if kind.lower() not in NUMBERS or min(shape) < 0:
            raise ValueError(f"expected numbers, got {kind[:40]!r} {list(shape)}")
        dtype, count, self._width = np.dtype(NUMBERS[kind.lower()]), math.prod(shape), shape[-1]
        if not self._ascii:
            if len(self._data) - self._at < count * dtype.itemsize:
                raise ValueError("it ends too early")
            found = np.frombuffer(self._data, dtype, count, self._at)
            self._at += count * dtype.itemsize
            return found.reshape(shape)
        words = self._data[self._at :].split(None, count)
        if len(words) < count or (len(words) == count and not self._data[-1:].isspace()):
            raise ValueError("it ends too early, or within a line")
        self._at = len(self._data) - (len(words[count]) if len(words) > count else 0)
        return np.array(words[:count], dtype="S").astype(dtype.newbyteorder("=")).reshape(shape)

    def section(self, key: str, words: list[str]) -> None:
        """Reads a section, of which the first line has been read."""
        if key in ("POINT_DATA", "CELL_DATA"):
            self._place, self._rows = key, int(words[1])
        elif key == "FIELD":
            for _ in range(int(words[2])):
                name, width, rows, kind = self.words()
                self._keep(name, self._numbers(kind, int(rows), int(width)))
        elif key == "SCALARS":
            if self.words()[0] != "LOOKUP_TABLE":
                raise ValueError(f"SCALARS {words[1]} without a LOOKUP_TABLE")
            self._keep(words[1], self._numbers(words[2], self._rows, int((*words, 1)[3])))
        elif key in WIDTHS:
            self._keep(words[1], self._numbers(words[2], self._rows, WIDTHS[key]))
        elif key == "TEXTURE_COORDINATES":
            self._keep(words[1], self._numbers(words[3], self._rows, int(words[2])))
        elif key in ("COLOR_SCALARS", "LOOKUP_TABLE"):  # bytes, or numbers from 0 to 1
            rows, width = (self._rows, words[2]) if key == "COLOR_SCALARS" else (int(words[2]), 4)
            self._numbers("float" if self._ascii else "unsigned_char", rows, int(width))
        else:
            self._geometry(key, words)

    def _geometry(self, key: str, words: list[str]) -> None:
        if key in ("DATASET", "DIMENSIONS", "ORIGIN", "SPACING", "ASPECT_RATIO"):
            self._given[key.replace("ASPECT_RATIO", "SPACING")] = words[1:]
        elif key == "POINTS" or key.endswith("_COORDINATES"):
            self._lines[key] = self._numbers(words[2], int(words[1]), 3 if key == "POINTS" else 1)
        elif key == "CELL_TYPES":
            self._numbers("int", int(words[1]))
        elif key in CELLS and self._version < 5:
            self._numbers("int", int(words[2]))
        elif key in CELLS:  # OFFSETS kind, CONNECTIVITY kind
            for size in words[1:3]:
                self._numbers(self.words()[1], int(size))
        else:
            raise ValueError(f"a section {key[:40]!r}")

    def _keep(self, name: str, array: np.ndarray) -> None:
        if self._place and len(array) != self._rows:
            raise ValueError(f"{name[:40]!r} has {len(array):,} rows of {self._rows:,}")
        self.arrays[self._place][unquote(name)] = array[:, 0] if array.shape[1] == 1 else array

    def points(self) -> np.ndarray:
        """The points [..., 3], as many as there are rows of fields."""
        kind = "".join(self._given.get("DATASET", ())).upper()
        shape = [int(size) for size in self._given.get("DIMENSIONS", ())][::-1]
        if kind in ("STRUCTURED_POINTS", "RECTILINEAR_GRID"):
            lines = [self._coordinates(axis, shape[2 - axis]) for axis in range(3)]
            found = np.stack(np.meshgrid(*lines[::-1], indexing="ij")[::-1], axis=-1)
        elif "POINTS" in self._lines:
            found = self._lines["POINTS"]
            shape = shape or [len(found)]
        else:
            raise ValueError(f"no POINTS of DATASET {kind[:40]}")
        if self.arrays["POINT_DATA"] and len(next(iter(self.arrays["POINT_DATA"].values()))) != math.prod(shape):
            raise ValueError(f"its fields have other lengths than its {math.prod(shape):,} points")
        return found.reshape(*(size for size in shape if size > 1), 3)

    def _coordinates(self, axis: int, size: int) -> np.ndarray:
        """The coordinates along an axis."""
        if f"{'XYZ'[axis]}_COORDINATES" in self._lines:
            return self._lines[f"{'XYZ'[axis]}_COORDINATES"][:, 0]
        origin, step = (float(self._given[key][axis]) for key in ("ORIGIN", "SPACING"))
        return origin + step * np.arange(size)
