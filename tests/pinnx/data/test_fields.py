"""Fields of any quantity: every layout comes out as points and values that belong together, or is refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from pinnx.data import stored_frames
from pinnx.data.quantities import open_fields, read_fields
from pinnx.data.snapshots import Snapshots
from pinnx.data.synthetic import periodic_flow
from pinnx.errors import PinnxError

X, Y, Z = np.linspace(0.0, 1.0, 4), np.linspace(2.0, 4.0, 5) ** 2, np.linspace(-1.0, 1.0, 3)


def law(t: np.ndarray, *places: np.ndarray) -> np.ndarray:
    """A quantity that is another one at every place and time."""
    return sum((3.0 + axis) ** axis * place for axis, place in enumerate(places, start=1)) + 100.0 * t


def saved(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder / "fields.npz"
    np.savez(path, **arrays)
    return path


def check(fields: Snapshots, num_times: int, grid_shape: tuple[int, ...] | None) -> None:
    assert fields.grid_shape == grid_shape
    assert fields.num_times == num_times
    assert fields.values.shape == (num_times, fields.num_points, 1)
    for time in range(num_times):
        wanted = law(np.array(float(time)), *fields.points.T)
        np.testing.assert_allclose(fields.values[time, :, 0], wanted, rtol=1e-6)
    if grid_shape is not None:
        assert all((np.diff(axis) > 0).all() for axis in fields.axes)
        mesh = np.stack(np.meshgrid(*fields.axes, indexing="ij"), axis=-1)
        np.testing.assert_array_equal(mesh.reshape(fields.points.shape), fields.points)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("names", [("xy",), ("px", "py")])
def test_scattered_points(rng: np.random.Generator, tmp_path: Path, names: tuple[str, ...], transposed: bool) -> None:
    points = rng.uniform(size=(30, 2))
    values = law(np.arange(7.0)[:, None], *points.T).astype(np.float32)
    path = saved(tmp_path, xy=points, px=points[:, 0], py=points[:, 1], temperature=values.T if transposed else values)
    fields = read_fields(path, ["temperature"], coordinates=names)
    check(fields, 7, None)
    assert fields.values.dtype == np.float32
    np.testing.assert_array_equal(fields.points, points)
    assert fields.names == ("temperature",)
    assert fields.source == str(path)


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("order", ["txy", "tyx", "yxt"])
def test_a_grid_in_any_order(tmp_path: Path, order: str, falling: bool) -> None:
    y = Y[::-1] if falling else Y
    mesh = dict(zip("txy", np.meshgrid(np.arange(2.0), X, y, indexing="ij"), strict=True))
    values = law(mesh["t"], mesh["x"], mesh["y"]).transpose(["txy".index(axis) for axis in order])
    path = saved(tmp_path, x=X, y=y, q=values)
    check(read_fields(path, ["q"]), 2, (4, 5))
    check(read_fields(path, ["q"], axes=tuple(order)), 2, (4, 5))


def test_three_dimensions_one_time_and_a_mesh(tmp_path: Path) -> None:
    mesh = np.meshgrid(X, Y, Z, indexing="ij")
    check(read_fields(saved(tmp_path, x=X, y=Y, z=Z, q=law(np.array(0.0), *mesh)), ["q"]), 1, (4, 5, 3))
    path = saved(tmp_path, a=mesh[0], b=mesh[1], c=mesh[2], q=law(np.array(0.0), *mesh)[None])
    check(read_fields(path, ["q"], coordinates=("a", "b", "c")), 1, (4, 5, 3))


def test_a_shape_that_may_be_both_asks_for_a_choice(tmp_path: Path) -> None:
    """Four times at four places, or one time on a grid of four by four."""
    points = np.stack([X, X[::-1] ** 2], axis=1)
    path = saved(tmp_path, x=X, y=points[:, 1], q=law(np.arange(4.0)[:, None], *points.T))
    check(read_fields(path, ["q"], axes=("t", "n")), 4, None)
    mesh = np.meshgrid(X, points[:, 1], indexing="ij")
    path = saved(tmp_path, x=X, y=points[:, 1], q=law(np.array(0.0), *mesh))
    check(read_fields(path, ["q"], axes=("x", "y")), 1, (4, 4))


def test_components_side_by_side(rng: np.random.Generator, tmp_path: Path) -> None:
    points, velocity = rng.uniform(size=(9, 2)), rng.normal(size=(5, 9, 2))
    with h5py.File(tmp_path / "flow.h5", "w") as file:
        file["points"], file["velocity"] = points, velocity
    fields = read_fields(tmp_path / "flow.h5", ["velocity[..., 0]", "velocity[..., 1]"])
    np.testing.assert_array_equal(fields.values, velocity)


def test_a_flow_is_its_velocity() -> None:
    flow = periodic_flow(resolution=(8, 6), num_frames=3, max_wavenumber=1.5)
    assert flow.names == ("u", "v")
    assert flow.values is flow.velocity
    assert [axis.size for axis in flow.axes] == [8, 6]


@pytest.mark.parametrize(
    ("arrays", "variables", "more", "message"),
    [
        ({"q": np.ones((3, 4))}, ["q"], {}, "points: expected an array named xy, xyz, points or x, y in fields.npz"),
        ({"xy": np.ones((4, 4)), "q": np.ones((3, 4))}, ["q"], {}, "xy: expected points [n, 2] or [n, 3], got [4, 4]"),
        ({"x": X, "q": np.ones(4)}, ["q"], {}, "x: expected points [n, 2] or [n, 3], got [4]"),
        (
            {"x": X, "y": Y, "q": np.ones((3, 7))},
            ["q"],
            {},
            "q: expected an order that the shapes decide, got fields [3, 7] with x [4], y [5]; what fits: none",
        ),
        (
            {"x": X, "y": X, "q": np.ones((4, 4))},
            ["q"],
            {},
            "q: expected an order that the shapes decide, got fields [4, 4] with x [4], y [4]; what fits: "
            "('x', 'y') or ('y', 'x') or ('t', 'n') or ('n', 't'); choose by data.axes, such as [x, y]",
        ),
        ({"x": X, "y": X, "q": np.ones((2, 4, 4))}, ["q"], {}, "q: expected an order that the shapes decide"),
        ({"x": X, "y": Y, "q": np.ones((4, 5)), "p": np.ones((5, 4))}, ["q", "p"], {}, "p: expected the shape of q"),
        (
            {"x": X, "y": Y, "q": np.full((4, 5), np.nan)},
            ["q"],
            {},
            "q: expected values, got NaN at every place and time",
        ),
        ({"x": X, "y": Y}, ["q"], {}, "variable: no array 'q' in fields.npz; it holds x [4], y [5]"),
        ({"x": X, "y": Y}, [], {}, "variable: expected the name of an array, got none"),
        ({"x": X, "y": Y[[0, 2, 1, 3, 4]], "q": np.ones((4, 5))}, ["q"], {}, "y: expected grid lines that rise or"),
        ({"x": X, "y": Y, "q": np.ones((4, 5)) + 0j}, ["q"], {}, "variable: expected real numbers in 'q' of"),
        ({"x": X, "y": Y, "q": np.ones((2, 4, 5))}, ["q"], {"axes": ("x", "y", "t")}, "q: expected ('x', 'y', 't')"),
    ],
)
def test_refuses(tmp_path: Path, arrays: dict, variables: list[str], more: dict, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        read_fields(saved(tmp_path, **arrays), variables, **more)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


LAYOUTS = {
    "contiguous": {},
    "frames": {"chunks": (1, 4, 5)},
    "several": {"chunks": (4, 4, 5), "compression": "lzf"},
    "tiles": {"chunks": (7, 2, 3)},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("order", ["txy", "tyx"])
@pytest.mark.parametrize("dtype", ["f4", ">f8", "i2"])
def test_frames_stay_in_the_file(tmp_path: Path, layout: str, order: str, dtype: str) -> None:
    """Some of the frames, in blocks, are those of the fields that are read whole."""
    mesh = dict(zip("txy", np.meshgrid(np.arange(30.0), X, Y[::-1], indexing="ij"), strict=True))
    values = law(mesh["t"], mesh["x"], mesh["y"]).transpose(["txy".index(axis) for axis in order])
    options = dict(LAYOUTS[layout])
    if "chunks" in options and order == "tyx":
        options["chunks"] = (options["chunks"][0], 5, 4) if layout != "tiles" else (7, 3, 2)
    with h5py.File(tmp_path / "flow.h5", "w") as file:
        file["x"], file["y"] = X, Y[::-1]
        file.create_dataset("group/q", data=values.astype(dtype), **options)
        file.create_dataset("more", data=(2 * values).astype(dtype), **options)
    names = ["group/q", "more"]
    whole = read_fields(tmp_path / "flow.h5", names, axes=tuple(order))
    held = np.zeros(30, dtype=bool)
    held[[2, 3, 7, 12, 29]] = True
    with open_fields(tmp_path / "flow.h5", names, axes=tuple(order)) as fields:
        assert fields.values.shape == whole.values.shape == (30, 20, 2)
        assert fields.values.dtype == whole.values.dtype
        assert (fields.grid_shape, fields.names, fields.num_times) == (whole.grid_shape, whole.names, 30)
        np.testing.assert_array_equal(fields.points, whole.points)
        for mask in (held, ~held, np.ones(30, dtype=bool)):
            some = fields.values.only(mask)
            for step in (1, 7, 30):
                blocks = [some[begin : begin + step] for begin in range(0, len(some), step)]
                np.testing.assert_array_equal(np.concatenate(blocks), whole.values[mask])
        assert fields.values.only(held)[5:].shape == (0, 20, 2)


def test_scattered_frames_and_gaps_that_are_too_wide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points, times = np.stack([X, X**2], axis=1), np.arange(40.0)
    values = law(times[:, None], *points.T)
    with h5py.File(tmp_path / "flow.h5", "w") as file:
        file["xy"] = points
        file.create_dataset("q", data=values, chunks=(20, 4))
    every = np.arange(40) % 3 == 1
    for most in (8 * 2**20, 4 * 8 * 4, 1):
        monkeypatch.setattr(stored_frames, "GAP_BYTES", most)
        with open_fields(tmp_path / "flow.h5", ["q"]) as fields:
            np.testing.assert_array_equal(fields.values.only(every)[:][..., 0], values[every])


@pytest.mark.parametrize("frame", [0, 3])
def test_numbers_that_mark_what_is_missing_are_refused(tmp_path: Path, frame: int) -> None:
    values = law(np.arange(7.0)[:, None, None], *np.meshgrid(X, Y, indexing="ij"))
    marked = values.copy()
    marked[frame, 2:] = -9999.0
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.update({"x": X, "y": Y, "whole": values, "marked": marked})
    message = r"marked: expected values that were measured or computed, got -9999 in 10 of [\d]+ where all others"
    with pytest.raises(PinnxError, match=message):
        read_fields(tmp_path / "f.h5", ["whole", "marked"])
    with pytest.raises(PinnxError, match=message), open_fields(tmp_path / "f.h5", ["whole", "marked"]) as fields:
        fields.values[:]
    with open_fields(tmp_path / "f.h5", ["whole"]) as fields:
        np.testing.assert_array_equal(fields.values[:], read_fields(tmp_path / "f.h5", ["whole"]).values)


def test_what_cannot_be_read_in_blocks(tmp_path: Path) -> None:
    points, values = np.stack([X, X**2], axis=1), np.ones((6, 4))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["xy"], file["q"], file["turned"], file["word"] = points, values, values.T, b"text"
        file["other"], file["z"], file["steady"] = values[:3], 1j * values, values[0]
    with h5py.File(tmp_path / "b.mat", "w") as file:
        file["xy"], file["q"] = points.T, values.T
    saved(tmp_path, xy=points, q=values)
    for name, variables, message in (
        ("a.h5", ["turned"], r"turned: expected the time as the first axis, to be read in blocks, got \('n', 't'\)"),
        ("a.h5", ["q[::2]"], r"q\[::2\]: expected a whole array, to be read in blocks, got one with an index"),
        ("a.h5", ["steady"], "steady: expected the time as the first axis"),
        ("a.h5", ["none"], "variable: no array 'none' in a.h5; it holds"),
        ("a.h5", ["word"], r"variable: expected real numbers in 'word' of a.h5, got object \[\]"),
        ("a.h5", ["z"], "variable: expected real numbers in 'z' of a.h5, got complex128"),
        ("a.h5", ["q", "other"], r"other: expected the shape of q, \[6, 4\], got \[3, 4\]"),
        ("a.h5", [], "variable: expected the name of an array, got none"),
        ("b.mat", ["q"], "b.mat: expected .h5 or .hdf5 or .nc, to be read in blocks, got .mat"),
        ("fields.npz", ["q"], "fields.npz: expected .h5 or .hdf5 or .nc, to be read in blocks, got .npz"),
    ):
        with pytest.raises(PinnxError, match=message), open_fields(tmp_path / name, variables):
            pass
