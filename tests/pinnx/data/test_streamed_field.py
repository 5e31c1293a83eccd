"""Points of a field that stays in its file: true values at their places, every place alike, the same for every rank."""

from __future__ import annotations

import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from cut_files import what_a_file_that_is_cut_says
from process_memory import mapped_bytes

from pinnx.data import DataMapping
from pinnx.data.streamed_field import StreamedField
from pinnx.errors import PinnxError

T, X, Y = np.arange(7) / 4, np.linspace(0, 3, 13) ** 2, np.linspace(2, -1, 10)
# The velocity tells where and when it is.
FIELD = {"u": T[:, None, None] + X[:, None] + 0 * Y, "v": 10 * Y + 0 * X[:, None] + 0 * T[:, None, None] + 100.0}
NAMES: dict[str, Any] = {"t": "t"}


def stored(folder: Path, kind: str = "plain", **change: np.ndarray) -> tuple[Path, DataMapping]:
    arrays, names, chunks = FIELD | {"t": T, "x": X, "y": Y} | change, dict(NAMES), {}
    path = folder / "field.h5"
    if kind == "chunks":
        chunks = {"u": (2, 5, 4), "v": (2, 5, 4)}
    if kind == "vector":
        arrays["vector"], chunks["vector"] = np.stack([arrays.pop("u"), arrays.pop("v")], axis=-1), (2, 5, 4, 2)
        names |= {"u": "vector[..., 0]", "v": "vector[..., 1]", "axes": ("t", "x", "y")}
    if kind.startswith("components"):
        axis = 0 if "first" in kind else 1
        arrays["vector"] = np.stack([arrays.pop("u"), arrays.pop("v")], axis=axis)
        names |= {"u": f"vector[{':, ' * axis}0]", "v": f"vector[{':, ' * axis}1]", "axes": ("t", "x", "y")}
        if "chunks" in kind:
            chunks["vector"] = (2, 1, 5, 4)
    if kind == "frames":
        arrays |= {f"{name}_{k}": arrays[name][k] for name in ("u", "v") for k in range(7)}
        names |= {"u": "u_*", "v": "v_*"}
    if kind == "scattered":
        arrays |= {"x": np.repeat(X, 10), "y": np.tile(Y, 13)} | {n: arrays[n].reshape(7, -1) for n in ("u", "v")}
    if kind == "packed":
        arrays |= {name: np.rint(4000 * arrays[name]).astype("i4") for name in ("u", "v")}
    cuts = {"files": [slice(0, 3), slice(3, 6), slice(6, 7)], "a file for each time": range(7)}.get(kind, [slice(None)])
    for old in folder.glob("field*.h5"):
        old.unlink()
    for number, cut in enumerate(cuts):
        if "file" in kind:
            path = folder / f"field_{number}.h5"
            chunks = {"u": (2, 5, 4)[-arrays["u"][cut].ndim :]} if arrays["u"][cut].shape[0] > 1 else {}
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                cut_of = array if name in "xy" else array[cut]
                dataset = file.create_dataset(name, data=cut_of, chunks=chunks.get(name))
                if kind == "packed" and name in FIELD:
                    dataset.attrs["scale_factor"] = 1 / 4000
    return folder / "field_*.h5" if "file" in kind else path, DataMapping(**names)


def opened(folder: Path, kind: str = "plain", **options: Any) -> StreamedField:
    return StreamedField(*stored(folder, kind), **options)


KINDS = ["plain", "chunks", "vector", "components first", "components behind times", "components in chunks", "frames"]
KINDS += ["scattered", "packed", "files", "a file for each time"]


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_their_place_and_time_and_every_place_counts_alike(tmp_path: Path, kind: str) -> None:
    field = opened(tmp_path, kind)
    points = field.draw(0, range(4000), 4000)
    for step in range(1, 20):
        points = type(points)(*map(np.concatenate, zip(points, field.draw(step, range(4000), 4000), strict=True)))
    t, x, y = points.coordinates.T
    tolerance = 1e-3 if kind == "packed" else 1e-12
    np.testing.assert_allclose(points.values, np.column_stack([t + x, 10 * y + 100]), atol=tolerance)
    index = [np.abs(line[:, None] - column).argmin(0) for line, column in zip((T, X, -Y), (t, x, -y), strict=True)]
    seen = np.bincount(np.ravel_multi_index(index, (7, 13, 10)), weights=points.weights, minlength=910)
    assert points.weights.sum() == pytest.approx(80000, rel=0.02)
    assert seen.min() > 0.4 * 80000 / 910  # 88 of each place, 9 of them the deviation of independent draws
    assert seen.max() < 1.9 * 80000 / 910
    field.close()


