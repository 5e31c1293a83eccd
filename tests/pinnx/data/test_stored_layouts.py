"""Layouts of other programs: masks, frames, MATLAB's order, shapes, gaps. Each is the plain file, or is refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from stored_flow import FLOW, MESH_X, MESH_Y, T, U, V, X, Y, arrays, assert_same, hdf5, plain

from pinnx.data import DataMapping, read_snapshots
from pinnx.errors import PinnxError

# Masks and frames


@pytest.mark.parametrize("opposite", [False, True])
@pytest.mark.parametrize("each", [False, True])
def test_masks(tmp_path: Path, opposite: bool, each: bool) -> None:
    hole = (MESH_X == 4) & (MESH_Y == 0)
    mask = (hole == opposite).astype("u1")
    mapping = DataMapping(t="t", mask="~typevector" if opposite else "typevector")
    flow = plain(tmp_path, mapping, typevector=mask if each else mask[0])
    np.testing.assert_array_equal(flow.holes, hole[0].T.reshape(-1))
    assert flow.notes[0] == "Missing, by the mask: {} of {} values of {}.".format(
        *((4, 216) if each else (1, 54)), mapping.mask
    )
    with pytest.raises(PinnxError, match=r"mask: expected axes \(y: 6, x: 9\), got shape \[9, 6\]"):
        plain(tmp_path, mapping, typevector=mask[0].T)


def test_marks_that_no_mask_names_are_questioned(tmp_path: Path) -> None:
    marks = np.ones((6, 9))
    for name in ("chc", "typevector", "qc_flag"):
        (note,) = plain(tmp_path, DataMapping(t="t"), **{name: marks}).notes
        assert note == f"Look at {name}: if it is 0 where nothing was measured, name it by data.arrays.mask."
    assert plain(tmp_path, DataMapping(t="t"), wall=marks).notes == ()
    sets = DataMapping(t="t", index_sets={"wall": "flag"})
    assert not any("Look at" in note for note in plain(tmp_path, sets, flag=marks > 2).notes)


def test_frames_in_arrays_of_their_own(tmp_path: Path) -> None:
    frames = {f"u_{9 + k}": U[k] for k in range(4)} | {f"v_{9 + k}": V[k] for k in range(4)} | {"u_max": U.max()}
    rest = {"x": X, "y": Y}
    named = DataMapping(t="t", u="u_*", v="v_*", axes=("y", "x"))
    flow = read_snapshots(hdf5(tmp_path / "f.h5", frames | rest | {"t": T}), named)
    assert_same(flow, plain(tmp_path))
    assert flow.notes == ("4 arrays are joined as frames, in the order of their numbers: u of u_*, v of v_*.",)
    stepped = read_snapshots(tmp_path / "f.h5", DataMapping(t=T[1], u="u_*", v="v_*"))
    assert_same(stepped, plain(tmp_path), 1e-15)
    with pytest.raises(PinnxError, match=r"t: expected the times of 4 frames.*such as data.arrays.t=0.1"):
        read_snapshots(hdf5(tmp_path / "g.h5", frames | rest), DataMapping(u="u_*", v="v_*"))
    moved = {name.replace("12", "14"): array for name, array in frames.items()}
    with pytest.raises(PinnxError, match=r"as the numbers of u_\* have gaps, got a step"):
        read_snapshots(hdf5(tmp_path / "g.h5", moved | rest), DataMapping(t=0.1, u="u_*", v="v_*"))
    with pytest.raises(PinnxError, match=r"u: expected one shape for u_\*, got u_9 \[6, 9\] and u_12 \[6, 8\]"):
        read_snapshots(hdf5(tmp_path / "g.h5", frames | rest | {"u_12": U[3, :, :-1]}), DataMapping(u="u_*", v="v_*"))
    with pytest.raises(PinnxError, match=r"no arrays w_\* with a number for \* in f.h5; it holds"):
        read_snapshots(tmp_path / "f.h5", DataMapping(u="w_*", v="v_*"))


def test_cutouts_with_an_array_for_each_time(tmp_path: Path) -> None:
    both = {f"Velocity_{k + 1:04}": np.stack([U[k], V[k]], axis=-1) for k in range(4)}
    path = hdf5(tmp_path / "f.h5", both | {"x": X, "y": Y})
    mapping = DataMapping(t=T[1], u="Velocity_*[..., 0]", v="Velocity_*[..., 1]")
    assert_same(read_snapshots(path, mapping), plain(tmp_path), 1e-15)


# MATLAB


@pytest.mark.parametrize("scattered", [False, True])
@pytest.mark.parametrize("version", ["v5", "v7.3"])
def test_matlab_counts_from_one_in_column_major_order(tmp_path: Path, version: str, scattered: bool) -> None:
    """Fields (x, y, t); the set is find(y == 0), or the mask itself."""
    mask = np.zeros((9, 6), dtype=bool)
    mask[:, 0] = True
    shift = np.outer(np.linspace(0, 0.1, 9), np.linspace(0, 1, 6) ** 2) if scattered else np.zeros((9, 6))
    mesh = {"x": X[:, None] + shift, "y": Y[None, :] + shift} if scattered else {"x": X[:, None], "y": Y[:, None]}
    found = np.flatnonzero(mask.ravel(order="F"))[:, None] + 1.0
    content = {
        **mesh,
        "t": T[:, None],
        "u": U.transpose(2, 1, 0),
        "v": V.transpose(2, 1, 0),
        "wall": found,
        "mask": mask,
    }
    path = tmp_path / f"{version}.mat"
    if version == "v5":
        scipy.io.savemat(path, content)
    else:
        hdf5(
            path, {name: np.asarray(array, dtype="u1" if name == "mask" else "f8").T for name, array in content.items()}
        )
    mapping = DataMapping(t="t", index_sets={"wall": "wall", "mask": "mask"})
    flow = read_snapshots(path, mapping)
    assert (flow.grid_shape is None) == scattered
    for name in ("wall", "mask"):
        assert flow.index_sets[name].size == 9
        np.testing.assert_array_equal(flow.points[flow.index_sets[name], 1], np.zeros(9))
    assert "Index set wall: 9 places, x from 0 to 4, y from 0 to 0." in flow.notes


def test_an_index_of_zero_is_none_of_matlab(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "f.mat", arrays(wall=np.arange(9)))
    message = "wall: expected indices from 1 to 54 in column-major order, as MATLAB counts .or a mask., got 0 to 8"
    with pytest.raises(PinnxError, match=message):
        read_snapshots(tmp_path / "f.mat", DataMapping(t="t", index_sets={"wall": "wall"}))


def test_structs_and_cells(tmp_path: Path) -> None:
    cells = np.empty((4, 1), dtype=object)
    for k in range(4):
        cells[k, 0] = V[k]
    scipy.io.savemat(tmp_path / "f.mat", {"x": X, "y": Y, "data": {"t": T, "u": U}, "v_original": cells})
    flow = read_snapshots(tmp_path / "f.mat", DataMapping(t="data/t", u="data/u", v="v_original/*"))
    assert_same(flow, plain(tmp_path))
    with h5py.File(tmp_path / "g.mat", "w") as file:
        file["x"], file["y"], file["data/t"], file["data/u"] = X[None], Y[None], T[None], U.T
        for k in range(4):
            file[f"#refs#/{'abcd'[k]}"] = V[k].T
        file["v_original"] = np.array([[file[f"#refs#/{letter}"].ref for letter in "abcd"]], dtype=h5py.ref_dtype)
    assert_same(read_snapshots(tmp_path / "g.mat", DataMapping(t="data/t", u="data/u", v="v_original/*")), flow)


# Shapes


def test_shapes_agree_axis_by_axis(tmp_path: Path) -> None:
    bent = {"x": MESH_X[0] + 0.1 * MESH_Y[0] ** 2, "y": MESH_Y[0] + 0.1 * MESH_X[0]}
    flow = plain(tmp_path, **bent)
    assert flow.grid_shape is None
    np.testing.assert_array_equal(flow.values[..., 0], U.reshape(4, -1))
    turned = {name: A.transpose(0, 2, 1) for name, A in (("u", U), ("v", V))}
    flat = {name: A.reshape(4, -1) for name, A in (("u", U), ("v", V))}
    lists = {name: array.reshape(-1) for name, array in bent.items()}
    for change in (bent | turned, bent | flat, lists):
        with pytest.raises(PinnxError, match=r"axes: expected an order .* what fits: none"):
            plain(tmp_path, **change)
    assert plain(tmp_path, **lists, **flat).num_points == 54


def test_a_real_cutout_of_two_times(data_dir: Path) -> None:
    names = {axis: f"{axis}coor" for axis in "xyz"}
    names |= {name: f"velocity_*[..., {index}]" for index, name in enumerate("uvw")}
    path = data_dir / "jhtdb_layouts" / "givernylocal_multi_time.h5"
    flow = read_snapshots(path, DataMapping(t=0.5, **names))
    np.testing.assert_array_equal(flow.times, [0.0, 0.5])
    with h5py.File(path) as file:
        for k in range(2):
            wanted = file[f"velocity_000{k + 1}"][...].transpose(2, 1, 0, 3).reshape(-1, 3)
            np.testing.assert_array_equal(flow.values[k], wanted)


@pytest.mark.parametrize("fill", [0.0, -0.5])
@pytest.mark.parametrize("chunks", [None, (2, 6, 9)])
def test_what_was_never_written_is_no_data(tmp_path: Path, chunks: tuple[int, ...] | None, fill: float) -> None:
    path = hdf5(tmp_path / "flow.h5", {"x": X, "y": Y, "t": T, "v": V})
    with h5py.File(path, "a") as file:
        u = file.create_dataset("u", U.shape, "f8", chunks=chunks, fillvalue=fill)
        if chunks:
            u[:2] = U[:2]
    what = "1 of 2 chunks that were" if chunks else "an array that was"
    with pytest.raises(PinnxError, match=f"u: expected real numbers in 'u' of flow.h5, got {what} never written"):
        read_snapshots(path, FLOW)
    with h5py.File(path, "a") as file:
        file["u"][...] = U
    assert_same(read_snapshots(path, FLOW), plain(tmp_path))


@pytest.mark.parametrize("fill", [0.0, -0.5])
def test_a_virtual_dataset_without_one_of_its_files_is_no_data(tmp_path: Path, fill: float) -> None:
    path = hdf5(tmp_path / "flow.h5", {"x": X, "y": Y, "t": T, "v": V})
    layout = h5py.VirtualLayout(U.shape, "f8")
    for number in range(4):
        part = hdf5(tmp_path / f"part_{number}.h5", {"u": U[number]})
        layout[number] = h5py.VirtualSource(part.name if number else part, "u", U[number].shape)
    with h5py.File(path, "a") as file:
        file.create_virtual_dataset("u", layout, fillvalue=fill)
    assert_same(read_snapshots(path, FLOW), plain(tmp_path))
    (tmp_path / "part_2.h5").rename(tmp_path / "elsewhere.h5")
    with pytest.raises(PinnxError, match=r"u: .*, got a virtual dataset without 1 of its 4 files: part_2.h5"):
        read_snapshots(path, FLOW)
