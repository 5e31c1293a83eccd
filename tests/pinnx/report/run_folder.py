"""Builds small but complete run folders, as the trainer leaves them, from exact flows.

The "reconstruction" is the exact flow with a smooth error of a known size, so that a report has
something true to show: ``build_run(folder, steady_grid())``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from pinnx.evals import Beltrami, ExactFlow, TaylorGreen, check, field_errors
from pinnx.jobs.outputs import field_roles

ERROR = 0.04  # of the amplitude


@dataclass(frozen=True, eq=False)
class Case:
    """What a run was about: an exact flow, places, times, and how much of it is known."""

    flow: ExactFlow
    points: np.ndarray  # [n, d]
    grid: tuple[np.ndarray, ...] | None  # axes, or None where scattered
    times: np.ndarray | None
    pressure_frames: list[int] | None = None
    has_reference: bool = True
    source: str = "/data/flows/taylor_green.mat"
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)


def grid_points(*axes: np.ndarray) -> np.ndarray:
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def steady_grid() -> Case:
    axes = (np.linspace(0.0, 6.0, 33), np.linspace(0.0, 4.0, 25) ** 1.1)
    return Case(TaylorGreen(nu=0.01), grid_points(*axes), axes, None)


def unsteady_scattered() -> Case:
    """Scattered around a hole, the pressure known in one frame, as in a cylinder's wake."""
    points = np.random.default_rng(3).uniform([-2.0, -2.0], [4.0, 2.0], (900, 2))
    points = points[np.hypot(*points.T) > 0.7]
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    rim = 0.7 * np.column_stack((np.cos(angle), np.sin(angle)))
    return Case(
        TaylorGreen(nu=0.05),
        np.concatenate((points, rim)),
        None,
        np.linspace(1.0, 3.0, 5),
        pressure_frames=[3],
        source="/data/wake.h5",
    )


def measurements_only() -> Case:
    """A user's CSV: no reference; the fields are on a grid of the domain."""
    case = replace(steady_grid(), has_reference=False, source="measurements.csv")
    return replace(case, config={"data": {"measurements": "measurements.csv"}})


def unsteady_measurements() -> Case:
    """The same of a flow that moves: maps at several times, and nothing to compare them with."""
    axes = (np.linspace(0.0, 2 * np.pi, 24), np.linspace(0.0, 2 * np.pi, 24))
    config = {"data": {"measurements": "probes.csv"}}
    times = np.linspace(0.0, 2.0, 7)
    return Case(
        TaylorGreen(nu=0.05), grid_points(*axes), axes, times, has_reference=False, source="probes.csv", config=config
    )


def synthetic_unsteady_grid() -> Case:
    axes = (np.linspace(0.0, 2 * np.pi, 32), np.linspace(0.0, 2 * np.pi, 32))
    times = np.linspace(0.0, 2.0, 4)
    source = "synthetic: periodic flow, 32 x 32, seed 0"
    return Case(TaylorGreen(nu=0.05), grid_points(*axes), axes, times, [0, 1, 2, 3], source=source)


def grid_3d() -> Case:
    axes = (np.linspace(-1, 1, 12), np.linspace(-1, 1, 10), np.linspace(0, 1, 7))
    return Case(Beltrami(nu=0.1), grid_points(*axes), axes, np.array([0.0, 0.5]), [0, 1])


def scattered_3d() -> Case:
    points = np.random.default_rng(5).uniform(-1.0, 1.0, (2500, 3))
    return Case(Beltrami(nu=0.1), points, None, np.array([0.0, 0.5]), [1])


CASES: dict[str, Callable[[], Case]] = {
    builder.__name__: builder
    for builder in (
        steady_grid,
        unsteady_scattered,
        measurements_only,
        unsteady_measurements,
        synthetic_unsteady_grid,
        grid_3d,
        scattered_3d,
    )
}


