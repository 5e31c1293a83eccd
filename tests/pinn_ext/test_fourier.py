"""Fourier features and their jets against what can be said without an oracle."""

from __future__ import annotations

import math

import pytest
import torch
from cases import SPECS, normal, relative_error, uniform
from tolerances import EPS32, EPS64, KERNEL_FLOAT64
from torch import Tensor

import pinn_ext


def draw(seed: int, n: int, d: int, m: int) -> tuple[Tensor, Tensor]:
    print(f"seed={seed}")
    generator = torch.Generator().manual_seed(seed)
    return uniform(generator, n, d), normal(generator, d, m)


def test_cosines_come_first() -> None:
    B = torch.tensor([[0.0, 1.0, 2.0]], dtype=torch.float64)
    got = pinn_ext.fourier_features(torch.tensor([[0.25]], dtype=torch.float64), B)
    wanted = torch.tensor([[1.0, 0.0, -1.0, 0.0, 1.0, 0.0]], dtype=torch.float64)
    assert (got - wanted).abs().max() <= 4 * math.pi * EPS64


@pytest.mark.parametrize(("dtype", "eps"), [(torch.float32, EPS32), (torch.float64, EPS64)])
@pytest.mark.parametrize("turns", [1, 30, 1000, 20000])
def test_many_turns(dtype: torch.dtype, eps: float, turns: int) -> None:
    """After many whole turns the result is off by no more than the rounding of the phase itself."""
    eighths = torch.arange(8, dtype=torch.float64) / 8
    x = (turns + eighths)[:, None].to(dtype)  # exact in both dtypes
    got = pinn_ext.fourier_features(x, torch.ones(1, 1, dtype=dtype)).double()
    angle = 2 * math.pi * eighths
    wanted = torch.stack([torch.cos(angle), torch.sin(angle)], 1)
    assert (got - wanted).abs().max() <= eps * (4 + 2 * math.pi * (turns + 1))


def test_points_on_the_unit_circle() -> None:
    x, B = draw(1, n=300, d=3, m=13)
    cosine, sine = pinn_ext.fourier_features(x, B).chunk(2, dim=1)
    assert (cosine**2 + sine**2 - 1).abs().max() <= 8 * EPS64


@pytest.mark.parametrize("name", ["value", "gradient", "unsteady2d", "steady3d", "weighted"])
def test_value_stream_equals_the_features(name: str) -> None:
    x, B = draw(2, n=70, d=3, m=9)
    jet = pinn_ext.fourier_jet(x, B, SPECS[name])
    assert jet.spec == SPECS[name]
    assert relative_error(jet.value, pinn_ext.fourier_features(x, B)) <= KERNEL_FLOAT64


def test_derivatives_turn_the_features_by_a_quarter() -> None:
    x, B = draw(3, n=40, d=3, m=6)
    spec = SPECS["weighted"]
    value, first, laplacian = pinn_ext.fourier_jet(x, B, spec)
    cosine, sine = value.chunk(2, dim=1)
    for stream, axis in zip(first, spec.first, strict=True):
        omega = 2 * math.pi * B[axis]
        wanted = torch.cat([-omega * sine, omega * cosine], dim=1)
        assert relative_error(stream, wanted) <= KERNEL_FLOAT64
    square = (2 * math.pi) ** 2 * (4.0 * B[1] ** 2 - 0.5 * B[2] ** 2)
    assert relative_error(laplacian, -square.repeat(2) * value) <= KERNEL_FLOAT64


def test_first_derivatives_against_differences() -> None:
    """Central differences know nothing of any formula; their error is h^2/6 (2 pi b)^3."""
    x, B = draw(4, n=20, d=3, m=4)
    spec = SPECS["gradient"]
    jet = pinn_ext.fourier_jet(x, B, spec)
    h = 1e-5
    for axis in range(3):
        step = torch.zeros(3, dtype=torch.float64)
        step[axis] = h
        ahead, behind = (pinn_ext.fourier_features(x + k * step, B) for k in (1, -1))
        bound = h**2 / 6 * (2 * math.pi * B.abs().max().item()) ** 3 + 100 * EPS64 / h
        assert ((ahead - behind) / (2 * h) - jet.derivative(axis)).abs().max() <= bound


def test_coordinates_outside_the_spec_still_turn_the_phase() -> None:
    x, B = draw(5, n=8, d=4, m=3)
    spec = SPECS["steady2d"]
    moved = x.clone()
    moved[:, 3] += 0.3
    before, after = (pinn_ext.fourier_jet(q, B, spec).data for q in (x, moved))
    assert (before - after).abs().max() > 0.1


def test_no_graph_where_nothing_asks_for_one() -> None:
    x, B = draw(6, n=4, d=2, m=3)
    assert not pinn_ext.fourier_features(x, B).requires_grad
    assert not pinn_ext.fourier_jet(x, B, SPECS["steady2d"]).data.requires_grad
    with torch.no_grad():
        assert not pinn_ext.fourier_features(x.requires_grad_(True), B).requires_grad
