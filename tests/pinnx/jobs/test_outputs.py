"""fields.h5: shapes, places, values, references in every layout, whole or not at all; other formats; worst places."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from flow_files import unsteady_grid
from same_runs import Finished, Tiny
from tolerances import EPS32

from pinnx.config import Config, load_config
from pinnx.data import DataMapping, read_snapshots
from pinnx.errors import PinnxError
from pinnx.evals import Evaluation, evaluate
from pinnx.jobs import outputs, reconstruct
from pinnx.jobs.cases.case import Case
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.judging.beside_norms import beside_norms
from pinnx.jobs.outputs import evaluate_output, export_fields, require_packages, versions, write_fields

SHAPES = {
    "unsteady_grid": ("t,x,y", (4, 6, 5)),
    "steady_grid": ("x,y", (7, 6)),
    "scattered_3d": ("t,n", (3, 40)),
    "unsteady_csv": ("t,x,y", (3, 8, 6)),
    "steady_csv": ("x,y", (8, 5)),
}


def written(tiny: Tiny, name: str, path: Path) -> tuple[Case, Evaluation]:
    config = tiny(name)
    case = load_case(config)
    flow = flow_problem(config, case)
    output = evaluate_output(case.output, flow.problem)
    write_fields(path, flow, output)
    return case, output


def test_each_frame_is_reported(tiny: Tiny) -> None:
    config = tiny("unsteady_csv")
    case, done = load_case(config), []
    evaluate_output(case.output, flow_problem(config, case).problem, lambda *frame: done.append(frame))
    assert done == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("name", SHAPES)
def test_layout(tiny: Tiny, name: str, tmp_path: Path) -> None:
    case, flow = written(tiny, name, tmp_path / "fields.h5")
    axes, shape = SHAPES[name]
    components = ("u", "v", "w")[: case.dim]
    with h5py.File(tmp_path / "fields.h5") as file:
        assert file.attrs["axes"] == axes
        assert file.attrs["nu"] == case.nu
        assert file.attrs["names"] == ",".join((*components, "p"))
        assert file.attrs["residual_names"] == ",".join(flow.residual_names)
        assert bool(file.attrs["steady"]) == case.steady
        assert bool(file.attrs["grid"]) == (case.output.grid_shape is not None)
        assert file.attrs["source"] == case.source
        assert file.attrs["names"] == ",".join((*components, "p"))
        assert file.attrs["vector"] == ",".join(components)
        assert (file.attrs["length_name"], file.attrs["up_to_constant"]) == ("speed", "p")
        assert ("t" in file) == (not case.steady)
        columns = [*zip((*components, "p"), flow.fields.T, strict=True)]
        columns += [*zip((f"residual/{n}" for n in flow.residual_names), flow.residual.T, strict=True)]
        for dataset, values in columns:
            assert file[dataset].shape == shape
            np.testing.assert_array_equal(file[dataset][()].reshape(-1), values.astype(np.float32))
        assert ("reference" in file) == (case.reference is not None)
        for column, component in enumerate(components if case.reference is not None else ()):
            wanted = case.reference.velocity[..., column].reshape(shape)
            np.testing.assert_array_equal(file["reference"][component], wanted.astype(np.float32))


def test_what_was_measured_stands_beside_what_was_reconstructed(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("unsteady_csv")
    whole = load_case(config)
    velocity, pressure = whole.velocity.copy(), np.arange(15.0)
    velocity[:, 1] = np.nan  # only u
    pressure[3:] = np.nan
    case = replace(whole, velocity=velocity, pressure=pressure, speed=np.full(15, 2.0))
    flow = flow_problem(config, case)
    fields = flow.model.predict(case.coordinates)
    write_fields(tmp_path / "fields.h5", flow, evaluate_output(case.output, flow.problem))
    with h5py.File(tmp_path / "fields.h5") as file:
        group = file["sensors"]
        assert group.attrs["names"] == "u,p,speed"
        np.testing.assert_array_equal(group["coordinates"], case.coordinates)
        np.testing.assert_array_equal(group["measured"], np.column_stack([velocity[:, 0], pressure, case.speed]))
        wanted = np.column_stack([fields[:, 0], fields[:, 2], np.hypot(fields[:, 0], fields[:, 1])])
        np.testing.assert_allclose(group["reconstructed"], wanted, rtol=EPS32)


@pytest.mark.parametrize("name", SHAPES)
def test_a_value_stands_where_its_coordinates_say(tiny: Tiny, name: str, tmp_path: Path) -> None:
    """Evaluated again at coordinates read from the file alone."""
    config = tiny(name)
    case, _ = written(tiny, name, tmp_path / "fields.h5")
    problem = flow_problem(config, case).problem
    with h5py.File(tmp_path / "fields.h5") as file:
        axes = [axis for axis in ("t", "x", "y", "z") if axis in file]
        if file.attrs["grid"]:
            mesh = np.meshgrid(*(file[axis][()] for axis in axes), indexing="ij")
        else:
            mesh = [np.broadcast_to(file[axis], file["u"].shape) for axis in axes if axis != "t"]
            mesh.insert(0, np.broadcast_to(file["t"][()][:, None], file["u"].shape))
        at = np.stack([column.reshape(-1) for column in mesh], axis=1)
        again = evaluate(problem.model, problem.terms, at).fields
        for column, component in enumerate((*"uvw"[: case.dim], "p")):
            np.testing.assert_allclose(
                file[component][()].reshape(-1), again[:, column], rtol=0.0, atol=100 * EPS32 * np.abs(again).max()
            )


def test_reference_pressure_keeps_its_frames(tiny: Tiny, tmp_path: Path) -> None:
    for name, shape, frames in (
        ("unsteady_grid", (4, 6, 5), [0, 1, 2, 3]),
        ("scattered_3d", (1, 40), [1]),
        ("steady_grid", (7, 6), None),
    ):
        case, _ = written(tiny, name, tmp_path / f"{name}.h5")
        with h5py.File(tmp_path / f"{name}.h5") as file:
            assert file["reference/p"].shape == shape
            wanted = case.reference.pressure.reshape(-1).astype(np.float32)
            np.testing.assert_array_equal(file["reference/p"][()].reshape(-1), wanted)
            assert ("p_frames" in file["reference"]) == (frames is not None)
            assert frames is None or file["reference/p_frames"][()].tolist() == frames


def test_a_failure_while_writing_leaves_nothing(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise RuntimeError("full")

    monkeypatch.setattr(outputs, "_write", fail)
    with pytest.raises(RuntimeError, match="full"):
        written(tiny, "steady_grid", tmp_path / "fields.h5")
    assert not list(tmp_path.glob("fields*"))


def test_numbers_of_the_machine() -> None:
    found = versions(torch.device("cpu"))
    assert set(found) == {"pinn_ext", "python", "torch", "numpy", "instruction_set", "threads", "device", "machine"}
    assert all(found.values())


@pytest.fixture(scope="module")
def demo() -> Any:
    return load_case(load_config("demo", ["data.synthetic.resolution=16", "data.synthetic.num_frames=3"]))


def test_the_worst_place_and_the_waves_that_are_there(demo: Any) -> None:
    wanted = demo.reference.velocity
    exact = np.concatenate([wanted, np.zeros((*wanted.shape[:2], 1))], axis=2)
    found = beside_norms(demo, exact.reshape(-1, 3))
    assert found is not None
    assert (found["rmse"], found["largest"]) == (0.0, 0.0)
    assert found["resolved_wavenumber"] > 0.0
    wrong = exact.copy()
    wrong[1, 37, 0] += 0.5
    found = beside_norms(demo, wrong.reshape(-1, 3))
    assert found is not None
    assert found["largest"] == pytest.approx(0.5)
    assert found["worst_at"] == [*demo.reference.points[37], demo.reference.times[1]]
    assert found["rmse"] == pytest.approx(0.5 / np.sqrt(wanted.shape[0] * wanted.shape[1]))
    still = replace(demo.reference, values=wanted * np.array([0.0, 1.0, 1.0])[:, None, None])
    found = beside_norms(replace(demo, reference=still), wrong.reshape(-1, 3))
    assert found is not None
    assert found["worst_at"][2] == demo.reference.times[0], "a frame at rest counts"
    weak = beside_norms(demo, 0.5 * exact.reshape(-1, 3))
    assert weak is not None
    assert weak["resolved_wavenumber"] == 0.0
    assert beside_norms(replace(demo, reference=None), exact.reshape(-1, 3)) is None


def copied(finished: Finished, name: str, folder: Path) -> tuple[Path, h5py.File]:
    path = folder / "fields.h5"
    path.write_bytes((finished(name)[0] / "fields.h5").read_bytes())
    return path, h5py.File(path)


@pytest.mark.parametrize("name", ["unsteady_grid", "steady_grid", "scattered_3d"])
def test_netcdf_has_the_fields_and_the_names_of_cf(finished: Finished, tmp_path: Path, name: str) -> None:
    path, fields = copied(finished, name, tmp_path)
    export_fields(path, ["netcdf"])
    with fields, scipy.io.netcdf_file(tmp_path / "fields.nc", mmap=False) as file:
        assert file.Conventions == b"CF-1.8"
        for field in ("u", "v", "p"):
            np.testing.assert_array_equal(file.variables[field].data, fields[field][()])
            assert file.variables[field].dimensions == tuple(str(fields.attrs["axes"]).split(","))
        assert (file.variables["x"].axis, file.variables["x"].standard_name) == (b"X", b"projection_x_coordinate")
    if name == "unsteady_grid":
        flow = read_snapshots(tmp_path / "fields.nc", DataMapping(t="t"), check_orientation=False)
        assert flow.grid_shape == (6, 5)


@pytest.mark.parametrize("name", ["unsteady_grid", "scattered_3d"])
def test_vtu_has_the_fields_at_each_time(finished: Finished, tmp_path: Path, name: str) -> None:
    meshio = pytest.importorskip("meshio", reason="meshio is not installed (extra: mesh)")
    path, fields = copied(finished, name, tmp_path)
    export_fields(path, ["vtu"])
    with fields:
        files = sorted((tmp_path / "vtu").iterdir())
        assert len(files) == len(fields["t"])
        mesh = meshio.read(files[1])
        for index, field in enumerate("uv"):
            np.testing.assert_array_equal(mesh.point_data["velocity"][:, index], fields[field][1].reshape(-1))
        np.testing.assert_array_equal(mesh.point_data["p"], fields["p"][1].reshape(-1))
        if name == "unsteady_grid":
            assert mesh.cells[0].data.shape == (5 * 4, 4)
            corners = mesh.points[mesh.cells[0].data]
            first, second = corners[:, 1, :2] - corners[:, 0, :2], corners[:, 3, :2] - corners[:, 0, :2]
            assert (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0] > 0.0).all()  # against the clock
    if find_spec("pyvista"):
        assert pytest.importorskip("pyvista").read(files[1]).n_points == len(mesh.points)


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize(("given", "kept"), [("mm", ("mm", "s")), ("metres", ("m", "s")), ("km", ("m", "s")), ("", ())])
def test_units_of_the_data_stay(tiny: Callable[..., Config], tmp_path: Path, given: str, kept: tuple[str, ...]) -> None:
    """km beside m/s becomes m; a file without units gives one without."""
    path = tmp_path / "flow.h5"
    with np.load(unsteady_grid(tmp_path)) as stored, h5py.File(path, "w") as file:
        file.update({name: stored[name] for name in stored.files})
        texts = {"x": given, "y": given, "t": "s", **dict.fromkeys("uv", f"{given.replace('km', 'm')}/s")}
        for name, text in texts.items() if given else ():
            file[name].attrs["units"] = text
    reconstruct(tiny("unsteady_grid", f"data.path={path}", "evals.formats=[netcdf]"), tmp_path / "run")
    wanted = dict(zip(("length", "time"), kept, strict=False))
    texts = {"x": "{length}", "t": "{time}", "u": "{length} {time}-1", "p": "{length}2 {time}-2"}
    with h5py.File(tmp_path / "run" / "fields.h5") as file:
        assert [file.attrs.get(f"{name}_unit") for name in ("length", "time")] == [*(kept or (None, None))]
        for name, text in texts.items():
            assert file[name].attrs.get("units") == (text.format(**wanted) if kept else None)
    with scipy.io.netcdf_file(tmp_path / "run" / "fields.nc", mmap=False) as file:
        for name, text in texts.items():
            assert getattr(file.variables[name], "units", None) == (text.format(**wanted).encode() if kept else None)


@pytest.mark.usefixtures("no_report")
def test_a_run_writes_them_on_request(tiny: Callable[..., Config], tmp_path: Path) -> None:
    reconstruct(tiny("steady_csv", "evals.formats=[netcdf]", "evals.left_out=0"), tmp_path / "run")
    assert (tmp_path / "run" / "fields.nc").is_file()
    assert not (tmp_path / "run" / "vtu").exists()


def test_a_missing_package_is_named_before_the_training(
    tiny: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tiny("steady_csv", "evals.formats=[vtu, netcdf]").evals.formats == ("vtu", "netcdf")
    monkeypatch.setitem(sys.modules, "meshio", None)
    require_packages(["netcdf"])
    with pytest.raises(PinnxError, match=r"evals.formats: expected the package meshio for vtu: pip install"):
        require_packages(["vtu"])
