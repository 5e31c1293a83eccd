"""The incompressible Navier-Stokes equations: which jet, which nu, which residual, and the fused loss.

    du/dt + (u . grad) u + grad p - nu lap u - f = 0,     div u = 0

Coordinates are (t, x, y[, z]) where the flow is unsteady, else (x, y[, z]); fields are u, v[, w], p. Jets, residuals
and loss are dimensionless (`pinnx.physics.scales`): in them the viscosity is nu / (U L), the force f L / U^2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

import pinn_ext
from pinnx.errors import PinnxError
from pinnx.models.fourier_network import FourierNetwork
from pinnx.physics.equations import Equations, Settable
from pinnx.physics.scales import UNIT, Scales
from pinnx.physics.term import TermLoss

__all__ = ["NavierStokes"]


class NavierStokes(Equations):
    """The equations with their numbers; the viscosity may be learned.

    A learned viscosity is ``exp`` of the parameter, which keeps it positive and makes a step relative.

    Args:
        dim: space dimensions, 2 or 3.
        steady: no time coordinate.
        nu: kinematic viscosity, > 0, units length^2/time; the first guess where it is learned.
        learn_nu: make it a parameter.
        forcing: constant body force per unit mass, [dim], units length/time^2; None: none.
        scales: of the case; nu and forcing are in the user's units.
        dtype: of the viscosity and the forcing.

    Attributes:
        fields: names of the model's outputs.

    Raises:
        PinnxError: nu <= 0, another dim, a forcing of the wrong length.
    """

    def __init__(
        self,
        dim: int,
        *,
        steady: bool,
        nu: float,
        learn_nu: bool = False,
        forcing: Sequence[float] | None = None,
        scales: Scales = UNIT,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if dim not in (2, 3):
            raise PinnxError(f"dim: expected 2 or 3, got {dim}")
        if not (math.isfinite(nu) and nu > 0):
            raise PinnxError(f"flow.nu: expected a viscosity > 0, got {nu}")
        if forcing is not None and len(forcing) != dim:
            raise PinnxError(f"flow.forcing: expected {dim} numbers, got {len(forcing)}")
        momentum = ("momentum_x", "momentum_y", "momentum_z")[:dim]
        first_space = 0 if steady else 1
        space = tuple(range(first_space, first_space + dim))
        self.dim = dim
        self.steady = steady
        self.names = (*momentum, "continuity")
        self.gates = {"pde_residual_l2": momentum, "conservation": ("continuity",)}
        self.fields = (*("u", "v", "w")[:dim], "p")
        self.spec = pinn_ext.JetSpec(first=tuple(range(first_space + dim)), laplacian=space)
        self.scales = scales
        self.residual_scales = {**dict.fromkeys(momentum, scales.force), "continuity": scales.rate}
        if learn_nu:
            self.log_nu = nn.Parameter(torch.tensor(math.log(nu / scales.viscosity), dtype=dtype))
        else:
            self.register_buffer("fixed_nu", torch.tensor(nu / scales.viscosity, dtype=dtype))
        force = None if forcing is None else torch.tensor([f / scales.force for f in forcing], dtype=dtype)
        self.register_buffer("scaled_forcing", force)

    @property
    def scaled_nu(self) -> Tensor:
        """The viscosity in units of U L, one over the Reynolds number: a scalar tensor."""
        return self.log_nu.exp() if "log_nu" in self._parameters else self.fixed_nu

    @property
    def nu(self) -> float:
        """The viscosity in the user's units."""
        return float(self.scaled_nu.detach()) * self.scales.viscosity

    def numbers(self) -> dict[str, Settable]:
        """``nu`` unless it is learned, and ``forcing_x``, ... where there is a forcing."""
        found = {} if "log_nu" in self._parameters else {"nu": Settable(self.fixed_nu, self.scales.viscosity, True)}
        if self.scaled_forcing is not None:
            parts = zip("xyz", self.scaled_forcing, strict=False)
            found |= {f"forcing_{axis}": Settable(part, self.scales.force, False) for axis, part in parts}
        return found

    def network_loss(
        self,
        network: FourierNetwork,
        x: Tensor,
        weights: Tensor,
        *,
        point_weights: Tensor | None = None,
        count: int | None = None,
        with_residual: bool = False,
    ) -> TermLoss:
        """As `Equations.network_loss`; loss and gradients come out of one pass over the points."""
        return TermLoss(
            *pinn_ext.navier_stokes_loss(
                *network.operands(x),
                self.scaled_nu,
                spec=self.spec,
                activation=network.activation,
                term_weights=weights,
                point_weights=point_weights,
                forcing=self.scaled_forcing,
                count=count,
                return_residual=with_residual,
                steady=self.steady,
                thread_invariant=network.partitions,
                products=network.products,
            )
        )

    def residual(self, jet: pinn_ext.Jet) -> Tensor:
        """The residual of the equations, [n, dim + 1], from the jet of (u, v[, w], p)."""
        return pinn_ext.navier_stokes_residual(jet, self.scaled_nu, forcing=self.scaled_forcing, steady=self.steady)

    def asked(self, jet: pinn_ext.Jet) -> dict[str, Tensor]:
        """The viscosity that the momentum equations of each point are solved by best, over the one used.

        By least squares over the components, with the residual of the one used and the Laplacian of the velocity:

            nu_asked / nu = 1 + residual . lap u / (nu |lap u|^2)
        """
        momentum, laplacian = self.residual(jet)[:, : self.dim], self.scaled_nu * jet.laplacian[:, : self.dim]
        return {"viscosity_misfit": 1 + (momentum * laplacian).sum(1) / laplacian.square().sum(1)}
