"""The incompressible Navier-Stokes equations as a trainable run sees them: which jet, which nu, which residual.

    du/dt + (u . grad) u + grad p - nu lap u - f = 0,     div u = 0

Coordinates are (t, x, y[, z]) where the flow is unsteady, else (x, y[, z]); fields are u, v[, w], p.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

import pinn_ext
from pinnx.errors import PinnxError
from pinnx.models.fourier_network import FourierNetwork

__all__ = ["NavierStokes"]


class NavierStokes(nn.Module):
    """The equations with their numbers; the viscosity may be learned.

    A learned viscosity is ``exp`` of the parameter, which keeps it positive and makes a step relative.

    Args:
        dim: space dimensions, 2 or 3.
        steady: no time coordinate.
        nu: kinematic viscosity, > 0, units length^2/time; the first guess where it is learned.
        learn_nu: make it a parameter.
        forcing: constant body force per unit mass, [dim]; None: none.
        dtype: of the viscosity and the forcing.

    Raises:
        PinnxError: nu <= 0, another dim, a forcing of the wrong length.
    """

    log_nu: Tensor

    def __init__(
        self,
        dim: int,
        *,
        steady: bool,
        nu: float,
        learn_nu: bool = False,
        forcing: Sequence[float] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if dim not in (2, 3):
            raise PinnxError(f"dim: expected 2 or 3, got {dim}")
        if not (math.isfinite(nu) and nu > 0):
            raise PinnxError(f"flow.nu: expected a viscosity > 0, got {nu}")
        if forcing is not None and len(forcing) != dim:
            raise PinnxError(f"flow.forcing: expected {dim} numbers, got {len(forcing)}")
        self.dim = dim
        self.steady = steady
        log_nu = torch.tensor(math.log(nu), dtype=dtype)
        if learn_nu:
            self.log_nu = nn.Parameter(log_nu)
        else:
            self.register_buffer("log_nu", log_nu)
        self.register_buffer("forcing", None if forcing is None else torch.tensor(forcing, dtype=dtype))

    @property
    def nu(self) -> Tensor:
        """The viscosity, a scalar tensor."""
        return self.log_nu.exp()

    @property
    def spec(self) -> pinn_ext.JetSpec:
        """The jet that the residual needs."""
        first_space = 0 if self.steady else 1
        space = tuple(range(first_space, first_space + self.dim))
        return pinn_ext.JetSpec(first=tuple(range(first_space + self.dim)), laplacian=space)

    @property
    def residual_names(self) -> tuple[str, ...]:
        """Names of the residual's columns."""
        return (*("momentum_x", "momentum_y", "momentum_z")[: self.dim], "continuity")

    def loss(
        self, network: FourierNetwork, x: Tensor, weights: Tensor, point_weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The weighted total of the residual's mean squares and, without a graph, each of them, [dim + 1].

        Loss and gradients come out of one pass over the points.

        Args:
            network: coordinates -> (u, v[, w], p).
            x: [n, D].
            weights: one for each column of the residual, [dim + 1].
            point_weights: [n], None: ones.
        """
        total, terms = pinn_ext.navier_stokes_loss(
            *network.operands(x),
            self.nu,
            spec=self.spec,
            activation=network.activation,
            term_weights=weights,
            point_weights=point_weights,
            forcing=self.forcing,
            steady=self.steady,
        )
        return total, terms

    def residual(self, jet: pinn_ext.Jet) -> Tensor:
        """The residual of the equations, [n, dim + 1], from the jet of (u, v[, w], p)."""
        return pinn_ext.navier_stokes_residual(jet, self.nu, forcing=self.forcing, steady=self.steady)
