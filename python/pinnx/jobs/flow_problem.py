"""From the configuration and the case to what is trained: network, equations, problem."""

from __future__ import annotations

import warnings

import torch

import pinn_ext
from pinnx.config import Config
from pinnx.errors import PinnxError
from pinnx.jobs.case import Case
from pinnx.models.fourier_network import FourierNetwork, random_frequencies
from pinnx.physics.navier_stokes import NavierStokes
from pinnx.train.problem import PointCounts, Problem

__all__ = ["build_problem", "choose_device", "term_weights"]

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def choose_device(name: str) -> torch.device:
    """The device of a configuration.

    Warns where ``auto`` leaves a CUDA device unused because this build has no kernels for it.

    Raises:
        PinnxError: CUDA was asked for, and torch sees no device or this build has no kernels for it.
    """
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise PinnxError("train.device: expected a CUDA device that torch can use, found none; use cpu or auto")
    if name == "cpu" or not found:
        return torch.device("cpu")
    if pinn_ext.build_info().cuda_version is None:
        if name == "cuda":
            raise PinnxError(
                "train.device: expected kernels with CUDA for cuda, got a build for the CPU alone; "
                "rebuild (pinnx doctor says how), or set train.device=cpu"
            )
        warnings.warn(
            "train.device: a CUDA device was found, but pinn_ext was built without CUDA; the CPU is used "
            "(pinnx doctor says how to rebuild)",
            stacklevel=2,
        )
        return torch.device("cpu")
    return torch.device("cuda")


def build_problem(config: Config, case: Case) -> Problem:
    """The network, the equations and what is minimised.

    Raises:
        PinnxError: numbers per coordinate that are not as many as the coordinates; no device.
    """
    axes = tuple(case.bounds)
    dtype, device = DTYPES[config.train.dtype], choose_device(config.train.device)
    scale = config.model.input_scale or tuple(1.0 / (high - low) for low, high in case.bounds.values())
    if len(scale) != len(axes):
        raise PinnxError(
            f"model.input_scale: expected {len(axes)} numbers, one for each of {', '.join(axes)}, got {len(scale)}"
        )
    frequencies = random_frequencies(
        scale,
        config.model.sigma,
        config.model.frequencies,
        seed=config.model.seed,
        periods={axes.index(axis): period for axis, period in case.periods.items()},
    )
    network = FourierNetwork(
        frequencies,
        case.dim + 1,
        width=config.model.width,
        layers=config.model.layers,
        activation=config.model.activation,
        origin=[low for low, _ in case.bounds.values()],
        seed=config.model.seed + 1,  # the weights' draw is another than the frequencies'
        dtype=dtype,
    )
    equations = NavierStokes(
        case.dim,
        steady=case.steady,
        nu=case.nu,
        learn_nu=config.flow.learn_nu,
        forcing=config.flow.forcing,
        dtype=dtype,
    )
    return Problem(
        network.to(device),
        equations.to(device),
        bounds=case.bounds,
        conditions=case.conditions,
        coordinates=case.coordinates,
        velocity=case.velocity,
        counts=PointCounts(
            collocation=config.train.collocation_points,
            boundary=config.train.boundary_points,
            measurements=config.train.data_points,
        ),
        seed=config.train.seed,
        corner_radius=config.train.corner_radius,
    )


def term_weights(config: Config, term_names: tuple[str, ...]) -> dict[str, float]:
    """The configured weight of each term of the loss."""
    weights = config.train.weights
    return {name: weights.momentum if name.startswith("momentum") else getattr(weights, name) for name in term_names}