def build_run(folder: Path, case: Case, num_sensors: int = 12) -> Path:
    """Writes config.yaml, metrics.json, history.jsonl, sensors.csv and fields.h5."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = np.random.default_rng(1).permutation(len(case.points))[:num_sensors]
    errors = _write_fields(folder / "fields.h5", case, chosen)
    sensors = case.points[chosen]
    axes = "xyz"[: case.flow.dim]
    lines = [",".join(("rank", *axes))]
    lines += [",".join(map(repr, [i, *place.tolist()])) for i, place in enumerate(sensors, 1)]
    (folder / "sensors.csv").write_text("\n".join(lines) + "\n")
    (folder / "config.yaml").write_text(yaml.safe_dump(_config(case), sort_keys=False))
    (folder / "metrics.json").write_text(json.dumps(_metrics(case, errors), allow_nan=False))
    history = "".join(json.dumps(row) + "\n" for row in _history(axes))
    (folder / "history.jsonl").write_text(history)
    return folder


def _write_fields(path: Path, case: Case, sensors: np.ndarray) -> dict[str, float]:
    dim = case.flow.dim
    frames = np.array([0.5]) if case.times is None else case.times
    coordinates = [np.broadcast_to(c, (len(frames), len(case.points))) for c in case.points.T]
    time = np.broadcast_to(frames[:, None], coordinates[0].shape)
    velocity = case.flow.velocity(time, *coordinates)  # [T, n, d]
    pressure = case.flow.pressure(time, *coordinates)
    wave = np.sin(2.3 * coordinates[0] + time) * np.cos(1.7 * coordinates[1] - 0.3)
    found = velocity + ERROR * wave[..., None] * np.array([1.0, -0.7, 0.4][:dim])
    found_pressure = pressure + 5.0 + ERROR * wave  # up to a constant
    shape = case.points.shape[:1] if case.grid is None else tuple(a.size for a in case.grid)
    lead = () if case.times is None else (len(frames),)
    known = case.pressure_frames if case.times is not None else [0]

    with h5py.File(path, "w") as file:
        file.attrs.update({"nu": case.flow.nu, "steady": case.times is None, "grid": case.grid is not None})
        file.attrs.update(names=",".join((*"uvw"[:dim], "p")), **field_roles(dim))
        file.attrs["residual_names"] = ",".join((*(f"momentum_{name}" for name in "xyz"[:dim]), "continuity"))
        for i, name in enumerate("xyz"[:dim]):
            file[name] = case.points[:, i] if case.grid is None else case.grid[i]
            file[f"residual/momentum_{name}"] = (0.01 * wave * (i + 1)).reshape(*lead, *shape)
        file["residual/continuity"] = (0.003 * wave**3).reshape(*lead, *shape)
        if case.times is not None:
            file["t"] = case.times
        for i, name in enumerate("uvw"[:dim]):
            file[name] = found[..., i].reshape(*lead, *shape)
            if case.has_reference:
                file[f"reference/{name}"] = velocity[..., i].reshape(*lead, *shape)
        file["p"] = found_pressure.reshape(*lead, *shape)
        if case.has_reference and known:
            lead_p = () if case.times is None else (len(known),)
            file["reference/p"] = pressure[known].reshape(*lead_p, *shape)
            if case.times is not None:
                file["reference/p_frames"] = np.array(known)
        group = file.create_group("sensors")
        group.attrs["names"] = ",".join("uvw"[:dim])
        at = np.stack([*([] if case.times is None else [time]), *coordinates], axis=-1)
        for name, values in {"coordinates": at, "measured": velocity, "reconstructed": found}.items():
            group[name] = values[:, sensors].reshape(-1, values.shape[-1])
    if not case.has_reference:
        return {}
    return field_errors(found, velocity, pressure=found_pressure[known], reference_pressure=pressure[known])


def _config(case: Case) -> dict[str, Any]:
    return {
        "data": {"path": case.source},
        "problem": {"kind": "flow", "nu": None, "learn_nu": False},
        "boundaries": [
            {"where": {"side": "top"}, "u": 1.0, "v": 0.0},
            {"where": {"circle": {"center": [0.0, 0.0], "radius": 0.7}}, "u": "sin(x)", "v": 0},
        ],
        "sensors": {"count": 12, "method": "qr", "noise": 0.01},
        "report": {"dpi": 40, "frames": 3},
        **case.config,
    }


def _metrics(case: Case, errors: dict[str, float]) -> dict[str, Any]:
    checks = [
        check("pde_residual_l2", 4.5678e-4),
        check("conservation", 3.21e-3),
        check("boundary_error_max", None),
    ]
    if errors:
        checks.append(check("reconstruction", errors["velocity"]))
    return {
        "relative_l2": errors,
        "worst_component": {"name": "v", "relative_l2": errors["v"]} if errors else None,
        "wall_s": 71.25,
        "train_s": 46.1875,
        "steps": 3000,
        "steps_per_s": 64.953,
        "peak_memory_gib": 0.73125,
        "pde_residual_l2": 4.5678e-4,
        "continuity_l2": 3.21e-3,
        "boundary_error_max": None,
        "num_sensors": 12,
        "seed": 7,
        "checks": [item.as_dict() for item in checks],
        "source": case.source,
        "nu": case.flow.nu,
        "command": "pinnx reconstruct cavity --data flow.mat --out run",
        "measured": ["u", "v", "w"][: case.flow.dim],
        "equations": f"the Navier-Stokes equations in {case.flow.dim} dimensions",
        "descriptions": {"nu": "viscosity", "p": "pressure"},
        "versions": {"pinn_ext": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"},
        **case.metrics,
    }


def _history(axes: str) -> list[dict[str, float]]:
    rng = np.random.default_rng(0)
    rows = []
    for step in range(0, 3001, 10):
        decay = np.exp(-step / 700.0) + 1e-4
        terms = {
            **{f"loss/momentum_{axis}": 0.3 * decay for axis in axes},
            "loss/continuity": 0.1 * decay,
            "loss/data": 2.0 * decay**1.4,
            "loss/boundary": 0.0,
        }
        terms = {name: value * float(rng.lognormal(0.0, 0.15)) for name, value in terms.items()}
        row = {"step": step, "time_s": step / 65.0, "lr": 3e-3, "loss/total": sum(terms.values())}
        rows.append({**row, **terms, "steps_per_s": 65.0})
    return rows


def build_scalar_run(folder: Path) -> Path:
    """A run of another problem: one scalar c(t, x, y) and the equation of heat, measured at five sensors."""
    folder.mkdir(parents=True, exist_ok=True)
    times, x, y = np.linspace(0.0, 1.0, 3), np.linspace(0.0, 1.0, 17), np.linspace(0.0, 2.0, 13)
    t_mesh, x_mesh, y_mesh = np.meshgrid(times, x, y, indexing="ij")
    wanted = np.exp(-t_mesh) * np.sin(np.pi * x_mesh) * y_mesh
    found = wanted + 0.02 * np.cos(3.0 * x_mesh)
    with h5py.File(folder / "fields.h5", "w") as file:
        file.attrs.update(steady=False, grid=True, names="c", residual_names="heat")
        stored = {"t": times, "x": x, "y": y, "c": found, "residual/heat": 0.1 * found, "reference/c": wanted}
        for name, values in stored.items():
            file[name] = values
    (folder / "sensors.csv").write_text("rank,x,y\n" + "".join(f"{i},0.{i},1.{i}\n" for i in range(1, 6)))
    config = {"sensors": {"count": 5, "method": "qr"}, "boundaries": [{"where": {"side": "left"}, "c": "0"}]}
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, "report": {"dpi": 40, "frames": 2}}))
    metrics = {
        "relative_l2": {"c": 0.0345},
        "train_s": 12.0,
        "conductivity": 0.25,
        "checks": [
            {
                "name": "heat_l2",
                "value": 1e-4,
                "limit": 1e-3,
                "unit": "kelvin/time",
                "status": "passed",
                "passed": True,
                "note": "",
            }
        ],
        "source": "plate.npz",
        "measured": ["c"],
        "equations": "the equation of heat, with the conductivity k = 0.25",
        "descriptions": {"c": "temperature", "heat_l2": "residual of the equation of heat"},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    rows = [{"step": step, "loss/total": 1.0 / step, "loss/heat": 0.5 / step} for step in (1, 10, 20)]
    (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
