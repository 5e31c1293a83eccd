"""Several files of one flow, one behind the other in time."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError

__all__ = ["files_of", "joined"]


def files_of(path: str | os.PathLike[str], times: str | float | None) -> list[Path]:
    """The files of a pattern, in the order of the numbers in their names.

    Args:
        path: with * in its last part.
        times: the array of times in each file, or the time from one frame to the next.

    Raises:
        PinnxError: no such files, or no times.
    """
    folder, pattern = Path(path).parent, Path(path).name
    files = sorted(folder.glob(pattern), key=lambda file: [int(number) for number in re.findall(r"\d+", file.name)])
    if not files:
        raise PinnxError(f"{path}: expected files of this pattern, found none")
    if times is None:
        raise PinnxError(
            "t: expected the times, or the time from one frame to the next, of several files, got none; give "
            "data.arrays.t=0.1 for example"
        )
    return files


def joined(
    path: str | os.PathLike[str], files: Sequence[Path], parts: Sequence[Snapshots], times: str | float | None
) -> Snapshots:
    """One flow of the flows in files; arguments as of `files_of`.

    Raises:
        PinnxError: files of other places.
    """
    first = parts[0]
    for file, part in zip(files, parts, strict=True):
        if not np.array_equal(part.points, first.points) or (part.pressure is None) != (first.pressure is None):
            raise PinnxError(f"{file.name}: expected the places and arrays of {files[0].name}, got others")
    begins = np.cumsum([0, *(part.num_times for part in parts)])
    given = isinstance(times, int | float)
    pressures = [
        (part.pressure, part.pressure_frames + begin)
        for part, begin in zip(parts, begins, strict=False)
        if part.pressure is not None and part.pressure_frames is not None
    ]
    return replace(
        first,
        values=np.concatenate([part.values for part in parts]),
        times=times * np.arange(begins[-1]) if given else np.concatenate([part.times for part in parts]),
        pressure=np.concatenate([pressure for pressure, _ in pressures]) if pressures else None,
        pressure_frames=np.concatenate([frames for _, frames in pressures]) if pressures else None,
        source=str(path),
        notes=(
            f"{len(files)} files are joined in time, {files[0].name} to {files[-1].name}.",
            *dict.fromkeys(note for part in parts for note in part.notes),
        ),
        whole=(first.whole[0] if first.whole else first.num_points, int(begins[-1])),
    )
