"""Cut-outs of the Johns Hopkins Turbulence Databases, fetched through givernylocal (extra jhtdb) into one HDF5 file.

    velocity [T, n_z, n_y, n_x, 3], pressure [..., 1] float32; xcoor, ycoor, zcoor, t; indices from 1, both ends in

A cut-out is fetched in chunks, each a file of its own beside the result until all are there; its name has the CRC-32 of
its numbers. So an interrupted call continues where it was, and a damaged chunk is fetched again. A chunk that is not
what was wanted (shape, marks of missing values, a block of zeros) is tried again, then refused: nothing is filled in.
"""

from __future__ import annotations

import os
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import h5py
import numpy as np

from pinnx.errors import PinnxError, damage_named
from pinnx.runs.files import atomic_write

__all__ = ["fetch_cutout"]

# (variable, {axis: (first, last)}, time index) -> values [n_z, n_y, n_x, c], {axis: coordinates}
Fetch = Callable[[str, Mapping[str, tuple[int, int]], int], tuple[np.ndarray, Mapping[str, np.ndarray]]]

COMPONENTS = {"velocity": 3, "pressure": 1}
# The service is built for cubes of up to 200 points a side; 64 make 3 MB of velocity, a few seconds.
CHUNK = 64
MISSING = -999.9
# y of the walls of databases, by how their titles begin.
WALLS = {"channel": (-1.0, 1.0), "transition_bl": (0.0,)}
TOKEN = "JHTDB_TOKEN"


def fetch_cutout(
    path: str | os.PathLike[str],
    dataset: str,
    *,
    x: tuple[int, int],
    y: tuple[int, int],
    z: tuple[int, int],
    times: Sequence[int] = (1,),
    step: float,
    variables: Sequence[str] = ("velocity",),
    token: str | None = None,
    retries: int = 4,
    wait_s: float = 2.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
    fetch: Fetch | None = None,
) -> Path:
    """Fetch a box of a database at some times, and write it as one HDF5 file that `read_snapshots` reads.

    Args:
        path: the new file, .h5; what is fetched before it is whole stands in the folder PATH.parts.
        dataset: its title, such as "channel".
        x: first and last index, from 1 on; y and z too.
        y: as x.
        z: as x.
        times: indices of times, from 1 on, rising.
        step: time from one index to the next.
        variables: out of velocity and pressure.
        token: of the user; None: the environment's JHTDB_TOKEN. No message contains it.
        retries: tries of a chunk after the first.
        wait_s: seconds before the second try, twice as many before each further one.
        progress: called with the chunks that are there, and their number.
        fetch: what fetches a chunk; None: givernylocal.

    Raises:
        PinnxError: no token, no package, a file that is there already, or a chunk that does not come; what was fetched
            stays, and the same call continues from there.
    """
    path = Path(path)
    if path.exists() or path.suffix != ".h5":
        came = "one that exists" if path.exists() else path.suffix
        raise PinnxError(f"{path}: expected a new file that ends in .h5, got {came}")
    cutout = _Cutout(dataset, {"x": x, "y": y, "z": z}, list(times), list(variables))
    token = token or os.environ.get(TOKEN, "")
    if fetch is None and not token:
        raise PinnxError(
            f"token: expected that of a user of the database, by {TOKEN} or token=, got none; it comes by "
            "e-mail, see turbulence.idies.jhu.edu"
        )
    walls = next((planes for name, planes in WALLS.items() if dataset.startswith(name)), ())
    source = _Source(fetch or _giverny(dataset, token), token, retries, wait_s, walls)
    parts = path.with_name(f"{path.name}.parts")
    parts.mkdir(parents=True, exist_ok=True)
    _fetch_missing(parts, cutout.chunks(), source, progress)
    _join(path, parts, cutout, step)
    for file in parts.iterdir():
        file.unlink()
    parts.rmdir()
    return path


@dataclass(frozen=True)
class _Chunk:
    """A part of a cut-out that is fetched at once: {axis: (first, last)}, and how the name of its file begins."""

    stem: str
    variable: str
    index: int
    part: Mapping[str, tuple[int, int]]

    def __str__(self) -> str:
        where = ", ".join(f"{axis} {first} to {last}" for axis, (first, last) in self.part.items())
        return f"{self.variable} at time {self.index}, {where}"


