"""fields.h5: shapes, places, values and references in every layout, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from tolerances import EPS32

from pinnx.config import Config
from pinnx.evals import Evaluation, evaluate
from pinnx.jobs import outputs
from pinnx.jobs.cases.case import Case
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.outputs import evaluate_output, versions, write_fields

Tiny = Callable[..., Config]
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
    problem = flow_problem(config, case).problem
    flow = evaluate_output(case.output, problem)
    write_fields(path, case, flow, problem.fields, {"nu": 0.125}, problem.model.predict(case.coordinates))
    return case, flow


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
        assert file.attrs["nu"] == 0.125
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
    problem = flow_problem(config, case).problem
    fields = problem.model.predict(case.coordinates)
    write_fields(
        tmp_path / "fields.h5", case, evaluate_output(case.output, problem), problem.fields, {"nu": 0.1}, fields
    )
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
