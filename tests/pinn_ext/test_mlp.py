"""``mlp_jet`` beyond the shared table: odd sizes, depths, threads, numbers that are not finite, watched calls."""

from __future__ import annotations

import itertools
import platform
from typing import Any

import pytest
import torch
from agreement import (
    MANY,
    ODD,
    assert_bits_of_threads,
    assert_parity,
    assert_watched,
    both_dtypes,
    both_layouts,
    shows_as_in,
)
from cases import (
    ACTIVATIONS,
    SPECS,
    leaf,
    mlp_case,
    network_inputs,
    relative_error,
    uniform,
)
from tolerances import KERNEL_FLOAT64
from torch import Tensor, nn

import pinn_ext
from pinn_ext import JetSpec, reference

NAN, INF = float("nan"), float("inf")
SPEC = SPECS["unsteady2d"]


class Network:
    """Points of (t, x, y), and a network of the given frequencies, widths and outputs as leaves."""

    def __init__(self, n: int, *, seed: int, dtype: torch.dtype = torch.float64, widths: tuple[int, ...] = ODD) -> None:
        print(f"n={n} seed={seed} dtype={dtype}")
        generator = torch.Generator().manual_seed(seed)
        self.x = leaf(uniform(generator, n, 3), dtype, requires_grad=False)
        self.B, *self.parameters = (leaf(t, dtype) for t in network_inputs(generator, widths, 3))

    def jet(self, **options: Any) -> Tensor:
        return pinn_ext.mlp_jet(
            self.x,
            self.B,
            self.parameters[::2],
            self.parameters[1::2],
            SPEC,
            options.pop("activation", "tanh"),
            **options,
        ).data

    def gradients(self, data: Tensor) -> list[Tensor]:
        cotangent = torch.linspace(-1.0, 1.0, data.numel(), dtype=data.dtype).view_as(data)
        return list(torch.autograd.grad(data, [self.B, *self.parameters], cotangent))


# --- sizes --------------------------------------------------------------------------------------------------------