def test_points_depend_on_the_step_and_their_number_alone(tmp_path: Path) -> None:
    field = opened(tmp_path, "chunks", seed=3)
    whole = field.draw(17, range(1000), 1000)
    field.close()
    again = opened(tmp_path, "chunks", seed=3)
    parts = [again.draw(17, range(*span), 1000) for span in ((0, 333), (333, 334), (334, 1000))]
    for name, *found in zip(whole._fields, *parts, strict=True):
        np.testing.assert_array_equal(np.concatenate(found), getattr(whole, name))
    assert not np.array_equal(again.draw(18, range(1000), 1000).values, whole.values)
    assert len(again.draw(0, range(5, 5), 1000).values) == 0
    again.close()


def test_a_window_draws_from_inside_alone(tmp_path: Path) -> None:
    limits = {"x": (0.5, 5.0), "y": (-0.5, 1.1), "t": (0.5, 1.25)}
    field = opened(tmp_path, "chunks", limits=limits)
    points = field.draw(0, range(5000), 5000).coordinates
    for column, axis in zip(points.T, ("t", "x", "y"), strict=True):
        inside = [value for value in {"t": T, "x": X, "y": Y}[axis] if limits[axis][0] <= value <= limits[axis][1]]
        assert set(column) == set(inside)
    field.close()
    with pytest.raises(
        PinnxError, match=r"data.window.x: expected two lines of a grid or more, to be streamed, got oth"
    ):
        opened(tmp_path, "scattered", limits={"x": (0.0, 1.0)})


def test_missing_values_and_bodies_weigh_nothing_and_a_block_of_zeros_is_refused(tmp_path: Path) -> None:
    holes = FIELD["u"].copy()
    holes[:, 2:4] = np.nan
    field = StreamedField(*stored(tmp_path, "chunks", u=holes), outside=lambda places: places[:, 1] > 1.5)
    points = field.draw(0, range(5000), 5000)
    missing = np.isin(points.coordinates[:, 1], X[2:4]) | (points.coordinates[:, 2] > 1.5)
    np.testing.assert_array_equal(points.weights == 0.0, missing)
    assert np.isfinite(points.values).all()
    field.close()
    stopped = {name: np.where(np.arange(7)[:, None, None] < 4, FIELD[name], 0.0) for name in FIELD}
    given = stored(tmp_path, "chunks", **stopped)
    with pytest.raises(
        PinnxError, match=r"field\.h5: expected values, got 0 in a whole block .*near \(1.*domain.holes"
    ):
        StreamedField(*given).draw(0, range(500), 500)
    for fill, of in ((-1.0, 1.0), (-99.0, 200.0)):
        filled = {name: np.where(np.arange(7)[:, None, None] < 4, of * FIELD[name], fill) for name in FIELD}
        with pytest.raises(PinnxError, match=f"got {fill:g} in a whole block"):
            StreamedField(*stored(tmp_path, "chunks", **filled)).draw(0, range(500), 500)
    given = stored(tmp_path, "chunks", **stopped)
    points = StreamedField(*given, zeros_are_values=True).draw(0, range(500), 500)
    np.testing.assert_array_equal((points.values == 0).all(axis=1), points.coordinates[:, 0] >= 1.0)
    assert points.weights.all()
    body = StreamedField(*given, outside=lambda places: places[:, 0] > -1.0)
    assert not body.draw(0, range(500), 500).weights.any()
    StreamedField(*given, limits={"t": (0.0, 0.8)}).draw(0, range(500), 500)


