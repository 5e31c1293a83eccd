"""``torch.func`` and autocast around the operators: rules that give autograd's bits, or a refusal in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from cases import CASES, OPERATORS, SPECS, Case, differentiated, normal, relative_error, uniform
from tolerances import KERNEL_FLOAT64
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, functionalize, grad, jacfwd, jacrev, jvp, stack_module_state, vjp, vmap

import pinn_ext
from pinn_ext import Jet

BATCH = 3
# The last case of each operator, and the losses: viscosity a number, a scalar, one a point.
CHOSEN = [[c for c in CASES if c.operator == name][-1] for name in OPERATORS]
CHOSEN += [c for c in CASES if c.operator == "navier_stokes_loss"][-4:-1]
every_operator = pytest.mark.parametrize("case", CHOSEN, ids=lambda case: case.name)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own forward mode


def detached(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(t.detach() for t in inputs)


def batches(case: Case, n: int) -> tuple[Tensor, ...]:
    """Each input BATCH times, with other numbers, along its last axis."""
    drawn = [detached(case.inputs(n, seed=seed)) for seed in range(BATCH)]
    return tuple(torch.stack(entries, -1) for entries in zip(*drawn, strict=True))


def entry(batched: tuple[Tensor, ...], i: int) -> tuple[Tensor, ...]:
    return tuple(t.select(-1, i) for t in batched)


def scalar_of(case: Case) -> Callable[..., Tensor]:
    def scalar(*inputs: Tensor) -> Tensor:
        out = case.kernel(*inputs)
        # Squares with weights: those of a cosine and a sine alone add up to one, whose gradient is rounding.
        return (out.square() * torch.linspace(0.5, 1.5, out.numel(), dtype=out.dtype).reshape(out.shape)).sum()

    return scalar


def places(case: Case, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
    """Of the inputs that the operator differentiates."""
    return tuple(range(case.frozen, len(inputs)))


def gradients(case: Case, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """By torch.autograd."""
    leaves = [t.detach().requires_grad_(i >= case.frozen) for i, t in enumerate(inputs)]
    return list(torch.autograd.grad(scalar_of(case)(*leaves), differentiated(leaves)))


def assert_same(got: Any, wanted: Any) -> None:
    for g, w in zip(got, wanted, strict=True):
        assert torch.equal(g, w)


@every_operator
def test_grad_and_vjp(case: Case) -> None:
    inputs = detached(case.inputs(4, seed=1))
    wanted = gradients(case, inputs)
    assert any(bool(g.any()) for g in wanted)
    assert_same(grad(scalar_of(case), argnums=places(case, inputs))(*inputs), wanted)
    # The backward pass of vjp runs when the transform is over.
    function = lambda *late: scalar_of(case)(*inputs[: case.frozen], *late)  # noqa: E731
    _, pull_back = vjp(function, *inputs[case.frozen :])
    assert_same(pull_back(torch.ones((), dtype=torch.float64)), wanted)


@every_operator
def test_vmap(case: Case) -> None:
    batched = batches(case, 4)
    wanted = [case.kernel(*entry(batched, i)) for i in range(BATCH)]
    assert_same(vmap(case.kernel, in_dims=-1)(*batched), wanted)
    # The last input alone: the others are the same for all entries.
    fixed, last = entry(batched, 0)[:-1], batched[-1]
    wanted = [case.kernel(*fixed, last.select(-1, i)) for i in range(BATCH)]
    got = vmap(lambda one: case.kernel(*fixed, one), in_dims=-1, out_dims=-1)(last)
    assert_same(got.unbind(-1), wanted)


@every_operator
def test_gradients_of_each_entry(case: Case) -> None:
    batched = batches(case, 4)
    argnums = places(case, batched)
    wanted = [gradients(case, entry(batched, i)) for i in range(BATCH)]
    got = vmap(grad(scalar_of(case), argnums=argnums), in_dims=-1)(*batched)
    for i in range(BATCH):
        assert_same([g[i] for g in got], wanted[i])


@every_operator
def test_gradient_of_a_batch(case: Case) -> None:
    """An ensemble: the entries' tensors are batched, and hide that a gradient is wanted."""
    batched = batches(case, 4)
    argnums = places(case, batched)
    wanted = [gradients(case, entry(batched, i)) for i in range(BATCH)]
    together = lambda *inputs: vmap(scalar_of(case), in_dims=-1)(*inputs).sum()  # noqa: E731
    got = grad(together, argnums=argnums)(*batched)
    for i in range(BATCH):
        assert_same([g.select(-1, i) for g in got], wanted[i])


