"""The incompressible Navier-Stokes equations: which jet, which nu, which residual, and the fused loss.

    du/dt + (u . grad) u + grad p - nu lap u - f = 0,     div u = 0

Coordinates are (t, x, y[, z]) where the flow is unsteady, else (x, y[, z]); fields are u, v[, w], p. Jets, residuals
and loss are dimensionless (`pinnx.physics.scales`): in them the viscosity is nu / (U L), the force f L / U^2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import pinn_ext
from pinnx.errors import PinnxError
from pinnx.models.fourier_network import FourierNetwork
from pinnx.physics.equations import Equations, Settable
from pinnx.physics.expression import Expression, number_or_formula
from pinnx.physics.scales import UNIT, Scales
from pinnx.physics.term import TermLoss

__all__ = ["NavierStokes"]


class NavierStokes(Equations):
    """The equations with their numbers; the viscosity and a constant force may be learned.

    A force that is a formula comes from the host with the points, as ``forcing`` (`Equations.known_at`).

    A learned viscosity is ``exp`` of the parameter, which keeps it positive and makes a step relative. A learned force
    is a parameter times its first guess, or times the viscous force nu U / L^2 where that is larger.

    Args:
        dim: space dimensions, 2 or 3.
        steady: no time coordinate.
        nu: kinematic viscosity, > 0, units length^2/time; the first guess where it is learned.
        learn_nu: make it a parameter.
        forcing: body force per unit mass, [dim] numbers, or formulas in x, y, z, t in the user's units, units
            length/time^2; None: none.
        learn_forcing: axes along which the force is a parameter, its value the first guess.
        divergence_free: the model's velocity has no divergence by its form, so continuity is no column of the loss.
        scales: of the case; nu and forcing are in the user's units.
        dtype: of the viscosity and the forcing.

    Attributes:
        fields: names of the model's outputs.

    Raises:
        PinnxError: nu <= 0, another dim, a forcing of the wrong length, an axis that is not there, or one along which
            the force is to be learned and is a formula.
    """

    takes_base_flow = True

    def __init__(
        self,
        dim: int,
        *,
        steady: bool,
        nu: float,
        learn_nu: bool = False,
        forcing: Sequence[float | str] | None = None,
        learn_forcing: Sequence[str] = (),
        divergence_free: bool = False,
        scales: Scales = UNIT,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if dim not in (2, 3):
            raise PinnxError(f"dim: expected 2 or 3, got {dim}")
        if divergence_free and dim != 2:
            raise PinnxError(f"model.stream_function: expected a flow in 2 dimensions, got {dim}; set it to false")
        if not (math.isfinite(nu) and nu > 0):
            raise PinnxError(f"flow.nu: expected a viscosity > 0, got {nu}")
        if forcing is not None and len(forcing) != dim:
            raise PinnxError(f"flow.forcing: expected {dim} numbers or expressions, got {len(forcing)}")
        if not set(learn_forcing) <= set("xyz"[:dim]):
            raise PinnxError(f"flow.learn_forcing: expected axes out of {', '.join('xyz'[:dim])}, got {learn_forcing}")
        momentum = ("momentum_x", "momentum_y", "momentum_z")[:dim]
        first_space = 0 if steady else 1
        space = tuple(range(first_space, first_space + dim))
        self.dim = dim
        self.steady = steady
        self.names = (*momentum, "continuity")
        self._trained = momentum if divergence_free else self.names
        self.gates = {"pde_residual_l2": momentum, "conservation": ("continuity",)}
        self.fields = (*("u", "v", "w")[:dim], "p")
        self.spec = pinn_ext.JetSpec(first=tuple(range(first_space + dim)), laplacian=space)
        self.scales = scales
        self.residual_scales = {**dict.fromkeys(momentum, scales.force), "continuity": scales.rate}
        if learn_nu:
            self.log_nu = nn.Parameter(torch.tensor(math.log(nu / scales.viscosity), dtype=dtype))
        else:
            self.register_buffer("fixed_nu", torch.tensor(nu / scales.viscosity, dtype=dtype))
        given = dict(zip("xyz", map(number_or_formula, (0.0,) * dim if forcing is None else forcing), strict=False))
        self._formulas = {axis: force for axis, force in given.items() if isinstance(force, Expression)}
        for axis in self._formulas.keys() & set(learn_forcing):
            raise PinnxError(
                f"flow.learn_forcing: expected a number as flow.forcing along {axis}, the first guess, "
                f"got {self._formulas[axis].text!r}"
            )
        guess = [0.0 if isinstance(force, Expression) else force for force in given.values()]
        self._force_units = {}  # of each parameter, in the user's units
        for axis, force in zip("xyz", guess, strict=False):
            if axis in learn_forcing:
                unit = max(abs(force), nu * scales.velocity / scales.length**2)
                self._force_units[f"force_{axis}"] = unit
                self.register_parameter(f"force_{axis}", nn.Parameter(torch.tensor(force / unit, dtype=dtype)))
        known = [0.0 if f"force_{axis}" in self._force_units else f for axis, f in zip("xyz", guess, strict=False)]
        scaled = None if forcing is None and not learn_forcing else torch.tensor(known, dtype=dtype) / scales.force
        self.register_buffer("fixed_forcing", scaled)

    @property
    def loss_names(self) -> tuple[str, ...]:
        return self._trained

    @property
    def scaled_nu(self) -> Tensor:
        """The viscosity in units of U L, one over the Reynolds number: [], or [n] where it stands for n points."""
        return _of_points(self.log_nu).exp() if "log_nu" in self._parameters else self.fixed_nu

    @property
    def scaled_forcing(self) -> Tensor | None:
        """The constant part of the force in units of U^2 / L, zero where it is a formula; None: there is no force.

        [dim], or [n, dim] where a parameter stands for n points.
        """
        if not self._force_units:
            return self.fixed_forcing
        parts = list(self.fixed_forcing)
        for name, unit in self._force_units.items():
            parts["xyz".index(name[-1])] = _of_points(self._parameters[name]) * (unit / self.scales.force)
        return torch.stack(torch.broadcast_tensors(*parts), dim=-1)

    @property
    def nu(self) -> float:
        """The viscosity in the user's units."""
        return float(self.scaled_nu.detach()) * self.scales.viscosity

    @contextmanager
    def nu_as_unknown(self) -> Iterator[None]:
        """Inside, a viscosity that is fixed is the parameter ``log_nu``, as if it were learned."""
        fixed = self._buffers.pop("fixed_nu")
        assert fixed is not None
        self.log_nu = nn.Parameter(fixed.log())
        try:
            yield
        finally:
            del self._parameters["log_nu"]
            self.register_buffer("fixed_nu", fixed)

    def found(self) -> dict[str, float]:
        """The numbers that are learned, by name, in the user's units: ``nu``, ``forcing_x``, ..."""
        return dict(self.in_user_units(name, float(number.detach())) for name, number in self.named_parameters())

    def in_user_units(self, parameter: str, number: float) -> tuple[str, float]:
        """The name and the value of what a parameter stands for, where the parameter is this number."""
        if parameter == "log_nu":
            return "nu", math.exp(number) * self.scales.viscosity
        return parameter.replace("force", "forcing"), number * self._force_units[parameter]

    def numbers(self) -> dict[str, Settable]:
        """``nu``, and ``forcing_x``, ... where there is a forcing; not those that are learned or a formula."""
        found = {} if "log_nu" in self._parameters else {"nu": Settable(self.fixed_nu, self.scales.viscosity, True)}
        if self.fixed_forcing is not None:
            others = {name[-1] for name in self._force_units} | self._formulas.keys()
            parts = [(a, f) for a, f in zip("xyz", self.fixed_forcing, strict=False) if a not in others]
            found |= {f"forcing_{axis}": Settable(part, self.scales.force, False) for axis, part in parts}
        return found

    def known_at(self, coordinates: NDArray[np.float64], *, finite: bool = True) -> dict[str, NDArray[np.float64]]:
        """``forcing``, [n, dim], in units of U^2 / L: what of the force is a formula; nothing where none is.

        Raises:
            PinnxError: a formula that is no number, not finite somewhere, or in a coordinate that there is none of.
        """
        if not self._formulas:
            return {}
        axes = [*([] if self.steady else ["t"]), *"xyz"[: self.dim]]
        columns, force = dict(zip(axes, coordinates.T, strict=True)), np.zeros((len(coordinates), self.dim))
        for axis, formula in self._formulas.items():
            try:
                force[:, "xyz".index(axis)] = formula.values(columns, finite=finite) / self.scales.force
            except PinnxError as error:
                raise PinnxError(f"flow.forcing: {error}") from None
        return {"forcing": force}

    def force(self, forcing: Tensor | None) -> Tensor | None:
        """All of the force in units of U^2 / L: [dim], or [n, dim] with ``forcing`` of `known_at` n points.

        Raises:
            PinnxError: no ``forcing``, where the force is a formula.
        """
        if forcing is None and self._formulas:
            raise PinnxError("forcing: expected that of known_at the points, as flow.forcing is a formula, got none")
        constant = self.scaled_forcing
        return constant if forcing is None else forcing if constant is None else constant + forcing

    def network_loss(
        self,
        network: FourierNetwork,
        x: Tensor,
        weights: Tensor,
        *,
        point_weights: Tensor | None = None,
        count: int | None = None,
        with_residual: bool = False,
        base: Tensor | None = None,
        pressure_gradient: Tensor | None = None,
        known: Mapping[str, Tensor] | None = None,
    ) -> TermLoss:
        """As `Equations.network_loss`; loss and gradients come out of one pass over the points.

        ``base``, [n, 1 + dim, dim], is a Stokes flow that is added, as for `pinn_ext.navier_stokes_loss`;
        ``pressure_gradient``, [dim], is that of a pressure that is added. The gradient
        by a force that is learned follows from the residual:
        d loss / d f = -2 weight mean(residual).
        """
        whole = self.force((known or {}).get("forcing"))
        held = None if whole is None else whole.detach()
        if pressure_gradient is not None:
            held = -pressure_gradient if held is None else held - pressure_gradient
        total, columns, *residual = pinn_ext.navier_stokes_loss(
            *network.operands(x),
            self.scaled_nu,
            spec=self.spec,
            activation=network.activation,
            term_weights=weights,
            point_weights=point_weights,
            forcing=held,
            base=base,
            count=count,
            return_residual=with_residual or bool(self._force_units),
            steady=self.steady,
            thread_invariant=network.partitions,
            products=network.products,
        )
        if self._force_units:
            force = self.scaled_forcing
            momentum = residual[0][:, : self.dim]
            sums = momentum.sum(0) if point_weights is None else point_weights @ momentum
            slope = -2 * weights[: self.dim] * sums / (len(x) if count is None else count)
            total = total + torch.dot(slope, force - force.detach())  # adds nothing but its gradient
        return TermLoss(total, columns, residual[0] if with_residual else None)

    def residual(self, jet: pinn_ext.Jet, forcing: Tensor | None = None) -> Tensor:
        """The residual, [n, dim + 1], from the jet of (u, v[, w], p) and the ``forcing`` of `known_at` its points."""
        return pinn_ext.navier_stokes_residual(jet, self.scaled_nu, forcing=self.force(forcing), steady=self.steady)

    def asked(self, jet: pinn_ext.Jet, forcing: Tensor | None = None) -> dict[str, tuple[Tensor, Tensor]]:
        """The viscosity that the momentum equations of each point are solved by best, over the one used; |lap u|.

        By least squares over the components, with the residual of the one used and the Laplacian of the velocity:

            nu_asked / nu = 1 + residual . lap u / (nu |lap u|^2)
        """
        momentum, laplacian = self.residual(jet, forcing)[:, : self.dim], jet.laplacian[:, : self.dim]
        squares = laplacian.square().sum(1)
        ratio = 1 + (momentum * laplacian).sum(1) / (self.scaled_nu * squares)
        return {"viscosity_misfit": (ratio, squares.sqrt())}


def _of_points(number: Tensor) -> Tensor:
    """[], or [n] of one number [n, 1] for each point."""
    return number[:, 0] if number.dim() == 2 else number
