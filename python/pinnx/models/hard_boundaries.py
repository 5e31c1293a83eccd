"""Values at boundaries that hold exactly, by the form of the fields.

    y = g + D N,   D = prod_i d_i,   g = sum_i w_i g_i / sum_i w_i,   w_i = prod_{j != i} d_j

N is any model, d_i >= 0 is zero on place i alone, g_i is what is prescribed there; each component has the places
where it is prescribed. So y = g_i on place i, whatever N is. Where two places with different values touch, g depends
on the direction from which one comes (as the flow does at the corner of a lid), and the place listed first owns the
corner itself. Jets of g, D and N are composed by the product rule.

Sources: Lagaris, Likas and Fotiadis, IEEE Trans. Neural Networks 9, 1998 (the form); Sukumar and Srivastava, Comput.
Methods Appl. Mech. Eng. 389, 2022 (distances, and interpolation by their products).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import torch
from torch import Tensor

from pinn_ext import Jet, JetSpec
from pinnx.errors import PinnxError
from pinnx.models.field_model import FieldModel
from pinnx.models.jet_algebra import product, quotient

__all__ = ["Circle", "HardBoundaries", "Held", "Plane"]


class Prescribed(Protocol):
    """A value that is not one number: as it is at the point of the place that is next to an input."""

    def jet(self, x: Tensor, spec: JetSpec) -> Jet:
        """At inputs [n, d], [s, n, 1], in the user's units."""
        ...


@dataclass(frozen=True)
class Plane:
    """A side of a box, at one end of an axis: ``d = 2 |x - here| / |there - here|``, so that two ends make 4 s (1 - s).

    Args:
        axis: column of the inputs.
        here: the end that is the side.
        there: the other end.
    """

    axis: int
    here: float
    there: float

    def jet(self, x: Tensor, spec: JetSpec) -> Jet:
        slope = 2 / (self.there - self.here)
        data = x.new_zeros(spec.num_streams, len(x), 1)
        data[0, :, 0] = (x[:, self.axis] - self.here) * slope
        if self.axis in spec.first:
            data[1 + spec.first.index(self.axis)] = slope
        return Jet(data, spec)

    def nearest(self, x: Tensor) -> Tensor:
        """The points of the side next to inputs [n, d]."""
        columns = list(x.unbind(1))
        columns[self.axis] = torch.full_like(columns[self.axis], self.here)
        return torch.stack(columns, dim=1)


@dataclass(frozen=True)
class Circle:
    """A body in the flow: ``d = s / (s + 3 r^2)`` with ``s = |x - centre|^2 - r^2``, one half at one radius from it.

    Args:
        axes: columns of the inputs, two.
        centre: [2].
        radius: r.
    """

    axes: tuple[int, int]
    centre: tuple[float, float]
    radius: float

    def jet(self, x: Tensor, spec: JetSpec) -> Jet:
        data = x.new_zeros(spec.num_streams, len(x), 1)
        weights = dict(zip(spec.first, spec.laplacian_weights, strict=True))
        for axis, centre in zip(self.axes, self.centre, strict=True):
            offset = x[:, axis] - centre
            data[0, :, 0] += offset.square()
            if axis in spec.first:
                data[1 + spec.first.index(axis), :, 0] = 2 * offset
            if spec.has_laplacian:
                data[-1] += 2 * weights.get(axis, 0.0)
        data[0] -= self.radius**2
        far = data.clone()
        far[0] += 3 * self.radius**2
        return quotient(Jet(data, spec), Jet(far, spec))

    def nearest(self, x: Tensor) -> Tensor:
        """The points of the circle next to inputs [n, d], which are not its centre."""
        columns = list(x.unbind(1))
        offset = torch.stack([columns[axis] - centre for axis, centre in zip(self.axes, self.centre, strict=True)])
        unit = offset / torch.linalg.vector_norm(offset, dim=0)
        for axis, centre, direction in zip(self.axes, self.centre, unit, strict=True):
            columns[axis] = centre + self.radius * direction
        return torch.stack(columns, dim=1)


