"""The spectral solver: exact decay, order in time, energy balance, and the equations themselves."""

from __future__ import annotations

import time

import numpy as np
import pytest
import tolerances

from pinnx.data import PeriodicGrid, Snapshots, periodic_flow, relative_divergence, solve_vorticity
from pinnx.errors import PinnxError


def taylor_green(
    grid: PeriodicGrid, t: float, nu: float, mean_velocity: tuple[float, float] = (0.0, 0.0)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vorticity, velocity [2, ...] and pressure of one Taylor-Green vortex per square of side L."""
    x, y = np.meshgrid(*grid.lines, indexing="ij")
    k = 2 * np.pi / grid.length[0]
    x, y = k * (x - mean_velocity[0] * t), k * (y - mean_velocity[1] * t)
    decay = np.exp(-2 * nu * k**2 * t)
    omega = -2 * k * decay * np.cos(x) * np.cos(y)
    velocity = decay * np.stack([np.cos(x) * np.sin(y), -np.sin(x) * np.cos(y)])
    return omega, velocity, -(decay**2) / 4 * (np.cos(2 * x) + np.cos(2 * y))


@pytest.mark.parametrize(
    ("shape", "length", "mean_velocity"),
    [
        ((32, 32), (2 * np.pi, 2 * np.pi), (0.0, 0.0)),
        ((32, 32), (2 * np.pi, 2 * np.pi), (0.7, -0.3)),
        ((27, 48), (1.5, 1.5), (0.2, 0.1)),
    ],
)
def test_taylor_green_is_exact(shape: tuple[int, int], length: tuple[float, float], mean_velocity: tuple[float, float]):
    grid, nu, times = PeriodicGrid(shape, length), 0.05, [0.0, 0.3, 1.0]
    omega, _, _ = taylor_green(grid, 0.0, nu)
    frames = solve_vorticity(omega, grid, nu=nu, times=times, mean_velocity=mean_velocity)
    for frame, t in zip(frames, times, strict=True):
        omega, velocity, pressure = taylor_green(grid, t, nu, mean_velocity)
        spectrum = grid.to_spectrum(frame)
        scale = np.abs(omega).max()
        assert np.abs(frame - omega).max() < tolerances.TAYLOR_GREEN * scale
        assert np.abs(grid.to_grid(grid.velocity(spectrum)) - velocity).max() < (tolerances.TAYLOR_GREEN)
        assert np.abs(grid.to_grid(grid.pressure(spectrum)) - pressure).max() < (tolerances.TAYLOR_GREEN)


def test_a_wrong_viscosity_is_not_exact():
    grid = PeriodicGrid((32, 32), (2 * np.pi, 2 * np.pi))
    omega, _, _ = taylor_green(grid, 0.0, 0.05)
    last = solve_vorticity(omega, grid, nu=0.051, times=[0.0, 1.0])[-1]
    exact, _, _ = taylor_green(grid, 1.0, 0.05)
    assert np.abs(last - exact).max() > 1e-3


def initial_vorticity(seed: int) -> tuple[PeriodicGrid, np.ndarray]:
    """The initial vorticity of a random flow, by spectral derivatives of its velocity."""
    flow = periodic_flow(num_frames=1, seed=seed)
    grid = PeriodicGrid(flow.grid_shape, (2 * np.pi, 2 * np.pi))
    u, v = np.moveaxis(flow.velocity.reshape(64, 64, 2), -1, 0)
    return grid, grid.to_grid(1j * grid.kx * grid.to_spectrum(v) - 1j * grid.ky * grid.to_spectrum(u))


def test_fourth_order_in_time(seed: int):
    grid, omega = initial_vorticity(seed)

    def end(step: float) -> np.ndarray:
        return solve_vorticity(omega, grid, nu=0.02, times=[0.0, 0.2], max_step=step)[-1]

    # The CFL number alone allows steps of about 0.015 here: both steps stay below.
    reference = end(0.000625)
    coarse, fine = (np.linalg.norm(end(step) - reference) for step in (0.01, 0.005))
    assert np.log2(coarse / fine) == pytest.approx(4.0, abs=tolerances.CONVERGENCE_ORDER)


def test_the_chosen_step_is_small_enough(seed: int):
    grid, omega = initial_vorticity(seed)
    chosen, fine = (
        solve_vorticity(omega, grid, nu=0.02, times=[0.0, 1.0], max_step=step)[-1] for step in (np.inf, 0.002)
    )
    assert np.linalg.norm(chosen - fine) < tolerances.STEP_ERROR * np.linalg.norm(fine)


def test_energy_decays_by_twice_viscosity_times_enstrophy(seed: int):
    nu, h = 0.02, 0.005
    grid, omega = initial_vorticity(seed)
    frames = solve_vorticity(omega, grid, nu=nu, times=1.0 + h * np.arange(-200, 3)[[0, *range(198, 203)]])
    velocity = grid.to_grid(grid.velocity(grid.to_spectrum(frames[1:])))
    energy = 0.5 * np.mean(np.sum(velocity**2, axis=0), axis=(-2, -1))
    enstrophy = 0.5 * np.mean(frames[3] ** 2)
    rate = time_derivative(energy, h)
    assert rate == pytest.approx(-2 * nu * enstrophy, rel=tolerances.ENERGY_BALANCE)


def time_derivative(frames: np.ndarray, h: float) -> np.ndarray:
    """Fourth-order central difference at the middle of five frames."""
    return (frames[0] - 8 * frames[1] + 8 * frames[3] - frames[4]) / (12 * h)


def momentum_residual(flow: Snapshots, length: tuple[float, float], pressure_sign: float = 1.0):
    """Relative residual of Navier-Stokes at the middle of five frames, and the divergence."""
    h = flow.times[1] - flow.times[0]
    shape = flow.grid_shape
    fields = np.moveaxis(flow.velocity.reshape(5, *shape, 2), -1, 1)
    velocity, pressure = fields[2], pressure_sign * flow.pressure[2].reshape(shape)

    def derivative(values: np.ndarray, axis: int, order: int = 1) -> np.ndarray:
        n = shape[axis]
        waves = 2j * np.pi / length[axis] * np.fft.fftfreq(n, 1 / n)
        factor = (waves**order).reshape([-1 if a == axis else 1 for a in range(2)])
        return np.fft.ifft(factor * np.fft.fft(values, axis=axis), axis=axis).real

    divergence = derivative(velocity[0], 0) + derivative(velocity[1], 1)
    residuals, scale = [], 0.0
    for component in range(2):
        part = velocity[component]
        convection = sum(velocity[axis] * derivative(part, axis) for axis in range(2))
        diffusion = flow.nu * sum(derivative(part, axis, order=2) for axis in range(2))
        gradient = derivative(pressure, component)
        change = time_derivative(fields[:, component], h)
        residuals.append(change + convection + gradient - diffusion)
        scale = max(scale, np.abs(convection).max())
    return np.abs(residuals).max() / scale, np.abs(divergence).max()


@pytest.mark.parametrize(
    ("resolution", "length", "mean_velocity"),
    [(64, (2 * np.pi, 2 * np.pi), (0.0, 0.0)), ((96, 72), (8.0, 6.0), (1.0, 0.2))],
)
def test_frames_obey_navier_stokes(
    seed: int,
    resolution: int | tuple[int, int],
    length: tuple[float, float],
    mean_velocity: tuple[float, float],
):
    flow = periodic_flow(
        resolution=resolution,
        length=length,
        mean_velocity=mean_velocity,
        duration=0.02,
        num_frames=5,
        seed=seed,
    )
    residual, divergence = momentum_residual(flow, length)
    assert residual < tolerances.SPECTRAL_NAVIER_STOKES
    assert divergence < tolerances.SPECTRAL_DIVERGENCE
    wrong, _ = momentum_residual(flow, length, pressure_sign=-1.0)
    assert wrong > 0.1


def test_defaults_are_a_smooth_flow_and_cheap():
    start = time.process_time()
    flow = periodic_flow()
    assert time.process_time() - start < 2.0
    flow.validate()
    assert flow.source.startswith("synthetic:")
    assert flow.grid_shape == (64, 64)
    energy = 0.5 * np.mean(np.sum(flow.velocity**2, axis=-1), axis=-1)
    assert energy[0] == pytest.approx(0.5)
    assert (np.diff(energy) < 0).all()
    assert energy[-1] > 0.5 * energy[0]
    grid = flow.velocity.reshape(-1, 64, 64, 2)
    assert relative_divergence(grid, flow.grid_lines) < tolerances.COARSE_DIVERGENCE
    assert relative_divergence(grid.swapaxes(1, 2), flow.grid_lines) > 0.3


def test_one_seed_is_one_flow():
    first, again, other = (periodic_flow(duration=0.5, num_frames=3, seed=s) for s in (4, 4, 5))
    assert np.array_equal(first.velocity, again.velocity)
    assert np.array_equal(first.pressure, again.pressure)
    assert np.abs(first.velocity - other.velocity).max() > 0.1
    fine = periodic_flow(duration=0.5, num_frames=3, seed=4, resolution=128)
    same_places = fine.velocity.reshape(3, 128, 128, 2)[:, ::2, ::2]
    difference = np.abs(same_places - first.velocity.reshape(same_places.shape)).max()
    assert difference < tolerances.RESOLUTION


def test_mean_velocity_only_moves_the_flow():
    # In half a period the flow is carried by exactly 32 of 64 points.
    still = periodic_flow(duration=1.0, num_frames=2)
    moved = periodic_flow(duration=1.0, num_frames=2, mean_velocity=(np.pi, 0.0))
    rolled = np.roll(still.velocity[-1].reshape(64, 64, 2), 32, axis=0)
    fluctuation = moved.velocity[-1].reshape(64, 64, 2) - np.array([np.pi, 0.0])
    difference = np.abs(fluctuation - rolled).max()
    assert difference < tolerances.TAYLOR_GREEN


def test_progress_reports_increasing_times():
    seen: list[float] = []
    periodic_flow(duration=0.2, num_frames=3, progress=seen.append)
    assert seen == sorted(set(seen))
    assert seen[-1] == 0.2


def test_fluid_at_rest_stays_at_rest():
    grid = PeriodicGrid((8, 8), (1.0, 1.0))
    assert not solve_vorticity(np.zeros((8, 8)), grid, nu=0.1, times=[0.0, 1.0]).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resolution": 2}, "resolution: expected two numbers >= 4"),
        ({"length": -1.0}, "length: expected two positive numbers"),
        ({"nu": 0.0}, "nu: expected a viscosity > 0, got 0.0"),
        ({"nu": float("nan")}, "nu: expected"),
        ({"duration": 0.0}, "num_frames, duration: expected"),
        ({"num_frames": 0}, "num_frames, duration: expected"),
        ({"max_wavenumber": 0.5}, "max_wavenumber: expected 1 to less than 21.3"),
        ({"max_wavenumber": 22}, "max_wavenumber: expected"),
        ({"seed": -1}, "seed: expected >= 0"),
    ],
)
def test_errors_of_periodic_flow(change: dict[str, object], message: str):
    with pytest.raises(PinnxError, match=message):
        periodic_flow(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": [0.0, 1.0, 1.0]}, "times: expected strictly increasing"),
        ({"max_step": 0.0}, "max_step: expected a step > 0"),
        ({"omega": np.zeros((8, 9))}, r"omega: expected finite values of shape \[8, 8\]"),
        ({"omega": np.full((8, 8), np.nan)}, "omega: expected finite"),
        ({"omega": np.ones((8, 8))}, "omega: expected zero mean"),
        ({"omega": np.cos(np.pi * np.arange(64)).reshape(8, 8)}, "raise the resolution"),
    ],
)
def test_errors_of_solve_vorticity(change: dict[str, object], message: str):
    grid = PeriodicGrid((8, 8), (1.0, 1.0))
    arguments = {"omega": np.zeros((8, 8)), "nu": 0.1, "times": [0.0, 1.0]} | change
    with pytest.raises(PinnxError, match=message):
        solve_vorticity(arguments.pop("omega"), grid, **arguments)
