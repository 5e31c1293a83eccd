"""Numbers as other programs store them: packed, marked, dated, of every kind. Each is the plain file, or is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
from stored_flow import FLOW, MESH_X, MESH_Y, T, U, V, X, Y, arrays, assert_same, hdf5, plain

from pinnx.data import DataMapping, read_snapshots
from pinnx.data.open_snapshots import open_snapshots
from pinnx.data.quantities import open_fields, read_fields
from pinnx.data.streamed_field import StreamedField
from pinnx.errors import PinnxError

# Packed numbers and marks


def packed(array: np.ndarray, scale: float, offset: float) -> np.ndarray:
    return np.round((array - offset) / scale).astype("i2")


def test_packed_counts_are_unpacked(tmp_path: Path) -> None:
    stored = {"u": packed(U, 1e-3, 1.0), "v": packed(V, 5e-4, 0.0)}
    attributes = {"u": {"scale_factor": 1e-3, "add_offset": 1.0}, "v": {"scale_factor": np.float32(5e-4)}}
    path = hdf5(tmp_path / "f.h5", arrays(**stored), attributes)
    flow = read_snapshots(path, FLOW)
    assert_same(flow, plain(tmp_path), 6e-4)
    assert flow.notes == ("Unpacked by scale_factor and add_offset: u, v.",)
    names = ["u", "v"]
    with open_fields(path, names, axes=("t", "y", "x")) as fields:
        np.testing.assert_allclose(fields.values[:], flow.values)
    np.testing.assert_array_equal(read_fields(path, names, axes=("t", "y", "x")).values, flow.values)
    flat = hdf5(tmp_path / "flat.h5", {"u": stored["u"].reshape(4, -1)}, {"u": attributes["u"]})
    for limit in (None, 2**25):
        with open_snapshots(f"{flat}::u", num_rows=lambda c: 1, memory_limit=limit) as source:
            rows = np.concatenate([block.numpy() for block in source.rows()])
        np.testing.assert_allclose(rows, U.reshape(4, -1), atol=6e-4)


@pytest.mark.parametrize(
    ("dtype", "attributes"),
    [
        ("f4", {"_FillValue": np.float32(-9999.0)}),
        ("f4", {"missing_value": np.array([1e20, -9999.0])}),
        ("f8", {"valid_min": -100.0}),
        ("f8", {"valid_range": [-100.0, 100.0]}),
        ("i2", {"_FillValue": np.int16(-9999), "scale_factor": 1e-3}),
        ("i2", {"_FillValue": 1e20, "missing_value": -9999, "scale_factor": 1e-3}),
    ],
)
def test_marks_of_missing_values_are_holes(tmp_path: Path, dtype: str, attributes: dict[str, Any]) -> None:
    hole = (MESH_X - 2) ** 2 + (MESH_Y - 1) ** 2 < 0.5
    scale = attributes.get("scale_factor", 1.0)
    stored = {name: np.where(hole, -9999, np.round(A / scale) if dtype == "i2" else A).astype(dtype)
              for name, A in (("u", U), ("v", V))}  # fmt: skip
    path = hdf5(tmp_path / "f.h5", arrays(**stored), {"u": attributes, "v": attributes})
    flow = read_snapshots(path, FLOW)
    wanted = plain(tmp_path, u=np.where(hole, np.nan, U), v=np.where(hole, np.nan, V))
    assert_same(flow, wanted, 6e-4)
    assert wanted.holes is not None
    np.testing.assert_array_equal(flow.holes, wanted.holes)
    num = int(hole[0].sum())
    np.testing.assert_array_equal(flow.holes, hole[0].T.reshape(-1))
    assert not flow.values[:, flow.holes].any()
    assert f"Missing, by the marks of the file: u {4 * num} of 216 values, v {4 * num} of 216 values." in flow.notes
    assert flow.notes[-1].startswith(f"{num} of 54 places have no values at any time and count as a body")
    with open_fields(path, ["u", "v"], axes=("t", "y", "x")) as fields:
        np.testing.assert_allclose(fields.values[:], flow.values, rtol=1e-6)
        np.testing.assert_array_equal(fields.holes, flow.holes)


def test_what_the_netcdf_library_leaves_unwritten_is_missing(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "f.nc", {"x": X, "y": Y, "t": T})
    with h5py.File(path, "r+") as file:
        for name, A in (("u", U), ("v", V)):
            file.create_dataset(name, data=A.astype("f4"), fillvalue=np.float32(9.969209968386869e36))
            file[name][:, 0, 0] = 9.969209968386869e36
    assert read_snapshots(path, FLOW).holes.sum() == 1
    path = hdf5(tmp_path / "g.h5", arrays(u=np.where(MESH_X == 4, 9.969209968386869e36, U)))
    with pytest.raises(PinnxError, match=r"u: expected finite values below 1e\+18, got 9.969.*data.arrays.mask"):
        read_snapshots(path, FLOW)


def test_values_that_are_missing_now_and_then_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    gaps = {name: np.where(rng.random(A.shape) < 0.05, np.float32(-9999), A).astype("f4")
            for name, A in (("u", U), ("v", V))}  # fmt: skip
    path = hdf5(tmp_path / "f.h5", arrays(**gaps), {name: {"_FillValue": np.float32(-9999)} for name in "uv"})
    message = (
        r"u,v: expected values at all times or at none \(a body\), got 16 of 216 missing \(NaN\) at some times, at 14"
    )
    with pytest.raises(PinnxError, match=message):
        read_snapshots(path, FLOW)
    with pytest.raises(PinnxError, match="u,v: expected values at all times"):
        read_fields(path, ["u", "v"], axes=("t", "y", "x"))
    with open_fields(path, ["u", "v"], axes=("t", "y", "x")) as fields, pytest.raises(PinnxError, match="missing"):
        fields.values[:]


def test_attributes_that_are_no_numbers(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "f.h5", arrays(), {"u": {"scale_factor": "a tenth"}})
    with pytest.raises(PinnxError, match="u: expected one number as its attribute scale_factor, got <U7"):
        read_snapshots(path, FLOW)


def test_netcdf3_and_a_dimension_without_coordinates(tmp_path: Path) -> None:
    path = tmp_path / "f.nc"
    with scipy.io.netcdf_file(path, "w") as file:
        for name, array in (("t", T), ("y", Y), ("x", X)):
            file.createDimension(name, len(array))
            file.createVariable(name, "f8", (name,))[:] = array
        for name, A in (("u", U), ("v", V)):
            variable = file.createVariable(name, "i2", ("t", "y", "x"))
            variable[:] = packed(A, 1e-3, 0.0)
            variable.scale_factor = 1e-3
        file.variables["t"].units = "hours since 2024-05-01"
    flow = read_snapshots(path, FLOW)
    assert_same(flow, plain(tmp_path, t=3600 * T), 6e-4)
    path = hdf5(tmp_path / "g.nc", arrays(grid_n=X, grid_z=Y, x=np.arange(9), y=np.arange(6)))
    with h5py.File(path, "r+") as file:
        for name in "xy":
            file[name].make_scale("This is a netCDF dimension but not a netCDF variable.         9")
        file["u"].attrs["coordinates"] = "grid_n grid_z"
    message = r"x: .* 'x' of g.nc, got a dimension of netCDF without coordinates; the file names grid_n, grid_z"
    with pytest.raises(PinnxError, match=message):
        read_snapshots(path, FLOW)
    assert_same(read_snapshots(path, DataMapping(t="t", x="grid_n", y="grid_z")), plain(tmp_path))


# Times and units


def test_units_of_time_and_length(tmp_path: Path) -> None:
    units = {"t": {"units": "minutes since 2024-05-01 00:00:00"}}
    path = hdf5(tmp_path / "f.h5", arrays(t=(15 * np.arange(4)).astype("i8")), units)
    flow = read_snapshots(path, FLOW)
    np.testing.assert_array_equal(flow.times, 900.0 * np.arange(4))
    converted = "Converted to m and s, in which the domain, positions, nu and all else must be too: "
    assert flow.notes == (f"{converted}t (times 60).", "x, y, u, v: no unit in the file; taken to be in m and s.")
    units |= {"x": {"units": b"mm"}, "y": {"units": "mm"}, "u": {"units": "m min-1"}, "v": {"units": "m min-1"}}
    flow = read_snapshots(hdf5(tmp_path / "g.h5", arrays(), units), FLOW)
    assert_same(flow, plain(tmp_path, x=1e-3 * X, y=1e-3 * Y, t=60 * T, u=U / 60, v=V / 60), 1e-15)
    assert flow.notes[0].startswith(f"{converted}x (times 0.001), y (times 0.001), u (times 0.0166667), v (times 0.01")
    for spelled in ("m/min", "meters per minute", "m*min**-1"):  # one unit, spelled in another way
        units["v"] = {"units": spelled}
        assert_same(read_snapshots(hdf5(tmp_path / "g.h5", arrays(), units), FLOW), flow)
    units["v"] = {"units": "km/h"}
    with pytest.raises(PinnxError, match="u, v: expected one unit, got u m min-1, v km/h"):
        read_snapshots(hdf5(tmp_path / "g.h5", arrays(), units), FLOW)
    with pytest.raises(PinnxError, match=r"p: expected the kinematic pressure .* got one in Pa; divide it"):
        read_snapshots(hdf5(tmp_path / "g.h5", arrays(p=U), {"p": {"units": "Pa"}}), DataMapping(t="t", p="p"))
    with pytest.raises(
        PinnxError, match="t: expected seconds, minutes, hours or days since a date, got months since 2024"
    ):
        read_snapshots(hdf5(tmp_path / "g.h5", arrays(), {"t": {"units": "months since 2024"}}), FLOW)
    with pytest.raises(PinnxError, match="x: expected a length, got degrees_east"):
        read_snapshots(hdf5(tmp_path / "g.h5", arrays(), {"x": {"units": "degrees_east"}}), FLOW)


def test_units_that_do_not_belong_together(tmp_path: Path) -> None:
    def notes(x: str, t: str, u: str) -> tuple[str, ...]:
        units = {name: {"units": text} for name, text in zip("xytuv", (x, x, t, u, u), strict=True)}
        return read_snapshots(hdf5(tmp_path / "f.nc", arrays(), units), FLOW).notes

    for good in (("m", "seconds since 2024-05-01", "m s-1"), ("", "", "m/s"), ("1", "1", "1"), ("", "s", "")):
        assert notes(*good) == ()
    assert notes("metres", "s", "meters per second") == ()
    kept = "Nothing is converted, and the domain, positions, nu and all else must be in the file's units: "
    for x, t, u in (("km", "hours since 2024-05-01", "km h-1"), ("px", "frame", "px/frame"), ("D", "D/U", "U")):
        assert notes(x, t, u) == (f"{kept}x in {x}, y in {x}, u in {u}, v in {u}, t in {t.split(' since')[0]}.",)
    # One unit of length more: all is in m and s, so that a domain and nu in m mean what they say.
    assert notes("m", "s", "cm/s")[0].endswith("must be too: u (times 0.01), v (times 0.01).")
    with pytest.raises(PinnxError, match=r"u: expected a unit of velocity, got knots; convert it in the file"):
        notes("m", "s", "knots")
    with pytest.raises(PinnxError, match=r"u: expected a unit of velocity, got m; convert it in the file"):
        notes("m", "s", "m")
    with pytest.raises(PinnxError, match=r"x: expected a unit of length, got rad"):
        notes("rad", "s", "m/s")
    with pytest.raises(PinnxError, match=r"x: expected a unit of length that is known beside u in m/s, got 'nmi'"):
        notes("nmi", "s", "m/s")
    with pytest.raises(PinnxError, match=r"expected units of length that convert, got x in px, u in m/s"):
        notes("px", "s", "m/s")


def test_dates_and_what_is_no_real_number(tmp_path: Path) -> None:
    dates = np.datetime64("2024-05-01") + (T * 1000).astype("timedelta64[ms]")
    flow = plain(tmp_path, t=dates)
    assert_same(flow, plain(tmp_path), 1e-3)
    assert flow.notes == ("Seconds from 2024-05-01T00:00:00.000: t.",)
    assert_same(plain(tmp_path, t=(T * 1000).astype("timedelta64[ms]")), plain(tmp_path), 1e-3)
    with pytest.raises(PinnxError, match=r"u: expected real numbers in 'u' of plain.npz, got complex128 \[4, 6, 9\]"):
        plain(tmp_path, u=U + 1j * V)
    with pytest.raises(PinnxError, match=r"u: expected real numbers in 'u' of .*, got Python objects"):
        plain(tmp_path, u=np.array([None, 1.0], dtype=object))


def test_coordinates_that_float32_has_rounded(tmp_path: Path) -> None:
    with pytest.raises(
        PinnxError, match=r"y: expected more digits than float32 has, got values near 4500002 in steps of 0.5 over"
    ):
        plain(tmp_path, y=(Y + 4.5e6).astype("f4"))
    far = plain(tmp_path, y=Y + 4.5e6)
    np.testing.assert_allclose(far.bounds["y"], (4.5e6, 4.5e6 + 2))
    plain(tmp_path, y=np.arange(4.5e6, 4.5e6 + 6, dtype="f4"))  # whole numbers have kept all their digits
    with pytest.raises(
        PinnxError, match=r"got 3.5 followed by 3.5 at index 8; values are equal after rounding to float32: store"
    ):
        plain(tmp_path, x=np.append(X[:-1], X[-2]).astype("f4"))


def test_numbers_of_any_size(tmp_path: Path) -> None:
    with pytest.raises(PinnxError, match=r"u: expected finite values below 1e\+18, got 7e\+199"):
        plain(tmp_path, u=U * 1e200, v=V * 1e200)
    late = plain(tmp_path, DataMapping(t="t"), t=T * 1e40)  # without a warning that float32 does not hold it
    np.testing.assert_array_equal(late.times, T * 1e40)
    small = plain(tmp_path, u=U * 1e-200, v=V * 1e-200)  # without a warning that it is uniform
    np.testing.assert_allclose(1e200 * small.values, plain(tmp_path).values)


NUMBERS = {ending: ("<f2", ">f2", ">f4", "|u1", ">i2", "<i8") for ending in ("h5", "npz", "folder", "zarr")}
NUMBERS |= {"mat": NUMBERS["h5"][2:], "v7.3.mat": NUMBERS["h5"], "nc": (">f4", ">i2", ">i4")}  # MATLAB has no float16


@pytest.mark.parametrize(("ending", "kind"), [(ending, kind) for ending, kinds in NUMBERS.items() for kind in kinds])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_kind_of_number_in_every_file(tmp_path: Path, ending: str, kind: str, order: str) -> None:
    lines = {"t": np.arange(4), "y": np.arange(6), "x": np.arange(9)}
    fields = {"u": np.round(20 + 9 * U), "v": np.round(20 + 9 * V)}
    arrays = {name: np.asarray(array, np.dtype(kind), order=order) for name, array in (lines | fields).items()}
    path = tmp_path / f"f.{ending}"
    if ending == "mat":
        scipy.io.savemat(path, arrays)
    elif ending == "v7.3.mat":  # HDF5 with the axes in reverse
        hdf5(path, {name: array.T for name, array in arrays.items()})
    elif ending == "nc":
        with scipy.io.netcdf_file(path, "w") as file:
            for name, line in lines.items():
                file.createDimension(name, len(line))
            for name, array in arrays.items():
                file.createVariable(name, kind, tuple(lines)[: array.ndim] if array.ndim > 1 else (name,))[:] = array
    elif ending == "npz":
        np.savez(path, **arrays)
    elif ending == "h5":
        hdf5(path, arrays)
    elif ending == "folder":
        path.mkdir()
        for name, array in arrays.items():
            np.save(path / name, array)
    else:
        zarr = pytest.importorskip("zarr", reason="zarr is not installed (extra: zarr)")
        group = zarr.open_group(str(path), mode="w")
        for name, array in arrays.items():
            group.create_array(name, data=array)
    names = DataMapping(t="t", axes=("t", "y", "x"))
    flow = read_snapshots(path, names, check_orientation=False)
    np.testing.assert_array_equal(
        flow.points, np.stack(np.meshgrid(lines["x"], lines["y"], indexing="ij"), -1).reshape(-1, 2)
    )
    for component, field in enumerate(fields.values()):
        np.testing.assert_array_equal(flow.values[..., component], field.transpose(0, 2, 1).reshape(4, -1))
    streamed = StreamedField(path, names)
    points = streamed.draw(0, range(99), 99)
    t, x, y = points.coordinates.T.astype(int)
    np.testing.assert_array_equal(points.values, np.stack([field[t, y, x] for field in fields.values()], axis=-1))
    streamed.close()
