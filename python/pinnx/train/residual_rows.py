"""The residuals whose squares add up to a problem's loss, and their Jacobian: the rows of nonlinear least squares.

    loss = sum_k r_k^2,    r_k = sqrt(weight of its column x what its square counts) residual at a point

Each term gives its residuals with a graph to the jet of the network (``weighed_residual``), and
`pinn_ext.residual_jacobian` takes them back through the network, all columns in one pass over the points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

import pinn_ext
from pinnx.errors import PinnxError
from pinnx.models.field_model import FieldModel
from pinnx.models.fourier_network import FourierNetwork
from pinnx.models.stream_function import StreamFunction, VorticityStreamFunction
from pinnx.physics.equations import EquationTerm
from pinnx.physics.term import JetTerm
from pinnx.train.problem import Batch, Problem

__all__ = ["ResidualRows", "damped_factor", "mean_diagonal", "thinned"]

# Of the rows of a part of the points: an estimate at the end of a training may not cost the run its memory.
MOST_BYTES = 4 * 2**30


class ResidualRows:
    """The rows of a problem.

    Args:
        problem: its model is a Fourier network, alone or with something fixed around it.

    Attributes:
        numbers: unknown numbers of the equations: the last columns of the Jacobian.
        names_of_numbers: of their parameters.

    Raises:
        PinnxError: another network, a term without ``weighed_residual``, or an unknown that is not one number.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._network = _network_of(problem.model)
        self._places = [place for term in problem.terms for place in _unknown_numbers(term)]
        self.numbers = [module._parameters[name] for module, name in self._places]
        self.names_of_numbers = [name for _, name in self._places]
        mean = getattr(problem.model, "mean", None)  # of a stream function across periods
        self._means = [] if mean is None else [mean]
        self._places = [*((problem.model, "mean") for _ in self._means), *self._places]
        self._memory: dict[str, Tensor] = {}  # of each term's rows: new memory costs as much as filling it

    def unknowns(self) -> list[nn.Parameter]:
        """What the columns belong to: weight and bias of each layer in turn, then the numbers of the equations.

        Raises:
            PinnxError: weights that are formed of other parameters; the columns belong to what is formed.
        """
        layers = zip(self._network.weights, self._network.biases, strict=True)
        unknowns = [*(tensor for pair in layers for tensor in pair), *self._means, *self.numbers]
        known = {id(unknown) for unknown in unknowns}
        others = [name for name, p in self._problem.model.named_parameters() if id(p) not in known]
        if others:
            raise PinnxError(
                "train.optimizer gauss_newton: expected a network whose parameters are the weights and biases of its "
                f"layers, got {', '.join(others)}; set model.factorization.mean to null and model.train_frequencies to "
                "false"
            )
        return unknowns

    def at(self, batch: Batch, weights: Tensor, *, most: int | None = None) -> tuple[Tensor, list[Tensor]]:
        """Residuals [rows] and the Jacobian in blocks of rows [rows of a term, p], at the points of a batch.

        The next call writes to the memory of the blocks.

        Args:
            batch: the points.
            weights: one for each column of the loss.
            most: points of each term, drawn from its own, that stand for all of them; None: all.

        Raises:
            PinnxError: with ``most``, rows of more than 4 GiB: what asks for a part of the points has no need of them.
        """
        if most is not None:
            self._check_memory(sum(min(most, len(batch[term.name]["x"])) for term in self._problem.terms))
        sizes = [len(term.names) for term in self._problem.terms]
        found = [
            self._of_term(term, *thinned(batch[term.name], scale, most))
            for term, scale in zip(self._problem.terms, weights.sqrt().split(sizes), strict=True)
        ]
        return torch.cat([values.flatten() for values, _ in found]), [rows.flatten(0, 1) for _, rows in found]

    def _check_memory(self, points: int) -> None:
        """Of rows of so many points, each with a residual of every field."""
        count = sum(unknown.numel() for unknown in (*self._network.weights, *self._network.biases))
        size = points * len(self._problem.model.field_scales) * count * self._network.frequencies.element_size()
        if size > MOST_BYTES:
            raise PinnxError(
                f"Jacobian: expected rows of at most {MOST_BYTES / 2**30:.0f} GiB, got {size / 2**30:.1f} GiB, of "
                f"{count:,} weights at {points:,} points"
            )

    def _of_term(self, term: Any, points: Mapping[str, Tensor], scale: Tensor) -> tuple[Tensor, Tensor]:
        x, mask = points["x"], points.get("mask")
        # A field that is prescribed or measured nowhere has no rows.
        kept = slice(None) if mask is None else mask.any(0).nonzero()[:, 0]

        def weighed(numbers: Sequence[Tensor]) -> Tensor:
            with _standing_in(self._places, numbers):
                columns = term.weighed_residual(self._problem.model, points)
            pieces = [s * column.reshape(len(x), -1) for s, column in zip(scale, columns, strict=True)]
            return torch.cat([piece[:, kept] for piece in pieces] if mask is not None else pieces, dim=1)

        def residual(jet: pinn_ext.Jet, *numbers: Tensor) -> Tensor:
            with _giving(self._network, x, jet):
                return weighed([number[:, None] for number in numbers])

        if isinstance(model := self._problem.model, StreamFunction):
            return _composed_rows(model, weighed, len(x), [*self._means, *self.numbers])
        memory = self._memory.get(term.name)
        if memory is not None and (len(memory) != len(x) or (mask is not None and memory.shape[1] != len(kept))):
            memory = None
        _, B, weights, biases = self._network.operands(x)
        values, rows = pinn_ext.residual_jacobian(
            residual,
            x,
            B,
            weights,
            biases,
            spec=term.spec,
            activation=self._network.activation,
            numbers=self.numbers,
            out=memory,
        )
        self._memory[term.name] = rows
        return values, rows