@dataclass(frozen=True)
class Held:
    """What is held at one place.

    Args:
        distance: from the place: 0 on it, and > 0 elsewhere in the domain.
        values: column of the outputs -> what it is there, in the user's units.
    """

    distance: Plane | Circle
    values: Mapping[int, float | Prescribed]


class HardBoundaries(FieldModel):
    """A model whose fields have prescribed values at places, exactly.

    Args:
        model: N; its scales and origin are those of the whole.
        held: what is held; where two places touch, the first owns their edge.

    Raises:
        PinnxError: nothing is held.
    """

    def __init__(self, model: FieldModel, held: Sequence[Held]) -> None:
        scales = model.field_scales
        given = {"coordinate_scales": model.coordinate_scales, "field_scales": scales}
        super().__init__(len(model.origin), len(scales), origin=model.origin, **given)
        if not any(place.values for place in held):
            raise PinnxError("hard boundaries: expected a value at a side or a circle, got none")
        self.model = model
        self.thread_invariant = model.thread_invariant
        self._held = tuple(held)
        # Components that are held at the same places share their distances.
        groups: dict[tuple[int, ...], list[int]] = {}
        for component in range(len(scales)):
            places = tuple(i for i, place in enumerate(held) if component in place.values)
            if places:
                groups.setdefault(places, []).append(component)
        self._groups = list(groups.items())
        numbers = [[_number(place.values.get(c)) / scales[c] for c in range(len(scales))] for place in held]
        self.register_buffer("_numbers", torch.tensor(numbers).to(model.frequencies), persistent=False)

    @property
    def frequencies(self) -> Tensor:  # type: ignore[override]
        """Those of N."""
        return self.model.frequencies

    def jet(self, x: Tensor, spec: JetSpec) -> Jet:
        lift, factor = self._form(self._checked(x), spec)
        return Jet(lift + product(factor, self.model.jet(x, spec)).data, spec)

    @torch.no_grad()
    def _form(self, x: Tensor, spec: JetSpec) -> tuple[Tensor, Jet]:
        """g, [s, n, c], and D."""
        distances = [place.distance.jet(x, spec) for place in self._held]
        lift = x.new_zeros(spec.num_streams, len(x), len(self.field_scales))
        factor = torch.zeros_like(lift)
        factor[0] = 1
        for places, components in self._groups:
            near = [distances[i] for i in places]
            factor[:, :, components] = reduce(product, near).data
            for i, share in zip(places, _shares(near), strict=True):
                # No matrix product, whose bits may depend on the number of threads.
                lift[:, :, components] += share * self._numbers[i, components]
                for c in components:
                    if not isinstance(value := self._held[i].values[c], float):
                        added = product(Jet(share, spec), value.jet(x, spec)).data[..., 0]
                        lift[:, :, c] += added.detach() / float(self.field_scales[c])
        return lift, Jet(factor, spec)


def _number(value: float | Prescribed | None) -> float:
    return value if isinstance(value, float) else 0.0


def _shares(distances: Sequence[Jet]) -> list[Tensor]:
    """The jets of w_i / sum w, each [s, n, 1]: 1 on place i, 0 on the others, in sum 1."""
    if len(distances) == 1:
        one = torch.zeros_like(distances[0].data)
        one[0] = 1
        return [one]
    weights = [reduce(product, [d for j, d in enumerate(distances) if j != i]) for i in range(len(distances))]
    total = Jet(sum(weight.data for weight in weights), weights[0].spec)
    shares, edge, free = [], total.value == 0, torch.ones_like(total.value, dtype=torch.bool)
    for weight, distance in zip(weights, distances, strict=True):
        owned = torch.zeros_like(weight.data)
        owned[0] = free & (distance.value == 0)
        free = free & (distance.value != 0)
        shares.append(torch.where(edge, owned, quotient(weight, total).data))
    return shares
