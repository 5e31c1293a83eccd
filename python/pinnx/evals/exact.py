"""Exact solutions of the incompressible Navier-Stokes equations, to hold codes against.

    u_t + (u . grad) u + grad p - nu lap u = 0,   div u = 0      (p is kinematic, no forcing)

Each class is one flow. Its methods take NumPy arrays (real or complex, so that a complex step may
differentiate them) or torch tensors (differentiable to any order) of one common shape ``[...]``,
and give velocities ``[..., d]`` and pressures ``[...]`` of the same kind. Steady flows take ``t``
and ignore it, so that every flow is called alike.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from pinnx.errors import PinnxError

__all__ = ["Beltrami", "BurgersVortex", "ExactFlow", "Kovasznay", "Poiseuille", "TaylorGreen"]

# Either a NumPy array or a torch tensor; the functions used here exist in both under the same name.
Array = Any


@dataclass(frozen=True)
class ExactFlow(ABC):
    """A velocity and pressure known in closed form.

    Args:
        nu: kinematic viscosity > 0, length^2 / time.
    """

    nu: float
    dim: ClassVar[int]
    steady: ClassVar[bool]

    def __post_init__(self) -> None:
        if not (math.isfinite(self.nu) and self.nu > 0):
            raise PinnxError(f"nu: expected a finite number > 0, got {self.nu}")

    @abstractmethod
    def velocity(self, t: Array, *x: Array) -> Array:
        """Velocity ``[..., d]`` at times and places ``[...]``."""

    @abstractmethod
    def pressure(self, t: Array, *x: Array) -> Array:
        """Kinematic pressure ``[...]`` at times and places ``[...]``."""


@dataclass(frozen=True)
class TaylorGreen(ExactFlow):
    """The decaying array of vortices in the plane, periodic with ``2 pi / wavenumber``.

        u =  A sin(kx) cos(ky) g(t),   v = -A cos(kx) sin(ky) g(t),   g = exp(-2 nu k^2 t)
        p =  A^2/4 (cos 2kx + cos 2ky) g(t)^2

    Args:
        nu: kinematic viscosity > 0.
        amplitude: A, the largest speed at t = 0.
        wavenumber: k, radians per length.

    Source: G. I. Taylor, A. E. Green, Proc. R. Soc. Lond. A 158 (1937) 499-521; G. I. Taylor,
    Phil. Mag. 46 (1923) 671-674 (the two-dimensional case).
    """

    amplitude: float = 1.0
    wavenumber: float = 1.0
    dim: ClassVar[int] = 2
    steady: ClassVar[bool] = False

    def velocity(self, t: Array, x: Array, y: Array) -> Array:
        """Velocity ``[..., 2]``."""
        xp, a, k = _namespace(x), self.amplitude, self.wavenumber
        decay = a * xp.exp(-2 * self.nu * k**2 * t)
        return xp.stack(
            (
                xp.sin(k * x) * xp.cos(k * y) * decay,
                -xp.cos(k * x) * xp.sin(k * y) * decay,
            ),
            -1,
        )

    def pressure(self, t: Array, x: Array, y: Array) -> Array:
        """Kinematic pressure ``[...]``, of zero mean over a period."""
        xp, a, k = _namespace(x), self.amplitude, self.wavenumber
        decay = a**2 / 4 * xp.exp(-4 * self.nu * k**2 * t)
        return (xp.cos(2 * k * x) + xp.cos(2 * k * y)) * decay


@dataclass(frozen=True)
class Kovasznay(ExactFlow):
    """The steady flow behind a row of bodies in a uniform stream, periodic in y with 1.

        u = 1 - exp(lx) cos(2 pi y),   v = l/(2 pi) exp(lx) sin(2 pi y),   p = (1 - exp(2lx)) / 2
        l = Re/2 - sqrt(Re^2/4 + 4 pi^2),   Re = 1/nu

    Args:
        nu: kinematic viscosity > 0.

    Source: L. I. G. Kovasznay, Proc. Camb. Phil. Soc. 44 (1948) 58-62.
    """

    dim: ClassVar[int] = 2
    steady: ClassVar[bool] = True

    @property
    def decay(self) -> float:
        """l < 0, the rate at which the disturbance dies out downstream."""
        half = 0.5 / self.nu
        # half - sqrt(half^2 + 4 pi^2), without the cancellation at large Re.
        return -4 * math.pi**2 / (half + math.sqrt(half**2 + 4 * math.pi**2))

    def velocity(self, t: Array, x: Array, y: Array) -> Array:
        """Velocity ``[..., 2]``; ``t`` is ignored."""
        xp, rate, k = _namespace(x), self.decay, 2 * math.pi
        wave = xp.exp(rate * x)
        return xp.stack((1 - wave * xp.cos(k * y), rate / k * wave * xp.sin(k * y)), -1)

    def pressure(self, t: Array, x: Array, y: Array) -> Array:
        """Kinematic pressure ``[...]``; ``t`` is ignored. It does not depend on y."""
        xp = _namespace(x)
        return (1 - xp.exp(2 * self.decay * x)) / 2 + 0 * y


@dataclass(frozen=True)
class Beltrami(ExactFlow):
    """A decaying three-dimensional flow whose vorticity is parallel to its velocity.

        u = -a [e^(ax) sin(ay + dz) + e^(az) cos(ax + dy)] g(t),   v, w by (x, y, z) -> (y, z, x)
        p = -a^2/2 [e^(2ax) + e^(2ay) + e^(2az)
                    + 2 sin(ax + dy) cos(az + dx) e^(a(y+z))
                    + 2 sin(ay + dz) cos(ax + dy) e^(a(z+x))
                    + 2 sin(az + dx) cos(ay + dz) e^(a(x+y))] g(t)^2
        g = exp(-nu d^2 t)

    Args:
        nu: kinematic viscosity > 0.
        a: rate of growth in space; the paper's choice is pi/4.
        d: wavenumber; the paper's choice is pi/2.

    Source: C. R. Ethier, D. A. Steinman, Int. J. Numer. Methods Fluids 19 (1994) 369-375.
    """

    a: float = math.pi / 4
    d: float = math.pi / 2
    dim: ClassVar[int] = 3
    steady: ClassVar[bool] = False

    def velocity(self, t: Array, x: Array, y: Array, z: Array) -> Array:
        """Velocity ``[..., 3]``."""
        xp = _namespace(x)
        decay = xp.exp(-self.nu * self.d**2 * t)
        return xp.stack(tuple(self._component(xp, *c) * decay for c in ((x, y, z), (y, z, x), (z, x, y))), -1)

    def pressure(self, t: Array, x: Array, y: Array, z: Array) -> Array:
        """Kinematic pressure ``[...]``."""
        xp = _namespace(x)
        decay = xp.exp(-2 * self.nu * self.d**2 * t)
        terms = sum(self._pressure_term(xp, *c) for c in ((x, y, z), (y, z, x), (z, x, y)))
        return -(self.a**2) / 2 * terms * decay

    def _component(self, xp: Any, x: Array, y: Array, z: Array) -> Array:
        a, d = self.a, self.d
        return -a * (xp.exp(a * x) * xp.sin(a * y + d * z) + xp.exp(a * z) * xp.cos(a * x + d * y))

    def _pressure_term(self, xp: Any, x: Array, y: Array, z: Array) -> Array:
        a, d = self.a, self.d
        product = xp.sin(a * x + d * y) * xp.cos(a * z + d * x) * xp.exp(a * (y + z))
        return xp.exp(2 * a * x) + 2 * product


@dataclass(frozen=True)
class Poiseuille(ExactFlow):
    """The steady flow between two plates at y = -h and y = h, along x.

        u = U (1 - (y/h)^2),   v = 0,   p = -2 nu U x / h^2

    Args:
        nu: kinematic viscosity > 0.
        speed: U, the largest speed.
        half_height: h > 0.

    Source: G. K. Batchelor, "An Introduction to Fluid Dynamics", Cambridge 1967, section 4.2.
    """

    speed: float = 1.0
    half_height: float = 1.0
    dim: ClassVar[int] = 2
    steady: ClassVar[bool] = True

    def velocity(self, t: Array, x: Array, y: Array) -> Array:
        """Velocity ``[..., 2]``; ``t`` is ignored."""
        u = self.speed * (1 - (y / self.half_height) ** 2) + 0 * x
        return _namespace(x).stack((u, 0 * u), -1)

    def pressure(self, t: Array, x: Array, y: Array) -> Array:
        """Kinematic pressure ``[...]``; ``t`` is ignored."""
        return -2 * self.nu * self.speed / self.half_height**2 * x + 0 * y


@dataclass(frozen=True)
class BurgersVortex(ExactFlow):
    """A steady vortex along z whose diffusion a strain balances.

        (u, v) = -a/2 (x, y) + C h(s) (-y, x),   w = a z,   h(s) = (1 - exp(-s)) / s,   s = a r^2 / (4 nu)
        p = -a^2 (r^2/8 + z^2/2) + 2 nu C^2 / a [F(s) - s h(s)^2],   F(s) = int_0^1 2 (exp(-s q) - exp(-2 s q)) / q dq

    C = a G / (8 pi nu) for the circulation G. F is a Gauss-Legendre sum, exact to rounding up to s = 500.

    Args:
        nu: kinematic viscosity > 0.
        strain: a > 0, one over time.
        circulation: G, length^2 / time.

    Source: J. M. Burgers, Adv. Appl. Mech. 1 (1948) 171-199; G. K. Batchelor, "An Introduction to Fluid Dynamics",
    Cambridge 1967, section 5.2. The pressure is the integral of v_theta^2 / r, by parts.
    """

    strain: float = 1.0
    circulation: float = 1.0
    dim: ClassVar[int] = 3
    steady: ClassVar[bool] = True

    @property
    def swirl(self) -> float:
        """C, the angular velocity of the core."""
        return self.strain * self.circulation / (8 * math.pi * self.nu)

    def velocity(self, t: Array, x: Array, y: Array, z: Array) -> Array:
        """Velocity ``[..., 3]``; ``t`` is ignored."""
        turn = self.swirl * self._mean_decay(x, y)
        half = self.strain / 2
        return _namespace(x).stack((-half * x - turn * y, -half * y + turn * x, self.strain * z + 0 * x), -1)

    def pressure(self, t: Array, x: Array, y: Array, z: Array) -> Array:
        """Kinematic pressure ``[...]``; ``t`` is ignored."""
        xp, s = _namespace(x), self._radius(x, y)
        nodes, weights = np.polynomial.legendre.leggauss(160)
        q = ((nodes + 1) / 2) ** 2  # closer together where the exponentials fall
        total = 0 * s
        for place, weight in zip(q.tolist(), (weights * (nodes + 1) / 2).tolist(), strict=True):
            total = total + weight / place * 2 * (xp.exp(-s * place) - xp.exp(-2 * s * place))
        swirl = 2 * self.nu * self.swirl**2 / self.strain * (total - s * self._mean_decay(x, y) ** 2)
        return swirl - self.strain**2 * ((x**2 + y**2) / 8 + z**2 / 2)

    def _radius(self, x: Array, y: Array) -> Array:
        return self.strain * (x**2 + y**2) / (4 * self.nu)

    def _mean_decay(self, x: Array, y: Array) -> Array:
        """h(s): without 0 / 0 on the axis, where s + tiny is as good."""
        s = self._radius(x, y) + 1e-30
        return -_namespace(x).expm1(-s) / s


def _namespace(x: Array) -> Any:
    return torch if isinstance(x, torch.Tensor) else np