@dataclass(frozen=True)
class _Cutout:
    """What is wanted of a database; arguments as of `fetch_cutout`.

    Raises:
        PinnxError: indices, times or variables that no database has.
    """

    dataset: str
    box: Mapping[str, tuple[int, int]]
    times: list[int]
    variables: list[str]

    def __post_init__(self) -> None:
        wrong = [f"{axis} {ends}" for axis, ends in self.box.items() if not 1 <= ends[0] <= ends[1]]
        rising = bool(self.times) and self.times == sorted({*self.times}) and self.times[0] >= 1
        if wrong or not rising or not set(self.variables) <= set(COMPONENTS):
            raise PinnxError(
                "cut-out: expected indices from 1 on, first <= last, rising times and variables out of "
                f"{', '.join(COMPONENTS)}, got {', '.join(wrong) or f'times {self.times}, {self.variables}'}"
            )

    def chunks(self) -> list[_Chunk]:
        """All chunks: the variables one after the other, x the fastest."""
        spans = {
            axis: [(begin, min(begin + CHUNK - 1, last)) for begin in range(first, last + 1, CHUNK)]
            for axis, (first, last) in self.box.items()
        }
        found = []
        for variable, index, *zyx in product(self.variables, self.times, spans["z"], spans["y"], spans["x"]):
            part = dict(zip("zyx", zyx, strict=True))
            place = ".".join(f"{axis}{first}-{last}" for axis, (first, last) in part.items())
            found.append(_Chunk(f"{self.dataset}.{variable}.{index}.{place}", variable, index, part))
        return found


@dataclass(frozen=True)
class _Source:
    """What chunks are fetched from, and how often one is tried; arguments as of `fetch_cutout`.

    Args:
        walls: y of planes where a velocity is 0.
    """

    fetch: Fetch
    token: str
    retries: int
    wait_s: float
    walls: Sequence[float]

    def arrays(self, chunk: _Chunk) -> dict[str, np.ndarray]:
        """The values of a chunk and its coordinates, whole and right.

        Raises:
            PinnxError: it does not come.
        """
        reason = ""
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(self.wait_s * 2 ** (attempt - 1))
            try:
                values, lines = self.fetch(chunk.variable, chunk.part, chunk.index)
                values = np.asarray(values, dtype=np.float32)
                reason = self._wrong(chunk, values, lines)
                if not reason:
                    return {"values": values} | {axis: np.asarray(lines[axis], dtype=np.float64) for axis in "zyx"}
            except Exception as error:  # whatever the package or the network raises; its URL has the token
                text = " ".join(str(error).split()) or type(error).__name__
                reason = (text.replace(self.token, "TOKEN") if self.token else text)[:200]
        raise PinnxError(
            f"JHTDB: expected {chunk}, got in {self.retries + 1} tries: {reason}; "
            "what came stays, the same call continues from there"
        )

    def _wrong(self, chunk: _Chunk, values: np.ndarray, lines: Mapping[str, np.ndarray]) -> str:
        """What is wrong with an answer; "" where nothing is."""
        shape = [*(chunk.part[axis][1] - chunk.part[axis][0] + 1 for axis in "zyx"), COMPONENTS[chunk.variable]]
        sizes = [len(lines[axis]) for axis in "zyx"]
        if [*values.shape] != shape or sizes != shape[:3]:
            return f"shape {list(values.shape)} with {sizes} coordinates, not {shape}"
        if not np.isfinite(values).all() or (np.abs(values - MISSING) < 1e-3).any():
            return "values that are missing"
        return "a block of zeros" if _has_zero_block(values, lines["y"], self.walls) else ""


def _fetch_missing(
    parts: Path, wanted: Sequence[_Chunk], source: _Source, progress: Callable[[int, int], None]
) -> None:
    """Stores the chunks that are not there, or that are damaged."""
    for done, chunk in enumerate(wanted):
        progress(done, len(wanted))
        if _stored(parts, chunk.stem) is None:
            _store(parts, chunk.stem, source.arrays(chunk))
    progress(len(wanted), len(wanted))


def _has_zero_block(values: np.ndarray, y: np.ndarray, walls: Sequence[float]) -> bool:
    """Whether all components are 0 at 3^3 neighbours, or as many as a thin chunk has; velocities at walls do not count.

    Args:
        values: [n_z, n_y, n_x, c].
        y: [n_y] coordinates.
        walls: y of planes where a velocity is 0.
    """
    at_wall = np.isin(np.round(y, 6), walls) & (values.shape[-1] == COMPONENTS["velocity"])
    still = ~values.any(axis=-1)[:, ~at_wall]
    if not still.size:
        return False
    around = np.lib.stride_tricks.sliding_window_view(still, [min(3, size) for size in still.shape])
    return bool(around.all(axis=(-3, -2, -1)).any())