@every_operator
def test_jacrev(case: Case) -> None:
    inputs = detached(case.inputs(2, seed=2))
    fixed, last = inputs[:-1], inputs[-1]
    got = jacrev(lambda one: case.kernel(*fixed, one))(last)
    wanted = torch.autograd.functional.jacobian(lambda one: case.kernel(*fixed, one), last)
    assert torch.equal(got, wanted)


def test_second_derivatives_of_the_features() -> None:
    """The one operator that is differentiable again, nested as networks of PINNs do it."""
    generator = torch.Generator().manual_seed(3)
    x, B = uniform(generator, 4, 2), normal(generator, 2, 5)
    value = lambda q: pinn_ext.fourier_features(q[None], B).sin().sum()  # noqa: E731
    got = vmap(jacrev(grad(value)))(x)
    for i in range(len(x)):
        wanted = torch.autograd.functional.hessian(value, x[i])
        assert relative_error(got[i], wanted) <= KERNEL_FLOAT64


class Flow(nn.Module):
    """A network whose forward pass is its loss."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("B", normal(generator, 3, 4))
        self.weight, self.bias = nn.Parameter(normal(generator, 3, 8)), nn.Parameter(normal(generator, 3))
        self.log_nu = nn.Parameter(normal(generator))

    def forward(self, x: Tensor) -> Tensor:
        total, _ = pinn_ext.navier_stokes_loss(
            x,
            self.B,
            [self.weight],
            [self.bias],
            self.log_nu.exp(),
            spec=SPECS["unsteady2d"],
            activation="tanh",
            term_weights=[1.0, 2.0, 3.0],
        )
        return total


def test_modules() -> None:
    """The idioms of torch's tutorials: gradients of each sample, and an ensemble."""
    samples = uniform(torch.Generator().manual_seed(4), BATCH, 6, 3)
    net = Flow(0)
    parameters = {name: p.detach() for name, p in net.named_parameters()}
    got = vmap(grad(lambda p, x: functional_call(net, p, (x,))), in_dims=(None, 0))(parameters, samples)
    for i, x in enumerate(samples):
        wanted = torch.autograd.grad(net(x), list(net.parameters()))
        assert_same([got[name][i] for name in parameters], wanted)
    ensemble = [Flow(seed) for seed in range(BATCH)]
    losses = vmap(lambda state: functional_call(net, state, (samples[0],)))(
        {name: t for state in stack_module_state(ensemble) for name, t in state.items()}
    )
    assert_same(losses, [member(samples[0]) for member in ensemble])


NET = Flow(1)


def loss_of(x: Tensor, nu: Tensor, term_weights: Tensor | None = None) -> Tensor:
    """The loss of one network with one linear layer."""
    weights = torch.ones(3, dtype=torch.float64) if term_weights is None else term_weights
    return pinn_ext.navier_stokes_loss(
        x, NET.B, [NET.weight], [NET.bias], nu, spec=SPECS["unsteady2d"], activation="tanh", term_weights=weights
    )[0]


