"""The composed path of ``mlp_jet`` and ``navier_stokes_loss``: parity with the oracle, chunks, memory, no waiting.

The functions are what the operators call from inside their kernels: plain tensors in, the gradient as one array out.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from cases import ACTIVATIONS, SPECS, normal, relative_error, uniform
from tolerances import KERNEL_FLOAT64, kernel_float32
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pinn_ext import reference
from pinn_ext._impl import composed
from pinn_ext._impl.loss_operator import LossArguments, composed_loss

WIDTHS = (9, 13)


@dataclass(frozen=True)
class Use:
    """One use of the loss: ``nu`` "scalar", "one" or "points"; ``forcing`` "none", "constant" or "points"."""

    spec: str
    nu: str = "scalar"
    forcing: str = "none"
    weighted: bool = False
    steady: bool = False
    activation: str = "tanh"


USES = [
    Use("steady2d", steady=True),
    Use("steady2d", nu="points", forcing="points", weighted=True, steady=True, activation="gelu"),
    Use("unsteady2d", nu="one", activation="sine"),
    Use("unsteady2d", forcing="constant", weighted=True),
    Use("unsteady2d", forcing="points", steady=True, activation="silu"),
    Use("steady3d", nu="points", forcing="constant", steady=True),
    Use("unsteady3d", nu="scalar", forcing="points", weighted=True),
    Use("unsteady3d", nu="points", activation="sine"),
]
every_use = pytest.mark.parametrize("use", USES, ids=str)


def network_jet(x: Tensor, *described: Any) -> Tensor:
    return composed.mlp_jet(x, composed.Network(*described))


def jet_gradient(v_out: Tensor, x: Tensor, *described: Any) -> Tensor:
    *network, want_B = described
    return composed.mlp_jet_gradient(v_out, x, composed.Network(*network), want_B)


def streams_of(spec_name: str) -> tuple[list[int], list[float], bool]:
    spec = SPECS[spec_name]
    return list(spec.first), list(spec.laplacian_weights), spec.has_laplacian


def network(generator: torch.Generator, d: int, c: int, *, m: int = 5, widths: Sequence[int] = WIDTHS) -> list[Tensor]:
    """``B``, then the layers."""
    tensors = [0.3 * normal(generator, d, m)]
    for c_in, c_out in itertools.pairwise([2 * m, *widths, c]):
        tensors += [normal(generator, c_out, c_in) / c_in**0.5, 0.1 * normal(generator, c_out)]
    return tensors


class Problem:
    """The arguments of one use at ``n`` points, and what the oracle makes of them."""

    def __init__(self, use: Use, n: int, *, seed: int, widths: Sequence[int] = WIDTHS) -> None:
        print(f"{use} n={n} seed={seed}")
        generator = torch.Generator().manual_seed(seed)
        self.use, self.spec = use, SPECS[use.spec]
        d, dim = len(self.spec.first), len(self.spec.laplacian)
        self.x = uniform(generator, n, d)
        self.B, *self.parameters = network(generator, d, dim + 1, widths=widths)
        self.nu = 0.6 + 0.5 * uniform(generator, *{"scalar": (), "one": (1,), "points": (n,)}[use.nu])
        self.term_weights = 1.0 + 0.5 * uniform(generator, dim + 1)
        self.point_weights = 1.0 + 0.5 * uniform(generator, n) if use.weighted else None
        shape = {"none": None, "constant": (dim,), "points": (n, dim)}[use.forcing]
        self.forcing = None if shape is None else normal(generator, *shape)
        self.count = 1.5 * n  # the points of the whole step, of which these are a part

    def to(self, *place: torch.dtype | str) -> Problem:
        """The same numbers, rounded, in another dtype or on another device."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value.to(*place))
        self.parameters = [p.to(*place) for p in self.parameters]
        return self

    def loss(
        self, *, residual: bool = True, gradient: bool = True, want_B: bool = True, want_nu: bool = True
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        first, weights, _ = streams_of(self.use.spec)
        tensors = self.x, self.B, self.parameters, self.nu, self.term_weights, self.point_weights, self.forcing
        options = None, first, weights, self.use.activation, "ieee", self.use.steady, self.count  # no base flow
        return composed_loss(LossArguments(*tensors, *options, residual, gradient, want_B, want_nu, 0))

    def parts(self, flat: Tensor) -> list[Tensor]:
        """The gradient of each layer's tensors, of B and of nu."""
        shaped = [*self.parameters, self.B, self.nu]
        parts = flat.split([t.numel() for t in shaped])
        return [part.view(t.shape) for part, t in zip(parts, shaped, strict=True)]

    def oracle(self) -> list[Tensor]:
        """Total, terms, residual and the gradients, in plain torch and by nested autograd."""
        leaves = [t.detach().clone().requires_grad_(True) for t in (*self.parameters, self.B, self.nu)]
        *parameters, B, nu = leaves
        jet = reference.mlp_jet(self.x, B, parameters[::2], parameters[1::2], self.spec, self.use.activation)
        residual = reference.navier_stokes_residual(jet, nu, forcing=self.forcing, steady=self.use.steady)
        squares = residual.square()
        if self.point_weights is not None:
            squares = squares * self.point_weights[:, None]
        terms = squares.sum(0) / self.count
        total = (self.term_weights * terms).sum()
        return [t.detach() for t in (total, terms, residual, *torch.autograd.grad(total, leaves))]

    def float32_bound(self) -> float:
        turns = (self.x.abs() @ self.B.abs()).max().item()
        longest = self.spec.num_streams * max(len(self.x), *WIDTHS, 2 * self.B.shape[1])
        return kernel_float32(longest, 1.0 + 2.0 * torch.pi * turns)


def errors_of(got: Sequence[Tensor], wanted: Sequence[Tensor]) -> list[float]:
    return [relative_error(g, w) for g, w in zip(got, wanted, strict=True)]


@pytest.fixture
def points_per_chunk(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets how many points of a jet of ``streams`` streams and a network of ``WIDTHS`` make a chunk, with gradients."""

    def choose(points: int, streams: int, num_outputs: int) -> None:
        numbers = 10 + 2 * sum(WIDTHS) + max(WIDTHS) + 3 * num_outputs
        monkeypatch.setattr(composed, "MAX_NUMBERS", points * streams * numbers)

    return choose


# --- numbers ------------------------------------------------------------------------------------------------------


@every_use
@pytest.mark.parametrize("n", [1, 2, 37])
def test_loss_and_all_gradients(use: Use, n: int) -> None:
    problem = Problem(use, n, seed=n)
    total, terms, residual, flat = problem.loss()
    errors = errors_of([total, terms, residual, *problem.parts(flat)], problem.oracle())
    assert max(errors) <= KERNEL_FLOAT64, f"total, terms, residual, layers, B, nu: {errors}"


@every_use
def test_loss_and_all_gradients_in_float32(use: Use) -> None:
    problem = Problem(use, 60, seed=3).to(torch.float32)
    total, terms, residual, flat = problem.loss()
    got = [total, terms, residual, *problem.parts(flat)]
    assert all(t.dtype == torch.float32 for t in got)
    errors = errors_of(got, problem.to(torch.float64).oracle())
    assert max(errors) <= problem.float32_bound(), f"total, terms, residual, layers, B, nu: {errors}"


@every_use
def test_what_is_not_wanted(use: Use) -> None:
    """Left out, and what is wanted has the same bits."""
    problem = Problem(use, 21, seed=4)
    *whole, flat = problem.loss()
    layers = sum(p.numel() for p in problem.parameters)
    parts = {"B": flat[layers : layers + problem.B.numel()], "nu": flat[layers + problem.B.numel() :]}
    for want_B, want_nu in itertools.product([True, False], repeat=2):
        *values, less = problem.loss(want_B=want_B, want_nu=want_nu)
        wanted = [flat[:layers], *[parts["B"]] * want_B, *[parts["nu"]] * want_nu]
        assert torch.equal(less, torch.cat(wanted))
        assert all(torch.equal(a, b) for a, b in zip(values, whole, strict=True))
    total, terms, residual, none = problem.loss(residual=False, gradient=False)
    assert torch.equal(total, whole[0])
    assert torch.equal(terms, whole[1])
    assert residual.shape == none.shape == (0,)


def mlp_arguments(
    spec_name: str, n: int, activation: str, *, seed: int, widths: Sequence[int] = WIDTHS
) -> tuple[Tensor, Tensor, list[Tensor], list[int], list[float], bool, str]:
    print(f"seed={seed}")
    generator = torch.Generator().manual_seed(seed)
    d = max([1, *(i + 1 for i in SPECS[spec_name].first)])
    x = uniform(generator, n, d)
    B, *parameters = network(generator, d, 4, widths=widths)
    return x, B, parameters, *streams_of(spec_name), activation


@pytest.mark.parametrize("widths", [(), (7,), (9, 13, 6)], ids=str)
@pytest.mark.parametrize("spec_name", SPECS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_jet_and_its_gradient(spec_name: str, activation: str, widths: tuple[int, ...]) -> None:
    arguments = mlp_arguments(spec_name, 17, activation, seed=5, widths=widths)
    x, B, parameters, *_ = arguments
    leaves = [t.clone().requires_grad_(True) for t in (*parameters, B)]
    wanted = reference.mlp_jet(x, leaves[-1], leaves[:-1:2], leaves[1:-1:2], SPECS[spec_name], activation).data
    got = network_jet(*arguments)
    assert relative_error(got, wanted) <= KERNEL_FLOAT64

    v_out = normal(torch.Generator().manual_seed(6), *wanted.shape)
    gradients = torch.autograd.grad(wanted, leaves, v_out)
    flat = jet_gradient(v_out, *arguments, True)
    parts = [p.view(g.shape) for p, g in zip(flat.split([g.numel() for g in gradients]), gradients, strict=True)]
    # A bias of the last layer but the value is a sum of v_out: nothing here is zero but by cancellation.
    assert max(errors_of(parts, gradients)) <= KERNEL_FLOAT64
    without_B = jet_gradient(v_out, *arguments, False)
    assert torch.equal(without_B, flat[: len(without_B)])
    assert len(flat) - len(without_B) == B.numel()


def test_views_give_what_contiguous_tensors_give() -> None:
    arguments = mlp_arguments("unsteady2d", 17, "tanh", seed=7)
    x, B, parameters, *streams = arguments
    views = (x.T.contiguous().T, B.T.contiguous().T, [p.T.contiguous().T if p.dim() == 2 else p for p in parameters])
    wanted = network_jet(*arguments)
    assert relative_error(network_jet(*views, *streams), wanted) <= KERNEL_FLOAT64
    one = torch.ones(()).double().expand(wanted.shape)  # as `.sum().backward()` hands it down
    got = jet_gradient(one, *views, *streams, True)
    assert relative_error(got, jet_gradient(one.contiguous(), *arguments, True)) <= KERNEL_FLOAT64


def test_no_points() -> None:
    arguments = mlp_arguments("unsteady2d", 0, "tanh", seed=8)
    jet = network_jet(*arguments)
    assert jet.shape == (SPECS["unsteady2d"].num_streams, 0, 4)
    gradient = jet_gradient(jet, *arguments, True)
    assert len(gradient) == sum(t.numel() for t in (*arguments[2], arguments[1]))
    assert not gradient.any()


# --- chunks -------------------------------------------------------------------------------------------------------


@every_use
@pytest.mark.parametrize("points", [1, 2, 7, 36])
def test_chunks_add_up(points_per_chunk: Any, use: Use, points: int) -> None:
    problem = Problem(use, 37, seed=9)
    wanted = problem.loss()
    points_per_chunk(points, problem.spec.num_streams, len(problem.term_weights))
    got = problem.loss()
    errors = errors_of([*got[:3], *problem.parts(got[3])], [*wanted[:3], *problem.parts(wanted[3])])
    assert max(errors) <= KERNEL_FLOAT64, f"total, terms, residual, layers, B, nu: {errors}"
    assert all(torch.equal(a, b) for a, b in zip(got, problem.loss(), strict=True)), "two runs, the same bits"


@pytest.mark.parametrize("points", [1, 7])
def test_chunks_of_the_jet(points_per_chunk: Any, points: int) -> None:
    arguments = mlp_arguments("unsteady2d", 37, "gelu", seed=10)
    wanted = network_jet(*arguments)
    gradient = jet_gradient(wanted, *arguments, True)
    points_per_chunk(points, SPECS["unsteady2d"].num_streams, 4)
    assert relative_error(network_jet(*arguments), wanted) <= KERNEL_FLOAT64
    assert relative_error(jet_gradient(wanted, *arguments, True), gradient) <= KERNEL_FLOAT64


@pytest.mark.parametrize("n", [0, 1, 35, 36, 37, 1000])
@pytest.mark.parametrize("points", [1, 6, 36])
def test_chunks_are_alike_and_hold_every_point_once(points_per_chunk: Any, n: int, points: int) -> None:
    _, B, parameters, *rest = mlp_arguments("unsteady2d", 1, "tanh", seed=11)
    points_per_chunk(points, SPECS["unsteady2d"].num_streams, 4)
    chunks = list(composed.Network(B, parameters, *rest).chunks(n, kept=True))
    assert [i for chunk in chunks for i in range(chunk.start, chunk.stop)] == list(range(n))
    assert len(chunks) == -(-n // points)
    sizes = {chunk.stop - chunk.start for chunk in chunks[:-1]}
    assert len(sizes) <= 1
    assert all(chunk.stop - chunk.start <= points for chunk in chunks)


# --- memory and the device ----------------------------------------------------------------------------------------


class Watch(TorchDispatchMode):
    """Bytes of the tensors that live at once, beside those given, and the names of the operations."""

    def __init__(self, *given: Tensor) -> None:
        super().__init__()
        self.peak = 0
        self.names: set[str] = set()
        self._bytes = 0
        self._known = {t.untyped_storage()._cdata for t in given}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.names.add(func._schema.name.removeprefix("aten::"))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self._bytes += size
        self.peak = max(self.peak, self._bytes)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._bytes -= size


WIDE = (48, 40, 56)


def peak_of_the_loss(n: int, *, gradient: bool) -> int:
    """Peak of a loss beside the arguments, in numbers of float64."""
    problem = Problem(Use("unsteady2d", nu="scalar", weighted=True), n, seed=12, widths=WIDE)
    given = [t for t in vars(problem).values() if isinstance(t, Tensor)]
    with Watch(*given, *problem.parameters) as watch:
        problem.loss(residual=False, gradient=gradient)
    return watch.peak // 8


def beside_a_chunk() -> int:
    """What one call holds that does not belong to a chunk: the gradient, and the sums of B's by parts of points."""
    problem = Problem(Use("unsteady2d"), 1, seed=12, widths=WIDE)
    return sum(p.numel() for p in problem.parameters) + 130 * problem.B.numel() + 1000


@pytest.mark.parametrize("gradient", [True, False])
def test_memory_does_not_grow_with_the_points(monkeypatch: pytest.MonkeyPatch, gradient: bool) -> None:
    bound = 2**18
    monkeypatch.setattr(composed, "MAX_NUMBERS", bound)
    peaks = [peak_of_the_loss(n, gradient=gradient) for n in (2000, 8000)]
    assert max(peaks) <= bound + beside_a_chunk()
    assert min(peaks) >= bound // 2, "the bound is used, so it is this that the peak is held by"
    # Without the bound the same points take as much more as there are more of them.
    monkeypatch.setattr(composed, "MAX_NUMBERS", 2**60)
    free = [peak_of_the_loss(n, gradient=gradient) for n in (2000, 8000)]
    assert free[1] > 3 * free[0]
    assert free[1] > 3 * max(peaks)


@pytest.mark.parametrize("spec_name", ["value", "unsteady2d"])
def test_memory_of_the_jet(monkeypatch: pytest.MonkeyPatch, spec_name: str) -> None:
    bound = 2**17
    monkeypatch.setattr(composed, "MAX_NUMBERS", bound)
    arguments = mlp_arguments(spec_name, 8000, "tanh", seed=13, widths=WIDE)
    given = [*arguments[:2], *arguments[2]]
    with Watch(*given) as watch:
        jet = network_jet(*arguments)
    assert bound // 2 <= watch.peak // 8 - jet.numel() <= bound
    with Watch(*given, jet) as watch:
        jet_gradient(jet, *arguments, True)
    assert bound // 2 <= watch.peak // 8 <= bound + beside_a_chunk()


WAITING = {"_local_scalar_dense", "_to_copy", "lift_fresh", "nonzero", "masked_select", "is_nonzero"}


def test_nothing_waits_for_the_device() -> None:
    """No number is read back, nothing comes from the host, no size depends on values: a CUDA graph can hold it."""
    problem = Problem(Use("unsteady2d", nu="points", forcing="points", weighted=True), 37, seed=14)
    arguments = mlp_arguments("unsteady2d", 37, "tanh", seed=14)
    jet = network_jet(*arguments)
    with Watch() as watch:
        problem.loss()
        network_jet(*arguments)
        jet_gradient(jet, *arguments, True)
    assert "addmm_" in watch.names
    assert not watch.names & WAITING
    with Watch() as watch:  # what is looked for would be seen
        problem.count * problem.nu.sum().item()
        torch.tensor([1.0])
    assert watch.names >= {"_local_scalar_dense", "lift_fresh"}


# --- on a GPU -----------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@every_use
@pytest.mark.parametrize("points", [7, 100])
def test_cuda_equals_the_oracle(cuda: str, points_per_chunk: Any, use: Use, points: int) -> None:
    problem = Problem(use, 37, seed=15)
    wanted = problem.oracle()
    points_per_chunk(points, problem.spec.num_streams, len(problem.term_weights))
    total, terms, residual, flat = problem.to(cuda).loss()
    assert all(t.is_cuda for t in (total, terms, residual, flat))
    errors = errors_of([total, terms, residual, *problem.parts(flat)], wanted)
    assert max(errors) <= KERNEL_FLOAT64, f"total, terms, residual, layers, B, nu: {errors}"
    assert torch.equal(flat, problem.loss()[3]), "two runs, the same bits"


@pytest.mark.gpu
def test_cuda_graph(cuda: str, points_per_chunk: Any) -> None:
    """Captured in several chunks, replayed at other points: the bits of an eager call."""
    problem = Problem(Use("unsteady2d", nu="points", weighted=True), 100, seed=16).to(cuda)
    points_per_chunk(30, problem.spec.num_streams, len(problem.term_weights))
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        problem.loss()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = problem.loss()
    problem.x.copy_(uniform(torch.Generator().manual_seed(17), *problem.x.shape))
    graph.replay()
    assert all(torch.equal(a, b) for a, b in zip(captured, problem.loss(), strict=True))
