"""Scripts with their own nested autograd: derivatives of every order through ``fourier_features``.

The usual PINN differentiates the network twice in its inputs and the loss once more in its parameters,
so the features must be differentiable three times, in every mixture of ``x`` and ``B``.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from cases import SPECS, leaf, normal, relative_error, uniform
from tolerances import KERNEL_FLOAT64
from torch import Tensor
from torch.autograd import grad

import pinn_ext
from pinn_ext import Jet, reference

Features = Callable[[Tensor, Tensor], Tensor]


def draw(seed: int, n: int, d: int, m: int) -> tuple[Tensor, Tensor]:
    print(f"seed={seed}")
    generator = torch.Generator().manual_seed(seed)
    x, B = uniform(generator, n, d), 0.4 * normal(generator, d, m)
    return leaf(x, torch.float64), leaf(B, torch.float64)


def test_gradcheck_of_first_and_second_order() -> None:
    inputs = draw(1, n=3, d=2, m=2)
    assert torch.autograd.gradcheck(pinn_ext.fourier_features, inputs)
    assert torch.autograd.gradgradcheck(pinn_ext.fourier_features, inputs)


def test_gradgradcheck_of_the_first_derivative() -> None:
    """gradgradcheck on a function that is a derivative already: third order, by differences."""

    def slope(x: Tensor, B: Tensor) -> Tensor:
        value = pinn_ext.fourier_features(x, B)
        cotangent = torch.linspace(-1.0, 1.0, value.numel(), dtype=x.dtype).view_as(value)
        return torch.cat([g.flatten() for g in grad(value, (x, B), cotangent, create_graph=True)])

    assert torch.autograd.gradgradcheck(slope, draw(2, n=2, d=2, m=2))


def nested(features: Features, x: Tensor, B: Tensor, order: int) -> list[Tensor]:
    """Value, then each further derivative of a scalar of the last, mixed in ``x`` and ``B``."""
    value = features(x, B)
    results = [value]
    scalar = value.sin().sum()
    for _ in range(order):
        in_x, in_B = grad(scalar, (x, B), create_graph=True)
        results += [in_x, in_B]
        scalar = in_x.square().sum() + (in_B * torch.cos(B)).sum()
    return results


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_every_order_against_plain_torch(order: int) -> None:
    x, B = draw(3, n=9, d=3, m=5)
    got = nested(pinn_ext.fourier_features, x, B, order)
    wanted = nested(reference.fourier_features, x, B, order)
    errors = [relative_error(g, w) for g, w in zip(got, wanted, strict=True)]
    assert max(errors) <= KERNEL_FLOAT64, f"value, then x and B of each order: {errors}"


@pytest.mark.parametrize("order", [1, 2, 3])
def test_points_that_depend_on_the_frequencies(order: int) -> None:
    """Inputs that share a graph: each path is counted once."""
    _, B = draw(4, n=6, d=2, m=3)
    base = uniform(torch.Generator().manual_seed(5), 6, 2)

    def run(features: Features) -> Tensor:
        value = features(base * B.sum(1) + base, B)
        # Uneven in the columns: cos^2 + sin^2 would sum to a constant.
        weights = torch.linspace(0.5, 2.0, value.shape[1], dtype=value.dtype)
        scalar = (value.square() * weights * base[:, :1]).sum()
        for _ in range(order):
            (gradient,) = grad(scalar, B, create_graph=True)
            scalar = gradient.sin().sum()
        return gradient

    assert relative_error(run(pinn_ext.fourier_features), run(reference.fourier_features)) <= (KERNEL_FLOAT64)


def parameters(m: int, c: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(6)
    shapes = [(8, 2 * m), (8,), (c, 8), (c,)]
    return [leaf(0.5 * normal(generator, *shape), torch.float64) for shape in shapes]


def script_residual(features: Features, x: Tensor, B: Tensor, layers: list[Tensor]) -> Tensor:
    """Steady plane Navier-Stokes as scripts write it: column by column, grad upon grad."""
    w1, b1, w2, b2 = layers
    out = torch.tanh(features(x, B) @ w1.T + b1) @ w2.T + b2
    u, v, p = out.unbind(1)

    def slope(f: Tensor) -> tuple[Tensor, Tensor]:
        (g,) = grad(f.sum(), x, create_graph=True)
        return g[:, 0], g[:, 1]

    (u_x, u_y), (v_x, v_y), (p_x, p_y) = slope(u), slope(v), slope(p)
    u_xx, u_yy, v_xx, v_yy = slope(u_x)[0], slope(u_y)[1], slope(v_x)[0], slope(v_y)[1]
    momentum_x = u * u_x + v * u_y + p_x - 0.05 * (u_xx + u_yy)
    momentum_y = u * v_x + v * v_y + p_y - 0.05 * (v_xx + v_yy)
    return torch.stack([momentum_x, momentum_y, u_x + v_y], 1)


def jet_residual(x: Tensor, B: Tensor, layers: list[Tensor]) -> Tensor:
    """The same residual with jets."""
    w1, b1, w2, b2 = layers
    jet = pinn_ext.fourier_jet(x, B, SPECS["steady2d"])
    jet = pinn_ext.activation_jet(pinn_ext.linear_jet(jet, w1, b1), "tanh")
    return pinn_ext.navier_stokes_residual(pinn_ext.linear_jet(jet, w2, b2), 0.05)


def test_a_script_a_jet_and_plain_torch_agree() -> None:
    x, B = draw(7, n=25, d=2, m=6)
    layers = parameters(m=6, c=3)
    leaves = [x, B, *layers]
    results = []
    for residual in (
        script_residual(reference.fourier_features, x, B, layers),
        script_residual(pinn_ext.fourier_features, x, B, layers),
        jet_residual(x, B, layers),
    ):
        # The last layer's bias moves u, v and p by constants; p's has no effect, u's and v's have.
        results.append([residual, *grad(residual.square().mean(), leaves)])
    for name, other in (("script", results[1]), ("jets", results[2])):
        errors = [relative_error(g, w) for g, w in zip(other, results[0], strict=True)]
        assert max(errors) <= KERNEL_FLOAT64, f"{name}: residual, x, B, layers: {errors}"


def test_loss_backward_fills_grad_like_plain_torch() -> None:
    """The way a script does it: ``loss.backward()`` twice, gradients accumulating in ``.grad``."""
    grads = []
    for features in (pinn_ext.fourier_features, reference.fourier_features):
        x, B = draw(8, n=11, d=2, m=4)
        layers = parameters(m=4, c=3)
        for _ in range(2):
            script_residual(features, x, B, layers).square().mean().backward()
        grads.append([t.grad for t in (x, B, *layers)])
    for got, wanted in zip(*grads, strict=True):
        assert got is not None
        assert relative_error(got, wanted) <= KERNEL_FLOAT64


def test_fixed_frequencies_ask_for_no_gradient() -> None:
    """Random frequencies are usually a buffer; x alone is then differentiated, twice and once more."""
    x, B = draw(9, n=7, d=2, m=4)
    layers = parameters(m=4, c=3)
    frozen = B.detach()
    got = grad(script_residual(pinn_ext.fourier_features, x, frozen, layers).square().mean(), layers)
    wanted = grad(script_residual(reference.fourier_features, x, frozen, layers).square().mean(), layers)
    for g, w in zip(got, wanted, strict=True):
        assert relative_error(g, w) <= KERNEL_FLOAT64


def test_jet_equals_nested_derivatives_of_the_features() -> None:
    """The package's two ways to the same derivatives."""
    x, B = draw(10, n=6, d=3, m=3)
    spec = SPECS["weighted"]
    nested_jet: Jet = reference.jet_of(lambda q: pinn_ext.fourier_features(q, B), x, spec)
    assert relative_error(pinn_ext.fourier_jet(x, B, spec).data, nested_jet.data) <= KERNEL_FLOAT64
