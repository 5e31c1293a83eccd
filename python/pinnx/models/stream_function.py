"""A plane velocity whose divergence is zero by its form: the curl of a stream function.

    u = a + psi_y,   v = b - psi_x,   psi = lift + D N

A network gives N and the pressure p, and their derivatives up to the slopes of the Laplacian in one pass
(`pinnx.models.third_order`). The numbers a and b are the mean velocity across periodic axes, where psi repeats. Walls
give D and lift, such that the velocity on them is what they prescribe; without any psi is N. A fixed field u_b may be
added, by its values.

Methods of first order do badly on third derivatives (the demo after 500 steps of SOAP: 0.071), and each step is slow.
For these `VorticityStreamFunction` has further outputs (0.028, and a fifth of the time): the vorticity omega, the head
h in place of p, and in unsteady flows the rate chi = psi_t,

    p = h - |u|^2 / 2 - u . u_b

so that equations are trained on derivatives up to the Laplacian (`pinnx.physics.stream_function_equations`). Fields and
derivatives that users and checks see are those of psi and p alone.

Source: Raissi, Perdikaris and Karniadakis, J. Comput. Phys. 378, 2019, section 4.1.1 (a network of psi and p).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

import pinn_ext
from pinn_ext.reference import ACTIVATIONS
from pinnx.errors import PinnxError
from pinnx.models.added_field import FixedField
from pinnx.models.field_model import FieldModel, StatedEquations
from pinnx.models.fourier_network import FourierNetwork
from pinnx.models.jet_algebra import product as product_of_jets
from pinnx.models.third_order import Streams, activated, linear, of_function, product

__all__ = ["StreamFunction", "VorticityStreamFunction", "Walls"]

# What an output of one is: psi is a velocity times a part of the length. The demo after 400 steps: error
# 0.084 with 0.1, 0.095 with 0.3, 0.38 with 0.03. A power of two is the same number in float32 and float64.
PSI_UNIT = 0.125
WITHOUT_VORTICITY = 2  # outputs: psi and p


class Walls(Protocol):
    """What a stream function holds by its form, as a module whose buffers follow the model's device."""

    def factor(self, x: Tensor) -> Tensor:
        """D at inputs [n, d], [n]: zero on the walls, with its slope."""
        ...

    def lift(self, x: Tensor) -> Tensor:
        """What psi is on the walls, with its slope, at inputs [n, d], [n]."""
        ...