def _checksum(arrays: Mapping[str, np.ndarray]) -> int:
    found = 0
    for name in ("values", *"zyx"):
        found = zlib.crc32(np.ascontiguousarray(arrays[name]), found)
    return found


def _store(parts: Path, stem: str, arrays: dict[str, np.ndarray]) -> None:
    with atomic_write(parts / f"{stem}.{_checksum(arrays):08x}.npz") as partial, partial.open("wb") as file:
        np.savez(file, **arrays)


def _stored(parts: Path, stem: str) -> dict[str, np.ndarray] | None:
    """A chunk that is there and has the checksum of its name; one that has not is deleted."""
    for file in parts.glob(f"{stem}.*.npz"):
        try:
            # Opened here: NumPy leaves a file open that turns out to be no archive.
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in ("values", *"zyx")}
            if file.name == f"{stem}.{_checksum(arrays):08x}.npz":
                return arrays
        except Exception:  # of a damaged file, zipfile and NumPy raise any
            pass
        file.unlink()
    return None


def _join(path: Path, parts: Path, cutout: _Cutout, step: float) -> None:
    """Writes the file out of its chunks, whole or not at all."""
    first = {axis: ends[0] for axis, ends in cutout.box.items()}
    sizes = {axis: ends[1] - ends[0] + 1 for axis, ends in cutout.box.items()}
    with atomic_write(path) as partial, h5py.File(partial, "w") as file:
        file.attrs.update(dataset=cutout.dataset, **{f"{axis}_start": begin for axis, begin in first.items()})
        file["t"] = step * (np.asarray(cutout.times) - 1)
        lines = {axis: np.full(size, np.nan) for axis, size in sizes.items()}
        for chunk in cutout.chunks():
            name, arrays = chunk.variable, _stored(parts, chunk.stem)
            if arrays is None:
                raise PinnxError(f"{parts}: expected {name} of time {chunk.index}, got a damaged file; call again")
            if name not in file:
                shape = (len(cutout.times), *(sizes[axis] for axis in "zyx"), COMPONENTS[name])
                file.create_dataset(name, shape, "f4", chunks=(1, *(min(CHUNK, n) for n in shape[1:4]), shape[4]))
            cuts = {axis: slice(a - first[axis], b - first[axis] + 1) for axis, (a, b) in chunk.part.items()}
            file[name][(cutout.times.index(chunk.index), *(cuts[axis] for axis in "zyx"))] = arrays["values"]
            for axis, cut in cuts.items():
                known = lines[axis][cut]
                if not np.isnan(known).all() and not np.array_equal(known, arrays[axis]):
                    raise PinnxError(f"JHTDB: expected one set of {axis} coordinates in all chunks, got two")
                lines[axis][cut] = arrays[axis]
        file.update({f"{axis}coor": line for axis, line in lines.items()})


def _giverny(dataset: str, token: str) -> Fetch:
    """What fetches a chunk through givernylocal.

    Raises:
        PinnxError: the package is not installed, or does not reach the list of databases.
    """
    try:
        from givernylocal.turbulence_dataset import turb_dataset
        from givernylocal.turbulence_toolkit import getCutout
    except ImportError:
        raise PinnxError(
            "JHTDB: expected the package givernylocal, which fetches from it: pip install 'pinn-ext[jhtdb]'"
        ) from None
    with damage_named("JHTDB", f"{dataset} cannot be opened"):
        cube = turb_dataset(dataset_title=dataset, output_path=tempfile.gettempdir(), auth_token=token)

    def fetch(
        variable: str, part: Mapping[str, tuple[int, int]], index: int
    ) -> tuple[np.ndarray, Mapping[str, np.ndarray]]:
        ranges = np.array([*(part[axis] for axis in "xyz"), (index, index)])
        found = getCutout(cube, variable, ranges, np.ones(4, dtype=int), verbose=False)
        (name,) = found.data_vars
        return found[name].values, {axis: found[f"{axis}coor"].values for axis in "xyz"}

    return fetch
