"""``navier_stokes_loss`` beyond the shared table: parts, residuals, threads, sizes, memory, watched calls.

The formula itself is held by the shared cases; here stands what a training loop relies on.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
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
    same_bits,
    shows_as_in,
)
from cases import (
    ACTIVATIONS,
    SPECS,
    leaf,
    loss_case,
    network_inputs,
    normal,
    relative_error,
    uniform,
)
from tolerances import KERNEL_FLOAT64, MEMORY_OF_A_STEP, kernel_float32
from torch import Tensor

import pinn_ext
from pinn_ext import reference

NAN, INF = float("nan"), float("inf")
SPEC = SPECS["unsteady2d"]


@dataclass(frozen=True)
class Problem:
    """Points of (t, x, y), a network, and all that a loss may take, per point."""

    x: Tensor
    B: Tensor
    parameters: list[Tensor]
    nu: Tensor
    forcing: Tensor
    point_weights: Tensor
    term_weights: Tensor
    options: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def draw(
        n: int,
        *,
        seed: int,
        dtype: torch.dtype = torch.float64,
        nu_per_point: bool = True,
        widths: tuple[int, ...] = ODD,
    ) -> Problem:
        print(f"n={n} seed={seed} dtype={dtype}")
        generator = torch.Generator().manual_seed(seed)
        x = uniform(generator, n, 3)
        B, *parameters = (leaf(t, dtype) for t in network_inputs(generator, widths, 3))
        return Problem(
            x.to(dtype),
            B,
            parameters,
            leaf(0.6 + 0.5 * uniform(generator, *[n] * nu_per_point), dtype),
            normal(generator, n, 2).to(dtype),
            torch.rand(n, generator=generator, dtype=torch.float64).to(dtype),
            torch.tensor([1.0, 2.0, 0.5], dtype=dtype),
        )

    def part(self, part: slice) -> Problem:
        """The same network at some of the points."""
        nu = self.nu[part] if self.nu.dim() else self.nu
        cut = {"x": self.x, "forcing": self.forcing, "point_weights": self.point_weights}
        return replace(self, nu=nu, **{name: tensor[part] for name, tensor in cut.items()})

    @property
    def leaves(self) -> list[Tensor]:
        return [self.B, *self.parameters, self.nu]

    def loss(self, **options: Any) -> tuple[Tensor, ...]:
        return pinn_ext.navier_stokes_loss(
            self.x,
            self.B,
            self.parameters[::2],
            self.parameters[1::2],
            self.nu,
            spec=SPEC,
            activation=options.pop("activation", "tanh"),
            term_weights=self.term_weights,
            point_weights=self.point_weights,
            forcing=self.forcing,
            **options,
        )

    def loss_and_gradients(self, **options: Any) -> list[Tensor]:
        """Total, terms[, residual], then the gradient of B, of the layers and of nu."""
        total, *others = self.loss(**options)
        return [total.detach(), *others, *torch.autograd.grad(total, self.leaves)]


def largest_error(got: list[Tensor], wanted: list[Tensor]) -> float:
    return max(relative_error(g, w) for g, w in zip(got, wanted, strict=True))


# --- what is returned ---------------------------------------------------------------------------------------------


@both_dtypes
def test_residuals_of_the_points(dtype: torch.dtype) -> None:
    """Those of the two functions that the loss puts together; asking for them changes no bit."""
    problem = Problem.draw(300, seed=1, dtype=dtype)
    total, terms, residual, *gradients = problem.loss_and_gradients(return_residual=True)
    assert same_bits([total, terms, *gradients], problem.loss_and_gradients())

    weights, biases = problem.parameters[::2], problem.parameters[1::2]
    jet = pinn_ext.mlp_jet(problem.x, problem.B, weights, biases, SPEC, "tanh")
    wanted = pinn_ext.navier_stokes_residual(jet, problem.nu, forcing=problem.forcing)
    bound = KERNEL_FLOAT64 if dtype == torch.float64 else kernel_float32(74, 1.0)
    assert relative_error(residual, wanted) <= bound
    mean = (residual.double().square() * problem.point_weights.double()[:, None]).mean(0)
    assert relative_error(terms, mean) <= bound
    assert relative_error(total, (terms * problem.term_weights).sum()) <= bound


@pytest.mark.parametrize("products", ["ieee", "bfloat16"])
@pytest.mark.parametrize("spec", ["unsteady2d", "steady2d", "unsteady3d"])
def test_a_base_flow_is_added_to_the_velocity(spec: str, products: pinn_ext.Products) -> None:
    """Held against the residual of the sum of both jets, where the Stokes terms of the base flow cancel."""
    dtype = torch.float32 if products == "bfloat16" else torch.float64
    generator, spec_of = torch.Generator().manual_seed(4), SPECS[spec]
    dim, time = len(spec_of.laplacian), len(spec_of.first) - len(spec_of.laplacian)
    x = uniform(generator, 37, time + dim).to(dtype)
    B, *layers = (leaf(t, dtype) for t in network_inputs(generator, (5, 20, dim + 1), time + dim))
    nu, base = leaf(torch.tensor(0.3), dtype), normal(generator, 37, 1 + dim, dim).to(dtype)
    given = {"spec": spec_of, "activation": "tanh", "term_weights": [2.0] * (dim + 1), "products": products}

    def found(at: Tensor | None) -> list[Tensor]:
        total, _, residual = pinn_ext.navier_stokes_loss(
            x, B, layers[::2], layers[1::2], nu, **given, base=at, return_residual=True
        )
        return [residual, total.detach(), *torch.autograd.grad(total, [B, *layers, nu])]

    jet = pinn_ext.mlp_jet(x, B, layers[::2], layers[1::2], spec_of, "tanh", products=products)
    data = jet.data.clone()
    data[0, :, :dim] += base[:, 0]
    data[1 + time : 1 + time + dim, :, :dim] += base[:, 1:].transpose(0, 1)
    residual = pinn_ext.navier_stokes_residual(pinn_ext.Jet(data, spec_of), nu)
    total = 2.0 * residual.square().mean(0).sum()
    wanted = [residual.detach(), total.detach(), *torch.autograd.grad(total, [B, *layers, nu])]
    bound = KERNEL_FLOAT64 if dtype == torch.float64 else kernel_float32(37, 1.0)
    assert largest_error(found(base), wanted) <= bound
    assert largest_error(found(None), wanted) > 1e-2


def test_what_carries_a_graph() -> None:
    problem = Problem.draw(20, seed=2)
    total, terms, residual = problem.loss(return_residual=True)
    assert total.requires_grad
    assert not terms.requires_grad
    assert not residual.requires_grad
    with torch.no_grad():
        free = problem.loss(return_residual=True)
    assert not any(t.requires_grad for t in free)
    assert same_bits([t.detach() for t in (total, terms, residual)], list(free))


def test_frozen_tensors_change_no_bit_of_the_others() -> None:
    problem = Problem.draw(20, seed=3)
    wanted = problem.loss_and_gradients()[2:]
    for i, frozen in enumerate(problem.leaves):
        frozen.requires_grad_(False)
        total, _ = problem.loss()
        rest = [t for t in problem.leaves if t is not frozen]
        assert same_bits(list(torch.autograd.grad(total, rest)), [*wanted[:i], *wanted[i + 1 :]])
        frozen.requires_grad_(True)


def test_the_backward_pass_scales_and_may_be_repeated() -> None:
    problem = Problem.draw(20, seed=4)
    total, _ = problem.loss()
    once = torch.autograd.grad(total, problem.leaves, retain_graph=True)
    (4.0 * total + 4.0 * total).backward()  # powers of two scale without rounding
    assert same_bits([8.0 * g for g in once], [t.grad for t in problem.leaves if t.grad is not None])


# --- parts of a step ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [[0, 100], [0, 1, 100], [0, 37, 64, 99, 100]], ids=str)
@pytest.mark.parametrize("nu_per_point", [True, False])
def test_parts_add_up_to_the_whole(cuts: list[int], nu_per_point: bool) -> None:
    problem = Problem.draw(100, seed=5, nu_per_point=nu_per_point)
    total, terms, *gradients = problem.loss_and_gradients()
    for tensor in problem.leaves:
        tensor.grad = None
    totals, all_terms = torch.zeros_like(total), torch.zeros_like(terms)
    for begin, end in itertools.pairwise(cuts):
        part, part_terms = problem.part(slice(begin, end)).loss(count=100)
        part.backward()
        totals += part.detach()
        all_terms += part_terms
    summed = [t.grad for t in problem.leaves if t.grad is not None]
    assert largest_error([totals, all_terms, *summed], [total, terms, *gradients]) <= KERNEL_FLOAT64
    # Without the count each part is a mean of its own.
    if len(cuts) > 2:
        means = sum(problem.part(slice(a, b)).loss()[0] for a, b in itertools.pairwise(cuts))
        assert abs(means / total - 1.0) > 0.1


def test_count_is_what_the_sums_are_divided_by() -> None:
    problem = Problem.draw(64, seed=6)
    for count in (32, 64.0, 128):
        assert same_bits(
            [count / 64 * t for t in problem.loss_and_gradients(count=count)], problem.loss_and_gradients()
        )


# --- sizes --------------------------------------------------------------------------------------------------------


@both_dtypes
@pytest.mark.parametrize("width", [1, 20, 37, 50, 100, 257])
def test_odd_widths(width: int, dtype: torch.dtype) -> None:
    case = loss_case("unsteady2d", "tanh", (width // 2 + 1, width, width), nu="scalar", point_weights=True)
    assert_parity(case, 7, dtype, seed=width)


@both_dtypes
@pytest.mark.parametrize("layers", [1, 2, 3, 4, 10])
def test_depths(layers: int, dtype: torch.dtype) -> None:
    spec_name, nu = ("steady3d", "points") if layers % 2 else ("unsteady3d", "scalar")
    activation = ACTIVATIONS[layers % len(ACTIVATIONS)]
    assert_parity(loss_case(spec_name, activation, (4, *[11] * (layers - 1)), nu=nu), 7, dtype, seed=layers)


# --- threads ------------------------------------------------------------------------------------------------------


@both_layouts
@both_dtypes
@pytest.mark.usefixtures("restored_threads")
def test_bits_and_threads(dtype: torch.dtype, widths: tuple[int, ...]) -> None:
    problem = Problem.draw(MANY, seed=7, dtype=dtype, nu_per_point=False, widths=widths)
    assert_bits_of_threads(lambda invariant: problem.loss_and_gradients(thread_invariant=invariant), dtype)


# --- numbers that are not finite ----------------------------------------------------------------------------------


def spoilt(seed: int, dtype: torch.dtype, place: int, value: float, n: int, widths: tuple[int, ...] = ODD) -> Problem:
    """A problem with one number replaced: in x, B, nu, the forcing, the weights, the layers."""
    problem = Problem.draw(n, seed=seed, dtype=dtype, widths=widths)
    tensors = [problem.x, problem.B, problem.nu, problem.forcing, problem.point_weights, problem.term_weights]
    tensor = [*tensors, *problem.parameters][place]
    tensor.detach().view(-1)[tensor.numel() // 2] = value
    return problem


PLACES = range(12)


@both_layouts
@both_dtypes
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_one_nan_shows(activation: str, dtype: torch.dtype, widths: tuple[int, ...]) -> None:
    for place in range(6 + 2 * (len(widths) - 1)):
        problem = spoilt(8, dtype, place, NAN, 300, widths)
        total, _, *gradients = problem.loss_and_gradients(activation=activation)
        assert total.isnan(), f"place {place}"
        assert any(g.isnan().any() for g in gradients), f"place {place}"


@pytest.mark.parametrize(("value", "dtype"), [(INF, torch.float32), (-INF, torch.float64)], ids=str)
@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_one_infinity_shows_where_it_shows_in_plain_torch(activation: str, value: float, dtype: torch.dtype) -> None:
    """Not everywhere: tanh of an infinite bias is 1, and flat."""
    shown = 0
    for place in PLACES:
        problem = spoilt(9, dtype, place, value, 20)
        got = problem.loss_and_gradients(activation=activation)
        weights, biases = problem.parameters[::2], problem.parameters[1::2]
        jet = reference.mlp_jet(problem.x, problem.B, weights, biases, SPEC, activation)
        residual = reference.navier_stokes_residual(jet, problem.nu, forcing=problem.forcing)
        terms = (residual.square() * problem.point_weights[:, None]).mean(0)
        total = (terms * problem.term_weights).sum()
        wanted = [total.detach(), terms.detach(), *torch.autograd.grad(total, problem.leaves)]
        shown += shows_as_in(got, wanted)
    assert shown >= len(PLACES) - 2


# --- memory -------------------------------------------------------------------------------------------------------

MEMORY = Path(__file__).with_name("memory_of_a_step.py")


def growth(way: str, few: int, many: int) -> float:
    """MB by which the peak of a fresh process grows from a step at few points to one at many."""
    command = [sys.executable, str(MEMORY), way, str(few), str(many)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    return float(run.stdout)


def test_memory_does_not_grow_with_the_points() -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("peaks are read from /proc/self/status, which this system does not have")
    assert growth("loss", 10_000, 400_000) <= MEMORY_OF_A_STEP
    assert growth("jets", 10_000, 40_000) > 3 * MEMORY_OF_A_STEP, "layer by layer it would show"


# --- whoever watches ----------------------------------------------------------------------------------------------


def test_a_watched_call_has_the_same_bits() -> None:
    problem = Problem.draw(50, seed=10)
    operators = {"pinn_ext::navier_stokes_loss", "pinn_ext::navier_stokes_loss_backward"}
    assert_watched(lambda: problem.loss_and_gradients(return_residual=True), operators)


def test_a_learnable_viscosity_of_a_lazy_negative() -> None:
    """The imaginary part of a conjugate is a view of numbers of the other sign."""
    problem = Problem.draw(50, seed=11, nu_per_point=False)
    nu = problem.nu.detach()
    wanted = problem.loss()[0]
    lazy = torch.complex(nu, -nu).conj().imag
    assert lazy.is_neg()
    assert torch.equal(replace(problem, nu=lazy).loss()[0], wanted)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of torch's own tracers
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_steps_are_eager_steps(dynamic: bool) -> None:
    """Three steps of gradient descent, other points in each, end at the same bits."""
    torch._dynamo.reset()

    def loss(problem_x: Tensor, leaves_of: list[Tensor], whole: int) -> tuple[Tensor, Tensor]:
        B, *parameters, nu = leaves_of
        total, terms = pinn_ext.navier_stokes_loss(
            problem_x,
            B,
            parameters[::2],
            parameters[1::2],
            nu.exp(),
            spec=SPEC,
            activation="tanh",
            term_weights=[1.0, 2.0, 0.5],
            forcing=(0.1, 0.0),
            count=whole * problem_x.shape[0],
        )
        return total + 0.1 * B.square().sum(), terms

    def train(function: Any) -> list[Tensor]:
        problem = Problem.draw(11, seed=12, nu_per_point=False)
        optimizer = torch.optim.SGD(problem.leaves, lr=1e-4)
        for n in (11, 23, 41):
            x = uniform(torch.Generator().manual_seed(n), n, 3)
            total, terms = function(x, problem.leaves, 2)
            assert not terms.requires_grad
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
        return problem.leaves

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    assert same_bits(train(compiled), train(loss))
