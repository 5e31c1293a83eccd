"""Equations, and the term that holds them at points of the domain.

`Equations` is what an equation states: its columns, the jet that it needs, its residual. `EquationTerm` holds it
at points. An equation with a fused loss overrides ``network_loss``; others get it from their residual.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import pinn_ext
from pinnx.data.collocation import uniform_points
from pinnx.data.point_pool import PointPool
from pinnx.errors import PinnxError
from pinnx.models.field_model import FieldModel
from pinnx.models.fourier_network import FourierNetwork
from pinnx.physics.concentration import norm_without_worst
from pinnx.physics.corners import Corner, corner_distance, left_out
from pinnx.physics.geometry import place_and_time
from pinnx.physics.inner_points import InnerPoints
from pinnx.physics.term import WHOLE, Measured, Points, Share, TermLoss

__all__ = ["EVALUATION_STREAM", "EquationTerm", "Equations", "Settable", "mean_squares"]

# Points that no training step has drawn; docs/conventions.md has all streams.
EVALUATION_STREAM = 1 << 21
KNOWN = "known "  # begins the names of their arrays among those of drawn points
# Of what a number of the equations multiplies, dimensionless. Between rotating cylinders a trained network leaves 0.01
# of a Laplacian that is zero; the shared cavities have 7 and more in the median.
LEAST_FACTOR = 0.1
OWN = "It is the network's own, whose derivatives are exact: no grid adds to it."


class Settable(NamedTuple):
    """A number of the equations that may change during a training: where it is, and what one there is to the user."""

    tensor: Tensor
    unit: float
    positive: bool


class Equations(nn.Module):
    """What an equation states; its unknown numbers are parameters, [] each.

    Gauss-Newton and intervals take derivatives point by point: for these a number comes as [n, 1] in ``residual``.

    Attributes:
        names: of the columns of the residual.
        loss_names: of the columns of the loss: those of the residual; its first ones, where the others are zero by the
            form of the model; or others, where ``network_loss`` has another form of it.
        gates: the gate of each group of columns: name of the gate -> names of the columns. Where none is given, all
            columns together are held against ``pde_residual_l2``.
        spec: which derivatives the residual needs.
        residual_scales: what a residual of one is in the user's units, by name of the column; one where it is missing.
        takes_base_flow: whether ``network_loss`` has an argument ``base``, a Stokes flow beside the network.
    """

    names: tuple[str, ...]
    gates: Mapping[str, tuple[str, ...]] = {}
    spec: pinn_ext.JetSpec
    residual_scales: Mapping[str, float] = {}
    takes_base_flow = False

    @property
    def loss_names(self) -> tuple[str, ...]:
        return self.names

    def residual(self, jet: pinn_ext.Jet, **known: Tensor) -> Tensor:
        """Left side minus right side, dimensionless as the model is, [n, c], with what is ``known`` at these points."""
        raise NotImplementedError

    def known_at(self, coordinates: NDArray[np.float64], *, finite: bool = True) -> dict[str, NDArray[np.float64]]:
        """What the residual takes besides the jet: functions of space and time, such as a force; here nothing.

        Args:
            coordinates: [n, D], in the user's units.
            finite: raise where a number is not; False: some points are inside a body.

        Returns:
            Name of the argument -> [n, ...], dimensionless as the model is.
        """
        return {}

    def known_like(self, coordinates: NDArray[np.float64], x: Tensor, *, finite: bool = True) -> dict[str, Tensor]:
        """The same as tensors of the dtype and on the device of ``x``."""
        found = self.known_at(coordinates, finite=finite)
        return {name: torch.from_numpy(values).to(x) for name, values in found.items()}

    def numbers(self) -> Mapping[str, Settable]:
        """Known numbers that may be changed in place, by name; here none. Not to be kept: ``to`` moves them."""
        return {}

    def asked(self, jet: pinn_ext.Jet, **known: Tensor) -> Mapping[str, tuple[Tensor, Tensor]]:
        """What the fields of each point ask the numbers of the equations to be, over what they are.

        Returns:
            Name of a gate -> [n], whose median is 1 where the numbers are those of the fields, and the size of what
            the number multiplies at each point, [n], dimensionless as the model is. Here none.
        """
        return {}

    def jet_loss(
        self, jet: pinn_ext.Jet, weights: Tensor, *, known: Mapping[str, Tensor] | None = None, **options: Any
    ) -> TermLoss:
        """The weighted total of the residual's mean squares, from the jet at n points; options as of `mean_squares`.

        ``known`` is that of `known_at` these points; None: nothing.

        Raises:
            PinnxError: a residual that is not [n, c].
        """
        residual, wanted = self.residual(jet, **(known or {})), (jet.value.shape[0], len(self.names))
        if residual.shape != wanted:
            names = ", ".join(self.names)
            raise PinnxError(f"residual of {names}: expected shape {list(wanted)}, got {list(residual.shape)}")
        return mean_squares(residual[:, : len(self.loss_names)], weights, **options)

    def network_loss(self, network: FourierNetwork, x: Tensor, weights: Tensor, **options: Any) -> TermLoss:
        """As ``jet_loss``, of a network that the fused operations take, at inputs [n, D]; its own pass where fused."""
        return self.jet_loss(network.jet(x, self.spec), weights, **options)


def mean_squares(
    residual: Tensor,
    weights: Tensor,
    *,
    point_weights: Tensor | None = None,
    count: int | None = None,
    with_residual: bool = False,
) -> TermLoss:
    """The weighted total of a residual's mean squares.

    Args:
        residual: [n, c].
        weights: one for each column, [c].
        point_weights: [n], None: ones.
        count: what the sums are divided by; None: n.
        with_residual: give the residual of each point too.
    """
    squares = residual.square() if point_weights is None else residual.square() * point_weights[:, None]
    columns = squares.sum(0) / (len(residual) if count is None else count)
    return TermLoss(torch.dot(weights, columns), columns.detach(), residual.detach() if with_residual else None)


class EquationTerm:
    """Equations at random points of a box, fresh in each step.

    Args:
        equations: what holds there.
        bounds: axis name -> (low, high) of the box, time first.
        num_points: points of a step.
        seed: key of the points.
        point_weights: coordinates [n, D] -> weight of each point [n]; None: all count alike.
        corners: where two sides of the domain disagree; no field obeys an equation there.
        check_radius: the checks leave out points up to this distance of a corner, units of length.
        name: of the term.
        time_weights: [parts], of points in equal parts of the time, read in each step; None: all times count alike.
        points: other ones than uniform points of the box; ``num_points`` is theirs then.
        pool: of points where the residual is large, from which some of each step come; None: none.

    Raises:
        PinnxError: equations without names, or with gates of columns that they do not have; weights of times that do
            not come first.

    Attributes:
        pool: that pool.
    """

    def __init__(
        self,
        equations: Equations,
        *,
        bounds: Mapping[str, tuple[float, float]],
        num_points: int,
        seed: int,
        point_weights: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
        corners: Sequence[Corner] = (),
        check_radius: float = 0.0,
        name: str = "equations",
        time_weights: Tensor | None = None,
        points: InnerPoints | None = None,
        pool: PointPool | None = None,
    ) -> None:
        if not (names := getattr(equations, "names", None)) or isinstance(names, str):
            got = f"the text {names!r}" if names else "none"
            raise PinnxError(
                f"{type(equations).__name__}: expected names, a tuple of the residual's columns, got {got}"
            )
        if time_weights is not None and "t" in tuple(bounds)[1:]:
            raise PinnxError(f"time_weights: expected bounds with t as the first axis, got {', '.join(bounds)}")
        self.equations = equations
        self.time_weights = time_weights
        self.name = name
        self.names = equations.loss_names
        self._gates = equations.gates or {"pde_residual_l2": equations.names}
        if unknown := {name for names in self._gates.values() for name in names}.difference(equations.names):
            raise PinnxError(
                f"gates of {name}: expected tuples of the columns {', '.join(equations.names)}, "
                f"got {', '.join(map(repr, sorted(unknown)))}"
            )
        self._low, self._high = np.array(list(bounds.values())).T
        self._points = points or InnerPoints(bounds, num_points, seed=seed)
        self.pool = pool
        self._point_weights = point_weights
        self._axes, self._corners, self._check_radius = tuple(bounds), tuple(corners), check_radius

    @property
    def spec(self) -> pinn_ext.JetSpec:
        """Which derivatives the residual needs."""
        return self.equations.spec

    def draw(self, step: int, share: Share = WHOLE) -> Points:
        """Inner points, with their weights, and the part of the time in which they are, where these matter."""
        drawn = self._with_weights((self.pool or self._points).draw(step, share.rows(self._points.num)))
        found = self.equations.known_at(drawn["x"])
        return drawn | {KNOWN + name: values for name, values in found.items()}

    def _with_weights(self, x: NDArray[np.float64]) -> Points:
        drawn = {"x": x}
        if self._point_weights is not None:
            drawn["weights"] = self._point_weights(x)
        if self.time_weights is not None:
            elapsed = (x[:, 0] - self._low[0]) / (self._high[0] - self._low[0])
            drawn["part"] = np.clip(np.floor(elapsed * len(self.time_weights)), 0, len(self.time_weights) - 1)
        return drawn

    def adapt(self, model: FieldModel, step: int) -> None:
        """Refines the pool before a step, where it is due; that reads the residual of the pool's candidates back."""
        if self.pool is not None:
            self.pool.refine(step, lambda x: self.residual_lengths(model, x))

    def residual_lengths(self, model: FieldModel, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The length of the residual at [n, D] coordinates, times the root of what its square counts, [n]."""
        squares = np.square(_at(model, self.equations, x)[0]).sum(axis=1)
        drawn = self._with_weights(x)
        if "weights" in drawn:
            squares *= drawn["weights"]
        if self.time_weights is not None:
            squares *= self.time_weights.double().cpu().numpy()[drawn["part"].astype(np.intp)]
        return np.sqrt(squares)

    def loss(
        self, model: FieldModel, points: Mapping[str, Tensor], weights: Tensor, *, with_residual: bool = False
    ) -> TermLoss:
        found = _known_of(points)
        return model.equations_loss(
            self.equations,
            points["x"],
            weights,
            point_weights=self._weights_of(points),
            count=self._points.num,
            with_residual=with_residual,
            **({"known": found} if found else {}),
        )

    def weighed_residual(self, model: FieldModel, points: Mapping[str, Tensor]) -> list[Tensor]:
        """For each column its residual with a graph, times the root of what its square counts."""
        jet = model.jet(points["x"], self.equations.spec)
        residual = self.equations.residual(jet, **_known_of(points)) / math.sqrt(self._points.num)
        residual = residual[:, : len(self.names)]
        weights = self._weights_of(points)
        return list((residual if weights is None else residual * weights.sqrt()[:, None]).unbind(1))

    def _weights_of(self, points: Mapping[str, Tensor]) -> Tensor | None:
        """Of each point, [n]; None: all count alike."""
        near_corners = points.get("weights")
        if self.time_weights is None:
            return near_corners
        in_time = self.time_weights.to(points["x"].dtype)[points["part"].long()]
        return in_time if near_corners is None else in_time * near_corners

    def check_points(self, num_points: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Points in the flow that no training step has drawn, [n, D], and which are away from the corners, [n]."""
        points = uniform_points(self._low, self._high, num_points, seed=seed, step=0, stream=EVALUATION_STREAM)
        points = points[self._points.in_flow(points)]
        return points, corner_distance(points, self._corners, self._axes) > self._check_radius

    def measure(self, model: FieldModel, *, num_points: int, seed: int) -> list[Measured]:
        """L2 norms (root mean square over the box) of the dimensionless residual's length, gate by gate.

        Raises:
            PinnxError: no points; nothing was checked.
        """
        if num_points < 1:
            raise PinnxError(f"{self.name}: expected at least one point to check, got {num_points}")
        points, away = self.check_points(num_points, seed)
        residual, asked = _at(model, self.equations, points)
        columns = dict(zip(self.equations.names, residual.T, strict=True))
        note, leaves_out = left_out(self._corners, self._check_radius), not away.all()
        found = []
        for gate, names in self._gates.items():
            squares = np.sum([columns[name] ** 2 for name in names], axis=0)
            everywhere = float(np.sqrt(squares.mean())) if leaves_out else None
            value = float(np.sqrt(squares[away].mean())) if away.any() else None
            if value is None or not math.isfinite(value):
                found.append(Measured(gate, value, note, everywhere))
                continue
            worst = int(np.argmax(np.where(away, squares, -1.0)))
            at = place_and_time(points[worst], self._axes)
            why = f"{OWN} {self._points.concentration(points[away], squares[away])}"
            largest, rest = float(np.sqrt(squares[worst])), norm_without_worst(squares[away])
            found.append(Measured(gate, value, note, everywhere, "", largest, at, why, rest))
        for gate, (ratio, factor) in asked.items():
            if away.any() and (size := float(np.sqrt(np.square(factor[away]).mean()))) < LEAST_FACTOR:
                note = f"any value has the same flow: what it multiplies has a root mean square of {size:.2g}"
                found.append(Measured(gate, None, note, checkable=False))
                continue
            median = float(np.median(ratio[away])) if away.any() else math.nan
            if math.isfinite(median):
                wrong = "" if 0.5 <= median <= 2.0 else "; wrong viscosity or units"
                note = f"what the fields ask for, over what is used: {median:.3g}{wrong}"
                found.append(Measured(gate, abs(median - 1.0), note))
            else:
                found.append(Measured(gate, None, "the fields do not determine it"))
        return found

    def parameters(self) -> list[nn.Parameter]:
        """The numbers of the equations that are learned."""
        return list(self.equations.parameters())

    def state_dict(self) -> dict[str, Any]:
        """The numbers of the equations, and the pool."""
        return {**self.equations.state_dict(), **({} if self.pool is None else {"pool": self.pool.state_dict()})}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what ``state_dict`` gave."""
        if self.pool is not None:
            self.pool.load_state_dict(state["pool"])
            state = {name: value for name, value in state.items() if name != "pool"}
        self.equations.load_state_dict(state)


def _known_of(points: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the equations take besides the jet, among the arrays of drawn points."""
    return {name.removeprefix(KNOWN): part for name, part in points.items() if name.startswith(KNOWN)}


@torch.no_grad()
def _at(
    model: FieldModel, equations: Equations, coordinates: NDArray[np.float64]
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """The dimensionless residual at [n, D], [n, c] float64, and what the fields ask for there, [2, n], in blocks."""
    residual, asked = [], []
    for rows, x in model.blocks(coordinates):
        jet, known = model.jet(x, equations.spec), equations.known_like(coordinates[rows], x)
        residual.append(equations.residual(jet, **known).double().cpu().numpy())
        found = equations.asked(jet, **known).items()
        asked.append({gate: torch.stack(values).double().cpu().numpy() for gate, values in found})
    return np.concatenate(residual), {gate: np.hstack([block[gate] for block in asked]) for gate in asked[0]}
