"""The functions as torch operators: schema, fakes, autograd registration, compilation, export.

Every call that a case makes into ``torch.ops.pinn_ext``, forward and backward, is recorded with its
arguments and handed to ``torch.library.opcheck``; a test makes sure that no operator goes unrecorded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from cases import (
    ACTIVATIONS,
    CASES,
    OPERATORS,
    SPECS,
    Case,
    case_name,
    differentiated,
    forward_and_gradients,
    relative_error,
    uniform,
)
from tolerances import KERNEL_FLOAT64
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

import pinn_ext

# To a tracer an activation is a string: of cases that differ in it alone, one is enough (parity looks at all).
TRACED = list({re.sub("|".join(ACTIVATIONS), "f", case.name): case for case in CASES}.values())
every_traced_case = pytest.mark.parametrize("case", TRACED, ids=case_name)
# torch's own tracers use deprecated parts of torch and of Python; not ours to mend.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


class Recorder(TorchDispatchMode):
    """Records each call of an operator of this package: ``(operator, args, kwargs)``."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "pinn_ext":
            self.calls.append((func, args, kwargs))
        return func(*args, **kwargs)


def recorded(case: Case, inputs: tuple[Tensor, ...]) -> Recorder:
    """All calls of one forward and one backward pass; of two backward passes where there are two."""
    with Recorder() as recorder:
        result = case.kernel(*inputs)
        twice = case.operator == "fourier_features"
        gradients = torch.autograd.grad(result.square().sum(), differentiated(inputs), create_graph=twice)
        if twice:
            torch.autograd.grad(sum(g.square().sum() for g in gradients), inputs)
    return recorder


def registered_operators() -> set[str]:
    names = torch._C._dispatch_get_all_op_names()
    return {name.removeprefix("pinn_ext::") for name in names if name.startswith("pinn_ext::")}


# Operators on data, which nothing is differentiated through: they have test files of their own.
WITHOUT_GRADIENT = {"project_rows", "row_gram", "sketch_rows"}


def test_every_operator_is_recorded() -> None:
    seen = set()
    for name in OPERATORS:
        case = next(c for c in CASES if c.operator == name)
        seen |= {call[0].name().removeprefix("pinn_ext::") for call in recorded(case, case.inputs(2, seed=1)).calls}
    assert seen | WITHOUT_GRADIENT == registered_operators()
    assert set(OPERATORS) <= seen


