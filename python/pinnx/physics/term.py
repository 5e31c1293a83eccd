"""A term: one summand of the loss, with its points, its columns, and its numbers for the checks.

    loss = sum over terms, sum over columns i of a term: weight_i mean_over_points(residual_i^2)

A term is the whole of what the trainer knows of an equation or a condition. A new one is a new file: a class with
the members of `Term`; `JetTerm` has most of them for a residual in plain torch.

Layout: points are named float64 arrays on the host. Under "x" they are in the coordinates of the case; `loss` gets the
model's inputs made from them (`FieldModel.inputs`), all else as it was drawn, on the model's device. Values of
fields are drawn in units of their scales, as the model gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import pinn_ext
from pinnx.errors import PinnxError
from pinnx.models.field_model import FieldModel

__all__ = ["WHOLE", "JetTerm", "Measured", "Points", "Share", "Term", "TermLoss", "largest_share"]

Points = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Share:
    """One of several parts of every term's points: a rank's, or a micro-batch's.

    Losses are divided by the points of all parts, so their losses and gradients add up to those of the step.

    Args:
        part: which one.
        parts: how many there are.
        edges: [parts + 1], where they begin and end, rising from 0 to 1; none: all are equal.
    """

    part: int = 0
    parts: int = 1
    edges: tuple[float, ...] = ()

    def rows(self, total: int) -> range:
        """The numbers of this part's points, of ``total`` in a step."""
        if self.edges:
            return range(round(total * self.edges[self.part]), round(total * self.edges[self.part + 1]))
        return range(total * self.part // self.parts, total * (self.part + 1) // self.parts)


WHOLE = Share()
# A residual at which every loss is still a square: robust ones bend later.
NEAR_ZERO = 1e-4


class TermLoss(NamedTuple):
    """The loss of a term: weighted total with a graph; its columns [c] and the residual [n, r] without one."""

    total: Tensor
    columns: Tensor
    residual: Tensor | None = None


class Measured(NamedTuple):
    """A number that a gate is held against; None where there is nothing to compute it from.

    Where ``value`` leaves out places at which no field is right, ``everywhere`` is the number with them. ``part`` says
    of which part of the flow it is, where several numbers have one gate. ``worst`` is the largest number of which
    ``value`` is a norm, and ``worst_at`` its place, then its time. ``why`` says what makes it as large as it is, and
    where; ``rest`` is the number without the worst 5 % of the points. Not ``checkable``: the flow has nothing that the
    gate could be held against, and ``note`` says why.
    """

    gate: str
    value: float | None
    note: str = ""
    everywhere: float | None = None
    part: str = ""
    worst: float | None = None
    worst_at: tuple[float, ...] | None = None
    why: str = ""
    rest: float | None = None
    checkable: bool = True


def largest_share(squares: NDArray[np.float64], size: float) -> tuple[float, int]:
    """The largest of the numbers of which a relative norm is made, as the norm counts them, and its row.

    The norm is sqrt(sum of squares) / size. A number counts over the root mean square of what it is relative to,
    size / sqrt(n). The first NaN is the largest.

    Args:
        squares: [n], of the errors; what is below zero counts as zero.
        size: root of the sum of the squares of what they are relative to, > 0.
    """
    row = int(np.argmax(squares))
    return float(np.sqrt(np.maximum(squares[row], 0.0) * len(squares))) / size, row


class Term(Protocol):
    """What the trainer and the checks ask of a term.

    Attributes:
        name: of the term, unique in a problem.
        names: of its columns of the loss. Nothing else names them.

    A term with parameters or state of its own has ``state_dict`` and ``load_state_dict``, and ``parameters`` where the
    optimiser is to train them. One whose points follow the training has ``adapt(model, step)``, called after each step
    with the number of the next one.
    """

    name: str
    names: tuple[str, ...]

    def draw(self, step: int, share: Share = WHOLE) -> Points:
        """The points of a step; each depends on (seed, step, its number) alone."""
        ...

    def loss(
        self, model: FieldModel, points: Mapping[str, Tensor], weights: Tensor, *, with_residual: bool = False
    ) -> TermLoss:
        """The loss at drawn points, with weights [c]. Reads no number back, and copies nothing from the host."""
        ...

    def measure(self, model: FieldModel, *, num_points: int, seed: int) -> list[Measured]:
        """The numbers that gates are held against, at points of their own."""
        ...


class JetTerm:
    """Base of a term in plain torch on the jet of the model: the mean square of each column of its residual.

    A subclass has the members of `Term` but ``loss``, and those below. Terms with equal ``spec`` share one pass through
    the network.

    Attributes:
        spec: which derivatives the residual needs.
        num_points: points of a step, of all shares.
    """

    name: str
    names: tuple[str, ...]
    spec: pinn_ext.JetSpec
    num_points: int

    def residual(self, jet: pinn_ext.Jet, points: Mapping[str, Tensor]) -> Tensor:
        """What is zero where the term holds, [n, r], from the jet at ``points["x"]``."""
        raise NotImplementedError

    def measure(self, model: FieldModel, *, num_points: int, seed: int) -> list[Measured]:
        """As `Term.measure`; a subclass says what of it is checked.

        Raises:
            PinnxError: it does not.
        """
        raise PinnxError(f"term {self.name}: expected a method measure, with the numbers of its checks or [], got none")

    def columns(self, residual: Tensor, points: Mapping[str, Tensor]) -> Tensor:
        """The columns of the loss, [c]; here the mean square of each of the residual's.

        Raises:
            PinnxError: more rows than ``num_points``, by which their sum is divided.
        """
        if residual.dim() and len(residual) > self.num_points:
            raise PinnxError(f"term {self.name}: expected at most {self.num_points} rows, got {len(residual)}")
        return residual.square().sum(0) / self.num_points

    def weighed_residual(self, model: FieldModel, points: Mapping[str, Tensor]) -> list[Tensor]:
        """For each column its residual with a graph, times the root of what its square counts.

        Near 0 the columns are quadratic in the residual; there the derivative says what each square counts.
        """
        residual = self.residual(model.jet(points["x"], self.spec), points)
        small = torch.full_like(residual, NEAR_ZERO, requires_grad=True)
        columns = self.columns(small, points)
        counts = [torch.autograd.grad(column, small, retain_graph=True)[0] / (2 * NEAR_ZERO) for column in columns]
        return [residual * count.sqrt() for count in counts]

    def loss(
        self, model: FieldModel, points: Mapping[str, Tensor], weights: Tensor, *, with_residual: bool = False
    ) -> TermLoss:
        """The loss by a pass of its own through the network."""
        return self.jet_loss(model.jet(points["x"], self.spec), points, weights, with_residual=with_residual)

    def jet_loss(
        self, jet: pinn_ext.Jet, points: Mapping[str, Tensor], weights: Tensor, *, with_residual: bool = False
    ) -> TermLoss:
        """The loss from a jet that is there already."""
        residual = self.residual(jet, points)
        columns = self.columns(residual, points)
        if columns.shape != (len(self.names),):
            raise PinnxError(
                f"term {self.name}: expected a residual [n, r] that makes {len(self.names)} columns, "
                f"{', '.join(self.names)}; got a residual {list(residual.shape)} and columns {list(columns.shape)}"
            )
        return TermLoss(torch.dot(weights, columns), columns.detach(), residual.detach() if with_residual else None)