@both_dtypes
@pytest.mark.parametrize("width", [1, 20, 37, 50, 100, 257])
def test_odd_widths(width: int, dtype: torch.dtype) -> None:
    assert_parity(mlp_case("unsteady2d", "tanh", (width // 2 + 1, width, width, 3), d=3), 7, dtype, seed=width)


@both_dtypes
@pytest.mark.parametrize("layers", [1, 2, 3, 4, 10])
def test_depths(layers: int, dtype: torch.dtype) -> None:
    activation = ACTIVATIONS[layers % len(ACTIVATIONS)]
    assert_parity(mlp_case("steady2d", activation, (4, *[11] * (layers - 1), 3), d=2), 7, dtype, seed=layers)


@both_dtypes
@pytest.mark.parametrize(("spec_name", "d"), [("line", 1), ("steady2d", 2), ("weighted", 3), ("unsteady3d", 4)])
def test_numbers_of_coordinates(spec_name: str, d: int, dtype: torch.dtype) -> None:
    assert_parity(mlp_case(spec_name, "sine", (6, 17, d + 1), d=d), 7, dtype, seed=d)


def test_no_points() -> None:
    network = Network(0, seed=1)
    data = network.jet()
    assert data.shape == (5, 0, 3)
    gradients = network.gradients(data)
    for tensor, gradient in zip([network.B, *network.parameters], gradients, strict=True):
        assert torch.equal(gradient, torch.zeros_like(tensor))


def test_a_parameter_in_two_places_gets_both_gradients() -> None:
    generator = torch.Generator().manual_seed(2)
    B, first, bias, last, last_bias = (leaf(t, torch.float64) for t in network_inputs(generator, (4, 8, 2), 2))
    x = uniform(generator, 9, 2)
    weights, biases = [first, first, last], [bias, bias, last_bias]
    got = pinn_ext.mlp_jet(x, B, weights, biases, SPECS["steady2d"], "tanh").data
    wanted = reference.mlp_jet(x, B, weights, biases, SPECS["steady2d"], "tanh").data
    tensors = [B, first, bias, last, last_bias]
    errors = [relative_error(got, wanted)]
    for g, w in zip(*(torch.autograd.grad(r.square().sum(), tensors) for r in (got, wanted)), strict=True):
        errors.append(relative_error(g, w))
    assert max(errors) <= KERNEL_FLOAT64, f"jet, then gradients: {errors}"


# --- threads ------------------------------------------------------------------------------------------------------


@both_layouts
@both_dtypes
@pytest.mark.usefixtures("restored_threads")
def test_bits_and_threads(dtype: torch.dtype, widths: tuple[int, ...]) -> None:
    network = Network(MANY, seed=3, dtype=dtype, widths=widths)

    def run(invariant: bool) -> list[Tensor]:
        data = network.jet(thread_invariant=invariant)
        return [data.detach(), *network.gradients(data)]

    first, *others = assert_bits_of_threads(run, dtype)
    for other in others:
        assert torch.equal(other[0], first[0]), "no sum over points in the jet"


# --- numbers that are not finite ----------------------------------------------------------------------------------


@both_layouts
@both_dtypes
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_one_nan_shows(activation: str, dtype: torch.dtype, widths: tuple[int, ...]) -> None:
    places = 2 + 2 * (len(widths) - 1)  # x, B, then the layers
    for place in range(places):
        network = Network(300, seed=4, dtype=dtype, widths=widths)
        tensor = [network.x, network.B, *network.parameters][place]
        tensor.detach().view(-1)[tensor.numel() // 2] = NAN
        data = network.jet(activation=activation)
        assert data.isnan().any(), f"place {place}"
        gradients = network.gradients(data)
        # The last bias is added to the value, and no gradient under a given cotangent depends on it.
        assert place == places - 1 or any(g.isnan().any() for g in gradients), f"place {place}"


@pytest.mark.parametrize(("value", "dtype"), [(INF, torch.float32), (-INF, torch.float64)], ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_one_infinity_shows_where_it_shows_in_plain_torch(activation: str, value: float, dtype: torch.dtype) -> None:
    """Not everywhere: tanh of an infinite bias is 1, and flat."""
    shown = 0
    for place in range(8):
        network = Network(20, seed=5, dtype=dtype)
        tensor = [network.x, network.B, *network.parameters][place]
        tensor.detach().view(-1)[tensor.numel() // 2] = value
        weights, biases = network.parameters[::2], network.parameters[1::2]
        wanted = reference.mlp_jet(network.x, network.B, weights, biases, SPEC, activation).data
        got = network.jet(activation=activation)
        shown += shows_as_in([got, *network.gradients(got)], [wanted, *network.gradients(wanted)])
    assert shown >= 6


# --- whoever watches ----------------------------------------------------------------------------------------------


class Named(Tensor):
    """A subclass that notes the operators that it comes to."""

    names: tuple[str, ...] = ()

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        Named.names = (*Named.names, str(func))
        return super().__torch_function__(func, types, args, kwargs or {})


def test_a_watched_call_has_the_same_bits() -> None:
    network = Network(50, seed=6)

    def run() -> list[Tensor]:
        data = network.jet()
        return [data.detach(), *network.gradients(data)]

    assert_watched(run, {"pinn_ext::mlp_jet", "pinn_ext::mlp_jet_backward"})


def test_a_subclass_sees_the_operator() -> None:
    network = Network(50, seed=7)
    wanted = network.jet()
    Named.names = ()
    network.x = network.x.as_subclass(Named)
    got = network.jet()
    assert any("mlp_jet" in name for name in Named.names)
    assert isinstance(got, Named)
    assert torch.equal(got.as_subclass(Tensor), wanted)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_a_trace_holds_the_operator() -> None:
    """Not the memory that the kernel writes to from outside of torch."""
    network = Network(50, seed=8)
    network.B, *network.parameters = (t.detach() for t in (network.B, *network.parameters))

    def jet(x: Tensor) -> Tensor:
        network.x = x
        return network.jet()

    traced = torch.jit.trace(jet, (network.x,), check_trace=False)
    others = uniform(torch.Generator().manual_seed(9), 50, 3)
    assert torch.equal(traced(others), jet(others))


def test_lazy_negatives_count_with_their_sign() -> None:
    """The imaginary part of a conjugate is a view of numbers of the other sign."""

    def imaginary(tensor: Tensor) -> Tensor:
        return torch.complex(tensor, -tensor).conj().imag

    generator = torch.Generator().manual_seed(10)
    x, B, bias = uniform(generator, 1, 1), torch.ones(1, 1).double(), uniform(generator, 1)
    weight = uniform(generator, 1, 2)
    spec = JetSpec(first=(0,), laplacian=(0,))
    wanted = pinn_ext.mlp_jet(x, B, [weight], [bias], spec, "tanh").data
    for lazy in itertools.product([False, True], repeat=3):
        tensors = [imaginary(t) if turn else t for t, turn in zip((x, B, bias), lazy, strict=True)]
        assert [t.is_neg() and t.is_contiguous() for t in tensors] == list(lazy)
        got = pinn_ext.mlp_jet(tensors[0], tensors[1], [weight], [tensors[2]], spec, "tanh").data
        assert torch.equal(got, wanted)


def test_parameter_lists_and_frozen_parameters() -> None:
    """Lists of torch's own; freezing some parameters changes no bit of the others' gradients."""
    network = Network(30, seed=11)
    wanted = dict(zip(range(7), network.gradients(network.jet()), strict=True))
    for frozen in (0, 1, 4, 6):
        tensors = [leaf(t, t.dtype, requires_grad=i != frozen) for i, t in enumerate([network.B, *network.parameters])]
        B, *parameters = tensors
        weights, biases = (
            nn.ParameterList([nn.Parameter(p, requires_grad=p.requires_grad) for p in parameters[i::2]]) for i in (0, 1)
        )
        data = pinn_ext.mlp_jet(network.x, B, weights, biases, SPEC, "tanh").data
        leaves_here = [B, *(p for pair in zip(weights, biases, strict=True) for p in pair)]
        cotangent = torch.linspace(-1.0, 1.0, data.numel(), dtype=data.dtype).view_as(data)
        data.backward(cotangent)
        for i, tensor in enumerate(leaves_here):
            assert (tensor.grad is None) == (i == frozen)
            assert tensor.grad is None or torch.equal(tensor.grad, wanted[i])


# --- denormal numbers ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="elsewhere denormals are as fast as others")
@both_layouts
@pytest.mark.usefixtures("restored_threads")
def test_denormal_cotangents_count_as_zero_and_the_threads_keep_theirs(widths: tuple[int, ...]) -> None:
    torch.set_num_threads(2)
    network = Network(256, seed=7, dtype=torch.float32, widths=widths)
    for size, counts in ((1e-39, False), (1e-30, True)):
        data = network.jet()
        found = torch.autograd.grad(data, network.parameters, torch.full_like(data, size))
        assert [bool(gradient.any()) for gradient in found] == [counts] * len(found)
    assert bool((torch.full((1 << 16,), 1e-38) * 0.1 > 0).all()), "denormals are zero on torch's threads too"
