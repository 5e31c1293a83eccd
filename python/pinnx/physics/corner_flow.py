"""The flow next to a corner where two sides prescribe different velocities: Taylor's scraper, in closed form.

Close to such a corner viscosity outweighs inertia, and the flow is a Stokes flow without a length: the velocity depends
on the direction alone. With s along the side at phi = 0 and d along the side at phi = pi/2, both from the corner,

    psi = A s + B d + phi (C s + D d),   u_s = dpsi/dd,   u_d = -dpsi/ds,   p = 2 nu (C s + D d) / r^2

solves the Stokes equations for all A to D. These are such that the velocity is the difference of the two sides at
phi = 0 and zero at phi = pi/2. A network that is added to it has no jump to fit: what it has to prescribe at the two
sides is continuous. The pressure takes the viscosity as it is at the time, so a viscosity may be learned.

With c, n = cos phi, sin phi, i = 1/r, g = C c + D n, h = D c - C n:

    u_s = B + phi D + c g      du_s/ds = -2 i c n h      du_s/dd = 2 i c^2 h      lap u_s = -2 i^2 (c g + n h)
    u_d = -A - phi C + n g     du_d/ds = -2 i n^2 h      du_d/dd = 2 i c n h      lap u_d =  2 i^2 (c h - n g)
    p = 2 nu i g               grad p = nu (lap u_s, lap u_d)                     lap p = 0

Source: Taylor, "On scraping viscous fluid from a plane surface", 1962; Batchelor, An Introduction to Fluid Dynamics,
section 4.8. Subtracted from a computed cavity: Botella and Peyret, Computers and Fluids 27 (1998).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

import pinn_ext
from pinnx.errors import PinnxError
from pinnx.physics.corners import Corner
from pinnx.physics.geometry import Bounds
from pinnx.physics.scales import Scales

__all__ = ["BoxWalls", "CornerFlow", "corner_flow"]


class CornerFlow(nn.Module):
    """The sum of the flows next to some corners of a plane domain, a fixed field of (u, v, p).

    Args:
        positions: of the corners, in the inputs of the model, [k, 2].
        inward: the signs of x and y that lead from each into the domain, [k, 2].
        jumps: velocity of the side along x less that of the side along y, in units of its scale, [k, 2].
        along_x: [k] bool, whether the corner itself belongs to the side along x.
        axes: names of the model's inputs.
        nu: gives the dimensionless viscosity, a scalar tensor.
        dtype: of the model.
    """

    def __init__(
        self,
        positions: np.ndarray,
        inward: np.ndarray,
        jumps: np.ndarray,
        along_x: np.ndarray,
        *,
        axes: Sequence[str],
        nu: Callable[[], Tensor],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        along, across = (inward * jumps).T
        a = -across
        c = (along + a * math.pi / 2) / (1 - math.pi**2 / 4)
        d = a + c * math.pi / 2
        of_corner = np.stack([along_x, ~along_x], axis=1)
        constants = {"position": positions, "inward": inward, "stream": np.stack([a, -d * math.pi / 2, c, d])}
        for name, values in {**constants, "own_side": of_corner}.items():
            # No part of a checkpoint: the configuration says what they are.
            self.register_buffer(name, torch.tensor(values, dtype=dtype), persistent=False)
        self._names, self._nu = dict(enumerate(axes)), nu
        self._plane = slice(axes.index("x"), axes.index("y") + 1)

    def stream_functions(self, x: Tensor) -> Tensor:
        """psi of each corner at inputs [n, D], [n, k]."""
        offset = self._offset(x)
        (a, b, c, d), (along, across) = self.stream, offset.unbind(-1)
        angle = torch.atan2(across, along)
        return self.inward.prod(1) * (a * along + b * across + angle * (c * along + d * across))

    def jet(self, x: Tensor, spec: pinn_ext.JetSpec) -> pinn_ext.Jet:
        """The fields and their derivatives at inputs [n, D]; at a corner those of the side to which it belongs.

        Raises:
            PinnxError: a Laplacian other than that of x and y.
        """
        if spec.has_laplacian and (
            {self._names[i] for i in spec.laplacian} != {"x", "y"} or set(spec.weights or (1.0,)) != {1.0}
        ):
            raise PinnxError(f"corner flow: expected the Laplacian in x and y, got {spec}")
        offset = self._offset(x)
        i = 1 / torch.linalg.vector_norm(offset, dim=-1)
        cos, sin = offset[..., 0] * i, offset[..., 1] * i
        added, zero = self._streams(cos, sin, i, derivatives=bool(spec.first)), torch.zeros_like(i)
        names = ["value", *(self._names[axis] for axis in spec.first), *(["laplacian"] if spec.has_laplacian else [])]
        streams = [torch.stack(added.get(name, (zero, zero, zero)), dim=-1) for name in names]
        return pinn_ext.Jet(torch.stack(streams).sum(2), spec)

    def _offset(self, x: Tensor) -> Tensor:
        """From each corner along its two sides, [n, k, 2]; at a corner the next number along the side that owns it."""
        offset = (x[:, None, self._plane] - self.position) * self.inward
        nearest = torch.finfo(x.dtype).eps  # of the inputs' unit: no point but the corner itself is nearer
        beside = torch.linalg.vector_norm(offset, dim=-1, keepdim=True) < nearest
        return torch.where(beside, nearest * self.own_side, offset)

    @torch.no_grad()
    def beside(self, x: Tensor) -> dict[str, Tensor]:
        """What the fused loss of the equations takes in its place at inputs [n, D]: as a Stokes flow it needs no more.

        Its ``base`` is the velocity and its gradient, [n, 3, 2].
        """
        x_axis = self._plane.start
        return {"base": self.jet(x, pinn_ext.JetSpec(first=(x_axis, x_axis + 1))).data[..., :2].transpose(0, 1)}

    def _streams(self, cos: Tensor, sin: Tensor, i: Tensor, *, derivatives: bool) -> dict[str, tuple[Tensor, ...]]:
        """Value, derivatives and Laplacian of (u, v, p) of each corner, [n, k], from directions and 1 / r."""
        a, b, c, d = self.stream
        nu, (sign_x, sign_y) = self._nu().reshape(-1, 1), self.inward.T  # one, or one for each point
        angle = torch.atan2(sin, cos)
        g, h = c * cos + d * sin, d * cos - c * sin
        value = (sign_x * (b + angle * d + cos * g), sign_y * (sin * g - a - angle * c), 2 * nu * i * g)
        if not derivatives:
            return {"value": value}
        turning = 2 * i * h
        bending_x = -2 * sign_x * i * i * (cos * g + sin * h)
        bending_y = 2 * sign_y * i * i * (cos * h - sin * g)
        stretching, shearing = turning * cos * sin, sign_x * sign_y * turning
        return {
            "value": value,
            "x": (-stretching, -shearing * sin * sin, nu * bending_x),
            "y": (shearing * cos * cos, stretching, nu * bending_y),
            "laplacian": (bending_x, bending_y, torch.zeros_like(i)),
        }


class BoxWalls(nn.Module):
    """The four sides of a plane box, at rest or sliding along themselves, as a stream function holds them by its form.

        psi = lift + D N,    lift = sum_k (g_k (psi_k - A s) - psi_k),    D = (p q)^2 / (p^2 + q^2)

    psi_k - A s is Taylor's flow at corner k with both of its sides as they move, 0 on them; psi_k is what `CornerFlow`
    adds. g_k = h(|x - x_k| / X) h(|y - y_k| / Y), h(a) = (1 - a)^2 (1 + 2 a): 1 at the corner, 0 with its slope on the
    two other sides, and the two g along a side have the sum 1. So the whole has the velocity of each side on it. D is
    0 with its slope on all sides, p = 4 (x / X) (1 - x / X), q as p in y.

    Args:
        extent: X and Y, in the inputs of the model; the box begins at zero.
        corners: where sides disagree; None: all are at rest.
        first_space: column of x in the inputs.
        dtype: of the model.
    """

    def __init__(
        self, extent: Sequence[float], corners: CornerFlow | None, *, first_space: int, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.register_buffer("extent", torch.tensor(list(extent), dtype=dtype), persistent=False)
        self.corners, self._plane = corners, slice(first_space, first_space + 2)

    def factor(self, x: Tensor) -> Tensor:
        """D at inputs [n, D], [n]."""
        share = x[:, self._plane] / self.extent
        p, q = (4 * share * (1 - share)).square().unbind(1)
        return p * q / (p + q + torch.finfo(x.dtype).eps ** 2)  # at a corner, where p = q = 0, it is 0

    def lift(self, x: Tensor) -> Tensor:
        """The lift at inputs [n, D], [n]; 0 where all sides are at rest."""
        if self.corners is None:
            return 0 * x.sum(1)
        a, *_ = self.corners.stream
        offset = (x[:, None, self._plane] - self.corners.position) * self.corners.inward  # s and d, [n, k, 2]
        share = offset / self.extent
        near = ((1 - share).square() * (1 + 2 * share)).prod(2)
        psi = self.corners.stream_functions(x)
        at_rest = psi - self.corners.inward.prod(1) * a * offset[..., 0]
        return (near * at_rest - psi).sum(1)


def corner_flow(
    corners: Sequence[Corner],
    bounds: Bounds,
    scales: Scales,
    nu: Callable[[], Tensor],
    *,
    dtype: torch.dtype = torch.float32,
) -> CornerFlow | None:
    """The flows next to the corners that have one; None where no corner has.

    Args:
        corners: where two sides disagree (`pinnx.physics.corners`).
        bounds: axis name -> (low, high) of the domain, time first; its low ends are the origin of the inputs.
        scales: of the case.
        nu: gives the dimensionless viscosity, a scalar tensor.
        dtype: of the model.
    """
    known = [corner for corner in corners if corner.step is not None]
    if not known:
        return None
    low = np.array([bounds["x"][0], bounds["y"][0]])
    positions = np.array([corner.position for corner in known])
    return CornerFlow(
        (positions - low) / scales.length,
        np.where(positions == low, 1.0, -1.0),
        np.array([corner.step for corner in known]),
        np.array([corner.owner_along_first for corner in known]),
        axes=tuple(bounds),
        nu=nu,
        dtype=dtype,
    )
