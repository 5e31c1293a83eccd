"""Reads the files of a run for its report. What is missing or malformed is an error that names the file.

    config.yaml     every setting
    metrics.json    errors, times, checks, versions, and the names and descriptions of what ran
    history.jsonl   one JSON object per logged step
    sensors.csv     rank, x, y[, z], best first
    fields.h5       axes, fields, residuals, reference; its attributes name the fields (docs/conventions.md)

Fields are read one picture at a time. In three dimensions pictures show the mid-plane in z.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from numpy.typing import NDArray

from pinnx.errors import PinnxError, damage_named
from pinnx.report.formatting import TIMES, equation
from pinnx.report.plane import Plane, choose_plane
from pinnx.report.run_shape import RunConfig, RunMetrics, require_shape
from pinnx.runs.files import read_text
from pinnx.runs.folder import RunFolder
from pinnx.runs.history import history_columns
from pinnx.sensors.sensor_set import SensorSet

__all__ = ["AtSensors", "Run", "RunFields", "kind_of", "open_fields", "read_run"]

_REFERENCE = "reference/"


@dataclass(frozen=True, eq=False)
class Run:
    """The small files of one run."""

    config_text: str  # config.yaml as written
    config: Mapping[str, Any]  # the same, parsed
    metrics: Mapping[str, Any]  # metrics.json
    history: Mapping[str, NDArray[np.float64]]  # column -> ``[rows]`` float64, NaN where a row lacks the column
    sensors: NDArray[np.float64]  # ``[k, d]`` float64, positions x, y[, z], best first


def read_run(folder: Path) -> Run:
    """Reads config.yaml, metrics.json, history.jsonl and, of a flow, sensors.csv of one run folder.

    Raises:
        PinnxError: the folder or a file is missing, or a file is not what its name says.
    """
    files = RunFolder(folder)
    if not os.path.isdir(folder):
        raise PinnxError(f"report: expected the folder of a run, got {folder}")
    config_text, metrics_text = read_text(files.config), read_text(files.metrics)
    with damage_named(files.config, "expected YAML, got"):
        config = require_shape(files.config, yaml.safe_load(config_text), RunConfig)
    with damage_named(files.metrics, "expected JSON, got"):
        metrics = require_shape(files.metrics, json.loads(metrics_text), RunMetrics)
    sensors = SensorSet.read_csv(files.sensors).positions if kind_of(config) == "flow" else np.empty((0, 0))
    return Run(config_text, config, metrics, history_columns(files.history), sensors)


def kind_of(config: Mapping[str, Any]) -> str:
    """The kind of problem of a configuration: "flow" where it says none."""
    problem = config.get("problem")
    return str(problem.get("kind", "flow")) if isinstance(problem, Mapping) else "flow"


@dataclass(frozen=True, eq=False)
class AtSensors:
    """What was measured, and what was reconstructed there."""

    names: tuple[str, ...]  # of the c quantities
    times: NDArray[np.float64] | None  # ``[k]``, None where the problem is steady
    places: NDArray[np.float64]  # ``[k, d]``
    measured: NDArray[np.float64]  # ``[k, c]``, NaN where a quantity was not measured
    reconstructed: NDArray[np.float64]  # ``[k, c]``


class RunFields:
    """The stored fields of a run, its reference and its residuals; see ``open_fields``.

    Attributes:
        dim: 2 or 3.
        times: ``[T]`` float64, or None where the problem is steady.
        names: of the fields.
        residual_names: of the residuals.
        vector: the names of a vector's components along x, y[, z]; () where no field is one.
        vector_name: what the vector is called, such as "velocity".
        length_name: what its length is called, such as "speed".
        up_to_constant: names of fields that are known up to a constant in every frame.
        plane: where pictures are drawn.
        plane_note: which plane that is, "" in two dimensions.
    """

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self.dim = 3 if self._has("z") else 2
        self._grid = bool(self._attribute("grid"))
        self.times = None if bool(self._attribute("steady")) else self._axis("t")
        axes = [self._axis(name) for name in "xyz"[: self.dim]]
        self._shape = tuple(axis.size for axis in axes) if self._grid else axes[0].shape
        self.names, self.residual_names = _listed(self._attribute("names")), _listed(self._attribute("residual_names"))
        self.vector = _listed(self._attribute("vector", ""))
        self.up_to_constant = _listed(self._attribute("up_to_constant", ""))
        self.vector_name = str(self._attribute("vector_name", "vector"))
        self.length_name = str(self._attribute("length_name", f"length of the {self.vector_name}"))
        self._check()
        self._holes = np.zeros(self.num_points, dtype=bool)  # places where the data has no flow
        if self.has_reference:
            first = self._read(_REFERENCE + self.names[0], () if self.times is None else (0,))
            self._holes = np.isnan(first).reshape(-1)
        self.plane: Plane
        self._axes = axes
        self.plane, self._select, self.plane_note = choose_plane(axes, self._grid)

    def across(self, axis: int) -> RunFields:
        """The same fields, of three dimensions, with pictures in the middle plane across another axis."""
        other = copy(self)
        other.plane, other._select, other.plane_note = choose_plane(self._axes, self._grid, axis)
        return other

    @property
    def num_frames(self) -> int:
        """Number of frames; 1 where the problem is steady."""
        return 1 if self.times is None else self.times.size

    @property
    def num_points(self) -> int:
        """Number of points."""
        return int(np.prod(self._shape))

    @property
    def layout(self) -> str:
        """The points in words: "a 64 x 64 grid" or "12000 scattered points"."""
        if self._grid:
            return f"a {f' {TIMES} '.join(map(str, self._shape))} grid"
        return f"{self.num_points} scattered points"

    @property
    def main(self) -> str:
        """The quantity shown first: the length of the vector where there is one, else the first field."""
        return self.length_name if self.vector else self.names[0]

    @property
    def quantities(self) -> tuple[str, ...]:
        """All that can be drawn: the vector's components, its length, the other fields."""
        others = tuple(name for name in self.names if name not in self.vector)
        return (*self.vector, self.length_name, *others) if self.vector else others

    @property
    def has_reference(self) -> bool:
        """Whether a reference of the main quantity is stored."""
        return bool(self.reference_frames(self.main))

    def reference_frames(self, name: str) -> list[int]:
        """Frames at which a reference of a quantity is stored."""
        if self.vector and name in (self.length_name, self.vector_name):
            frames = [set(self.reference_frames(part)) for part in self.vector]
            return sorted(set.intersection(*frames)) if frames else []
        if not self._has(_REFERENCE + name):
            return []
        if self._has(f"{_REFERENCE}{name}_frames"):
            return [int(i) for i in np.atleast_1d(self._read(f"{_REFERENCE}{name}_frames"))]
        return list(range(self.num_frames))

    def main_frame(self) -> int:
        """The frame nearest to the middle at which the reference of as many quantities as possible is known."""
        known = [self.reference_frames(name) for name in self.quantities]
        middle = self.num_frames // 2
        return min(range(self.num_frames), key=lambda i: (-sum(i in frames for frames in known), abs(i - middle)))

    def time_of(self, frame: int) -> str:
        """When a picture is: "t = 2.5", or "" where the problem is steady."""
        return "" if self.times is None else equation("t", f"{self.times[frame]:.4g}")

    def title_of(self, frame: int) -> str:
        """Where and when a picture is: "t = 2.5", "z = 0.5", both or neither."""
        return ", ".join(filter(None, (self.time_of(frame), self.plane_note)))

    def picture(self, name: str, frame: int, *, reference: bool = False) -> NDArray[np.float64]:
        """One quantity in the plane at one frame, ``[nx, ny]`` on a grid, else ``[n]``.

        A field known up to a constant has its mean over the picture taken out.

        Args:
            name: one of ``quantities``, "residual/" and one of ``residual_names``, or "ensemble/deviation/" and a
                component.
            frame: an index into the times; with ``reference`` one of ``reference_frames``.
            reference: the reference of it, not what was reconstructed.
        """
        if name == self.length_name:
            parts = [self.picture(part, frame, reference=reference) for part in self.vector]
            return np.asarray(np.linalg.norm(np.stack(parts), axis=0))
        index = self.reference_frames(name).index(frame) if reference else frame
        lead = () if self.times is None else (index,)
        values = self._read(_REFERENCE * reference + name, lead + self._select)
        return values - np.nanmean(values) if name in self.up_to_constant else values

    def series(self, name: str, *, reference: bool = False) -> NDArray[np.float64]:
        """One quantity at all frames for which it is stored and all points in the flow, ``[frames, n]``.

        The vector has its components behind, ``[frames, n, d]``.
        """
        if self.vector and name in (self.length_name, self.vector_name):
            parts = np.stack([self.series(part, reference=reference) for part in self.vector], axis=-1)
            return np.linalg.norm(parts, axis=-1) if name == self.length_name else parts
        values = self._read(_REFERENCE * reference + name).reshape(-1, self.num_points)
        if self._holes.any():
            values = values[:, ~self._holes]
        return values - values.mean(axis=1, keepdims=True) if name in self.up_to_constant else values

    def outlines(self) -> NDArray[np.float64]:
        """Lines around the bodies, ``[k, 2]``, a row of NaN behind each."""
        return self._read("outlines") if self._has("outlines") else np.empty((0, 2))

    def at_sensors(self) -> AtSensors | None:
        """Measured and reconstructed values; None where none are stored."""
        if not self._has("sensors"):
            return None
        parts = ("coordinates", "measured", "reconstructed")
        coordinates, measured, reconstructed = (self._read(f"sensors/{name}") for name in parts)
        with damage_named("report: fields.h5", "sensors is damaged"):
            names = _listed(self._file["sensors"].attrs.get("names", ""))
        count, num_axes = measured.shape[:1], self.dim + (self.times is not None)
        wanted = ((*count, num_axes), (*count, len(names)), (*count, len(names)))
        if not names or (coordinates.shape, measured.shape, reconstructed.shape) != wanted:
            raise PinnxError(
                f"report: fields.h5: sensors: expected coordinates [k, D] and values [k, {len(names)}], got "
                f"{list(coordinates.shape)}, {list(measured.shape)}, {list(reconstructed.shape)}"
            )
        times = None if self.times is None else coordinates[:, 0]
        return AtSensors(names, times, coordinates[:, -self.dim :], measured, reconstructed)

    def _has(self, name: str) -> bool:
        with damage_named("report: fields.h5", f"{name} is damaged"):
            return name in self._file

    def _dataset(self, name: str) -> Any:
        with damage_named("report: fields.h5", f"{name} is damaged"):
            found = self._file.get(name)
        if not isinstance(found, h5py.Dataset):
            raise PinnxError(f"report: fields.h5: expected a dataset {name}, found none")
        return found

    def _read(self, name: str, index: tuple[object, ...] = ()) -> NDArray[np.float64]:
        """A dataset, or a part of it, as numbers."""
        dataset = self._dataset(name)
        with damage_named("report: fields.h5", f"{name} is damaged"):
            return np.asarray(dataset[index], dtype=np.float64)

    def _axis(self, name: str) -> NDArray[np.float64]:
        values = self._read(name)
        if values.ndim != 1 or values.size == 0:
            raise PinnxError(f"report: fields.h5: {name}: expected shape [n], got {list(values.shape)}")
        if not np.isfinite(values).all() or ((self._grid or name == "t") and (np.diff(values) <= 0).any()):
            raise PinnxError(f"report: fields.h5: {name}: expected finite numbers, rising along a grid and in time")
        return values

    def _attribute(self, name: str, default: str | None = None) -> Any:
        with damage_named("report: fields.h5", f"the attribute {name} is damaged"):
            found = self._file.attrs.get(name, default)
        if found is None:
            raise PinnxError(
                f"report: fields.h5: expected an attribute {name}, found none (a run of an older version?)"
            )
        return found

    def _check(self) -> None:
        if not self.names or not set(self.vector) <= set(self.names) or len(self.vector) not in (0, self.dim):
            raise PinnxError(
                f"report: fields.h5: expected names of fields, with {self.dim} of them or none in vector; "
                f"got names {','.join(self.names)!r}, vector {','.join(self.vector)!r}"
            )
        stored = {name: self.num_frames for name in self.names}
        stored |= {f"residual/{name}": self.num_frames for name in self.residual_names}
        frames = {name: len(self.reference_frames(name)) for name in self.names}
        stored |= {_REFERENCE + name: count for name, count in frames.items() if count}
        for name, count in stored.items():
            wanted = (*(() if self.times is None else (count,)), *self._shape)
            shape = self._dataset(name).shape
            known = self.reference_frames(name.removeprefix(_REFERENCE)) if name.startswith(_REFERENCE) else [0]
            if not all(0 <= frame < self.num_frames for frame in known):
                raise PinnxError(
                    f"report: fields.h5: {name}_frames: expected frames below {self.num_frames}, got {known}"
                )
            if shape != wanted:
                raise PinnxError(f"report: fields.h5: {name}: expected shape {list(wanted)}, got {list(shape)}")


def _listed(text: object) -> tuple[str, ...]:
    return tuple(filter(None, str(text).split(",")))


@contextmanager
def open_fields(path: Path) -> Iterator[RunFields]:
    """Opens fields.h5 for reading.

    Raises:
        PinnxError: the file is missing, is not HDF5, or lacks a dataset; the message names it.
    """
    if not os.path.isfile(path):
        raise PinnxError(f"{path}: no such file")
    with damage_named(path, "expected HDF5, got"):
        file = h5py.File(path, "r")
    with file:
        yield RunFields(file)
