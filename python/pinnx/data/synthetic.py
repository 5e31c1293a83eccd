"""Synthetic flow: decaying vortices in a periodic box, solved by a pseudo-spectral method.

    omega_0 = sum over 1 <= |(a, b)| <= max_wavenumber of g_ab exp(2 pi i (a x / L_x + b y / L_y))

with independent complex normal g_ab, scaled to an RMS velocity of 1. The modes are drawn in an
order that does not know the grid, so one seed names one flow, at every resolution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pinnx.data.layout import grid_points
from pinnx.data.snapshots import Snapshots
from pinnx.data.vorticity import PeriodicGrid, solve_vorticity
from pinnx.errors import PinnxError

__all__ = ["periodic_flow"]


def periodic_flow(
    *,
    resolution: int | tuple[int, int] = 64,
    length: float | tuple[float, float] = 2 * np.pi,
    nu: float = 0.02,
    duration: float = 2.0,
    num_frames: int = 21,
    max_wavenumber: float = 3.0,
    seed: int = 0,
    mean_velocity: Sequence[float] = (0.0, 0.0),
    progress: Callable[[float], None] | None = None,
) -> Snapshots:
    """Make snapshots of a random two-dimensional flow that obeys Navier-Stokes.

    The defaults are a few vortices at a Reynolds number (RMS velocity 1, vortex size L / 3) of 100
    that lose about a fifth of their energy and stay smooth: against twice the resolution, the
    velocity differs by 2e-5 at most (measured, seeds 0 to 3).

    Args:
        resolution: grid points along x and y.
        length: periods L_x and L_y in units of length.
        nu: kinematic viscosity, > 0.
        duration: time from the first frame to the last, > 0 unless there is one frame only.
        num_frames: number of frames, >= 1, evenly spaced from t = 0.
        max_wavenumber: finest wave at the start, in periods per box; below a third of the points.
        seed: names the flow, >= 0.
        mean_velocity: (U, V), added to the velocity; it carries the vortices along.
        progress: called with the time reached, after each step of the solver.

    Returns:
        Snapshots on the grid, with pressure (zero mean) at every frame; the end of a period is
        not repeated. Deterministic: the same arguments give the same bits on one machine.

    Raises:
        PinnxError: an argument out of its range.
    """
    shape = (resolution, resolution) if isinstance(resolution, int) else tuple(resolution)
    periods = (length, length) if isinstance(length, int | float) else tuple(length)
    grid = PeriodicGrid(shape, periods)
    if num_frames < 1 or not np.isfinite(duration) or (num_frames > 1 and duration <= 0):
        raise PinnxError(
            f"num_frames, duration: expected at least one frame and a duration > 0, got {num_frames} and {duration}"
        )
    times = np.linspace(0.0, duration, num_frames)
    omega = solve_vorticity(
        _random_vorticity(grid, max_wavenumber, seed),
        grid,
        nu=nu,
        times=times,
        mean_velocity=mean_velocity,
        progress=progress,
    )
    spectra = grid.to_spectrum(omega)
    velocity = np.moveaxis(grid.to_grid(grid.velocity(spectra)), 0, -1) + np.asarray(mean_velocity)
    points = grid_points(grid.lines)
    snapshots = Snapshots(
        points=points,
        values=velocity.reshape(num_frames, -1, 2),
        times=times,
        pressure=grid.to_grid(grid.pressure(spectra)).reshape(num_frames, -1),
        pressure_frames=np.arange(num_frames, dtype=np.int64),
        nu=float(nu),
        grid_shape=grid.shape,
        source=(
            f"synthetic: decaying vortices in a periodic box, pseudo-spectral on "
            f"{grid.shape[0]} x {grid.shape[1]}, seed {seed}"
        ),
    )
    snapshots.validate()
    return snapshots


def _random_vorticity(grid: PeriodicGrid, max_wavenumber: float, seed: int) -> np.ndarray:
    """Return a random vorticity [n_x, n_y] whose velocity has an RMS of 1."""
    if not 1 <= max_wavenumber < min(grid.shape) / 3:
        raise PinnxError(
            f"max_wavenumber: expected 1 to less than {min(grid.shape) / 3:g} (a third of the "
            f"resolution), got {max_wavenumber}"
        )
    if seed < 0:
        raise PinnxError(f"seed: expected >= 0, got {seed}")
    reach = int(max_wavenumber)
    # Half of the plane of waves: the other half is the complex conjugate.
    modes = [
        (a, b)
        for a in range(-reach, reach + 1)
        for b in range(reach + 1)
        if (b > 0 or a > 0) and np.hypot(a, b) <= max_wavenumber
    ]
    normal = np.random.Generator(np.random.Philox(key=seed)).standard_normal((len(modes), 2))
    x, y = np.meshgrid(*grid.lines, indexing="ij")
    omega = np.zeros(grid.shape)
    for (a, b), (cosine, sine) in zip(modes, normal, strict=True):
        phase = 2 * np.pi * (a * x / grid.length[0] + b * y / grid.length[1])
        omega += cosine * np.cos(phase) + sine * np.sin(phase)
    velocity = grid.to_grid(grid.velocity(grid.to_spectrum(omega)))
    rms = float(np.sqrt(np.mean(np.sum(velocity**2, axis=0))))
    return omega / rms