def check_calls(recorder: Recorder, dtype: torch.dtype) -> None:
    def as_leaf(differentiable: bool) -> Callable[[Any], Any]:
        def convert(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            # detach keeps the strides, which the fakes must reproduce
            return value.detach().requires_grad_(differentiable and value.is_floating_point())

        return convert

    assert recorder.calls
    for operator, args, kwargs in recorder.calls:
        name = operator.name()
        differentiable = not name.endswith("_backward") or name.endswith("features_backward")
        convert = as_leaf(differentiable)
        results = torch.library.opcheck(operator, tree_map(convert, args), tree_map(convert, kwargs))
        assert set(results.values()) == {"SUCCESS"}, f"{name}: {results}"


@every_traced_case
def test_opcheck(case: Case) -> None:
    check_calls(recorded(case, case.inputs(3, seed=2)), torch.float64)


@pytest.mark.parametrize("name", OPERATORS)
def test_opcheck_of_transposed_inputs(name: str) -> None:
    """The fakes promise the strides that the kernels return, whatever the strides that came in."""
    case = [c for c in CASES if c.operator == name][-1]
    inputs = case.inputs(3, seed=3)
    turned = tuple(t.detach().mT.contiguous().mT.requires_grad_(t.requires_grad) if t.dim() >= 2 else t for t in inputs)
    assert any(not t.is_contiguous() for t in turned)
    check_calls(recorded(case, turned), torch.float64)


@every_traced_case
def test_compiled_without_breaks(case: Case) -> None:
    """Dynamo, AOTAutograd and the fakes, without code generation: the same bits as eager."""
    torch._dynamo.reset()
    inputs = case.inputs(5, seed=4)
    compiled = torch.compile(case.kernel, fullgraph=True, backend="aot_eager")
    got = forward_and_gradients(compiled, inputs, seed=5)
    wanted = forward_and_gradients(case.kernel, inputs, seed=5)
    for g, w in zip(got, wanted, strict=True):
        assert torch.equal(g, w)


@every_traced_case
def test_compiled_once_for_all_numbers_of_points(case: Case) -> None:
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(case.kernel, fullgraph=True, backend=counter, dynamic=True)
    # Sizes that no other axis has: torch ties axes of equal size together.
    compilations = []
    for n in (11, 23, 41):
        inputs = case.inputs(n, seed=n)
        got = forward_and_gradients(compiled, inputs, seed=6)
        wanted = forward_and_gradients(case.kernel, inputs, seed=6)
        for g, w in zip(got, wanted, strict=True):
            assert torch.equal(g, w)
        compilations.append(counter.frame_count)
    # One compilation may call the backend more than once; later sizes may not call it at all.
    assert compilations[0] >= 1
    assert compilations[1:] == compilations[:1] * 2


class Network(nn.Module):
    """A small network whose forward pass returns value, derivatives and residual."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.spec = SPECS["unsteady2d"]
        self.register_buffer("B", torch.randn(3, 4, generator=generator).double())
        self.hidden = nn.Linear(8, 6, dtype=torch.float64)
        self.last = nn.Linear(6, 3, dtype=torch.float64)
        self.nu = nn.Parameter(torch.tensor(0.05, dtype=torch.float64))
        for parameter in (*self.hidden.parameters(), *self.last.parameters()):
            nn.init.normal_(parameter, std=0.4, generator=generator)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        jet = pinn_ext.fourier_jet(x, self.B, self.spec)
        jet = pinn_ext.linear_jet(jet, self.hidden.weight, self.hidden.bias)
        jet = pinn_ext.activation_jet(jet, "gelu")
        jet = pinn_ext.linear_jet(jet, self.last.weight, self.last.bias)
        return jet.value, pinn_ext.navier_stokes_residual(jet, self.nu)


def outputs_and_gradients(network: Network, call: Callable[..., Any], x: Tensor) -> list[Tensor]:
    value, residual = call(x)
    loss = residual.square().mean() + value.square().mean()
    parameters = list(network.parameters())
    return [value, residual, *torch.autograd.grad(loss, parameters)]


def assert_close(got: list[Tensor], wanted: list[Tensor]) -> None:
    errors = [relative_error(g, w) for g, w in zip(got, wanted, strict=True)]
    assert max(errors) <= KERNEL_FLOAT64, f"value, residual, then gradients: {errors}"


needs_vectors = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() == "DEFAULT",
    reason="torch's compiler writes vectors here that it does not declare (ATEN_CPU_CAPABILITY=default)",
)


@pytest.mark.slow
@needs_vectors
def test_inductor() -> None:
    """The default backend, with generated code around the operators."""
    torch._dynamo.reset()
    network = Network()
    x = uniform(torch.Generator().manual_seed(8), 20, 3)
    compiled = torch.compile(network, fullgraph=True)
    got = outputs_and_gradients(network, compiled, x)
    assert_close(got, outputs_and_gradients(network, network, x))


@pytest.mark.slow
@needs_vectors
def test_inductor_through_nested_autograd_features() -> None:
    torch._dynamo.reset()
    case = next(c for c in CASES if c.operator == "fourier_features")
    inputs = case.inputs(10, seed=9)
    compiled = torch.compile(lambda x, B: pinn_ext.fourier_features(x, B).square().sin(), fullgraph=True)
    got = forward_and_gradients(compiled, inputs, seed=10)
    wanted = forward_and_gradients(lambda x, B: pinn_ext.fourier_features(x, B).square().sin(), inputs, seed=10)
    assert_close(got, wanted)


def test_export() -> None:
    """The exported program holds our operators, takes any number of points and gives the same."""
    network = Network()
    generator = torch.Generator().manual_seed(11)
    points = torch.export.Dim("points", min=2, max=4096)
    program = torch.export.export(network, (uniform(generator, 10, 3),), dynamic_shapes={"x": {0: points}})
    called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    for name in ("fourier_jet", "linear_jet", "activation_jet", "navier_stokes_residual"):
        assert f"pinn_ext.{name}.default" in called
    for n in (2, 10, 37):
        x = uniform(generator, n, 3)
        for got, wanted in zip(program.module()(x), network(x), strict=True):
            assert torch.equal(got, wanted)
