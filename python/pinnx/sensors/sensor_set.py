"""A set of sensors: places in the order of their rank.

    rank,x,y[,z]      the header of the file

Ranks count 1, 2, ...; numbers read back to the same bits.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass

import numpy as np

from pinnx.data.csv_table import read_csv_table
from pinnx.errors import PinnxError
from pinnx.runs.files import atomic_write

__all__ = ["SensorSet"]

AXES = ("x", "y", "z")


@dataclass(frozen=True, eq=False)
class SensorSet:
    """Places at which the velocity is measured.

    Args:
        positions: [k, d] float64, k >= 1, d = 2 or 3; row i has rank i + 1. Units of length.
        indices: [k] int64, the data points they stand on; None where they are places of their own.
        method: how they were chosen: "qr", "random", "positions" or "file".

    Raises:
        PinnxError: a wrong shape, a position that is not finite, or two sensors at one place.
    """

    positions: np.ndarray
    indices: np.ndarray | None
    method: str

    def __post_init__(self) -> None:
        positions = np.array(self.positions, dtype=np.float64)
        if positions.ndim != 2 or positions.shape[1] not in (2, 3) or not len(positions):
            raise PinnxError(f"sensors: expected positions [k, 2] or [k, 3], k >= 1; got {list(positions.shape)}")
        if not np.isfinite(positions).all():
            bad = int(np.argmax(~np.isfinite(positions).all(axis=1)))
            raise PinnxError(f"sensor {bad + 1}: expected finite coordinates, got {positions[bad]}")
        _, first = np.unique(positions, axis=0, return_index=True)
        if len(first) != len(positions):
            again = int(np.setdiff1d(np.arange(len(positions)), first)[0])
            raise PinnxError(
                f"sensor {again + 1}: expected a place of its own, got {positions[again].tolist()} a second time"
            )
        indices = self.indices
        if indices is not None:
            indices = np.array(indices, dtype=np.int64)
            if indices.shape != (len(positions),):
                raise PinnxError(f"sensors: expected {len(positions)} indices, got {list(indices.shape)}")
            indices.flags.writeable = False
        positions.flags.writeable = False
        object.__setattr__(self, "positions", positions)
        object.__setattr__(self, "indices", indices)

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def dim(self) -> int:
        """Number of space dimensions, 2 or 3."""
        return self.positions.shape[1]

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write rank,x,y[,z]; the file appears whole or not at all."""
        with atomic_write(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("rank", *AXES[: self.dim]))
            for rank, position in enumerate(self.positions.tolist(), start=1):
                writer.writerow((rank, *map(repr, position)))

    @classmethod
    def read_csv(cls, path: str | os.PathLike[str]) -> SensorSet:
        """Read what `write_csv` wrote; the indices are not in the file, and the method is "file".

        Raises:
            PinnxError: no such file, another header, a cell that is no finite number, or ranks
                that are not 1, 2, ... in this order (the line is named).
        """
        table = read_csv_table(path)
        if table.header not in (("rank", "x", "y"), ("rank", "x", "y", "z")):
            raise PinnxError(f"{path}: expected the header rank,x,y or rank,x,y,z, got {','.join(table.header)!r}")
        if not table.rows:
            raise PinnxError(f"{path}: expected sensors below the header, got none")
        numbers = table.numbers()
        for rank, ((line, _), found) in enumerate(zip(table.rows, numbers[:, 0].tolist(), strict=True), start=1):
            if found != rank:
                raise PinnxError(f"{path}, line {line}: expected rank {rank}, got {found:g}")
        return cls(numbers[:, 1:], indices=None, method="file")