POINTS = uniform(torch.Generator().manual_seed(5), BATCH, 4, 3)
NU = torch.tensor(0.3, dtype=torch.float64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: grad(loss_of)(POINTS[0], NU), "x: expected points without requires_grad"),
        # In a batch torch would take the missing gradient for zeros.
        (
            lambda: grad(lambda x: vmap(loss_of, in_dims=(0, None))(x, NU).sum())(POINTS),
            r"pinn_ext\.navier_stokes_loss: expected no gradient with respect to x, .*; detach it",
        ),
        (
            lambda: grad(lambda w: vmap(lambda one: loss_of(POINTS[0], NU, one))(w).sum())(POINTS[0].exp()),
            "expected no gradient with respect to term_weights",
        ),
        (lambda: jacrev(jacrev(lambda nu: loss_of(POINTS[0], nu)))(NU), "expected to be differentiated no further"),
        (lambda: jacfwd(lambda nu: loss_of(POINTS[0], nu))(NU), "grad and jacrev those by parameters"),
        (lambda: jvp(lambda nu: loss_of(POINTS[0], nu), (NU,), (NU,)), "outside forward-mode differentiation"),
        (lambda: vmap(loss_of, in_dims=(0, None))(POINTS[:0], NU), "expected a batch of at least one"),
        (
            lambda: torch.autograd.functional.jacobian(
                lambda data: pinn_ext.activation_jet(Jet(data, SPECS["value"]), "tanh").data, POINTS[:1], vectorize=True
            ),
            "expected tensors with memory, .*; a batched backward pass .* torch.func.jacrev and vmap have",
        ),
        (lambda: vmap(lambda a: pinn_ext.pivoted_qr(a, 2).pivots)(POINTS), "call pivoted_qr in a loop"),
        (
            lambda: vmap(lambda a: pinn_ext.sketch_rows(a, 2, seed=1, out=torch.zeros(2, 3).double()))(POINTS),
            "out: expected None inside the transforms of torch.func",
        ),
    ],
)
def test_what_has_no_rule_is_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((RuntimeError, ValueError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_forward_mode_is_refused_by_name() -> None:
    """Without this the tangents would be zeros, without a word."""
    x, B = uniform(torch.Generator().manual_seed(13), 4, 2), torch.ones(2, 3, dtype=torch.float64)
    with pytest.raises(RuntimeError, match=r"pinn_ext\.fourier_features: expected to run outside forward-mode"):
        jvp(lambda q: pinn_ext.fourier_features(q, B), (x,), (torch.ones_like(x),))
    with forward_ad.dual_level(), pytest.raises(RuntimeError, match="outside forward-mode"):
        pinn_ext.fourier_features(forward_ad.make_dual(x, torch.ones_like(x)), B)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch's tracer asks the tensors of a transform for it
def test_functionalize_and_the_compiler() -> None:
    """Both give the same numbers; torch.compile leaves a transform to eager mode."""
    wanted = grad(loss_of, argnums=1)(POINTS[0], NU)
    assert torch.equal(functionalize(loss_of)(POINTS[0], NU), loss_of(POINTS[0], NU))
    torch._dynamo.reset()
    assert torch.equal(torch.compile(grad(loss_of, argnums=1), backend="aot_eager")(POINTS[0], NU), wanted)
    torch._dynamo.reset()
    with pytest.raises(RuntimeError, match="torch_func_is_not_compiled"):
        torch.compile(grad(loss_of, argnums=1), backend="aot_eager", fullgraph=True)(POINTS[0], NU)


@every_operator
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_autocast_changes_nothing(case: Case, dtype: torch.dtype) -> None:
    """The same bits with and without it, in the backward pass too."""
    inputs = case.inputs(4, seed=6, dtype=dtype)

    def results() -> list[Tensor]:
        out = case.kernel(*inputs)
        assert out.dtype == dtype
        everything = [out]
        for _ in range(3 if case.operator == "fourier_features" else 1):  # its third order is in plain torch
            square = sum(tensor.square().sum() for tensor in everything)
            everything += torch.autograd.grad(square, differentiated(inputs), create_graph=True)
        return everything

    wanted = results()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
        assert_same(results(), wanted)


def test_autocast_around_a_network_of_jets() -> None:
    """Composed of the jets' operators a network is what mlp_jet is: float32 throughout."""
    generator = torch.Generator().manual_seed(7)
    spec = SPECS["unsteady2d"]
    x, B = uniform(generator, 6, 3).float(), normal(generator, 3, 4).float()
    weights = [normal(generator, 5, 8).float().requires_grad_(), normal(generator, 3, 5).float().requires_grad_()]
    biases = [normal(generator, 5).float().requires_grad_(), normal(generator, 3).float().requires_grad_()]

    def composed() -> list[Tensor]:
        jet = pinn_ext.linear_jet(pinn_ext.fourier_jet(x, B, spec), weights[0], biases[0])
        jet = pinn_ext.linear_jet(pinn_ext.activation_jet(jet, "tanh"), weights[1], biases[1])
        residual = pinn_ext.navier_stokes_residual(jet, 0.1)
        return [jet.data, residual, *torch.autograd.grad(residual.square().sum(), [*weights, *biases])]

    wanted = composed()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_same(composed(), wanted)
        whole = pinn_ext.mlp_jet(x, B, weights, biases, spec, "tanh").data
    assert relative_error(whole, wanted[0]) < 1e-5
