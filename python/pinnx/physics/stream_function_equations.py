"""The momentum equations of a plane flow from a stream function, with no derivative above those of a jet.

    chi_y  - v w + h_x + nu omega_y + q_x = f_x,     q = |u_b|^2 / 2,   w = -lap psi + w_b
    -chi_x + u w + h_y - nu omega_x + q_y = f_y
    c (omega + lap psi) = 0,     d (chi - psi_t) = 0

It is the rotational form: u . grad u = grad |u|^2 / 2 + w (-v, u), and lap u = -(omega_y, -omega_x). Here u, v, w are
those of the sum with a fixed field u_b, w_b, a Stokes flow whose own pressure balances nu lap u_b; the head h is
p - p_b + |u|^2 / 2 - q. Outputs and fields are those of `pinnx.models.VorticityStreamFunction`. The residual that is
checked is that of the Navier-Stokes equations, with the velocity of psi: omega and chi have no part in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pinnx.errors import PinnxError
from pinnx.models.stream_function import VorticityStreamFunction
from pinnx.physics.equations import mean_squares
from pinnx.physics.navier_stokes import NavierStokes
from pinnx.physics.term import TermLoss

__all__ = ["StreamFunctionEquations"]

# c and d: what is missing of omega enters momentum by its slope times nu, of chi by its slope alone. The demo after 800
# steps, residual of momentum: 0.0138 with 0.3 and 30, 0.0168 with 0.1 and 30, 0.0189 with 1 and 30, 0.0228 with 1 and
# 100, 0.0215 with 0.1 and 10.
OF_VORTICITY, OF_RATE = 0.3, 30.0


class StreamFunctionEquations(NavierStokes):
    """As `NavierStokes`, of a plane flow; the loss is that of the outputs of a `VorticityStreamFunction`.

    Raises:
        PinnxError: as `NavierStokes`; a dim other than 2.
    """

    def __init__(self, dim: int, *, steady: bool, **options: Any) -> None:
        if dim != 2:
            raise PinnxError(f"model.stream_function: expected a flow in 2 dimensions, got {dim}; set it to false")
        super().__init__(dim, steady=steady, **options)

    @property
    def loss_names(self) -> tuple[str, ...]:
        return ("momentum_x", "momentum_y", "vorticity", *(() if self.steady else ("rate",)))

    def network_loss(  # type: ignore[override]
        self,
        network: VorticityStreamFunction,
        x: Tensor,
        weights: Tensor,
        *,
        known: Mapping[str, Tensor] | None = None,
        **options: Any,
    ) -> TermLoss:
        """As `Equations.jet_loss`, from the jet of psi, omega, h and chi."""
        return mean_squares(self.outputs_residual(network, x, **(known or {})), weights, **options)

    def outputs_residual(self, model: VorticityStreamFunction, x: Tensor, forcing: Tensor | None = None) -> Tensor:
        """The columns of ``loss_names`` at inputs [n, d], [n, 3], or [n, 4] where the flow is unsteady."""
        jet = model.outputs(x, self.spec)
        by_x, by_y = (jet.derivative(axis) for axis in model.plane)
        (psi_x, omega_x, h_x), (psi_y, omega_y, h_y) = by_x.unbind(1)[:3], by_y.unbind(1)[:3]
        u, v = model.velocity(psi_x, psi_y)
        bending = jet.laplacian[:, 0]  # type: ignore[index]
        turning, nu = -bending, self.scaled_nu
        momentum = torch.stack([h_x + nu * omega_y, h_y - nu * omega_x], dim=1)
        beside = {} if model.field is None else model.field.beside(x)
        if "base" in beside:
            base, *slopes = beside["base"].unbind(1)  # [n, 2] each
            u, v = u + base[:, 0], v + base[:, 1]
            turning = turning + slopes[0][:, 1] - slopes[1][:, 0]
            momentum = momentum + torch.stack([(base * slope).sum(1) for slope in slopes], dim=1)
        if "pressure_gradient" in beside:
            momentum = momentum + beside["pressure_gradient"]
        momentum = momentum + turning[:, None] * torch.stack([-v, u], dim=1)
        if (force := self.force(forcing)) is not None:
            momentum = momentum - force
        columns = [*momentum.unbind(1), OF_VORTICITY * (jet.value[:, 1] + bending)]
        if not self.steady:
            columns[:2] = [columns[0] + by_y[:, 3], columns[1] - by_x[:, 3]]
            columns.append(OF_RATE * (jet.value[:, 3] - jet.derivative(0)[:, 0]))
        return torch.stack(columns, dim=1)
