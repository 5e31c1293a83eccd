"""Small files of exact flows in every form that a run can start from, and settings that make a run tiny."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import scipy.io

from pinnx.evals import Beltrami, Kovasznay, TaylorGreen

# Six steps of a network of eight: enough to go through every line, too few to learn anything.
TINY = (
    *("train.steps=6", "train.collocation_points=16", "train.boundary_points=4", "train.log_every=2"),
    *("model.width=8", "model.layers=1", "model.frequencies=4"),
    *("evals.points=32", "evals.grid=8", "report.dpi=20", "report.frames=1"),
)


def unsteady_grid(folder: Path) -> Path:
    """Decaying vortices on a grid of 6 x 5 in [0, 2] x [0, 1.5] at 4 times, with pressure and nu: .npz."""
    flow, path = TaylorGreen(nu=0.1, wavenumber=2.0), folder / "vortices.npz"
    t, x, y = np.linspace(0.0, 1.0, 4), np.linspace(0.0, 2.0, 6), np.linspace(0.0, 1.5, 5)
    mesh = np.meshgrid(t, x, y, indexing="ij")
    u, v = np.moveaxis(flow.velocity(*mesh), -1, 0)
    np.savez(path, x=x, y=y, t=t, u=u, v=v, p=flow.pressure(*mesh), nu=flow.nu)
    return path


def steady_grid(folder: Path) -> Path:
    """The flow behind a row of bodies on a grid of 7 x 6, with pressure: .mat."""
    flow, path = Kovasznay(nu=0.05), folder / "kovasznay.mat"
    x, y = np.linspace(-0.5, 1.0, 7), np.linspace(-0.5, 0.5, 6)
    mesh = np.meshgrid(x, y, indexing="ij")
    u, v = np.moveaxis(flow.velocity(mesh[0], *mesh), -1, 0)
    scipy.io.savemat(path, {"x": x, "y": y, "u": u, "v": v, "p": flow.pressure(mesh[0], *mesh), "nu": flow.nu})
    return path


def scattered_3d(folder: Path) -> Path:
    """A decaying flow in three dimensions at 40 scattered points and 3 times, with pressure at one: .h5."""
    flow, path = Beltrami(nu=0.2), folder / "beltrami.h5"
    points, t = np.random.default_rng(0).uniform(-1.0, 1.0, (40, 3)), np.linspace(0.0, 0.5, 3)
    columns = [t[:, None] + 0 * points[:, 0], *(0 * t[:, None] + column for column in points.T)]
    velocity = flow.velocity(*columns)
    with h5py.File(path, "w") as file:
        file.update(dict(zip("xyz", points.T, strict=True)) | {"t": t, "velocity": velocity})
        file["p"] = flow.pressure(*columns)[1]
        file["p"].attrs["frame"] = 1
        file.attrs["nu"] = flow.nu
    return path


def unsteady_csv(folder: Path) -> Path:
    """Five sensors in the decaying vortices at three times."""
    flow, path = TaylorGreen(nu=0.1, wavenumber=2.0), folder / "sensors.csv"
    places = np.random.default_rng(1).uniform((0.1, 0.1), (1.9, 1.4), (5, 2))
    rows = np.array([(t, x, y) for t in (0.0, 0.5, 1.0) for x, y in places])
    table = np.column_stack([rows, flow.velocity(*rows.T)])
    np.savetxt(path, table, delimiter=",", header="t,x,y,u,v", comments="", fmt="%.17g")
    return path


def steady_csv(folder: Path) -> Path:
    """Four sensors in a steady flow."""
    flow, path = Kovasznay(nu=0.05), folder / "steady.csv"
    places = np.array([[-0.3, -0.2], [0.0, 0.1], [0.5, 0.3], [0.8, -0.4]])
    table = np.column_stack([places, flow.velocity(places[:, 0], *places.T)])
    np.savetxt(path, table, delimiter=",", header="x,y,u,v", comments="", fmt="%.17g")
    return path


MAKERS = {
    "unsteady_grid": unsteady_grid,
    "steady_grid": steady_grid,
    "scattered_3d": scattered_3d,
    "unsteady_csv": unsteady_csv,
    "steady_csv": steady_csv,
}

CONFIGURATIONS = {
    "unsteady_grid": """
data: {arrays: {t: t, p: p, nu: nu}, axes: [t, x, y]}
boundaries: [{where: {side: left}, u: 0.0}, {where: {expression: t < 0.1}, v: 0.25}]
sensors: {count: 4, method: random} # one mode in time: nothing for pivoted QR to tell apart
""",
    "steady_grid": """
data: {arrays: {p: p, nu: nu}, axes: [x, y]}
boundaries: [{where: {side: left}, u: 1.0, v: 0.0}, {where: {side: top}, u: 0.0}]
sensors: {count: 5, method: random}
train: {corner_radius: 0.1}
""",
    "scattered_3d": """
data:
  arrays: {z: z, t: t, u: "velocity[..., 0]", v: "velocity[..., 1]", w: "velocity[..., 2]", p: p, nu: "@nu"}
  axes: [t, n]
  pressure_frame: "@frame"
sensors: {count: 6, method: random}
""",
    "unsteady_csv": """
domain: {x: [0.0, 2.0], y: [0.0, 1.5]}
flow: {nu: 0.1}
""",
    "steady_csv": """
domain: {x: [-0.5, 1.0], y: [-0.5, 0.5]}
flow: {nu: 0.05}
boundaries: [{where: {side: left}, u: 1.0}]
""",
}


def prepare(folder: Path, name: str) -> tuple[Path, Path]:
    """Writes a flow and a configuration for it; returns (configuration, data)."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / f"{name}.yaml"
    config.write_text(CONFIGURATIONS[name])
    return config, MAKERS[name](folder)


def source(data: Path) -> tuple[str, str]:
    """The override that names the data."""
    return ("data.measurements" if data.suffix == ".csv" else "data.path", str(data))
