"""The balance of breakage as a term of the loss, at all nodes of a grid of volumes and some times.

    breakage   mean of (G - B)^2 / (1 + B)^2,   G = (1 + t) (g_t + S),   B = (1 + t) births / f,   g = log f
    mass       mean of (ln M1(t) / M1(0))^2

G and B are per unit of tau = ln(1 + t): late times count as early ones. Every evaluation of the network is a point of
the residual and a node of all integrals. `pinn_ext.breakage_residual` takes these on a finer grid (`VolumeGrid`).
M1 follows from the balance; as a column of its own it stops the slow drift that small residuals add up to.

With a point loss the residual of f itself is averaged, m (G - B): m is f or v^2 f, each in its largest value of the
time, whichever is larger. By f alone sizes that hold volume and few particles counted nothing: M1 of case 2 drifted by
8e-4, with both by 5e-5.
With a pool each time has one more point, at a volume of its own: births there are those between the nodes next to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import pinn_ext
from pinnx.data.collocation import BoxPoints, uniform_points
from pinnx.data.point_pool import PointPool, Refinement
from pinnx.errors import PinnxError
from pinnx.physics.breakage_grid import VolumeGrid
from pinnx.physics.breakage_model import BreakageCase, BreakageModel
from pinnx.physics.equations import EVALUATION_STREAM
from pinnx.physics.inner_points import CANDIDATE_STREAM
from pinnx.physics.term import WHOLE, Measured, Points, Share, TermLoss

__all__ = ["Balance", "BreakageTerm"]

# Of ln M1's slope below the smallest volume, times that volume: a series of three terms holds to 1e-3 of that mass.
STEEPEST = 1.5
# Of log f below its largest value: what is fainter adds nothing to an integral, and exponentials of it are slow.
FAINTEST = -80.0
# Steps whose times are drawn at once: 16 of them take a third of the time of one by one between other work.
AHEAD = 16
Array = NDArray[np.float64]


PointLoss = Callable[[Tensor, Tensor], Tensor]
Limit = Callable[[Tensor], Tensor]


class Balance(NamedTuple):
    """Both sides of the balance at some points.

    Args:
        growth: G.
        birth: B, of the same shape.
        share: m, without a graph, of the same shape; None where no point loss takes it.
    """

    growth: Tensor
    birth: Tensor
    share: Tensor | None = None

    @property
    def residual(self) -> Tensor:
        """(G - B) / (1 + B)."""
        return (self.growth - self.birth) / (1 + self.birth)

    def squares(self, point_loss: PointLoss | None, limit: Limit | None = None) -> Tensor:
        """What is averaged."""
        share = None if point_loss is None else self.share
        residual = self.residual if share is None else share * (self.growth - self.birth)
        if limit is not None:
            residual = limit(residual)
        return residual.square() if share is None else point_loss(residual, share)


class _TimesAndVolumes:
    """Where times, and a volume for each, come from: even in tau and ln v.

    Args:
        case: its sizes and its end.
        nodes: [n], in the user's units: candidates of a pool are all of them at some times.
        num: times of a step.
        seed: key of the draws.
    """

    def __init__(self, case: BreakageCase, nodes: Array, num: int, *, seed: int) -> None:
        self.num, self._unit, self._nodes, self._seed = num, case.time, nodes, seed
        largest = case.sizes[1] if case.delta_at is None else case.delta_at
        self._box = [0.0, math.log(case.sizes[0])], [math.log1p(case.end / case.time), math.log(largest)]
        self._points = BoxPoints(*self._box, num, seed=seed, sampling="latin_hypercube")
        self._ahead: tuple[int, range, list[Array]] = (-1, range(0), [])  # first step, rows, their pairs

    def _coordinates(self, drawn: Array) -> Array:
        return np.column_stack([np.expm1(drawn[:, 0]) * self._unit, np.exp(drawn[:, 1])])

    def draw(self, step: int, rows: range) -> Array:
        """Pairs (t, v), [len(rows), 2]; those of some steps at once, while the code that draws is in the cache."""
        first = step - step % AHEAD
        if self._ahead[:2] != (first, rows):
            steps = range(first, first + AHEAD)
            self._ahead = first, rows, [self._coordinates(self._points.draw(k, rows)) for k in steps]
        return self._ahead[2][step - first]

    def candidates(self, step: int, num: int) -> Array:
        """All nodes that are looked at, at random times: as one grid they cost no integrals of their own."""
        looked_at = self._nodes[self._nodes < np.exp(self._box[1][1])]
        times = max(num // len(looked_at), 1) if num else 0
        drawn = uniform_points(*self._box, times, seed=self._seed, step=step, stream=CANDIDATE_STREAM)
        t = self._coordinates(drawn)[:, 0]
        return np.column_stack([np.repeat(t, len(looked_at)), np.tile(looked_at, times)])


class BreakageTerm(nn.Module):
    """The balance, at times that each step draws evenly in tau.

    Args:
        model: its case is what is stated.
        num_times: of a step.
        num_nodes: volumes at which the network is evaluated.
        pieces: of each gap between them, for the integrals.
        seed: key of the times.
        point_loss: (m (G - B), m) of each point -> its loss; None: see above.
        limit: residuals of the loss -> those that count; None: all do.
        refinement: of a pool of points that follows the residual; None: there is none.

    Attributes:
        grid: of the volumes, dimensionless.
        pool: points (t, v) of which some of each step's times and volumes come; None without one.
    """

    name = "balance"
    names = ("breakage", "mass")
    _node_inputs: Tensor
    _log_v: Tensor
    _v: Tensor
    _log_start: Tensor
    _weights: Tensor
    _interpolation: Tensor

    def __init__(
        self,
        model: BreakageModel,
        *,
        num_times: int = 16,
        num_nodes: int = 48,
        pieces: int = 16,
        seed: int = 0,
        point_loss: PointLoss | None = None,
        limit: Limit | None = None,
        refinement: Refinement | None = None,
    ) -> None:
        super().__init__()
        case = self._case = model.case
        unit = case.mean_volume
        self.grid = VolumeGrid(case.sizes[0] / unit, case.last / unit, num_nodes=num_nodes, pieces=pieces)
        self.num_times, self._point_loss, self._limit = num_times, point_loss, limit
        self._source = _TimesAndVolumes(case, self.grid.nodes * unit, num_times, seed=seed)
        self.pool = None if refinement is None else PointPool(self._source, refinement, seed=seed)
        self._daughters = case.kinetics.daughters.power_laws()
        # Beyond the largest volume that is looked at, births come from a grid that ends.
        self._judged = int(np.sum(self.grid.nodes <= case.sizes[1] / unit * (1 + 1e-9)))
        like = model.frequencies
        for name, value in {
            "_log_v": np.log(self.grid.fine),
            "_v": self.grid.fine,
            "_log_start": case.log_start(self.grid.fine),
            "_weights": self.grid.weights * self.grid.fine,
            "_interpolation": self.grid.interpolation,
        }.items():
            self.register_buffer(name, torch.from_numpy(value).to(like), persistent=False)
        nodes = model.volume_inputs(torch.from_numpy(np.log(self.grid.nodes)).to(like))
        self.register_buffer("_node_inputs", nodes, persistent=False)
        start = self._log_start[None].double()
        self._log_mass = 0.0 if case.delta_at is not None else float(self._log_volume(start, *_shares(start)))

    def draw(self, step: int, share: Share = WHOLE) -> Points:
        """The times of a step, at which all nodes are evaluated; with a pool one volume more at each."""
        drawn = (self.pool or self._source).draw(step, share.rows(self.num_times))
        return self._at(drawn[:, 0]) if self.pool is None else self._at(*drawn.T)

    def _at(self, t: Array, v: Array | None = None) -> Points:
        """Times, and one volume more at each, in the user's units."""
        found = {"t": t / self._case.time}
        if v is None:
            return found
        unit = v / self._case.mean_volume
        places = np.interp(np.log(unit), np.log(self.grid.fine), np.arange(len(self.grid.fine)))
        own = {"x": np.column_stack([t, v]), "place": places, "log_v": np.log(unit)}
        return found | own | {"log_start": self._case.log_start(unit)}

    def balance(self, model: BreakageModel, points: Mapping[str, Tensor]) -> tuple[Balance, Balance | None, Tensor]:
        """Both sides at the nodes [times, nodes], at the volumes beside them [times], and ln M1(t) / M1(0) [times]."""
        t, late = points["t"], points["t"][:, None]
        shape, beside = (len(t), len(self.grid.nodes)), "place" in points
        x, each = model.inputs_of_grid(t, self._node_inputs), late.expand(shape).reshape(-1)
        if beside:
            x, each = torch.cat([x, points["x"]]), torch.cat([each, t])
        excess, growth = model.growth(x, each)
        if beside:  # behind those of the grid
            (excess, own_excess), (growth, own_growth) = (side.tensor_split([-len(t)]) for side in (excess, growth))
        rate = model.rate(self._log_v)
        log_f = torch.addmm(model.base(self._log_start, rate, late), excess.view(shape), self._interpolation)
        every = self.grid.pieces
        births = self._births(model, log_f, rate, t, every=1 if beside else every)
        share, largest = _shares(log_f)
        at_nodes = Balance(growth.view(shape), (1 + late) * (births[:, ::every] if beside else births))
        own = None
        if beside:
            log_own = model.base(points["log_start"], model.rate(points["log_v"]), t) + own_excess
            born = _log_born(births, log_f, points["place"])
            own = Balance(own_growth, (1 + t) * torch.exp(born - log_own))
        if self._point_loss is not None:
            most = (share.detach() * self._v.square()).amax(dim=1)
            at_nodes = at_nodes._replace(share=_shown(share.detach()[:, ::every], self._v[::every], most[:, None]))
            if own is not None:
                number = torch.exp(log_own.detach() - largest[:, 0])
                own = own._replace(share=_shown(number, torch.exp(points["log_v"]), most))
        return at_nodes, own, self._log_mass_ratio(model, self._log_volume(log_f, share, largest), t)

    def _births(self, model: BreakageModel, log_f: Tensor, rate: Tensor, t: Tensor, every: int = 1) -> Tensor:
        """int beta S f dv' over f at each ``every``-th volume of the fine grid, [times, ceil(m / every)]."""
        lost = (-rate).expand_as(log_f)  # as the time derivative it cancels the loss: births are left
        births: Tensor | None = None
        for factor, exponent in self._daughters:
            tail = None
            if self._case.delta_at is not None:  # those of the delta
                log_rate, log_size = model.log_rate_of_delta(), math.log(self._case.top / self._case.mean_volume)
                tail = log_rate - (exponent + 1) * log_size - torch.exp(log_rate) * t
            found = pinn_ext.breakage_residual(log_f, lost, self._v, rate, daughter=exponent, tail=tail)
            found = found[:, ::every] * -factor
            births = found if births is None else births + found
        assert births is not None
        return births

    def _log_volume(self, log_f: Tensor, share: Tensor, largest: Tensor) -> Tensor:
        """ln of the volume of the continuous part at each time, [times]."""
        c, low = self._case.kinetics.daughters.c, self.grid.fine
        # Below the smallest volume f is v^c times an exponential.
        slope = (log_f[:, 1] - log_f[:, 0]) * (1 / math.log(low[1] / low[0])) - c
        s = slope.clamp(-STEEPEST, STEEPEST)
        below = 1 + s * (s * (1 / ((c + 3) * (c + 4))) - 1 / (c + 3))
        volume = share @ self._weights.to(share) + share[:, 0] * below * (low[0] ** 2 / (c + 2))
        return torch.log(volume) + largest[:, 0]

    def _log_mass_ratio(self, model: BreakageModel, log_volume: Tensor, t: Tensor) -> Tensor:
        """ln M1(t) / M1(0), [times], from the volume of the continuous part."""
        if self._case.delta_at is not None:
            log_volume = torch.logaddexp(log_volume, -torch.exp(model.log_rate_of_delta()) * t)
        return log_volume - self._log_mass

    def loss(
        self, model: Any, points: Mapping[str, Tensor], weights: Tensor, *, with_residual: bool = False
    ) -> TermLoss:
        """As `Term.loss`; the residual is that at the nodes, [times nodes, 1]."""
        at_nodes, own, mass = self.balance(model, points)
        judged = at_nodes
        if self._judged < len(self.grid.nodes):
            judged = Balance(*(side if side is None else side[:, : self._judged] for side in at_nodes))
        summed = judged.squares(self._point_loss, self._limit).mean(1).sum()
        if own is not None:
            summed = (summed + own.squares(self._point_loss, self._limit).sum()) / 2
        columns = torch.stack([summed, mass.square().sum()]) / self.num_times
        shown = at_nodes.residual.detach().reshape(-1, 1) if with_residual else None
        return TermLoss(torch.dot(weights, columns), columns.detach(), shown)

    def adapt(self, model: Any, step: int) -> None:
        """Refines the pool before a step, where it is due; that reads the residual of its candidates back."""
        if self.pool is not None:
            self.pool.refine(step, lambda x: self._residual_sizes(model, x))

    @torch.no_grad()
    def _residual_sizes(self, model: BreakageModel, x: Array) -> Array:
        """The size of the relative residual at pairs (t, v) [n, 2]; pairs of one time share their integrals, [n].

        With a point loss too: a pool that follows f times the residual ended with 1 to 5 times the error, and twice the
        drift of the mass (four cases, 3,000 steps, adaptive_huber).
        """
        like = model.frequencies
        times, row = np.unique(x[:, 0], return_inverse=True)
        drawn = self._at(*x.T) | {"x": model.inputs(x), "late": times / self._case.time}
        given = {name: torch.from_numpy(array).to(like) for name, array in drawn.items()}
        late, shape = given["late"][:, None], (len(times), len(self.grid.nodes))
        on_grid = model.inputs_of_grid(given["late"], self._node_inputs)
        excess, _ = model.growth(on_grid, late.expand(shape).reshape(-1))
        rate = model.rate(self._log_v)
        log_f = model.base(self._log_start, rate, late) + excess.view(shape) @ self._interpolation
        births = self._births(model, log_f, rate, given["late"])
        excess, growth = model.growth(given["x"], given["t"])
        log_own = model.base(given["log_start"], model.rate(given["log_v"]), given["t"]) + excess
        rows = torch.from_numpy(row).to(like.device)
        birth = (1 + given["t"]) * torch.exp(_log_born(births[rows], log_f[rows], given["place"]) - log_own)
        sizes: Array = ((growth - birth) / (1 + birth)).abs().double().cpu().numpy()
        return sizes

    @torch.no_grad()
    def measure(self, model: Any, *, num_points: int, seed: int) -> list[Measured]:
        """Root mean square of the residual, and the largest drift of the mass, at times that no step has drawn.

        Their places are (volume, time) and (time).

        Raises:
            PinnxError: no points; nothing was checked.
        """
        if num_points < 1:
            raise PinnxError(f"{self.name}: expected at least one point to check, got {num_points}")
        num = max(1, num_points // len(self.grid.nodes))
        drawn = uniform_points([0.0], [1.0], num, seed=seed, step=0, stream=EVALUATION_STREAM)[:, 0]
        t = np.expm1(drawn * math.log1p(self._case.end / self._case.time)) * self._case.time
        given = {name: torch.from_numpy(array).to(model.frequencies) for name, array in self._at(t).items()}
        balance, _, mass = self.balance(model, given)
        residual = balance.residual[:, : self._judged].double().cpu().numpy()
        late, node = np.unravel_index(int(np.abs(residual).argmax()), residual.shape)
        drift = torch.expm1(mass).abs().double().cpu().numpy()
        last = int(drift.argmax())
        norm, largest, value = (
            float(x) for x in (np.sqrt(np.mean(residual**2)), abs(residual[late, node]), drift[last])
        )
        place = float(self.grid.nodes[node] * self._case.mean_volume), float(t[late])
        return [
            Measured("breakage_residual", norm, worst=largest, worst_at=place),
            Measured("mass_drift", value, worst=value, worst_at=(float(t[last]),)),
        ]

    def state_dict(self, *args: Any, **options: Any) -> dict[str, Any]:
        """The pool; there is nothing else."""
        return {} if self.pool is None else {"pool": self.pool.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any], *args: Any, **options: Any) -> Any:
        """Takes what ``state_dict`` gave."""
        if self.pool is not None:
            self.pool.load_state_dict(state["pool"])


def _shares(log_f: Tensor) -> tuple[Tensor, Tensor]:
    """f [times, m] in its largest value of each time, and the logarithm of that without a graph, [times, 1]."""
    largest = log_f.detach().amax(dim=1, keepdim=True)
    return torch.exp((log_f - largest).clamp_min(FAINTEST)), largest


def _shown(number: Tensor, v: Tensor, most: Tensor) -> Tensor:
    """m: f in its largest value, or v^2 f in its own, ``most`` in the same unit, whichever is larger."""
    return torch.maximum(number, number * v.square() / most)


def _log_born(births: Tensor, log_f: Tensor, place: Tensor) -> Tensor:
    """ln of births, given over f [n, m], at a place between nodes of each row, [n]: linear, [n].

    Nothing is born at the last node.
    """
    left = place.floor().clamp(max=births.shape[1] - 3)
    numbers = torch.stack([left, left + 1], dim=1).long()
    first, second = (torch.log(births.gather(1, numbers)) + log_f.gather(1, numbers)).unbind(1)
    return torch.lerp(first, second, place - left)
