"""A function of tensors as a problem for the harness: ways to compute it, an oracle in float64, both passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from harness import Candidate, Case, Work, rounding_tolerance
from torch import Tensor

Function = Callable[..., Tensor | tuple[Tensor, ...]]
Mode = Literal["forward", "backward", "both"]


@dataclass(frozen=True)
class Way:
    """One way to compute the problem's function; ``split``: jets come and go as three tensors."""

    name: str
    function: Function
    split: bool = False


@dataclass(frozen=True)
class Problem:
    """A function of tensors at one size.

    Args:
        kernel: its name.
        size: its sizes by name.
        inputs: the tensors, jets as one array.
        point_axes: for each input, and for each output, the axis of the points; None where it has none. Such an output
            is a sum over the points.
        differentiated: for each input, whether a gradient is wanted.
        ways: ours first.
        oracle: the function in float64, differentiable.
        oracle_rows: points that the oracle takes at a time.
        parts: label in the tables -> what is timed: ``"forward"``, ``"backward"`` (of a graph that is kept) or
            ``"both"``.
        summands: longest sum of the forward pass, and of the backward pass; see `harness.rounding_tolerance`.
        amplification: see there.
        flops: of the forward pass, None where counting says little.
        backward_flops: of the backward pass.
        bound: see `harness.Case`.
    """

    kernel: str
    size: dict[str, int]
    inputs: tuple[Tensor, ...]
    point_axes: tuple[tuple[int | None, ...], tuple[int | None, ...]]
    differentiated: tuple[bool, ...]
    ways: tuple[Way, ...]
    oracle: Function
    oracle_rows: int
    parts: dict[str, Mode]
    summands: tuple[int, int]
    amplification: float = 0.0
    flops: int | None = None
    backward_flops: int | None = None
    bound: str = "traffic"


def cases_of(problem: Problem, seed: int) -> Iterator[Case]:
    """One case for each part; `seed` draws the cotangents."""
    outputs = [t.detach() for t in _tuple(problem.ways[0].function(*problem.inputs))]
    generator = torch.Generator().manual_seed(seed)
    cotangents = tuple(torch.randn(t.shape, generator=generator).to(t) for t in outputs)
    gradients = [t for t, wanted in zip(problem.inputs, problem.differentiated, strict=True) if wanted]
    for label, mode in problem.parts.items():
        read = [*problem.inputs] if mode == "forward" else [*problem.inputs, *cotangents]
        flops = {"forward": problem.flops, "backward": problem.backward_flops}.get(mode)
        if mode == "both" and problem.flops is not None and problem.backward_flops is not None:
            flops = problem.flops + problem.backward_flops
        yield Case(
            kernel=problem.kernel,
            part=label,
            size=problem.size,
            candidates=tuple(Candidate(way.name, _pass(problem, way, mode, cotangents)) for way in problem.ways),
            reference=_reference(problem, mode, cotangents),
            tolerance=rounding_tolerance(
                outputs[0].dtype,
                summands=problem.summands[mode != "forward"],
                amplification=problem.amplification,
            ),
            work=Work(_bytes(read), _bytes(outputs if mode == "forward" else gradients), flops),
            bound=problem.bound,
        )


def _pass(problem: Problem, way: Way, mode: Mode, cotangents: Sequence[Tensor]) -> Callable[[], Sequence[Tensor]]:
    """What is checked and timed: a call without arguments."""
    leaves: list[Tensor] = []
    wanted: list[Tensor] = []
    for tensor, differentiate in zip(problem.inputs, problem.differentiated, strict=True):
        own = [t.detach().clone().requires_grad_(differentiate) for t in _form(tensor, way)]
        leaves += own
        wanted += own if differentiate else []
    v = [part.contiguous() for tensor in cotangents for part in _form(tensor, way)]

    if mode == "forward":
        return lambda: _tuple(way.function(*leaves))
    if mode == "both":
        return lambda: torch.autograd.grad(_tuple(way.function(*leaves)), wanted, v)
    outputs = _tuple(way.function(*leaves))
    return lambda: torch.autograd.grad(outputs, wanted, v, retain_graph=True)


def _form(tensor: Tensor, way: Way) -> tuple[Tensor, ...]:
    return (tensor[0], tensor[1:-1], tensor[-1]) if way.split and tensor.dim() == 3 else (tensor,)


def _reference(problem: Problem, mode: Mode, cotangents: Sequence[Tensor]) -> Callable[[], Sequence[Tensor]]:
    input_axes, output_axes = problem.point_axes
    num_points = next(t.shape[a] for t, a in zip(problem.inputs, input_axes, strict=True) if a is not None)

    def run() -> Sequence[Tensor]:
        pieces: list[tuple[Tensor, ...]] = []
        for begin in range(0, num_points, problem.oracle_rows):
            rows = slice(begin, min(begin + problem.oracle_rows, num_points))
            leaves = [
                _rows(t, axis, rows).requires_grad_(wanted)
                for t, axis, wanted in zip(problem.inputs, input_axes, problem.differentiated, strict=True)
            ]
            results = _tuple(problem.oracle(*leaves))
            if mode != "forward":
                v = [_rows(t, axis, rows) for t, axis in zip(cotangents, output_axes, strict=True)]
                results = torch.autograd.grad(results, [t for t in leaves if t.requires_grad], v)
            pieces.append(tuple(t.detach() for t in results))
        axes = output_axes
        if mode != "forward":
            axes = tuple(a for a, wanted in zip(input_axes, problem.differentiated, strict=True) if wanted)
        return [_joined(tensors, axis) for tensors, axis in zip(zip(*pieces, strict=True), axes, strict=True)]

    return run


def _rows(tensor: Tensor, axis: int | None, rows: slice) -> Tensor:
    part = tensor if axis is None else tensor.narrow(axis, rows.start, rows.stop - rows.start)
    return part.detach().to(torch.float64, copy=True)


def _joined(tensors: Sequence[Tensor], axis: int | None) -> Tensor:
    return torch.stack(list(tensors)).sum(0) if axis is None else torch.cat(list(tensors), axis)


def _tuple(result: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (result,) if isinstance(result, Tensor) else tuple(result)


def _bytes(tensors: Sequence[Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)
