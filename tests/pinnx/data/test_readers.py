"""Readers: the same flow out of every kind of file and layout, the real files, and every damage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from pinnx.data import DataMapping, Snapshots, read_snapshots
from pinnx.errors import PinnxError

CAVITY = DataMapping(nu="nu", axes=("x", "y"))
WAKE = DataMapping(
    t="t",
    p="p_snapshot",
    pressure_frame="@frame",
    nu="@nu",
    axes=("t", "n"),
    index_sets={"wall_index": "wall_index"},
)

# One flow in canonical order [t, x, y]; no two axes alike, so that mixed-up axes show.
T, X, Y = np.array([0.0, 0.5, 2.0]), np.linspace(0, 1, 7), np.linspace(-1, 1, 9) ** 3
MESH_X, MESH_Y = np.meshgrid(X, Y, indexing="ij")


def fields(y: np.ndarray = MESH_Y) -> dict[str, np.ndarray]:
    grown = 1 + T[:, None, None]
    return {"u": grown * (y + MESH_X), "v": grown * (0.5 * MESH_X - y), "p": grown * MESH_X * y}


def write(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.name.endswith("v7.3.mat"):
        # As MATLAB does it: HDF5 with a user block, every array at least 2-D, axes reversed.
        with h5py.File(path, "w", userblock_size=512) as file:
            for name, array in arrays.items():
                file[name] = np.atleast_2d(array).T
        with path.open("r+b") as raw:
            raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    elif path.suffix == ".mat":
        scipy.io.savemat(path, arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    return path


def assert_is_the_flow(flow: Snapshots, *, pressure: bool = True) -> None:
    expected = fields()
    assert flow.grid_shape == (7, 9)
    assert np.array_equal(flow.points, np.stack([MESH_X, MESH_Y], axis=-1).reshape(-1, 2))
    assert np.array_equal(flow.times, T)
    for component, name in enumerate("uv"):
        assert np.array_equal(flow.velocity[..., component], expected[name].reshape(3, -1))
    if pressure:
        assert np.array_equal(flow.pressure, expected["p"].reshape(3, -1))
        assert np.array_equal(flow.pressure_frames, [0, 1, 2])


@pytest.mark.parametrize("name", ["f.mat", "f-v7.3.mat", "f.npz", "f.h5", "f.hdf5"])
@pytest.mark.parametrize("axes", [("t", "x", "y"), ("t", "y", "x"), ("y", "x", "t")])
@pytest.mark.parametrize("guess", [False, True])
def test_every_format_and_order(tmp_path: Path, name: str, axes: tuple[str, ...], guess: bool):
    order = [("t", "x", "y").index(axis) for axis in axes]
    arrays = {key: value.transpose(order) for key, value in fields().items()}
    path = write(tmp_path / name, arrays | {"x": X, "y": Y, "t": T, "nu": np.array([[0.1]])})
    mapping = DataMapping(t="t", p="p", nu="nu", axes=None if guess else axes)
    flow = read_snapshots(path, mapping)
    assert_is_the_flow(flow)
    assert flow.nu == 0.1
    assert flow.source == str(path)


@pytest.mark.parametrize("indexing", ["ij", "xy"])
def test_meshgrid_coordinates_settle_the_order(tmp_path: Path, indexing: str):
    x, y = np.meshgrid(X, Y, indexing=indexing)
    order = (0, 1, 2) if indexing == "ij" else (0, 2, 1)
    arrays = {key: value.transpose(order) for key, value in fields().items()}
    path = write(tmp_path / "f.npz", arrays | {"x": x, "y": y, "t": T})
    assert_is_the_flow(read_snapshots(path, DataMapping(t="t", p="p")))
    axes = ("t", "y", "x") if indexing == "ij" else ("t", "x", "y")
    with pytest.raises(PinnxError, match=r"what fits: \('t', "):
        read_snapshots(path, DataMapping(t="t", axes=axes))


def test_meshgrid_settles_even_a_square(tmp_path: Path):
    line = np.linspace(0, 1, 6)
    x, y = np.meshgrid(line, line, indexing="xy")
    path = write(tmp_path / "f.npz", {"x": x, "y": y, "u": y**2, "v": 0 * y})
    flow = read_snapshots(path, DataMapping())
    assert np.array_equal(flow.velocity[0, :, 0], flow.points[:, 1] ** 2)


def test_falling_lines_are_turned_and_indices_follow(tmp_path: Path):
    arrays = {key: value.transpose(0, 2, 1)[:, ::-1] for key, value in fields().items()}
    top = np.zeros((9, 7), dtype=bool)
    top[0] = True  # y falls: the first row is the top
    arrays |= {"x": X, "y": Y[::-1], "t": T, "top": np.flatnonzero(top), "mask": top}
    path = write(tmp_path / "f.npz", arrays)
    sets = {"top": "top", "mask": "mask"}
    flow = read_snapshots(path, DataMapping(t="t", p="p", axes=("t", "y", "x"), index_sets=sets))
    assert_is_the_flow(flow)
    for name in sets:
        assert np.array_equal(np.sort(flow.points[flow.index_sets[name], 0]), X)
        assert (flow.points[flow.index_sets[name], 1] == 1.0).all()


def test_scattered_in_the_layout_of_the_best_known_pinn_file(tmp_path: Path):
    # cylinder_nektar_wake.mat: X_star (n, 2), U_star (n, 2, T), p_star (n, T), t (T, 1).
    expected = {key: value.reshape(3, -1) for key, value in fields().items()}
    arrays = {
        "X_star": np.stack([MESH_X, MESH_Y], axis=-1).reshape(-1, 2),
        "U_star": np.stack([expected["u"].T, expected["v"].T], axis=1),
        "p_star": expected["p"].T,
        "t": T[:, None],
    }
    mapping = DataMapping(x="X_star[:, 0]", y="X_star[:, 1]", t="t", u="U_star[:, 0, :]", v="U_star[:,1]", p="p_star")
    for name in ("f.mat", "f-v7.3.mat"):
        flow = read_snapshots(write(tmp_path / name, arrays), mapping)
        assert flow.grid_shape is None
        assert np.array_equal(flow.points, arrays["X_star"])
        assert np.array_equal(flow.velocity[..., 1], expected["v"])
        assert np.array_equal(flow.pressure, expected["p"])


def test_curvilinear_mesh_counts_as_scattered(tmp_path: Path):
    x, y = (1 + MESH_X) * np.cos(MESH_Y), (1 + MESH_X) * np.sin(MESH_Y)
    path = write(tmp_path / "f.h5", {"x": x, "y": y, "t": T} | fields())
    flow = read_snapshots(path, DataMapping(t="t"))
    assert flow.grid_shape is None
    assert np.array_equal(flow.points[:, 0], x.reshape(-1))
    assert np.array_equal(flow.velocity[..., 0], fields()["u"].reshape(3, -1))


def test_steady_row_vectors_and_integers(tmp_path: Path):
    row = np.arange(5)[None]
    path = write(tmp_path / "f.mat", {"x": row, "y": row**2, "u": row, "v": -row})
    flow = read_snapshots(path, DataMapping())
    assert flow.steady
    assert flow.velocity.shape == (1, 5, 2)
    assert flow.velocity.dtype == np.float64


def test_one_time_stored_with_or_without_its_axis(tmp_path: Path):
    one = {key: value[1] for key, value in fields().items()}
    lines = {"x": X, "y": Y, "t": T[1:2]}
    for arrays in (one, {key: value[None] for key, value in one.items()}):
        path = write(tmp_path / "f.npz", arrays | lines)
        for axes in (None, ("x", "y"), ("t", "x", "y")):
            flow = read_snapshots(path, DataMapping(t="t", axes=axes))
            assert np.array_equal(flow.times, [0.5])
            assert np.array_equal(flow.velocity[0, :, 0], one["u"].reshape(-1))


def test_pressure_at_one_frame(tmp_path: Path):
    path = write(tmp_path / "f.npz", fields() | {"x": X, "y": Y, "t": T, "p": fields()["p"][2]})
    flow = read_snapshots(path, DataMapping(t="t", p="p", pressure_frame=2))
    assert np.array_equal(flow.pressure, fields()["p"][2].reshape(1, -1))
    assert np.array_equal(flow.pressure_frames, [2])
    with pytest.raises(PinnxError, match=r"p: expected axes \(t: 3, x: 7, y: 9\).*pressure_frame"):
        read_snapshots(path, DataMapping(t="t", p="p"))
    with pytest.raises(PinnxError, match="pressure_frame: expected a frame from 0 to 2, got 3"):
        read_snapshots(path, DataMapping(t="t", p="p", pressure_frame=3))


def test_attributes_of_groups_and_files(tmp_path: Path):
    path = write(tmp_path / "f.h5", {f"run/{k}": v for k, v in (fields() | {"x": X, "y": Y}).items()})
    with h5py.File(path, "r+") as file:
        file["t"] = T
        file.attrs["nu"] = 0.25
        file["run/u"].attrs["nu"] = 0.5
    names = {"x": "run/x", "y": "run/y", "u": "run/u", "v": "run/v", "t": "t"}
    assert read_snapshots(path, DataMapping(**names, nu="@nu")).nu == 0.25
    assert read_snapshots(path, DataMapping(**names, nu="run/u@nu")).nu == 0.5
    with pytest.raises(PinnxError, match=r"nu: no attribute 'Re' in f\.h5; it has nu"):
        read_snapshots(path, DataMapping(**names, nu="@Re"))
    with pytest.raises(PinnxError, match=r"no attribute 'nu' in run/v of f\.h5; it has none"):
        read_snapshots(path, DataMapping(**names, nu="run/v@nu"))


# Real files


@pytest.mark.parametrize(
    ("name", "nu", "n"),
    [("ldc_re100", 0.01, 256), ("ldc_re1000", 1e-3, 128), ("ldc_re3200", 3.125e-4, 256)],
)
def test_cavity(data_dir: Path, name: str, nu: float, n: int):
    flow = read_snapshots(data_dir / f"{name}.mat", CAVITY)
    assert flow.steady
    assert flow.nu == pytest.approx(nu)
    assert flow.grid_shape == (n, n)
    lid = flow.points[:, 1] == flow.bounds["y"][1]
    inner = lid & (flow.points[:, 0] > 0) & (flow.points[:, 0] < 1)
    assert (flow.velocity[0, inner] == [1.0, 0.0]).all()


@pytest.mark.parametrize("name", ["ldc_re100", "ldc_re1000", "ldc_re3200"])
@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"axes": ("y", "x")}, r'axes \("x", "y"\) fits'),
        ({"y": "y[:, ::-1]"}, r'axes \("x", "y"\) with the values of y in reverse fits'),
        ({"axes": None}, r"\('x', 'y'\) or \('y', 'x'\)"),
    ],
)
def test_cavity_read_wrongly_is_refused(data_dir: Path, name: str, change: dict[str, object], remedy: str):
    mapping = DataMapping(**({"axes": ("x", "y")} | change))
    with pytest.raises(PinnxError, match=remedy):
        read_snapshots(data_dir / f"{name}.mat", mapping)


def test_orientation_check_can_be_waived(data_dir: Path):
    path, turned = data_dir / "ldc_re100.mat", DataMapping(axes=("y", "x"))
    flow = read_snapshots(path, turned, check_orientation=False)
    right = read_snapshots(path, CAVITY)
    assert np.array_equal(flow.velocity.reshape(256, 256, 2), right.velocity.reshape(256, 256, 2).swapaxes(0, 1))


def test_wake(data_dir: Path):
    flow = read_snapshots(data_dir / "cylinder_wake_re100.h5", WAKE)
    assert flow.velocity.shape == (60, 12000, 2)
    assert flow.grid_shape is None
    assert flow.nu == 0.01
    assert flow.times[28] == pytest.approx(202.3)
    assert np.array_equal(flow.pressure_frames, [28])
    wall = flow.index_sets["wall_index"]
    assert not flow.velocity[:, wall].any()
    assert np.hypot(*flow.points[wall].T) == pytest.approx(0.5, abs=1e-6)
    part = flow.window(x=(0.0, 4.0), t=(200.0, 203.0))
    part.validate()
    assert part.num_times == 15
    assert np.array_equal(part.times[part.pressure_frames], flow.times[flow.pressure_frames])
    assert not part.velocity[:, part.index_sets["wall_index"]].any()


def test_turbulence_cutout_layout(data_dir: Path):
    # The velocity in this file is the index of x, y, z: every axis mixed up would show.
    names = {axis: f"{axis}coor" for axis in "xyz"}
    names |= {name: f"Velocity_0001[..., {i}]" for i, name in enumerate("uvw")}
    path = data_dir / "jhtdb_layouts" / "pyjhtdb_cutout.h5"
    flow = read_snapshots(path, DataMapping(**names, p="Pressure_0001"))
    assert flow.grid_shape == (6, 5, 4)
    index = flow.velocity[0] - flow.velocity[0, 0]
    assert np.array_equal(index, np.indices((6, 5, 4)).reshape(3, -1).T)
    assert flow.pressure.shape == (1, 120)


# Damage


def good_arrays() -> dict[str, np.ndarray]:
    return fields() | {"x": X, "y": Y, "t": T, "nu": np.array(0.1)}


@pytest.mark.parametrize(
    ("change", "mapping", "message"),
    [
        ({}, {"u": "U"}, r"u: no array 'U' in f.npz; it holds nu \[\], p \[3, 7, 9\], t \[3\]"),
        ({}, {"nu": "@nu"}, "nu: no attribute 'nu' in f.npz; it has none"),
        ({}, {"nu": "t"}, r"nu: expected one number in 't', got float64 \[3\]"),
        ({"nu": np.array(0.0)}, {"nu": "nu"}, "nu: expected a viscosity > 0, got 0.0"),
        ({"nu": np.array(np.nan)}, {"nu": "nu"}, "nu: expected one number"),
        ({}, {"nu": -0.1}, "nu: expected a viscosity > 0, got -0.1"),
        ({}, {"u": "u[0]"}, r"got fields \[7, 9\]"),
        ({}, {"u": "u[9]"}, r"u: index \[9\] does not fit u \[3, 7, 9\]"),
        ({}, {"u": "u[..., 0, 0, 0, 0]"}, "u: index"),
        ({}, {"u": "u[x]"}, r"u: expected an index such as \[\.\.\., 0\], got \[x\]"),
        (
            {},
            {"axes": ("t", "y", "x")},
            r"expected \('t', 'y', 'x'\).*what fits: \('t', 'x', 'y'\)",
        ),
        ({}, {"t": None}, r"t: expected the times of 3 frames, .* got none; name them: data.arrays.t=t fits"),
        (
            {name: array[..., :7] for name, array in fields().items()} | {"y": X},
            {"t": None},
            "t: expected the times of 3 frames, .* got none; name them: data.arrays.t=t fits",
        ),
        ({}, {"axes": ("t", "n")}, "what fits: "),
        ({"u": fields()["u"][:, :-1]}, {}, r"got fields \[3, 6, 9\] .* what fits: none"),
        ({"v": fields()["v"][:, :-1]}, {}, r"v: expected axes \(t: 3, x: 7, y: 9\), got shape"),
        (
            {"u": np.where(fields()["u"] > 3, np.nan, fields()["u"])},
            {},
            r"u,v: expected values at all times or at none \(a body\), got 11 of 189 missing.*data.window",
        ),
        ({"u": 1j * fields()["u"]}, {}, r"u: expected real numbers in 'u' of f.npz, got complex128 \[3, 7, 9\]"),
        ({"u": np.array(["fast"])}, {}, "u: expected real numbers in 'u' of f.npz, got <U4"),
        ({"u": np.zeros(0)}, {}, "u: expected real numbers, got float64 of shape"),
        ({"t": T[::-1]}, {}, "times: expected strictly increasing values, got 2 followed by 0.5"),
        ({"t": T * np.nan}, {}, "times: expected finite"),
        (
            {"x": X[[0, 2, 1, 3, 4, 5, 6]]},
            {},
            "x: expected grid lines that rise or fall throughout",
        ),
        ({"y": np.where(Y > 0, np.nan, Y)}, {}, "y: expected finite values, got 4"),
        ({"i": np.array([63])}, {"index_sets": {"wall": "i"}}, "wall: .* below 63, got 63 to 63"),
        ({"i": np.array([0.5])}, {"index_sets": {"wall": "i"}}, "wall: expected whole numbers"),
        ({"i": X > 0}, {"index_sets": {"wall": "i"}}, r"wall: expected a mask of shape \[7, 9\], got \[7\]"),
    ],
)
def test_wrong_arrays(tmp_path: Path, change: dict[str, np.ndarray], mapping: dict[str, object], message: str):
    path = write(tmp_path / "f.npz", good_arrays() | change)
    with pytest.raises(PinnxError, match=message) as raised:
        read_snapshots(path, DataMapping(**({"t": "t"} | mapping)))
    assert "\n" not in str(raised.value)


def cut_short(content: bytes) -> bytes:
    return content[: len(content) // 2]


def wipe_the_middle(content: bytes) -> bytes:
    third = len(content) // 3
    return content[:third] + bytes(third) + content[2 * third :]


@pytest.mark.parametrize("name", ["f.mat", "f-v7.3.mat", "f.npz", "f.h5"])
@pytest.mark.parametrize("damage", [cut_short, lambda content: b"", lambda content: b"text" * 99])
def test_damaged_files(tmp_path: Path, name: str, damage: Callable[[bytes], bytes]):
    path = write(tmp_path / name, good_arrays())
    read_snapshots(path, DataMapping(t="t"))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(PinnxError, match=name) as raised:
        read_snapshots(path, DataMapping(t="t"))
    assert "\n" not in str(raised.value)


def test_damaged_contents_of_a_compressed_dataset(tmp_path: Path):
    path = write(tmp_path / "f.h5", {k: v for k, v in good_arrays().items() if k != "u"})
    with h5py.File(path, "r+") as file:
        data = file.create_dataset("u", data=fields()["u"], chunks=(3, 7, 9), compression="gzip")
        chunk = data.id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(content)
    with pytest.raises(PinnxError, match=r"f\.h5: u is damaged"):
        read_snapshots(path, DataMapping(t="t"))


def test_wipe_in_a_matlab_file(tmp_path: Path):
    path = tmp_path / "f.mat"
    scipy.io.savemat(path, good_arrays(), do_compression=True)
    path.write_bytes(wipe_the_middle(path.read_bytes()))
    with pytest.raises(PinnxError, match="cannot be read as a MATLAB file"):
        read_snapshots(path, DataMapping(t="t"))


def test_files_that_are_none(tmp_path: Path):
    with pytest.raises(PinnxError, match="no such file"):
        read_snapshots(tmp_path / "f.h5", DataMapping())
    with pytest.raises(PinnxError, match=r"expected a file that ends in \.mat, \.npz, \.h5, \.hdf5, \.nc"):
        read_snapshots(tmp_path / "f.xlsx", DataMapping())


# Mappings


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": None}, "x: expected the name of an array"),
        ({"z": "z"}, "z, w: expected both or neither, got z='z', w=None"),
        ({"pressure_frame": 3}, "pressure_frame: expected only together with p"),
        ({"axes": ("x", "x")}, r"axes: expected an order of \(\[t,\] x, y\) or of \(\[t,\] n\)"),
        ({"axes": ("x", "y", "z")}, "axes: expected an order"),
        ({"axes": ("x", "n")}, "axes: expected an order"),
        ({"axes": ("t", "n")}, "axes: expected no 't' without the array of times"),
    ],
)
def test_contradictory_mappings(arguments: dict[str, object], message: str):
    with pytest.raises(PinnxError, match=message):
        DataMapping(**arguments)


def test_axes_may_come_as_a_list():
    assert DataMapping(axes=["y", "x"]).axes == ("y", "x")
