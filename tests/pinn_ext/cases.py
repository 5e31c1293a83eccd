"""The table of cases that the tests of ``pinn_ext`` share: one row = one operator in one use.

A row has a kernel and its oracle as functions of the same flat tensors, ``(*inputs) -> Tensor``,
and a recipe that draws those inputs for ``n`` points. Parity, gradcheck, sizes, determinism,
compilation, instruction sets and GPU tests all run over :data:`CASES`, so a new operator is tested
by adding rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

import pinn_ext
from pinn_ext import Jet, JetSpec, reference

Draw = Callable[[torch.Generator, int], tuple[Tensor, ...]]
Function = Callable[..., Tensor]

SPECS = {
    "value": JetSpec(),
    "line": JetSpec(first=(0,), laplacian=(0,)),
    "gradient": JetSpec(first=(0, 1, 2)),
    "steady2d": JetSpec(first=(0, 1), laplacian=(0, 1)),
    "unsteady2d": JetSpec(first=(0, 1, 2), laplacian=(1, 2)),
    "steady3d": JetSpec(first=(0, 1, 2), laplacian=(0, 1, 2)),
    "unsteady3d": JetSpec(first=(0, 1, 2, 3), laplacian=(1, 2, 3)),
    "weighted": JetSpec(first=(2, 0, 1), laplacian=(1, 2), weights=(4.0, -0.5)),
}


@dataclass(frozen=True)
class Case:
    """One operator in one use.

    ``summands(n)`` is the length of the longest sum behind one entry of the result or of a
    gradient, ``amplification(*inputs)`` the factor by which the rounding of an intermediate value
    is enlarged on its way to the result; float32 bounds are built of both.
    """

    name: str
    operator: str
    kernel: Function
    oracle: Function
    draw: Draw
    summands: Callable[[int], int]
    amplification: Callable[..., float] = lambda *inputs: 1.0
    frozen: int = 0  # inputs, from the first on, that the operator does not differentiate
    min_points: int = 0
    any_threads: bool = True  # the same bits for any number of threads

    def inputs(
        self, n: int, *, seed: int, dtype: torch.dtype = torch.float64, device: str = "cpu"
    ) -> tuple[Tensor, ...]:
        """Leaves, those that can be differentiated requiring gradients; the same numbers, rounded, in every dtype."""
        print(f"case {self.name}: n={n} seed={seed} dtype={dtype}")
        generator = torch.Generator().manual_seed(seed)
        drawn = self.draw(generator, n)
        return tuple(leaf(t, dtype, device, i >= self.frozen) for i, t in enumerate(drawn))


def leaf(tensor: Tensor, dtype: torch.dtype, device: str = "cpu", requires_grad: bool = True) -> Tensor:
    """A copy of ``tensor`` as a leaf."""
    return tensor.detach().to(device=device, dtype=dtype, copy=True).requires_grad_(requires_grad)


def leaves(tensors: Sequence[Tensor], dtype: torch.dtype, device: str = "cpu") -> tuple[Tensor, ...]:
    """Copies of tensors as leaves; those require gradients that did."""
    return tuple(leaf(t, dtype, device, t.requires_grad) for t in tensors)


def differentiated(inputs: Sequence[Tensor]) -> list[Tensor]:
    """The inputs that require gradients."""
    return [t for t in inputs if t.requires_grad]


def forward_and_gradients(function: Function, inputs: Sequence[Tensor], *, seed: int) -> list[Tensor]:
    """The result of ``function`` and all gradients under a seeded random cotangent."""
    result = function(*inputs)
    generator = torch.Generator().manual_seed(seed)
    # Rounded to float32, so that float32 and float64 runs see the same cotangent.
    cotangent = torch.randn(result.shape, generator=generator, dtype=torch.float32)
    gradients = torch.autograd.grad(result, differentiated(inputs), cotangent.to(result))
    return [result.detach(), *gradients]


def relative_error(got: Tensor, wanted: Tensor) -> float:
    """``max |got - wanted| / max |wanted|`` in float64; 0 where empty, infinite for NaN."""
    if got.shape != wanted.shape:
        raise AssertionError(f"shape {list(got.shape)}, wanted {list(wanted.shape)}")
    if got.numel() == 0:
        return 0.0
    got, wanted = got.detach().double().cpu(), wanted.detach().double().cpu()
    error = (got - wanted).abs().max().item()
    size = wanted.abs().max().item()
    if math.isnan(error):
        return math.inf
    if size == 0.0:
        return 0.0 if error == 0.0 else math.inf
    return error / size


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def uniform(generator: torch.Generator, *shape: int) -> Tensor:
    """Numbers uniform on (-1, 1)."""
    return 2.0 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1.0


def _phase_amplification(x: Tensor, B: Tensor, *_: Tensor) -> float:
    # A phase of P turns carries an absolute rounding of 2 pi P eps into cos and sin.
    if x.numel() == 0 or B.numel() == 0:
        return 1.0
    return 1.0 + 2.0 * math.pi * (x.abs() @ B.abs()).max().item()


def features_case(d: int, m: int) -> Case:
    return Case(
        name=f"fourier_features-d{d}-m{m}",
        operator="fourier_features",
        kernel=pinn_ext.fourier_features,
        oracle=reference.fourier_features,
        draw=lambda g, n: (uniform(g, n, d), normal(g, d, m)),
        summands=lambda n: max(n, 2 * m),
        amplification=_phase_amplification,
    )


def fourier_jet_case(spec_name: str, d: int, m: int) -> Case:
    spec = SPECS[spec_name]
    return Case(
        name=f"fourier_jet-{spec_name}-d{d}-m{m}",
        operator="fourier_jet",
        kernel=lambda x, B: pinn_ext.fourier_jet(x, B, spec).data,
        oracle=lambda x, B: reference.fourier_jet(x, B, spec).data,
        draw=lambda g, n: (uniform(g, n, d), normal(g, d, m)),
        summands=lambda n: spec.num_streams * max(n, 2 * m),
        amplification=_phase_amplification,
    )


def linear_case(spec_name: str, c_in: int, c_out: int, *, bias: bool) -> Case:
    spec = SPECS[spec_name]
    s = spec.num_streams

    def draw(g: torch.Generator, n: int) -> tuple[Tensor, ...]:
        inputs = (normal(g, s, n, c_in), normal(g, c_out, c_in))
        return (*inputs, normal(g, c_out)) if bias else inputs

    return Case(
        name=f"linear_jet-{spec_name}-{c_in}to{c_out}-{'bias' if bias else 'nobias'}",
        operator="linear_jet",
        kernel=lambda data, *wb: pinn_ext.linear_jet(Jet(data, spec), *wb).data,
        oracle=lambda data, *wb: reference.linear_jet(Jet(data, spec), *wb).data,
        draw=draw,
        summands=lambda n: max(c_in, c_out, s * n),
    )


def activation_case(spec_name: str, activation: str, c: int, scale: float) -> Case:
    spec = SPECS[spec_name]
    return Case(
        name=f"activation_jet-{activation}-{spec_name}-c{c}-scale{scale:g}",
        operator="activation_jet",
        kernel=lambda data: pinn_ext.activation_jet(Jet(data, spec), activation).data,
        oracle=lambda data: reference.activation_jet(Jet(data, spec), activation).data,
        # `scale` reaches from the middle of the activation into its tails.
        draw=lambda g, n: (scale * normal(g, spec.num_streams, n, c),),
        summands=lambda n: 3 * spec.num_streams,
    )


def navier_stokes_case(spec_name: str, *, nu: str, forcing: str, steady: bool | None = None) -> Case:
    """``nu`` "number", "scalar" or "points"; ``forcing`` "none", "points" or "constant"."""
    spec = SPECS[spec_name]
    d_space = len(spec.laplacian)

    def draw(g: torch.Generator, n: int) -> tuple[Tensor, ...]:
        inputs = [normal(g, spec.num_streams, n, d_space + 1)]
        if nu != "number":
            inputs.append(0.6 + 0.5 * uniform(g, *((n,) if nu == "points" else ())))
        if forcing != "none":
            inputs.append(normal(g, *((n,) if forcing == "points" else ()), d_space))
        return tuple(inputs)

    def through(function: Callable[..., Tensor]) -> Function:
        def call(data: Tensor, *rest: Tensor) -> Tensor:
            others = list(rest)
            viscosity = 0.02 if nu == "number" else others.pop(0)
            force = others.pop(0) if forcing != "none" else None
            return function(Jet(data, spec), viscosity, forcing=force, steady=steady)

        return call

    return Case(
        name=f"navier_stokes-{spec_name}-nu_{nu}-forcing_{forcing}-steady_{steady}",
        operator="navier_stokes_residual",
        kernel=through(pinn_ext.navier_stokes_residual),
        oracle=through(reference.navier_stokes_residual),
        draw=draw,
        summands=lambda n: d_space * max(n, 4),
    )


def breakage_case(nodes: int, *, daughter: float, tail: bool) -> Case:
    """``n`` times; the last of ``nodes`` volumes is 10,000 times the first."""

    def volumes(like: Tensor) -> Tensor:
        return torch.logspace(-3, 1, nodes, dtype=torch.float64).to(like)

    def draw(g: torch.Generator, n: int) -> tuple[Tensor, ...]:
        inputs = (normal(g, n, nodes), normal(g, n, nodes), torch.rand(nodes, generator=g, dtype=torch.float64))
        return (*inputs, normal(g, n)) if tail else inputs

    def through(function: Callable[..., Tensor]) -> Function:
        return lambda g, g_t, S, *rest: function(
            g, g_t, volumes(g), S, daughter=daughter, tail=rest[0] if rest else None
        )

    return Case(
        name=f"breakage_residual-nodes{nodes}-daughter{daughter:g}-tail_{tail}",
        operator="breakage_residual",
        kernel=through(pinn_ext.breakage_residual),
        oracle=through(reference.breakage_residual),
        draw=draw,
        summands=lambda n: max(n, nodes),
    )


def network_inputs(g: torch.Generator, widths: Sequence[int], d: int) -> list[Tensor]:
    """B, then the weight and the bias of each layer; ``widths`` = (m, hidden widths ..., outputs)."""
    m, *rest = widths
    tensors = [normal(g, d, m)]
    for fan_in, fan_out in pairwise((2 * m, *rest)):
        tensors += [normal(g, fan_out, fan_in) / fan_in**0.5, 0.3 * normal(g, fan_out)]
    return tensors


def mlp_case(spec_name: str, activation: str, widths: tuple[int, ...], d: int, *, any_threads: bool = False) -> Case:
    """``widths`` = (m, hidden widths ..., outputs)."""
    spec = SPECS[spec_name]

    def draw(g: torch.Generator, n: int) -> tuple[Tensor, ...]:
        return (uniform(g, n, d), *network_inputs(g, widths, d))

    def kernel(x: Tensor, B: Tensor, *parameters: Tensor) -> Tensor:
        return pinn_ext.mlp_jet(
            x, B, parameters[::2], parameters[1::2], spec, activation, thread_invariant=any_threads
        ).data

    def oracle(x: Tensor, B: Tensor, *parameters: Tensor) -> Tensor:
        return reference.mlp_jet(x, B, parameters[::2], parameters[1::2], spec, activation).data

    return Case(
        name=f"mlp_jet-{spec_name}-{activation}-{'-'.join(map(str, widths))}",
        operator="mlp_jet",
        kernel=kernel,
        oracle=oracle,
        draw=draw,
        summands=lambda n: spec.num_streams * max(n, 2 * max(widths)) * len(widths),
        amplification=_phase_amplification,
        frozen=1,
        any_threads=any_threads,
    )


def loss_case(
    spec_name: str,
    activation: str,
    widths: tuple[int, ...],
    *,
    nu: str,
    forcing: str = "none",
    point_weights: bool = False,
    steady: bool | None = None,
    any_threads: bool = False,
) -> Case:
    """The Navier-Stokes loss; ``nu`` and ``forcing`` as for `navier_stokes_case`, widths as for `mlp_case`."""
    spec = SPECS[spec_name]
    d, dim = len(spec.first), len(spec.laplacian)
    term_weights = [1.0, 2.0, 0.5, 0.7][: dim + 1]

    def draw(g: torch.Generator, n: int) -> tuple[Tensor, ...]:
        inputs = [uniform(g, n, d)]
        if forcing != "none":
            inputs.append(normal(g, *((n,) if forcing == "points" else ()), dim))
        if point_weights:
            inputs.append(torch.rand(n, generator=g, dtype=torch.float64))
        if nu != "number":
            inputs.append(0.6 + 0.5 * uniform(g, *((n,) if nu == "points" else ())))
        return (*inputs, *network_inputs(g, (*widths, dim + 1), d))

    num_frozen = 1 + (forcing != "none") + point_weights

    def parts(inputs: Sequence[Tensor]) -> tuple[Any, ...]:
        others = list(inputs)
        x = others.pop(0)
        force = others.pop(0) if forcing != "none" else None
        point = others.pop(0) if point_weights else None
        viscosity = 0.02 if nu == "number" else others.pop(0)
        B, *parameters = others
        return x, force, point, viscosity, B, parameters[::2], parameters[1::2]

    def kernel(*inputs: Tensor) -> Tensor:
        x, force, point, viscosity, B, weights, biases = parts(inputs)
        total, _ = pinn_ext.navier_stokes_loss(
            x,
            B,
            weights,
            biases,
            viscosity,
            spec=spec,
            activation=activation,
            term_weights=term_weights,
            point_weights=point,
            forcing=force,
            steady=steady,
            thread_invariant=any_threads,
        )
        return total

    def oracle(*inputs: Tensor) -> Tensor:
        x, force, point, viscosity, B, weights, biases = parts(inputs)
        jet = reference.mlp_jet(x, B, weights, biases, spec, activation)
        squares = reference.navier_stokes_residual(jet, viscosity, forcing=force, steady=steady).square()
        squares = squares if point is None else squares * point[:, None]
        return (squares.mean(0) * squares.new_tensor(term_weights)).sum()

    return Case(
        name=f"navier_stokes_loss-{spec_name}-{activation}-{'-'.join(map(str, widths))}-nu_{nu}",
        operator="navier_stokes_loss",
        kernel=kernel,
        oracle=oracle,
        draw=draw,
        summands=lambda n: spec.num_streams * max(n, 2 * max(widths)) * len(widths),
        amplification=lambda x, *rest: _phase_amplification(x, parts((x, *rest))[4]),
        frozen=num_frozen,
        min_points=1,
        any_threads=any_threads,
    )


ACTIVATIONS = pinn_ext.ACTIVATIONS

CASES: list[Case] = [
    features_case(d=1, m=1),
    features_case(d=2, m=7),
    features_case(d=3, m=32),
    features_case(d=4, m=50),
    fourier_jet_case("value", d=2, m=5),
    fourier_jet_case("gradient", d=3, m=7),
    fourier_jet_case("steady2d", d=2, m=32),
    fourier_jet_case("unsteady2d", d=3, m=50),
    fourier_jet_case("unsteady2d", d=4, m=3),
    fourier_jet_case("unsteady3d", d=4, m=7),
    fourier_jet_case("weighted", d=3, m=7),
    linear_case("value", 3, 2, bias=True),
    linear_case("unsteady2d", 14, 9, bias=True),
    linear_case("unsteady2d", 100, 64, bias=True),
    linear_case("unsteady3d", 50, 4, bias=True),
    linear_case("weighted", 7, 33, bias=False),
    *(activation_case("unsteady2d", name, 50, 1.0) for name in ACTIVATIONS),
    *(activation_case("weighted", name, 7, 4.0) for name in ACTIVATIONS),
    activation_case("value", "tanh", 3, 1.0),
    activation_case("gradient", "gelu", 3, 1.0),
    activation_case("unsteady3d", "sine", 17, 1.0),
    navier_stokes_case("steady2d", nu="number", forcing="none"),
    navier_stokes_case("steady2d", nu="points", forcing="points", steady=True),
    navier_stokes_case("unsteady2d", nu="scalar", forcing="none"),
    navier_stokes_case("unsteady2d", nu="number", forcing="constant", steady=False),
    navier_stokes_case("unsteady2d", nu="scalar", forcing="points", steady=True),
    navier_stokes_case("steady3d", nu="scalar", forcing="constant"),
    navier_stokes_case("unsteady3d", nu="points", forcing="points"),
    navier_stokes_case("unsteady3d", nu="number", forcing="none", steady=False),
    breakage_case(300, daughter=0.0, tail=False),
    breakage_case(19, daughter=1.5, tail=True),
    *(mlp_case("unsteady2d", name, (5, 20, 37, 3), d=3) for name in ACTIVATIONS),
    mlp_case("value", "tanh", (32, 64, 64, 2), d=2),
    mlp_case("gradient", "sine", (7, 50, 1), d=3),
    mlp_case("weighted", "gelu", (17, 33, 5), d=3, any_threads=True),
    mlp_case("unsteady3d", "tanh", (16, 4), d=4),
    *(loss_case("unsteady2d", name, (5, 20, 37), nu="scalar") for name in ACTIVATIONS),
    loss_case("steady2d", "tanh", (32, 64, 64), nu="number", forcing="constant"),
    loss_case("unsteady2d", "tanh", (3, 17), nu="points", forcing="points", point_weights=True, any_threads=True),
    loss_case("unsteady2d", "sine", (8, 16, 16, 16), nu="scalar", steady=True, point_weights=True),
    loss_case("steady3d", "silu", (9, 40), nu="points"),
    loss_case("unsteady3d", "tanh", (16, 32, 8), nu="scalar", forcing="points"),
]

OPERATORS = tuple(sorted({case.operator for case in CASES}))


def case_name(case: Case) -> str:
    """The row's name, for pytest's ids."""
    return case.name
