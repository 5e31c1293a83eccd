"""The linear layer on jets: what a linear map must do to each stream."""

from __future__ import annotations

import torch
from cases import SPECS, normal, relative_error
from tolerances import KERNEL_FLOAT64, kernel_float32
from torch import Tensor

from pinn_ext import Jet, linear_jet

SPEC = SPECS["unsteady2d"]


def draw(seed: int, n: int, c_in: int, c_out: int) -> tuple[Jet, Tensor, Tensor]:
    print(f"seed={seed}")
    generator = torch.Generator().manual_seed(seed)
    data = normal(generator, SPEC.num_streams, n, c_in)
    return Jet(data, SPEC), normal(generator, c_out, c_in), normal(generator, c_out)


def test_value_is_torchs_linear() -> None:
    jet, weight, bias = draw(1, n=37, c_in=11, c_out=5)
    wanted = torch.nn.functional.linear(jet.value, weight, bias)
    assert relative_error(linear_jet(jet, weight, bias).value, wanted) <= KERNEL_FLOAT64


def test_bias_enters_the_value_alone() -> None:
    jet, weight, bias = draw(2, n=19, c_in=6, c_out=4)
    without, with_bias = linear_jet(jet, weight), linear_jet(jet, weight, bias)
    assert torch.equal(without.data[1:], with_bias.data[1:])
    assert relative_error(with_bias.value - without.value, bias.expand(19, 4)) <= KERNEL_FLOAT64


def test_identity_is_exact() -> None:
    jet, _, _ = draw(3, n=21, c_in=8, c_out=8)
    assert torch.equal(linear_jet(jet, torch.eye(8, dtype=torch.float64)).data, jet.data)


def test_zero_weight_leaves_the_bias() -> None:
    jet, weight, bias = draw(4, n=21, c_in=8, c_out=3)
    got = linear_jet(jet, torch.zeros_like(weight), bias)
    assert torch.equal(got.value, bias.expand(21, 3))
    assert (got.data[1:] == 0).all()


def test_two_layers_are_one() -> None:
    jet, first, _ = draw(5, n=21, c_in=8, c_out=6)
    second = normal(torch.Generator().manual_seed(55), 3, 6)
    twice = linear_jet(linear_jet(jet, first), second)
    assert relative_error(twice.data, linear_jet(jet, second @ first).data) <= KERNEL_FLOAT64


def test_streams_do_not_mix() -> None:
    jet, weight, bias = draw(6, n=9, c_in=5, c_out=4)
    before = linear_jet(jet, weight, bias).data
    for stream in range(SPEC.num_streams):
        data = jet.data.clone()
        data[stream] += 1.0
        changed = (linear_jet(Jet(data, SPEC), weight, bias).data != before).any(dim=(1, 2))
        assert changed.tolist() == [k == stream for k in range(SPEC.num_streams)]


def test_bias_gradient_sums_the_value_stream() -> None:
    jet, weight, bias = draw(7, n=13, c_in=5, c_out=4)
    bias.requires_grad_(True)
    result = linear_jet(jet, weight, bias)
    cotangent = normal(torch.Generator().manual_seed(77), *result.data.shape)
    (gradient,) = torch.autograd.grad(result.data, bias, cotangent)
    assert relative_error(gradient, cotangent[0].sum(0)) <= KERNEL_FLOAT64


def test_sums_over_many_points_are_ieee_float32() -> None:
    """1e5 summands: float32 products keep sqrt(K) eps, ten mantissa bits do not."""
    n = 20_000
    jet, weight, _ = draw(8, n=n, c_in=8, c_out=8)
    cotangent = normal(torch.Generator().manual_seed(88), *jet.data.shape).float()

    def gradient_in(dtype: torch.dtype) -> Tensor:
        w = weight.float().to(dtype).requires_grad_(True)
        result = linear_jet(Jet(jet.data.float().to(dtype), SPEC), w).data
        return torch.autograd.grad(result, w, cotangent.to(dtype))[0]

    error = relative_error(gradient_in(torch.float32), gradient_in(torch.float64))
    assert error <= kernel_float32(SPEC.num_streams * n, 1.0)
