"""Settings that state what is known of the flow.

Units are those of the data: "length", "time" and so on stand for whatever the file uses. Relations between settings are
checked here; everything about one value is in its kind (kinds.py).
"""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from pinnx.config.kinds import (
    Count,
    Interval,
    Natural,
    NonNegative,
    Number,
    Positive,
    Section,
    Seed,
    Switch,
    Text,
    setting,
)

__all__ = ["Data"]


class Arrays(Section):
    """Names of the arrays in the data file."""

    x: Text = setting("x", "array of the x coordinates", "length")
    y: Text = setting("y", "array of the y coordinates", "length")
    z: Text | None = setting(None, "array of the z coordinates; null in two dimensions", "length")
    t: Positive | Text | None = setting(
        None, "array of the times, or the time from one frame to the next; null where the flow is steady", "time"
    )
    u: Text = setting(
        "u", "array of the x velocity; an index may follow: 'velocity[..., 0]'; 'u_*' joins frames", "velocity"
    )
    v: Text = setting("v", "array of the y velocity", "velocity")
    w: Text | None = setting(None, "array of the z velocity", "velocity")
    p: Text | None = setting(None, "array of the kinematic pressure; only compared with", "velocity^2")
    mask: Text | None = setting(
        None, "array that is 0 where the velocity is missing; '~name' for one that is 0 where it is known"
    )
    nu: Positive | Text | None = setting(
        None, "kinematic viscosity: a number, or the name of an array or attribute", "length^2/time"
    )
    error: Positive | Text | None = setting(
        None,
        "relative error of the velocity itself, below which no error can be judged: a number, or the name of an array "
        "or attribute; null = reference_error where the file has it",
    )


Column = Text | Count


class Measurements(Section):
    """A table of measurements: a text file with one row for each sensor at each time.

    `measurements: FILE` is short for `measurements: {path: FILE}`. A column is a name in the header, whose capitals and
    unit do not count, or its number from 1 on; null = not read. One with its default name may be absent, but x and y.
    """

    path: Text = setting(..., "the file: .csv, .txt, .dat, .vec, ...", file=True)
    t: Column | None = setting("t", "column of the times; without one the flow is steady", "time")
    x: Column = setting("x", "column of the x coordinates", "length")
    y: Column = setting("y", "column of the y coordinates", "length")
    z: Column | None = setting("z", "column of the z coordinates", "length")
    u: Column | None = setting("u", "column of the x velocity", "velocity")
    v: Column | None = setting("v", "column of the y velocity", "velocity")
    w: Column | None = setting("w", "column of the z velocity", "velocity")
    p: Column | None = setting("p", "column of the kinematic pressure (divided by the density)", "velocity^2")
    speed: Column | None = setting(
        "speed", "column of the length of the velocity, where its direction is not known", "velocity"
    )
    u_std: Column | None = setting("u_std", "column of the standard deviations of u", "velocity")
    v_std: Column | None = setting("v_std", "column of the standard deviations of v", "velocity")
    w_std: Column | None = setting("w_std", "column of the standard deviations of w", "velocity")
    p_std: Column | None = setting("p_std", "column of the standard deviations of p", "velocity^2")
    speed_std: Column | None = setting("speed_std", "column of the standard deviations of speed", "velocity")
    flagged: Switch = setting(
        False, "use rows, too, that a column flags, mask, isValid, CHC, ... marks as not measured"
    )
    missing: tuple[Number, ...] | None = setting(
        None, "numbers that mark what was not measured, as [-999]; null: one that looks like it is refused"
    )
    units: Literal["kept", "si"] = setting("kept", "si: convert all columns to m and s by the units in the header")


class Noise(Section):
    """Standard deviations of what was measured; see docs/noise.md.

    `noise: 0.05` is short for `noise: {share: 0.05}`. Columns of standard deviations in a table come first, then the
    numbers of u, v, w, p and speed, then the share.
    """

    share: NonNegative | Literal["estimated"] | None = setting(
        None,
        "as a fraction of the root mean square, of p about its mean; 0 = none; estimated: found while training, by "
        "leaving each sensor out; null = that of sensors.noise, if any",
    )
    u: Positive | None = setting(None, "of the x velocity", "velocity")
    v: Positive | None = setting(None, "of the y velocity", "velocity")
    w: Positive | None = setting(None, "of the z velocity", "velocity")
    p: Positive | None = setting(None, "of the kinematic pressure", "velocity^2")
    speed: Positive | None = setting(None, "of the speed", "velocity")


class Window(Section):
    """The part of the data that is used; null = all of it."""

    x: Interval | None = setting(None, "limits in x", "length")
    y: Interval | None = setting(None, "limits in y", "length")
    z: Interval | None = setting(None, "limits in z", "length")


