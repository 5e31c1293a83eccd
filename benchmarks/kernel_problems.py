"""The kernels of pinn_ext as problems for the harness: inputs, rivals, oracle, operations counted.

At a size (n, width) a jet has `n` points and `width` features (Fourier features: width / 2 frequencies), coordinates
(t, x, y) and the streams of the unsteady Navier-Stokes equations, five in two dimensions and six in three.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import rivals
import torch
from function_problem import Function, Problem, Way
from torch import Tensor

import pinn_ext
from pinn_ext import Jet, JetSpec, reference

SPEC_2D = JetSpec(first=(0, 1, 2), laplacian=(1, 2))
SPEC_3D = JetSpec(first=(0, 1, 2, 3), laplacian=(1, 2, 3))
NU = 0.01
HIDDEN_LAYERS = 4
PARTS: dict[str, Any] = {"forward": "forward", "backward": "backward"}
BREAKAGE_NODES = 512
ORACLE_NUMBERS = 1 << 17  # rows times features of one piece of the oracle: its graph then stays below 1 GB


@dataclass(frozen=True)
class Place:
    """Where and how the tensors are made, and whether torch.compile is one of the rivals."""

    device: torch.device
    dtype: torch.dtype
    compiled: bool
    seed: int = 0

    def normal(self, generator: torch.Generator, *shape: int) -> Tensor:
        """Standard normal numbers, drawn on the CPU so that every device sees the same."""
        return torch.randn(shape, generator=generator).to(self.device, self.dtype)

    def points(self, generator: torch.Generator, n: int, d: int) -> Tensor:
        """Uniform numbers in (-1, 1)."""
        return (2.0 * torch.rand((n, d), generator=generator) - 1.0).to(self.device, self.dtype)

    def ways(self, ours: Function, plain: Function, *, split: bool) -> tuple[Way, ...]:
        """Ours, plain torch, and plain torch compiled where that is an option."""
        ways = [Way("pinn_ext", ours), Way("torch", plain, split)]
        if self.compiled:
            # Each problem starts from nothing: torch gives up compiling a function after a number of different sizes.
            torch.compiler.reset()
            ways.append(Way("torch.compile", torch.compile(plain, fullgraph=True, dynamic=False), split))
        return tuple(ways)


def kernel_problems(place: Place, n: int, width: int) -> Iterator[tuple[str, Callable[[], Problem]]]:
    """Name and maker of every problem at one size; the tensors come into being when it is made."""

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(place.seed)

    yield "fourier_features", partial(_features, place, generator(), n, width)
    yield "fourier_features second order", partial(_second_order, place, generator(), n, width)
    yield "fourier_jet", partial(_fourier_jet, place, generator(), n, width)
    yield "linear_jet", partial(_linear, place, generator(), n, width)
    for name in rivals.DERIVATIVES:
        yield f"activation_jet {name}", partial(_activation, place, generator(), n, width, name)
    for dim in (2, 3):
        yield f"navier_stokes_residual {dim}D", partial(_residual, place, generator(), n, dim)
    yield "breakage_residual", partial(_breakage, place, generator(), max(2, n // 16))
    yield "network", partial(_network, place, generator(), n, width)


def _phase_amplification(x: Tensor, B: Tensor) -> float:
    # A phase of P turns carries an absolute rounding of 2 pi P eps into cosine and sine.
    return 2.0 * math.pi * (x.abs() @ B.abs()).max().item()


def _features(place: Place, generator: torch.Generator, n: int, width: int) -> Problem:
    x, B = place.points(generator, n, 3), place.normal(generator, 3, width // 2)
    return Problem(
        kernel="fourier_features",
        size={"n": n, "m": width // 2},
        inputs=(x, B),
        point_axes=((0, None), (0,)),
        differentiated=(True, True),
        ways=place.ways(pinn_ext.fourier_features, rivals.fourier_features, split=False),
        oracle=reference.fourier_features,
        oracle_rows=n,
        parts=PARTS,
        summands=(3, max(n, width)),
        amplification=_phase_amplification(x, B),
    )


def _second_order(place: Place, generator: torch.Generator, n: int, width: int) -> Problem:
    x, B = place.points(generator, n, 3), place.normal(generator, 3, width // 2)

    def backward_of(function: Callable[[Tensor, Tensor], Tensor]) -> Function:
        return lambda v, x, B: torch.autograd.grad(function(x, B), (x, B), v, create_graph=True)

    # torch.compile does not differentiate twice, so it has no place here.
    ways = (
        Way("pinn_ext", backward_of(pinn_ext.fourier_features)),
        Way("torch", backward_of(rivals.fourier_features)),
    )
    return Problem(
        kernel="fourier_features",
        size={"n": n, "m": width // 2},
        inputs=(place.normal(generator, n, width), x.requires_grad_(True), B.requires_grad_(True)),
        point_axes=((0, 0, None), (0, None)),
        differentiated=(True, True, True),
        ways=ways,
        oracle=backward_of(reference.fourier_features),
        oracle_rows=n,
        parts={"second order": "backward"},
        summands=(max(n, width), max(n, width)),
        amplification=_phase_amplification(x.detach(), B.detach()),
    )


def oracle_fourier_jet(x: Tensor, B: Tensor, spec: JetSpec) -> Tensor:
    """The oracle's jet of the features, [s, n, 2m], in time and memory proportional to n m.

    One pair (point, frequency) is one point of a function with two columns: the oracle differentiates column by
    column, and all m frequencies at once would cost m times as much.
    """
    n, m = x.shape[0], B.shape[1]
    frequency = B.T.repeat(n, 1)

    def wave(points: Tensor) -> Tensor:
        phase = 2.0 * math.pi * (points * frequency).sum(1)
        return torch.stack([torch.cos(phase), torch.sin(phase)], 1)

    pairs = reference.jet_of(wave, x.repeat_interleave(m, 0), spec).data
    return pairs.view(-1, n, m, 2).transpose(2, 3).reshape(-1, n, 2 * m)


def _fourier_jet(place: Place, generator: torch.Generator, n: int, width: int) -> Problem:
    x, B = place.points(generator, n, 3), place.normal(generator, 3, width // 2)
    return Problem(
        kernel="fourier_jet",
        size={"n": n, "m": width // 2},
        inputs=(x, B),
        point_axes=((0, None), (1,)),
        differentiated=(True, True),
        ways=place.ways(
            lambda x, B: pinn_ext.fourier_jet(x, B, SPEC_2D).data,
            lambda x, B: rivals.fourier_jet(x, B, SPEC_2D),
            split=True,
        ),
        oracle=lambda x, B: oracle_fourier_jet(x, B, SPEC_2D),
        oracle_rows=max(1, ORACLE_NUMBERS // width),
        parts=PARTS,
        summands=(3, SPEC_2D.num_streams * max(n, width)),
        amplification=_phase_amplification(x, B),
    )


def _linear(place: Place, generator: torch.Generator, n: int, width: int) -> Problem:
    s = SPEC_2D.num_streams
    flops = 2 * s * n * width * width
    return Problem(
        kernel="linear_jet",
        size={"n": n, "width": width},
        inputs=(
            place.normal(generator, s, n, width),
            place.normal(generator, width, width),
            place.normal(generator, width),
        ),
        point_axes=((1, None, None), (1,)),
        differentiated=(True, True, True),
        ways=place.ways(
            lambda data, weight, bias: pinn_ext.linear_jet(Jet(data, SPEC_2D), weight, bias).data,
            lambda value, first, laplacian, weight, bias: rivals.linear_jet((value, first, laplacian), weight, bias),
            split=True,
        ),
        oracle=lambda data, weight, bias: reference.linear_jet(Jet(data, SPEC_2D), weight, bias).data,
        oracle_rows=n,
        parts=PARTS,
        summands=(width, max(width, s * n)),
        flops=flops,
        backward_flops=2 * flops,
        bound="matmul",
    )


def _activation(place: Place, generator: torch.Generator, n: int, width: int, name: Any) -> Problem:
    return Problem(
        kernel=f"activation_jet {name}",
        size={"n": n, "width": width},
        inputs=(place.normal(generator, SPEC_2D.num_streams, n, width),),
        point_axes=((1,), (1,)),
        differentiated=(True,),
        ways=place.ways(
            lambda data: pinn_ext.activation_jet(Jet(data, SPEC_2D), name).data,
            lambda value, first, laplacian: rivals.activation_jet((value, first, laplacian), SPEC_2D, name),
            split=True,
        ),
        oracle=lambda data: reference.activation_jet(Jet(data, SPEC_2D), name).data,
        oracle_rows=max(1, ORACLE_NUMBERS // width),
        parts=PARTS,
        summands=(SPEC_2D.num_streams, 3 * SPEC_2D.num_streams),
    )


def _breakage(place: Place, generator: torch.Generator, times: int) -> Problem:
    # 512 volumes, as many as a solver takes; S = v, whose weight S / v both ways integrate alike.
    v = torch.logspace(-3, 1, BREAKAGE_NODES, dtype=torch.float64).to(place.device, place.dtype)
    rate = 1.0 + torch.linspace(0.0, 1.0, times).to(v)[:, None]
    g = 0.1 * place.normal(generator, times, BREAKAGE_NODES) - rate * v

    def oracle(g: Tensor, g_t: Tensor) -> Tensor:
        return reference.breakage_residual(g, g_t, v.double(), v.double())

    return Problem(
        kernel="breakage_residual",
        size={"times": times, "nodes": BREAKAGE_NODES},
        inputs=(g, place.normal(generator, times, BREAKAGE_NODES)),
        point_axes=((0, 0), (0,)),
        differentiated=(True, True),
        ways=place.ways(
            lambda g, g_t: pinn_ext.breakage_residual(g, g_t, v, v),
            lambda g, g_t: rivals.breakage_residual(g, g_t, v, v),
            split=False,
        ),
        oracle=oracle,
        oracle_rows=4,
        parts=PARTS | {"forward and backward": "both"},
        summands=(BREAKAGE_NODES, BREAKAGE_NODES),
        amplification=g.abs().max().item(),  # plain torch rounds sums of f in their logarithm, which has the size of g
    )


def _residual(place: Place, generator: torch.Generator, n: int, dim: int) -> Problem:
    spec = SPEC_2D if dim == 2 else SPEC_3D
    return Problem(
        kernel=f"navier_stokes_residual {dim}D",
        size={"n": n},
        inputs=(place.normal(generator, spec.num_streams, n, dim + 1),),
        point_axes=((1,), (0,)),
        differentiated=(True,),
        ways=place.ways(
            lambda data: pinn_ext.navier_stokes_residual(Jet(data, spec), NU),
            lambda value, first, laplacian: rivals.navier_stokes_residual((value, first, laplacian), NU),
            split=True,
        ),
        oracle=lambda data: reference.navier_stokes_residual(Jet(data, spec), NU),
        oracle_rows=n,
        parts=PARTS,
        summands=(2 * dim, 2 * dim),
    )


def _network(place: Place, generator: torch.Generator, n: int, width: int) -> Problem:
    """The residual of a whole network, and its gradients in all weights and biases: a step but for the optimiser."""
    sizes = [width] * (HIDDEN_LAYERS + 1) + [3]
    layers: list[Tensor] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [place.normal(generator, fan_out, fan_in) / fan_in**0.5, place.normal(generator, fan_out)]
    x, B = place.points(generator, n, 3), 0.5 * place.normal(generator, 3, width // 2)
    products = [fan_in * fan_out for fan_in, fan_out in itertools.pairwise(sizes)]
    per_weight = 2 * SPEC_2D.num_streams * n
    ways = place.ways(
        lambda x, B, *layers: _jet_residual(x, B, layers),
        lambda x, B, *layers: rivals.network_residual(x, B, layers, SPEC_2D, "tanh", NU),
        split=False,
    )
    nested = Way("nested autograd", lambda x, B, *layers: rivals.nested_residual(x, B, layers, "tanh", NU))
    return Problem(
        kernel="network",
        size={"n": n, "width": width, "layers": HIDDEN_LAYERS},
        inputs=(x, B, *layers),
        point_axes=((0, None, *[None] * len(layers)), (0,)),
        differentiated=(False, False, *[True] * len(layers)),
        ways=(*ways, nested),
        oracle=lambda x, B, *layers: reference.navier_stokes_residual(
            reference.mlp_jet(x, B, layers[::2], layers[1::2], SPEC_2D, "tanh"), NU
        ),
        oracle_rows=max(1, ORACLE_NUMBERS // width),
        parts={"forward": "forward", "forward + backward": "both"},
        summands=(width, SPEC_2D.num_streams * max(n, width)),
        # The phase's rounding, and then each layer passes on what came and adds its own.
        amplification=_phase_amplification(x, B) * len(products),
        flops=per_weight * sum(products),
        # Weights' gradients of every layer; gradients of the inputs of all but the first.
        backward_flops=per_weight * (2 * sum(products) - products[0]),
        bound="matmul",
    )


def _jet_residual(x: Tensor, B: Tensor, layers: tuple[Tensor, ...]) -> Tensor:
    jet = pinn_ext.fourier_jet(x, B, SPEC_2D)
    for weight, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
        jet = pinn_ext.activation_jet(pinn_ext.linear_jet(jet, weight, bias), "tanh")
    return pinn_ext.navier_stokes_residual(pinn_ext.linear_jet(jet, layers[-2], layers[-1]), NU)