def test_a_file_that_is_cut_while_it_is_open_is_one_line(tmp_path: Path) -> None:
    """In a process of its own, which the system would end."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        said = other.submit(what_a_file_that_is_cut_says, *stored(tmp_path)).result()
    assert re.fullmatch(r"field.h5: expected [\d,]+ bytes or more, as when it was opened, got 4,096; another .*", said)


def test_files_are_one_series_however_many_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    field = opened(tmp_path, "files", limits={"t": (0.5, 1.5)})
    found = field.draw(3, range(2000), 2000)
    assert set(found.coordinates[:, 0]) == set(T[2:])
    field.close()
    path, _ = stored(tmp_path, "a file for each time")
    step = StreamedField(path, DataMapping(t=0.25), limits={"t": (0.5, 1.5)})
    monkeypatch.setattr("pinnx.data.stored_velocity.OPEN", 1)
    one = opened(tmp_path, "a file for each time", limits={"t": (0.5, 1.5)})
    for name, by_times, by_step in zip(
        found._fields, one.draw(3, range(99), 99), step.draw(3, range(99), 99), strict=True
    ):
        np.testing.assert_array_equal(by_times, by_step, name)
    one.close()
    step.close()
    # A chunk of zeros at the end of the second file, whose chunks begin at an odd frame of the series.
    zeros = {name: np.where(np.arange(7)[:, None, None] == 5, 0.0, FIELD[name]) for name in FIELD}
    with pytest.raises(PinnxError, match=r"field_\*\.h5: expected values, got 0 in a whole block .*near \(1.25, "):
        StreamedField(*stored(tmp_path, "files", **zeros)).draw(0, range(500), 500)


def test_files_that_are_no_series_are_one_line(tmp_path: Path) -> None:
    path, names = stored(tmp_path, "files")
    with h5py.File(tmp_path / "field_1.h5", "r+") as file:
        file["x"][0] = -1.0
    with pytest.raises(PinnxError, match=r"field_1.h5: expected the places and arrays of field_0.h5, got others"):
        StreamedField(path, names)
    with pytest.raises(PinnxError, match=r"t: expected the times, or the time from one frame to the next"):
        StreamedField(path, DataMapping())
    turned = {name: np.moveaxis(FIELD[name], 0, 2) for name in FIELD}
    for number in range(2):
        np.savez(tmp_path / f"f{number}.npz", t=T + 2 * number, x=X, y=Y, **turned)
    with pytest.raises(PinnxError, match=r"f0.npz: expected the time as the first axis, .* got \('x', 'y', 't'\)"):
        StreamedField(tmp_path / "f*.npz", DataMapping(t="t"))


def test_what_cannot_be_streamed_is_one_line(tmp_path: Path) -> None:
    path, _ = stored(tmp_path)
    with pytest.raises(PinnxError, match=r"data.arrays.mask: expected none of a field that is streamed"):
        StreamedField(path, DataMapping(t="t", mask="mask"))
    with pytest.raises(PinnxError, match=r"u: expected a whole array or one component, 'name\[..., 0\]' or"):
        StreamedField(path, DataMapping(u="u[::2]", v="v[::2]", t=0.5))
    with pytest.raises(
        PinnxError, match=r"data.stream.memory: expected at least 4.07e-05 GiB for blocks of 14,560 bytes"
    ):
        StreamedField(*stored(tmp_path), memory_limit=30000)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="what is mapped is known on Linux")
def test_pages_of_what_was_read_are_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are copies, so nothing of the file that they were read from stays mapped."""
    frames, side = 64, 256
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.update({"t": np.arange(frames), "x": np.arange(side), "y": np.arange(side)})
        for name in "uv":
            file[name] = np.ones((frames, side, side), "f4") * np.linspace(1, 2, side, dtype="f4")

    def grown() -> int:
        field = StreamedField(tmp_path / "f.h5", DataMapping(t="t", axes=("t", "y", "x")), memory_limit=2**26)
        before = mapped_bytes()
        field.draw(0, range(64), 64)  # from 32 blocks, all of the file
        after = mapped_bytes()
        field.close()
        return after - before

    assert grown() < 2**22
    monkeypatch.setattr("pinnx.data.stored_velocity.release", lambda whole, part: None)
    assert grown() > 2**24
