"""CPU against CUDA for every case, streams, graph capture, and refusals between devices."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from cases import CASES, Case, case_name, forward_and_gradients, leaf, leaves, relative_error, uniform
from tolerances import KERNEL_FLOAT64, kernel_float32
from torch import Tensor

import pinn_ext
from pinn_ext import Jet, JetSpec

pytestmark = pytest.mark.gpu
every_case = pytest.mark.parametrize("case", CASES, ids=case_name)
SIZES = [0, 1, 255, 256, 257, 5000]


@pytest.fixture(autouse=True)
def until_it_ends(cuda: str) -> Iterator[None]:
    """What the device has failed at is raised by the test that asked for it."""
    yield
    torch.cuda.synchronize()


def on_both(case: Case, n: int, dtype: torch.dtype) -> tuple[list[Tensor], list[Tensor], float]:
    inputs = case.inputs(n, seed=n + 1, dtype=dtype)
    there = leaves(inputs, dtype, "cuda")
    cpu = forward_and_gradients(case.kernel, inputs, seed=2)
    cuda = forward_and_gradients(case.kernel, there, seed=2)
    if dtype == torch.float64:
        return cuda, cpu, KERNEL_FLOAT64
    amplification = case.amplification(*(t.detach().double() for t in inputs))
    # each device is off from the exact result by up to the bound of one
    return cuda, cpu, 2 * kernel_float32(case.summands(n), amplification)


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", SIZES)
def test_same_numbers_as_the_cpu(case: Case, n: int, dtype: torch.dtype) -> None:
    if n < case.min_points:
        pytest.skip("no loss without points")
    cuda, cpu, bound = on_both(case, n, dtype)
    assert all(t.is_cuda and t.dtype == dtype for t in cuda)
    errors = [relative_error(g, w) for g, w in zip(cuda, cpu, strict=True)]
    assert max(errors) <= bound, f"result, then gradients: {errors}"


@every_case
def test_same_numbers_as_the_oracle(case: Case) -> None:
    inputs = case.inputs(33, seed=3, device="cuda")
    got = forward_and_gradients(case.kernel, inputs, seed=4)
    wanted = forward_and_gradients(case.oracle, inputs, seed=4)
    errors = [relative_error(g, w) for g, w in zip(got, wanted, strict=True)]
    assert max(errors) <= KERNEL_FLOAT64, f"result, then gradients: {errors}"


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_runs_are_bitwise_alike(case: Case, dtype: torch.dtype) -> None:
    inputs = case.inputs(5000, seed=5, dtype=dtype, device="cuda")
    first, second = (forward_and_gradients(case.kernel, inputs, seed=6) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@every_case
def test_gradcheck(case: Case) -> None:
    assert torch.autograd.gradcheck(case.kernel, case.inputs(2, seed=7, device="cuda"), fast_mode=True)


def test_gradgradcheck_of_the_features() -> None:
    generator = torch.Generator().manual_seed(8)
    inputs = tuple(leaf(uniform(generator, *s), torch.float64, "cuda") for s in ((3, 2), (2, 2)))
    assert torch.autograd.gradgradcheck(pinn_ext.fourier_features, inputs)


@every_case
def test_side_stream(case: Case) -> None:
    """Work goes to the current stream, without a synchronisation of its own."""
    inputs = case.inputs(300, seed=9, device="cuda")
    wanted = forward_and_gradients(case.kernel, inputs, seed=10)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        got = forward_and_gradients(case.kernel, inputs, seed=10)
    stream.synchronize()
    assert all(torch.equal(g, w) for g, w in zip(got, wanted, strict=True))


SPEC = JetSpec(first=(0, 1, 2), laplacian=(1, 2))


def residual_and_gradients(x: Tensor, tensors: list[Tensor], learned: bool) -> list[Tensor]:
    B, w1, b1, w2, b2, viscosity = tensors
    nu = viscosity if learned else 0.05
    wanted = tensors if learned else tensors[:-1]
    jet = pinn_ext.fourier_jet(x, B, SPEC)
    jet = pinn_ext.activation_jet(pinn_ext.linear_jet(jet, w1, b1), "tanh")
    residual = pinn_ext.navier_stokes_residual(pinn_ext.linear_jet(jet, w2, b2), nu)
    return [residual, *torch.autograd.grad(residual.square().mean(), wanted)]


@pytest.mark.parametrize("learned", [True, False], ids=["nu_learned", "nu_number"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cuda_graph(dtype: torch.dtype, learned: bool) -> None:
    """One step captured, replayed on other points: the bits of an eager step."""
    generator = torch.Generator().manual_seed(11)
    shapes = [(3, 16), (24, 32), (24,), (3, 24), (3,), ()]
    tensors = [leaf(0.5 * uniform(generator, *shape), dtype, "cuda") for shape in shapes]
    batches = [uniform(generator, 1000, 3).to("cuda", dtype) for _ in range(3)]

    x = batches[0].clone()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            residual_and_gradients(x, tensors, learned)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = residual_and_gradients(x, tensors, learned)
    for batch in batches[1:]:
        x.copy_(batch)
        graph.replay()
        for got, wanted in zip(captured, residual_and_gradients(batch, tensors, learned), strict=True):
            assert torch.equal(got, wanted)


@pytest.mark.slow
def test_compiled_with_cuda_graphs() -> None:
    generator = torch.Generator().manual_seed(12)
    shapes = [(3, 16), (24, 32), (24,), (3, 24), (3,), ()]
    tensors = [leaf(0.5 * uniform(generator, *shape), torch.float64, "cuda") for shape in shapes]

    def residual(x: Tensor) -> Tensor:
        B, w1, b1, w2, b2, nu = tensors
        jet = pinn_ext.fourier_jet(x, B, SPEC)
        jet = pinn_ext.activation_jet(pinn_ext.linear_jet(jet, w1, b1), "tanh")
        return pinn_ext.navier_stokes_residual(pinn_ext.linear_jet(jet, w2, b2), nu)

    compiled = torch.compile(residual, fullgraph=True, mode="reduce-overhead")
    for _ in range(3):
        x = uniform(generator, 500, 3).cuda()
        assert relative_error(compiled(x).clone(), residual(x)) <= KERNEL_FLOAT64


def test_tensors_on_two_devices_are_refused() -> None:
    x, B = torch.zeros(4, 3, device="cuda"), torch.zeros(3, 2)
    with pytest.raises(ValueError, match=r"B: expected float32 on cuda:0 like x, got \[3, 2\] float32 on cpu"):
        pinn_ext.fourier_features(x, B)
    jet = Jet(torch.zeros(5, 4, 3, device="cuda"), SPEC)
    with pytest.raises(ValueError, match=r"nu: expected float32 on cuda:0 like jet.data"):
        pinn_ext.navier_stokes_residual(jet, torch.tensor(0.1))