class StreamFunction(FieldModel):
    """The fields (u, v, p) of a network of N and p.

    Args:
        network: of two outputs; dimensionless, one in its scales of fields.
        field_scales: Y, [3], of u, v, p.
        periodic: columns of the inputs along which the network repeats itself.
        field: what is added, a module that is a `FixedField`; None: nothing.
        walls: what psi holds by its form, a module; None: nothing.

    Raises:
        PinnxError: inputs that are not (x, y) or (t, x, y); another number of outputs; walls beside a vorticity.
    """

    def __init__(
        self,
        network: FourierNetwork,
        *,
        field_scales: ArrayLike,
        periodic: Collection[int] = (),
        field: nn.Module | None = None,
        walls: nn.Module | None = None,
    ) -> None:
        d, outputs = len(network.origin), len(network.field_scales)
        if d not in (2, 3) or outputs != self.num_outputs(d):
            raise PinnxError(
                f"stream function: expected a network from (x, y) to {self.num_outputs(2)} outputs, or from (t, x, y) "
                f"to {self.num_outputs(3)}, got {d} inputs and {outputs} outputs"
            )
        if walls is not None and outputs != WITHOUT_VORTICITY:
            raise PinnxError("stream function: expected no walls beside a vorticity, which does not know them")
        scales = {"coordinate_scales": network.coordinate_scales, "field_scales": field_scales}
        super().__init__(d, 3, origin=network.origin, **scales)
        self.network, self.field, self.walls = network, field, walls
        self.thread_invariant = network.thread_invariant
        crossed = [float(column in periodic) for column in (d - 1, d - 2)]  # u crosses a period in y, v in x
        like = network.frequencies
        self.register_buffer("_crossed", torch.tensor(crossed).to(like), persistent=False)
        units = [PSI_UNIT, 1.0, 1.0, PSI_UNIT][:outputs]
        self.register_buffer("_units", torch.tensor(units).to(like), persistent=False)
        self.mean = nn.Parameter(torch.zeros(2).to(like)) if any(crossed) else None
        self._trace: list[tuple[Tensor, Tensor]] | None = None

    @staticmethod
    def num_outputs(d: int) -> int:
        """Of the network, from d inputs."""
        return WITHOUT_VORTICITY

    @property
    def plane(self) -> tuple[int, int]:
        """Columns of x and y."""
        return Streams(len(self.origin), 1).plane

    @property
    def frequencies(self) -> Tensor:  # type: ignore[override]
        """Those of the network."""
        return self.network.frequencies

    def jet(self, x: Tensor, spec: pinn_ext.JetSpec) -> pinn_ext.Jet:
        """As `FieldModel.jet`; u_x and -v_y are one number.

        Raises:
            PinnxError: inputs of another shape or dtype; a Laplacian other than that of x and y.
        """
        x = self._checked(x)
        at = Streams(x.shape[1], 3 if spec.has_laplacian else 2 if spec.first else 1)
        if spec.has_laplacian and (set(spec.laplacian) != set(at.plane) or set(spec.weights or (1.0,)) != {1.0}):
            raise PinnxError(f"stream function: expected the Laplacian in x and y, got {spec}")
        outputs, (x_axis, y_axis) = self._outputs(x, at), at.plane
        psi = outputs[..., 0]
        u, v = self.velocity(psi[at.first(x_axis)], psi[at.first(y_axis)])
        columns = [torch.stack([u, v], dim=-1)]
        columns += [torch.stack([psi[at.second(i, y_axis)], -psi[at.second(i, x_axis)]], dim=-1) for i in spec.first]
        if spec.has_laplacian:
            bent = [psi[at.slope_of_laplacian(i)] for i in (y_axis, x_axis)]
            columns.append(torch.stack([bent[0], -bent[1]], dim=-1))
        field: FixedField | None = self.field  # type: ignore[assignment]
        velocity, fixed = torch.stack(columns), None if field is None else field.jet(x, spec)
        p = self._pressure(outputs, at, spec, velocity, fixed)
        data = torch.cat([velocity, p[..., None]], dim=-1)
        return pinn_ext.Jet(data if fixed is None else data + fixed.data, spec)

    def velocity(self, psi_x: Tensor, psi_y: Tensor) -> tuple[Tensor, Tensor]:
        """u and v without the fixed field, each [n]."""
        if self.mean is None:
            return psi_y, -psi_x
        a, b = (self.mean * self._crossed).unbind(-1)
        return a + psi_y, b - psi_x

    def _pressure(
        self, outputs: Tensor, at: Streams, spec: pinn_ext.JetSpec, velocity: Tensor, fixed: pinn_ext.Jet | None
    ) -> Tensor:
        """The streams of the spec, [s, n], without the fixed field's own."""
        return _of_spec(outputs[..., 1], at, spec)

    @contextmanager
    def traced(self) -> Iterator[list[tuple[Tensor, Tensor]]]:
        """Inside, the list has what each layer takes and gives, [s, n, in] and [s, n, out], of each jet."""
        self._trace = []
        try:
            yield self._trace
        finally:
            self._trace = None

    def _outputs(self, x: Tensor, at: Streams) -> Tensor:
        """The streams of psi and p, [s, n, 2]."""
        x, B, weights, biases = self.network.operands(x)
        waves = 2 * math.pi * B.repeat(1, 2)
        hidden = torch.cat([(x @ waves)[None], waves[:, None].expand(-1, len(x), -1)])
        rest = at.count - len(hidden)
        hidden = torch.cat([hidden, hidden.new_zeros(rest, *hidden.shape[1:])])
        half = B.shape[1]
        hidden = activated(lambda z: torch.cat([z[:, :half].cos(), z[:, half:].sin()], dim=1), hidden, at)
        for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            if number:
                hidden = activated(ACTIVATIONS[self.network.activation], hidden, at)
            given = hidden
            hidden = linear(given, weight, bias)
            if self._trace is not None:
                self._trace.append((given, hidden))
        outputs = hidden * self._units
        walls: Walls | None = self.walls  # type: ignore[assignment]
        if walls is None:
            return outputs
        psi = product(of_function(walls.factor, x, at), outputs[..., :1], at) + of_function(walls.lift, x, at)
        return torch.cat([psi, outputs[..., 1:]], dim=-1)


class VorticityStreamFunction(StreamFunction):
    """A `StreamFunction` whose equations are trained on the vorticity and, with a time, the rate.

    Its network has three outputs, psi, omega and h, in steady flows, else four, with chi; it takes no walls.
    """

    @staticmethod
    def num_outputs(d: int) -> int:
        return d + 1

    def outputs(self, x: Tensor, spec: pinn_ext.JetSpec) -> pinn_ext.Jet:
        """The jet of (psi, omega, h[, chi]) at inputs [n, d], by the fused operations."""
        return pinn_ext.Jet(self.network.jet(x, spec).data * self._units, spec)

    def equations_loss(self, equations: StatedEquations, x: Tensor, weights: Tensor, **options: Any) -> Any:
        """As `FieldModel.equations_loss`, from the outputs of the network."""
        return equations.network_loss(self, self._checked(x), weights, **options)

    def _outputs(self, x: Tensor, at: Streams) -> Tensor:
        if at.order > 1:
            return super()._outputs(x, at)
        return self.outputs(x, pinn_ext.JetSpec(first=tuple(range(at.d)))).data  # values need no more than that

    def _pressure(
        self, outputs: Tensor, at: Streams, spec: pinn_ext.JetSpec, velocity: Tensor, fixed: pinn_ext.Jet | None
    ) -> Tensor:
        head, jet = _of_spec(outputs[..., 2], at, spec), pinn_ext.Jet(velocity, spec)
        carried = product_of_jets(jet, jet).data / 2
        if fixed is not None:
            carried = carried + product_of_jets(jet, pinn_ext.Jet(fixed.data[..., :2], spec)).data
        return head - carried.sum(-1)


def _of_spec(a: Tensor, at: Streams, spec: pinn_ext.JetSpec) -> Tensor:
    """The streams of a spec, [s, n], of all streams."""
    bent = [at.laplacian(a)] if spec.has_laplacian else []
    return torch.stack([a[0], *(a[at.first(i)] for i in spec.first), *bent])