@torch.enable_grad()
def _composed_rows(
    model: StreamFunction, weighed: Callable[[Sequence[Tensor]], Tensor], n: int, numbers: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """As `pinn_ext.residual_jacobian`: a point's gradient by a weight is that by what its layer gives, times its input.

    Source: Goodfellow, "Efficient per-example gradient computations", 2015.
    """
    of_points = [number.detach().reshape(1, -1).repeat(n, 1).requires_grad_() for number in numbers]
    with model.traced() as layers:
        values = weighed(of_points)
    if (jets := len(layers) // len(model.network.weights)) != 1:
        raise PinnxError(f"gauss_newton: expected one jet of the model for a term, got {jets}")
    given = [output for _, output in layers]
    rows = []
    for column in values.unbind(1):
        by_output = torch.autograd.grad(column.sum(), [*given, *of_points], retain_graph=True, materialize_grads=True)
        row = []
        for (entering, _), slope in zip(layers, by_output, strict=False):
            row += [torch.einsum("sno,sni->noi", slope, entering.detach()).flatten(1), slope[0]]
        rows.append(torch.cat([*row, *by_output[len(layers) :]], dim=1))
    return values.detach(), torch.stack(rows, dim=1)


def thinned(points: Mapping[str, Tensor], scale: Tensor, most: int | None) -> tuple[Mapping[str, Tensor], Tensor]:
    """At most so many of the points, each of which counts for more, and the weights of their residuals."""
    total = len(points["x"])
    if most is None or total <= most:
        return points, scale
    kept = torch.randperm(total, generator=torch.Generator().manual_seed(0))[:most].to(scale.device)
    return {name: values[kept] for name, values in points.items()}, scale * (total / most) ** 0.5


def mean_diagonal(blocks: Sequence[Tensor]) -> Tensor:
    """Of J' J, where the blocks of rows [rows, p] are J: what a damping is relative to."""
    return torch.stack([torch.linalg.vector_norm(block).square() for block in blocks]).sum() / blocks[0].shape[1]


def damped_factor(blocks: Sequence[Tensor], damping: Tensor) -> Tensor:
    """The lower Cholesky factor of J J' + damping 1, where the blocks of rows [rows, p] are J.

    Raises:
        PinnxError: it is not positive definite to rounding.
    """
    # Block by block: all rows in one matrix are the same memory once more, 0.8 GB on the preset wake.
    gram = torch.cat([torch.cat([left @ right.T for right in blocks], dim=1) for left in blocks])
    gram.diagonal().add_(damping)
    factor, failed = torch.linalg.cholesky_ex(gram)
    if failed:
        raise PinnxError("the residuals do not determine it")
    return factor


def _network_of(model: FieldModel) -> FourierNetwork:
    """The one network of a model that `pinn_ext.residual_jacobian` takes."""
    found = [module for module in model.modules() if isinstance(module, FourierNetwork)]
    # The loss of that stream function has other columns than the residual of its velocity.
    if len(found) != 1 or not found[0].fused or isinstance(model, VorticityStreamFunction):
        raise PinnxError(f"train.optimizer gauss_newton: expected one Fourier network, got {type(model).__name__}")
    return found[0]


def _unknown_numbers(term: object) -> list[tuple[nn.Module, str]]:
    """The module and the name of each unknown number of a term."""
    if isinstance(term, EquationTerm):
        places = [
            (m, name) for m in term.equations.modules() for name in m._parameters if m._parameters[name] is not None
        ]
        if all(module._parameters[name].numel() == 1 for module, name in places):
            return places
    elif isinstance(term, JetTerm) and not hasattr(term, "parameters"):
        return []
    raise PinnxError(
        f"train.optimizer gauss_newton: expected terms of equations and jets with single unknown numbers, "
        f"got {type(term).__name__}"
    )


@contextmanager
def _giving(network: FourierNetwork, x: Tensor, jet: pinn_ext.Jet) -> Iterator[None]:
    """Inside, the network gives this jet: whatever stands around it builds on it."""

    def given(points: Tensor, spec: pinn_ext.JetSpec) -> pinn_ext.Jet:
        if points.shape != x.shape or spec != jet.spec:
            raise PinnxError(f"gauss_newton: expected one jet {jet.spec} at the points of the term, got {spec}")
        return jet

    network.__dict__["jet"] = given
    try:
        yield
    finally:
        del network.__dict__["jet"]


@contextmanager
def _standing_in(places: Sequence[tuple[nn.Module, str]], numbers: Sequence[Tensor]) -> Iterator[None]:
    """Inside, unknown numbers are these, [n, 1] or [n, k]: as they are for each point."""
    before = [module._parameters[name] for module, name in places]
    for (module, name), number in zip(places, numbers, strict=True):
        module._parameters[name] = number  # type: ignore[assignment]
    try:
        yield
    finally:
        for (module, name), number in zip(places, before, strict=True):
            module._parameters[name] = number
