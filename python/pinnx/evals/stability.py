"""Whether a network is numerically sound: gradients by layer, spectral norms, sensitivity, rounding, a constant answer.

    share of a layer   |g_l| |W_l| / (2 L),  L = mean f^2,  g_l its gradient: relative change of L by that of W_l
    sensitivity        |f(x + d) - f(x)| / |f| by |d|, for random d of a thousandth of the extents
    rounding           |f_32 - f_64| / |f_64|, of the network in float32 and in float64

The share is 1 where the output is linear in the layer. None depends on the units of the data.

Sources: Pascanu, Mikolov, Bengio, ICML 2013, for exploding and vanishing gradients; Miyato, Kataoka, Koyama, Yoshida,
ICLR 2018, for spectral norms as bounds of what a layer amplifies.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pinnx.errors import PinnxError
from pinnx.evals.checks import Check, check, known_limits, verify
from pinnx.physics.term import Measured, Term, largest_share

__all__ = ["NumericalStabilityChecker", "verify_numerical_stability"]

# Of the extent of the points. Larger than the rounding of float32, smaller than what a network resolves.
PERTURBATION = 1e-3


class Trained(Protocol):
    """What is asked of a problem (`pinnx.train.Problem`): a model, its terms, their points and loss."""

    model: Any
    terms: Sequence[Term]
    names: Sequence[str]

    def batch(self, step: int) -> Any:
        """The points of one step."""
        ...

    def loss(self, batch: Any, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted total and the columns."""
        ...


class NumericalStabilityChecker:
    """Checks any network of torch that takes points ``[n, d]`` and gives fields ``[n, c]``.

    Args:
        limits: limits that replace those of `GATES`, by name.
        seed: of the directions of the perturbations.
    """

    def __init__(self, *, limits: Mapping[str, float] | None = None, seed: int = 0) -> None:
        self._limits, self._seed = known_limits(limits), seed

    def check_gradient_explosion(self, model: nn.Module, points: Tensor) -> list[Check]:
        """``gradient_explosion``, the largest share of a layer, and ``gradient_vanishing``, one over the smallest.

        Args:
            model: the network; its parameters and their gradients are left as they are.
            points: [n, d], in the model's dtype and on its device.

        Raises:
            PinnxError: no points, or a network without matrices.
        """
        model = copy.deepcopy(model).requires_grad_(True)  # a network that is frozen has gradients too
        matrices = _matrices(model)
        loss = _fields(model, points).square().mean()
        gradients = torch.autograd.grad(loss, list(matrices.values()), allow_unused=True)
        shares = {
            name: 0.0 if g is None else float((g.norm() * w.norm() / (2 * loss)).detach())
            for (name, w), g in zip(matrices.items(), gradients, strict=True)
        }
        most, least = max(shares, key=_size(shares)), min(shares, key=_size(shares))
        inverse = math.inf if shares[least] == 0.0 else 1.0 / shares[least]
        return [
            self._check("gradient_explosion", shares[most], f"largest in {most}"),
            self._check("gradient_vanishing", inverse, f"smallest in {least}"),
        ]

    def check_spectral_norms(self, model: nn.Module) -> Check:
        """``spectral_norm``: the largest singular value of all matrices, which bounds what a layer amplifies."""
        norms = {
            name: float(torch.linalg.matrix_norm(w.detach(), 2)) if torch.isfinite(w).all() else math.nan
            for name, w in _matrices(model).items()
        }
        worst = max(norms, key=_size(norms))
        return self._check("spectral_norm", norms[worst], f"largest in {worst}")

    @torch.no_grad()
    def check_sensitivity(self, model: nn.Module, points: Tensor) -> Check:
        """``sensitivity``: the largest change of the fields by that of the points; arguments as above.

        Places of it and of ``rounding`` are rows of ``points``.
        """
        fields, extents = _fields(model, points), points.amax(0) - points.amin(0)
        if not extents.any():
            return self._check("sensitivity", math.nan, "the points are one place, which has no extent")
        generator = torch.Generator().manual_seed(self._seed)
        direction = torch.randn(points.shape, generator=generator).to(points)
        step = PERTURBATION * direction / direction.norm(dim=1, keepdim=True)
        change, row = (_fields(model, points + step * extents) - fields).norm(dim=1).max(0)
        value = float(change / PERTURBATION / fields.square().sum(1).mean().sqrt())
        return replace(self._check("sensitivity", value), worst=value, worst_at=tuple(points[row].tolist()))

    @torch.no_grad()
    def check_precision(self, model: nn.Module, points: Tensor) -> Check:
        """``rounding``: the fields of the network in float32 against those of the same numbers in float64."""
        single = copy.deepcopy(model).to(torch.float32)
        double, exact = copy.deepcopy(single).to(torch.float64), points.to(torch.float32).to(torch.float64)
        wanted = _fields(double, exact)
        got = _fields(single, exact.to(torch.float32)).to(torch.float64)
        found = self._check("rounding", float((got - wanted).norm() / wanted.norm()))
        largest, row = largest_share((got - wanted).square().sum(1).cpu().numpy(), float(wanted.norm()) or math.inf)
        return replace(found, worst=largest, worst_at=tuple(points[row].tolist()))

    @torch.no_grad()
    def check_trivial_solution(
        self, model: nn.Module, points: Tensor, *, velocity: int | None = None, known: float | None = None
    ) -> Check:
        """``constant_field``: the variation that is known over that of the fields; one answer for all points fails.

            variation = (sum over the columns of their variances)^(1/2)

        Args:
            model: the network.
            points: as above.
            velocity: number of leading columns that are the velocity. They alone count: with u = v = 0 everywhere the
                solution is trivial, whatever the pressure does. None: all columns count.
            known: variation of the velocity where it was measured and prescribed, in the model's units. 0: it is the
                same everywhere, as in a fluid at rest, and a constant answer passes. None: the root mean square of the
                fields stands in its place.
        """
        fields = _fields(model, points)[:, :velocity].to(torch.float64)
        variation = float((fields - fields.mean(0)).norm()) / math.sqrt(len(fields))
        wanted = float(fields.norm()) / math.sqrt(len(fields)) if known is None else known
        if known == 0.0 and math.isfinite(variation):
            note = "the velocity is the same wherever it is known, so a constant answer is not called trivial"
            return self._check("constant_field", 0.0, note)
        return self._check("constant_field", math.inf if variation == 0.0 else wanted / variation)

    def check_all(
        self, model: nn.Module, points: Tensor, *, velocity: int | None = None, known: float | None = None
    ) -> list[Check]:
        """All of the above; ``velocity`` and ``known`` as for `check_trivial_solution`."""
        return [
            *self.check_gradient_explosion(model, points),
            self.check_spectral_norms(model),
            self.check_sensitivity(model, points),
            self.check_precision(model, points),
            self.check_trivial_solution(model, points, velocity=velocity, known=known),
        ]

    def _check(self, name: str, value: float, note: str = "") -> Check:
        return check(name, value, limits=self._limits, note=note)