class Raw(Section):
    """An array of numbers in a file without a header, or evenly spaced; all of `data.path` is stated then."""

    name: Text = setting(..., "name of the array; with * and a file with *, an array for each file")
    shape: tuple[Count, ...] = setting(..., "lengths of its axes, as data.axes has them")
    file: Text | None = setting(None, "the file, beside data.path, or in it where that is a folder; null = data.path")
    line: Interval | None = setting(None, "evenly spaced numbers from the first to the last, in place of a file")
    dtype: Text = setting("f4", "NumPy's name of the numbers: f2, f4, f8, i2, u1; '>f4' has the largest byte first")
    order: Literal["C", "F"] = setting("C", "C: the last axis varies fastest; F: the first, as Fortran has it")
    offset: Natural = setting(0, "before the first number; 4 in a record of Fortran", "bytes")
    after: Natural = setting(0, "behind the last one; 4 in a record of Fortran", "bytes")


class Stride(Section):
    """Every k-th line of a grid, and every k-th frame, from the first that is used on; nothing else is read."""

    t: Count = setting(1, "k for frames")
    x: Count = setting(1, "k for grid lines in x")
    y: Count = setting(1, "k for grid lines in y")
    z: Count = setting(1, "k for grid lines in z")


class Stream(Section):
    """Random points of the whole field beside the sensors, from the file in every step; see docs/reconstruction.md."""

    points: Count = setting(16384, "points in each step")
    memory: Positive = setting(1.0, "limit of the blocks of the file that are kept", "GiB")


class Synthetic(Section):
    """A periodic flow made by the built-in solver: the arguments of `periodic_flow`."""

    resolution: Count = setting(64, "grid points along x and y")
    length: Positive = setting(6.283185307179586, "period in x and y", "length")
    nu: Positive = setting(0.02, "kinematic viscosity", "length^2/time")
    duration: Positive = setting(2.0, "time from the first snapshot to the last", "time")
    num_frames: Count = setting(21, "number of snapshots")
    max_wavenumber: Positive = setting(3.0, "finest wave at the start", "waves/period")
    seed: Seed = setting(0, "seed of the vortices at the start")
    mean_velocity: tuple[Number, Number] = setting(
        (0.0, 0.0), "velocity [u, v] that carries the vortices along", "velocity"
    )


class Data(Section):
    """What is known of the flow; exactly one of path, measurements and synthetic."""

    path: Text | None = setting(
        None,
        "snapshots: .mat .npz .nc .h5 .hdf5 .vtk .vtu .vts .vtr .vti .vtp .xdmf .foam .tec, table, folder of .npy, "
        "Zarr, or what data.raw states; * joins files",
        file=True,
    )
    measurements: Measurements | None = setting(None, "measurements of some sensors, in place of snapshots")
    synthetic: Synthetic | None = setting(None, "a simulated flow, in place of a file")
    noise: Noise = setting(Noise(), "how uncertain the measurements are; the misfit is not made smaller than that")
    raw: tuple[Raw, ...] = setting(
        (), "the arrays of files without a header; lines alone are added to those of data.path"
    )
    arrays: Arrays = setting(Arrays(), "which array of the file is what")
    axes: tuple[Literal["t", "x", "y", "z", "n"], ...] | None = setting(
        None,
        "order of the axes of the field arrays, slowest first: [t, y, x] on a grid, [t, n] for "
        "scattered points; null = from the shapes",
    )
    pressure_frame: Natural | Text | None = setting(
        None,
        "the frame of p, where p is given at one only: its number, or the name of an array or attribute ('@frame')",
    )
    index_sets: dict[str, Text] = setting({}, "index sets: a name of yours -> the array's name, of indices or a mask")
    check_orientation: Switch = setting(
        True, "refuse fields that are divergence-free only when transposed, or with components exchanged"
    )
    zeros_are_values: Switch = setting(
        False,
        "take blocks of zeros as fluid at rest, and of -1 as a uniform stream, in place of refusing them as what was "
        "never written",
    )
    window: Window = setting(Window(), "the part of space that is used")
    times: Interval | None = setting(None, "the times that are used; null = all", "time")
    stride: Stride = setting(Stride(), "of a file of arrays, which places and frames are read")
    stream: Stream | None = setting(None, "learn from the whole field in data.path too, which stays in its file")

    @model_validator(mode="after")
    def _one_source(self) -> Data:
        given = self.only_one(("path", "measurements", "synthetic"))
        if self.path is None and (self.stream is not None or self.stride != Stride()):
            name = "stride" if self.stream is None else "stream"
            raise ValueError(f"{name}: only for data.path, got {given}")
        return self
