"""``backward_precision="bfloat16"``: what it leaves alone, what it rounds and by how much, and where it is refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from agreement import Watch, same_bits
from cases import ACTIVATIONS, SPECS, leaf, network_inputs, normal, relative_error, uniform
from tolerances import bfloat16_products, kernel_float32
from torch import Tensor

import pinn_ext
from pinn_ext import JetSpec, _checks, _core

WHY_NOT = _core.build_info()["no_bfloat16"]
needs_bfloat16 = pytest.mark.skipif(WHY_NOT != "", reason=f"no products in bfloat16: {WHY_NOT}")

SPEC = SPECS["unsteady2d"]
# Widths that fill vectors, and widths for which the full precision puts points in vectors, bfloat16 features.
EVEN, ODD = (32, 64, 64, 3), (5, 20, 37, 3)


class Problem:
    """Points of (t, x, y) and a network; loss and gradients in one precision or the other."""

    def __init__(self, n: int, widths: tuple[int, ...], *, seed: int, dtype: torch.dtype = torch.float32) -> None:
        print(f"n={n} widths={widths} seed={seed}")
        generator = torch.Generator().manual_seed(seed)
        self.x = uniform(generator, n, 3).float().to(dtype)
        # Rounded to float32 first, so that every dtype has the same numbers.
        self.leaves = [leaf(t.float(), dtype) for t in network_inputs(generator, widths, 3)]
        self.v_out = normal(generator, SPEC.num_streams, n, widths[-1]).float().to(dtype)

    @property
    def network(self) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
        B, *parameters = self.leaves
        return self.x, B, parameters[::2], parameters[1::2]

    def loss(self, precision: Any = "full", activation: Any = "tanh", **options: Any) -> tuple[Tensor, ...]:
        return pinn_ext.navier_stokes_loss(
            *self.network,
            0.1,
            spec=SPEC,
            activation=activation,
            term_weights=[1.0, 2.0, 0.5],
            backward_precision=precision,
            **options,
        )

    def gradients(self, precision: Any = "full", activation: Any = "tanh", **options: Any) -> list[Tensor]:
        total = self.loss(precision, activation, **options)[0]
        return list(torch.autograd.grad(total, self.leaves))

    def jet_gradients(self, precision: Any = "full", activation: Any = "tanh", **options: Any) -> list[Tensor]:
        jet = pinn_ext.mlp_jet(*self.network, SPEC, activation, backward_precision=precision, **options)
        return list(torch.autograd.grad(jet.data, self.leaves, self.v_out))


def error(got: list[Tensor], wanted: list[Tensor]) -> float:
    """Of all tensors as one vector, relative, in the 2-norm."""
    g, w = (torch.cat([t.double().flatten() for t in tensors]) for tensors in (got, wanted))
    return (torch.linalg.norm(g - w) / torch.linalg.norm(w)).item()


# --- what is rounded, and what is not -----------------------------------------------------------------------------


@needs_bfloat16
def test_the_loss_is_that_of_float32() -> None:
    """Bit by bit, where the features lie in vectors anyway; else to the rounding of another order of sums."""
    for widths in (EVEN, ODD):
        problem = Problem(300, widths, seed=1)
        total, terms, residual = problem.loss(return_residual=True)
        rounded = problem.loss("bfloat16", return_residual=True)
        if widths == EVEN:
            assert same_bits([total, terms, residual], list(rounded))
        for got, wanted in zip(rounded, (total, terms, residual), strict=True):
            assert relative_error(got, wanted) <= 2 * kernel_float32(74, 1.0)


@needs_bfloat16
@pytest.mark.parametrize("n", [1, 7, 300])
@pytest.mark.parametrize("widths", [EVEN, ODD, (16, 33, 3), (3, 9, 50, 3)], ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_are_off_by_the_rounding_of_bfloat16(activation: str, widths: tuple[int, ...], n: int) -> None:
    problem, exact = (Problem(n, widths, seed=2, dtype=dtype) for dtype in (torch.float32, torch.float64))
    for gradients in (Problem.gradients, Problem.jet_gradients):
        wanted = gradients(exact, "full", activation)
        rounded = gradients(problem, "bfloat16", activation)
        got = error(rounded, wanted)
        assert got <= bfloat16_products(len(widths) - 1)
        # And no less: the products did run in bfloat16. The bias of the last layer is a sum of cotangents in float32.
        full = gradients(problem, "full", activation)
        assert got > 100 * error(full, wanted)
        assert not any(torch.equal(r, f) for r, f in zip(rounded[:-1], full[:-1], strict=True))


@needs_bfloat16
@pytest.mark.parametrize("n", [1, 2, 7, 65, 300])
@pytest.mark.parametrize("m", [1, 7, 8, 16, 21])
@pytest.mark.parametrize("outputs", [1, 3, 16, 31, 45])
def test_factors_that_need_no_rounding_give_full_precision(outputs: int, m: int, n: int) -> None:
    """Waves at quarters of a turn, and whole numbers: whatever is paired wrongly, or left out, shows."""
    generator = torch.Generator().manual_seed(3)

    def whole(*shape: int) -> Tensor:
        return torch.randint(-9, 10, shape, generator=generator).float()

    x, B = whole(n, 2) / 4, whole(2, m)
    leaves = [t.requires_grad_() for t in (whole(outputs, 2 * m), whole(outputs), B)]
    weight, bias, _ = leaves
    v_out = whole(1, n, outputs)

    def gradients(precision: Any) -> tuple[Tensor, ...]:
        jet = pinn_ext.mlp_jet(x, B, [weight], [bias], JetSpec(), "tanh", backward_precision=precision)
        return torch.autograd.grad(jet.data, leaves, v_out)

    for got, wanted in zip(gradients("bfloat16"), gradients("full"), strict=True):
        assert relative_error(got, wanted) <= kernel_float32(n, 1.0)


# --- what holds for gradients in full precision holds for these ------------------------------------------------------


@needs_bfloat16
@pytest.mark.usefixtures("restored_threads")
def test_bits_and_threads() -> None:
    problem = Problem(2500, EVEN, seed=4)  # enough for a part on each of three threads

    def run(threads: int, *, invariant: bool) -> list[Tensor]:
        torch.set_num_threads(threads)
        options = {"thread_invariant": invariant}
        return [*problem.gradients("bfloat16", **options), *problem.jet_gradients("bfloat16", **options)]

    free, invariant = ([run(t, invariant=i) for t in (1, 2, 3)] for i in (False, True))
    assert same_bits(free[1], run(2, invariant=False))
    assert not same_bits(free[0], free[1])
    assert same_bits(invariant[0], invariant[1])
    assert same_bits(invariant[0], invariant[2])


@needs_bfloat16
def test_one_nan_shows() -> None:
    for place in range(1 + 2 * (len(EVEN) - 1)):
        problem = Problem(300, EVEN, seed=5)
        problem.leaves[place].data.view(-1)[problem.leaves[place].numel() // 2] = float("nan")
        assert problem.loss("bfloat16")[0].isnan()
        assert any(g.isnan().any() for g in problem.gradients("bfloat16")), f"place {place}"


@needs_bfloat16
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of torch's own tracers
def test_watched_and_compiled_calls_have_the_same_bits() -> None:
    problem = Problem(50, EVEN, seed=6)
    wanted = problem.gradients("bfloat16"), problem.jet_gradients("bfloat16")
    with Watch() as watch:
        assert same_bits(problem.gradients("bfloat16"), wanted[0])
        assert same_bits(problem.jet_gradients("bfloat16"), wanted[1])
    assert watch.names >= {"pinn_ext::navier_stokes_loss", "pinn_ext::mlp_jet_backward"}

    torch._dynamo.reset()
    compiled = torch.compile(problem.loss, fullgraph=True, backend="aot_eager")
    assert same_bits(list(torch.autograd.grad(compiled("bfloat16")[0], problem.leaves)), wanted[0])

    x, B, weights, biases = problem.network
    parameters = [t for pair in zip(weights, biases, strict=True) for t in pair]
    streams = SPEC.first, SPEC.laplacian_weights, SPEC.has_laplacian
    arguments = x, B, parameters, *streams, "tanh", 0, "bfloat16"
    checks = torch.library.opcheck(torch.ops.pinn_ext.mlp_jet.default, arguments)
    assert set(checks.values()) == {"SUCCESS"}, checks


# --- where it is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["half", "FULL", "", None], ids=repr)
def test_unknown_precision(precision: Any) -> None:
    problem = Problem(5, ODD, seed=7)
    for call in (problem.loss, problem.jet_gradients):
        with pytest.raises(ValueError, match=f"backward_precision: expected 'full' or 'bfloat16', got {precision!r}"):
            call(precision)


def test_float32_on_the_cpu_alone() -> None:
    problem = Problem(5, ODD, seed=8, dtype=torch.float64)
    for call in (problem.loss, problem.jet_gradients):
        with pytest.raises(ValueError, match=r"'bfloat16' expected x in float32 on cpu, got \[5, 3\] float64 on cpu"):
            call("bfloat16")
    cuda: Any = SimpleNamespace(is_cuda=True, dtype=torch.float32)
    with pytest.raises(ValueError, match="'bfloat16' expected x in float32 on cpu, got"):
        _checks.check_backward_precision("bfloat16", cuda)


PROGRAM = """
import torch, pinn_ext
assert pinn_ext.build_info().backward_precisions == ("full",)
x, B, W, b = torch.zeros(4, 2), torch.ones(2, 8), torch.ones(3, 16), torch.zeros(3)
{}
"""
CALLS = {
    "mlp_jet": "pinn_ext.mlp_jet(x, B, [W], [b], pinn_ext.JetSpec(), 'tanh', backward_precision='bfloat16')",
    "navier_stokes_loss": "pinn_ext.navier_stokes_loss(x, B, [W], [b], 1.0, spec=pinn_ext.JetSpec((0, 1), (0, 1)),"
    " activation='tanh', term_weights=[1.0] * 3, backward_precision='bfloat16')",
}


@pytest.mark.parametrize("name", CALLS)
def test_a_path_without_it_says_so(name: str, tmp_path: Path) -> None:
    """The generic path has no such products on any CPU, nor has a CPU or a build without the instructions."""
    environment = os.environ | {"PINN_EXT_ISA": "generic"}
    command = [sys.executable, "-c", PROGRAM.format(CALLS[name])]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    last = done.stderr.strip().splitlines()[-1]
    reason = "PINN_EXT_ISA chose generic|this CPU has no AVX512-BF16|this build has no kernels for AVX512-BF16"
    assert done.returncode != 0
    wanted = rf"ValueError: backward_precision: expected 'full', as ({reason}), got 'bfloat16'"
    assert re.fullmatch(wanted, last), done.stderr