def verify_numerical_stability(model: Any, data: Trained, *, num_points: int = 2000) -> dict[str, list[Check]]:
    """The four checks by name; one that finds nothing to check has failed.

    Args:
        model: the fields.
        data: the problem that it was trained on.
        num_points: points at which residuals are measured.

    Returns:
        ``gradient_finite``: loss and gradients of a step; ``pde_residual``; ``conservation``;
        ``boundary_satisfaction``: boundary conditions; failed where the problem has none, as nothing was checked.

    Raises:
        PinnxError: ``data`` is the problem of another model.
    """
    if data.model is not model:
        raise PinnxError("verify_numerical_stability: expected the problem of this model, got that of another")
    measured = [item for term in data.terms for item in term.measure(model, num_points=num_points, seed=0)]
    named = {
        "pde_residual": "pde_residual_l2",
        "conservation": "conservation",
        "boundary_satisfaction": "boundary_error_max",
    }
    found = {"gradient_finite": [check("gradient_finite", _infinite_gradients(data))]}
    for name, gate in named.items():
        mine = [item for item in measured if item.gate == gate] or [Measured(gate, None)]
        found[name] = verify(mine)
    return found


def _infinite_gradients(data: Trained) -> float:
    """How many numbers of loss and gradients of the first step are not finite."""
    like = next(iter(data.model.parameters()))
    total, _ = data.loss(data.batch(0), torch.ones(len(data.names), dtype=like.dtype, device=like.device))
    gradients = torch.autograd.grad(total, list(data.model.parameters()), allow_unused=True)
    numbers = [total.detach(), *(g for g in gradients if g is not None)]
    return float(sum(int((~torch.isfinite(part)).sum()) for part in numbers))


def _size(values: Mapping[str, float]) -> Any:
    """For max and min, with NaN beyond all others."""
    return lambda name: math.inf if math.isnan(values[name]) else values[name]


def _matrices(model: nn.Module) -> dict[str, nn.Parameter]:
    found = {name: p for name, p in model.named_parameters() if p.dim() == 2}
    if not found:
        raise PinnxError("model: expected a network with matrices among its parameters, got none")
    return found


def _fields(model: nn.Module, points: Tensor) -> Tensor:
    if points.dim() != 2 or not len(points):
        raise PinnxError(f"points: expected shape [n, d] with n > 0, got {list(points.shape)}")
    fields: Tensor = model(points)
    return fields
