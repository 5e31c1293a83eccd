"""The size distribution of particles that break, as a network has it: the logarithm of f, from its start on.

    log f(v, t) = log f_0(v) - S(v) t + tau N,    tau = ln(1 + t)

N(ln v, tau) is the network. The start holds exactly, and what each size loses too; N has what is born. Where all
particles begin at one size R, f is the continuous part beside exp(-S(R) t) delta(v - R), and its start is that of its
first daughters: log f_0 = log(beta(v, R) S(R) t).

Everything here is dimensionless: volumes in mean volumes of the start, numbers in those of the start, times in
1 / S(mean volume). Coordinates and densities of `density` and `predict` are the user's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

import pinn_ext
from pinnx.errors import PinnxError
from pinnx.models.field_model import FieldModel
from pinnx.models.fourier_network import FourierNetwork
from pinnx.physics.breakage_kinetics import Kinetics, TabulatedKinetics

__all__ = ["BreakageCase", "BreakageModel", "Growth"]

Array = NDArray[np.float64]

# The grid of a start without a largest size ends so far above the largest that is looked at: what is born at that size
# comes from above. Of exp(-v) at v = 10, exp(-20) is left out.
BEYOND = 3.0
# Of a delta's size: the volume of daughters 1 - z beyond is 6e-6 of all. Nearer births, differences of powers of z,
# lose a digit of float32 for each of the gap: 1e-4 of them at this one.
NEXT_TO_DELTA = 1e-3
# Waves along ln v, along tau and along both, in cycles per half extent: a quarter of a wave over the domain, and half.
WAVES = ((0.0, 0.125, 0.125, 0.0, 0.25), (0.125, 0.0, 0.125, 0.25, 0.0))


@dataclass(frozen=True)
class BreakageCase:
    """What is stated: kinetics, the start, and the sizes and times that are looked at, in the user's units.

    Args:
        kinetics: rate and daughters.
        sizes: the smallest and the largest volume.
        end: the last time, > 0.
        start: number density at t = 0, volumes [n] -> [n], > 0; None where all particles have one size.
        delta_at: that size; None where ``start`` is given.

    Raises:
        PinnxError: not exactly one of both; sizes or an end that are out of range; daughters that do not fit.
    """

    kinetics: Kinetics
    sizes: tuple[float, float]
    end: float
    start: Callable[[Array], Array] | None = None
    delta_at: float | None = None

    def __post_init__(self) -> None:
        low, high = self.sizes
        if (self.start is None) == (self.delta_at is None):
            raise PinnxError("breakage: expected one of a start and a delta_at")
        if not (0 < low < high < math.inf and 0 < self.end < math.inf):
            raise PinnxError(f"breakage: expected sizes 0 < low < high and an end > 0, got {low}, {high}, {self.end}")
        if self.delta_at is not None and not low < self.delta_at <= high:
            raise PinnxError(f"delta_at: expected a size in ({low:g}, {high:g}], got {self.delta_at}")
        if isinstance(self.kinetics, TabulatedKinetics):
            raise PinnxError(
                "kinetics: expected s0 v^a for a network, got a table of rates; pinnx.solvers.breakage takes it"
            )
        if self.kinetics.threshold > 0:
            raise PinnxError(
                f"threshold: expected 0 for a network, as f jumps there, got {self.kinetics.threshold:g}; "
                "pinnx.solvers.breakage takes it"
            )
        if self.delta_at is not None and self.kinetics.daughters.q > 1:
            raise PinnxError(
                "daughters: expected q = 0 or 1 beside a delta_at, as others are too few next to that size, got "
                f"{self.kinetics.daughters.q:g}; pinnx.solvers.breakage takes it"
            )
        if not (self.number > 0 and np.isfinite(self.mean_volume)):
            raise PinnxError(f"start: expected a number and a volume of particles > 0, got {self.number:g}")

    @property
    def top(self) -> float:
        """Up to which volume there are particles."""
        return BEYOND * self.sizes[1] if self.delta_at is None else self.delta_at

    @property
    def last(self) -> float:
        """The largest volume at which log f is finite: next to a delta, f of daughters 1 - z is zero."""
        return self.top * (1 - NEXT_TO_DELTA * (self.delta_at is not None and self.kinetics.daughters.q > 0))

    @cached_property
    def number(self) -> float:
        """Of particles at the start, M0."""
        return self._moment(0)

    @cached_property
    def mean_volume(self) -> float:
        """Of a particle at the start, M1 / M0."""
        return self._moment(1) / self.number

    @cached_property
    def time(self) -> float:
        """In which a particle of mean volume breaks, 1 / S."""
        rate = self.kinetics.s0 * self.mean_volume**self.kinetics.a
        if not rate > 0:
            raise PinnxError(f"s0: expected a rate > 0, got {self.kinetics.s0}")
        return 1.0 / rate

    def log_start(self, v: Array) -> Array:
        """log f_0 of dimensionless volumes [n], dimensionless; of daughters of a delta without their factor S t."""
        volumes = v * self.mean_volume
        with np.errstate(divide="ignore"):
            if self.start is not None:
                return np.log(self.start(volumes) * self.mean_volume / self.number)
            assert self.delta_at is not None
            return np.log(self.kinetics.daughters.density(volumes / self.delta_at) * self.mean_volume / self.delta_at)

    def _moment(self, order: int) -> float:
        if self.start is None:
            return 1.0 if order == 0 else float(self.delta_at or 0.0)
        x, weights = np.polynomial.legendre.leggauss(400)
        low, high = np.log(self.sizes[0] * 1e-6), np.log(self.top)
        v = np.exp((low + high) / 2 + (high - low) / 2 * x)
        return float(np.sum(weights * v ** (order + 1) * self.start(v)) * (high - low) / 2)


class Growth(NamedTuple):
    """What is born, as the network has it.

    Args:
        excess: log f - log f_0 + S t, [n].
        rate: d(log f)/dt + S, times (1 + t): per unit of tau, [n].
    """

    excess: Tensor
    rate: Tensor


class BreakageModel(FieldModel):
    """log f at coordinates (t, v).

    Args:
        case: what is stated; its kinetics are the first guess of what is learned.
        width: features of each hidden layer.
        layers: number of hidden layers.
        activation: as for `FourierNetwork`.
        learn: which of s0 and a are parameters.
        seed: names the first weights.
        dtype: torch.float32 or torch.float64.

    Raises:
        PinnxError: another name to learn; as `FourierNetwork`.
    """

    thread_invariant = True
    log_s0: Tensor
    exponent: Tensor

    def __init__(
        self,
        case: BreakageCase,
        *,
        width: int = 64,
        layers: int = 4,
        activation: pinn_ext.Activation = "tanh",
        learn: Sequence[str] = (),
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(2, 1)
        if not set(learn) <= {"s0", "a"}:
            raise PinnxError(f"learn: expected names out of s0, a, got {', '.join(learn)}")
        self.case = case
        waves = torch.tensor(WAVES, dtype=dtype)
        self.network = FourierNetwork(
            waves, 1, width=width, layers=layers, activation=activation, seed=seed, dtype=dtype
        )
        self.fused = self.network.fused
        self.learned = tuple(learn)
        kinetics = case.kinetics
        # By construction of the units s0 is one at the start.
        for name, value in {"log_s0": 0.0, "exponent": kinetics.a}.items():
            number = torch.tensor(value, dtype=dtype)
            if {"log_s0": "s0", "exponent": "a"}[name] in learn:
                self.register_parameter(name, nn.Parameter(number))
            else:
                self.register_buffer(name, number)
        self._ends = np.log(np.array([case.sizes[0], case.top]) / case.mean_volume)
        self._last = math.log1p(case.end / case.time)

    @property
    def frequencies(self) -> Tensor:
        """Those of the network."""
        return self.network.frequencies

    @property
    def kinetics(self) -> Kinetics:
        """As they are now, in the user's units."""
        case, a = self.case, float(self.exponent.detach())
        s0 = math.exp(float(self.log_s0.detach())) / (case.time * case.mean_volume**a)
        return Kinetics(s0, a, daughters=case.kinetics.daughters)

    def unknown_numbers(self) -> list[tuple[str, nn.Parameter]]:
        """What is learned of the kinetics."""
        return [(name, parameter) for name, parameter in self.named_parameters(recurse=False)]

    def inputs(self, coordinates: Array, out: Array | None = None) -> Array:
        """What the network takes: tau and ln v, each from -1 to 1, of coordinates (t, v) [n, 2] in the user's units."""
        if coordinates.ndim != 2 or coordinates.shape[1] != 2:
            raise PinnxError(f"coordinates: expected shape [n, 2], got {list(coordinates.shape)}")
        inputs = np.empty_like(coordinates) if out is None else out
        low, high = self._ends
        inputs[:, 0] = 2 * np.log1p(coordinates[:, 0] / self.case.time) / self._last - 1
        inputs[:, 1] = (2 * np.log(coordinates[:, 1] / self.case.mean_volume) - low - high) / (high - low)
        return inputs

    def rate(self, log_v: Tensor) -> Tensor:
        """S at dimensionless volumes."""
        return torch.exp(self.log_s0 + self.exponent * log_v)

    def log_rate_of_delta(self) -> Tensor:
        """ln S(R)."""
        return self.log_s0 + self.exponent * self._ends[1]

    def volume_inputs(self, log_v: Tensor) -> Tensor:
        """The second column of ``inputs``, of dimensionless volumes by their logarithm."""
        low, high = self._ends
        return (2 * log_v - low - high) / (high - low)

    def inputs_of_grid(self, t: Tensor, volumes: Tensor) -> Tensor:
        """As ``inputs``, at all pairs of dimensionless times [r] and volumes, as ``volume_inputs`` [n], [r n, 2]."""
        x = t.new_empty(len(t), len(volumes), 2)
        x[:, :, 0] = (torch.log1p(t) * (2 / self._last) - 1)[:, None]
        x[:, :, 1] = volumes
        return x.view(-1, 2)

    def base(self, log_start: Tensor, rate: Tensor, t: Tensor) -> Tensor:
        """log f without what is born: the start less what has broken at a rate S. Shapes broadcast."""
        if self.case.delta_at is not None:
            log_start = log_start + (self.log_rate_of_delta() + torch.log(t))
        return torch.addcmul(log_start, rate, t, value=-1)

    def growth(self, x: Tensor, t: Tensor) -> Growth:
        """What is born at inputs [n, 2], at dimensionless times t [n]."""
        jet = self.network.jet(x, pinn_ext.JetSpec(first=(0,)))
        tau = torch.log1p(t)
        value, slope = jet.data.squeeze(2).unbind()
        rate = torch.addcmul(value, tau, slope, value=2 / self._last)
        if self.case.delta_at is not None:
            rate = rate + (1 + t) / t
        return Growth(tau * value, rate)

    def log_density_at(self, x: Tensor, log_start: Tensor, log_v: Tensor, t: Tensor) -> Tensor:
        """log f, dimensionless, at inputs [n, 2] and what belongs to them, [n]; differentiable in the parameters."""
        value = self.network.jet(x, pinn_ext.JetSpec()).value[:, 0]
        return self.base(log_start, self.rate(log_v), t) + torch.log1p(t) * value

    @torch.no_grad()
    def predict(self, coordinates: Array) -> Array:
        """log f at (t, v) [n, 2], [n, 1] float64, in the user's units; -inf where nothing is yet."""
        t, v = coordinates[:, 0] / self.case.time, coordinates[:, 1] / self.case.mean_volume
        born = np.concatenate([self.network(x)[:, 0].double().cpu().numpy() for _, x in self.blocks(coordinates)])
        kinetics = self.kinetics
        base = self.case.log_start(v) - kinetics.rate(coordinates[:, 1]) * coordinates[:, 0]
        if self.case.delta_at is not None:
            with np.errstate(divide="ignore"):
                base = base + np.log(kinetics.rate(self.case.delta_at) * coordinates[:, 0])
        log_f: Array = base + np.log1p(t) * born + math.log(self.case.number / self.case.mean_volume)
        return log_f[:, None]

    def density(self, v: ArrayLike, t: ArrayLike) -> Array:
        """The continuous part of f at volumes and times that broadcast; zero from the delta on.

        Raises:
            PinnxError: volumes that are not finite and > 0; times outside of those of the training.
        """
        v, t = np.broadcast_arrays(np.asarray(v, dtype=np.float64), np.asarray(t, dtype=np.float64))
        if (wrong := ~(np.isfinite(v) & (v > 0))).any():
            raise PinnxError(f"v: expected finite volumes > 0, got {v[wrong][0]:g}")
        if (wrong := ~((t >= 0) & (t <= self.case.end))).any():
            last = f"{self.case.end:g}, the last of the training"
            raise PinnxError(f"t: expected times from 0 to {last}, got {t[wrong][0]:g}")
        inside = v < (np.inf if self.case.delta_at is None else self.case.delta_at)
        found = np.zeros(v.shape)
        if inside.any():
            found[inside] = np.exp(self.predict(np.column_stack([t[inside], v[inside]]))[:, 0])
        return found

    def delta_amplitude(self, t: ArrayLike) -> Array:
        """How many particles have not broken yet, of the shape of t; zero without a delta."""
        t = np.asarray(t, dtype=np.float64)
        if self.case.delta_at is None:
            return np.zeros_like(t)
        return self.case.number * np.exp(-self.kinetics.rate(self.case.delta_at) * t)
