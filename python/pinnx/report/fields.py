"""Reads fields.h5, one picture's worth at a time.

    x, y[, z][, t]                    axes [nx], [ny][, nz] on a grid, [n] each where scattered
    u, v[, w], p                      [T, *grid] or [T, n]; no leading T where the flow is steady
    residual/momentum_x ... continuity   the same shape
    reference/u ... p                 the same shape; p alone may have fewer frames, p_frames [F]

A flow in three dimensions is drawn in the mid-plane in z.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from pinnx.errors import PinnxError
from pinnx.report.plane import Plane, choose_plane
from pinnx.report.words import TIMES, equation

__all__ = ["Fields", "open_fields"]


class Fields:
    """The stored fields of a run, its reference and its residuals; see ``open_fields``.

    Attributes:
        dim: 2 or 3.
        times: ``[T]`` float64, or None where the flow is steady.
        plane: where pictures are drawn.
        plane_note: which plane that is, "" in two dimensions.
    """

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self.dim = 3 if "z" in file else 2
        self.times = None if bool(self._attribute("steady")) else self._array("t")
        self._axes = [self._array(name) for name in "xyz"[: self.dim]]
        self._grid = bool(self._attribute("grid"))
        if self._grid:
            self._shape = tuple(axis.size for axis in self._axes)
        else:
            self._shape = self._axes[0].shape
        self._check_shapes()
        self._select: tuple[object, ...]
        self.plane: Plane
        self.plane, self._select, self.plane_note = choose_plane(self._axes, self._grid)

    @property
    def num_frames(self) -> int:
        """Number of frames; 1 where the flow is steady."""
        return 1 if self.times is None else self.times.size

    @property
    def num_points(self) -> int:
        """Number of places."""
        return int(np.prod(self._shape))

    @property
    def layout(self) -> str:
        """The places in words: "a 64 x 64 grid" or "12000 scattered points"."""
        if self._grid:
            sizes = f" {TIMES} ".join(str(n) for n in self._shape)
            return f"a {sizes} grid"
        return f"{self.num_points} scattered points"

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the velocity components: u, v[, w]."""
        return ("u", "v", "w")[: self.dim]

    @property
    def has_reference(self) -> bool:
        """Whether a reference velocity is stored."""
        return all(f"reference/{name}" in self._file for name in self.components)

    @property
    def residuals(self) -> tuple[str, ...]:
        """Names of the stored residuals, momentum first."""
        stored = set(self._file["residual"]) if "residual" in self._file else set()
        wanted = (*(f"momentum_{axis}" for axis in "xyz"[: self.dim]), "continuity")
        return tuple(name for name in wanted if name in stored)

    @property
    def pressure_frames(self) -> list[int]:
        """Frames at which a reference pressure is stored."""
        if "reference/p" not in self._file:
            return []
        if "reference/p_frames" in self._file:
            return [int(i) for i in np.atleast_1d(self._file["reference/p_frames"][...])]
        return list(range(self.num_frames))

    def main_frame(self) -> int:
        """The middle frame, or the one nearest to it at which the reference pressure is known."""
        middle = self.num_frames // 2
        return min(self.pressure_frames, key=lambda i: abs(i - middle), default=middle)

    def time_of(self, frame: int) -> str:
        """When a picture is: "t = 2.5", or "" where the flow is steady."""
        return "" if self.times is None else equation("t", f"{self.times[frame]:.4g}")

    def title_of(self, frame: int) -> str:
        """Where and when a picture is: "t = 2.5", "z = 0.5", both or neither."""
        return ", ".join(filter(None, (self.time_of(frame), self.plane_note)))

    def holds(self, name: str, frame: int) -> bool:
        """Whether ``picture`` can draw a field: the reference may lack the pressure."""
        if name == "reference/p":
            return frame in self.pressure_frames
        if name == "reference/speed":
            return self.has_reference
        return name == "speed" or name in self._file

    def picture(self, name: str, frame: int) -> NDArray[np.float64]:
        """One field in the plane at one frame, ``[nx, ny]`` on a grid, else ``[n]``.

        Args:
            name: a path in the file, such as "u" or "reference/p"; "speed" and "reference/speed"
                are computed from the components. One that ``holds`` affirms.
            frame: an index into the times.
        """
        prefix = name[: name.rfind("/") + 1]
        if name.endswith("speed"):
            parts = [self.picture(prefix + component, frame) for component in self.components]
            return np.asarray(np.linalg.norm(np.stack(parts), axis=0))
        if name == "reference/p":
            frame = self.pressure_frames.index(frame)
        lead = () if self.times is None else (frame,)
        return np.asarray(self._file[name][lead + self._select], dtype=np.float64)

    def series(self, name: str) -> NDArray[np.float64]:
        """One stored field at all its frames and places, ``[frames, n]``."""
        return np.asarray(self._file[name][...], dtype=np.float64).reshape(-1, self.num_points)

    def _array(self, name: str) -> NDArray[np.float64]:
        if name not in self._file:
            raise PinnxError(f"report: fields.h5: expected a dataset {name}, found none")
        values = np.asarray(self._file[name][...], dtype=np.float64)
        if values.ndim != 1 or values.size == 0:
            raise PinnxError(f"report: fields.h5: {name}: expected shape [n], got {list(values.shape)}")
        return values

    def _attribute(self, name: str) -> object:
        if name not in self._file.attrs:
            raise PinnxError(f"report: fields.h5: expected an attribute {name}, found none")
        return self._file.attrs[name]

    def _check_shapes(self) -> None:
        for name in (*self.components, "p"):
            if name not in self._file:
                raise PinnxError(f"report: fields.h5: expected a dataset {name}, found none")
        stored = [*self.components, "p", *(f"residual/{name}" for name in self.residuals)]
        stored += [f"reference/{name}" for name in self._file.get("reference", ())]
        for name in stored:
            if name == "reference/p_frames":
                continue
            frames = len(self.pressure_frames) if name == "reference/p" else self.num_frames
            lead = () if self.times is None else (frames,)
            wanted, shape = (*lead, *self._shape), self._file[name].shape
            if shape != wanted:
                raise PinnxError(f"report: fields.h5: {name}: expected shape {list(wanted)}, got {list(shape)}")


@contextmanager
def open_fields(path: Path) -> Iterator[Fields]:
    """Opens fields.h5 for reading.

    Raises:
        PinnxError: the file is missing, is not HDF5, or lacks a dataset; the message names it.
    """
    if not path.is_file():
        raise PinnxError(f"report: expected {path.name} in {path.parent}, found none")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise PinnxError(f"report: {path.name}: expected HDF5, got: {error}") from error
    with file:
        yield Fields(file)
