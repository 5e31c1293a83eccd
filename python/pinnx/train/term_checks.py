"""What a model and its terms have to be: without it a script would train another problem than it states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch import nn

from pinnx.errors import PinnxError
from pinnx.models.field_model import FieldModel
from pinnx.physics.boundary_values import BoundaryValues
from pinnx.physics.equations import EquationTerm
from pinnx.physics.measured_values import MeasuredValues
from pinnx.physics.term import WHOLE, JetTerm, Points, Share, Term
from pinnx.train.stateful import Stateful

__all__ = ["require_model", "require_names", "require_points", "require_scales", "require_share", "require_trained"]


def require_model(model: object) -> None:
    """Terms ask a model for jets; a network that is differentiated anew for each derivative has none.

    Raises:
        PinnxError: what is no `FieldModel`, or one without ``frequencies``.
    """
    if not isinstance(model, FieldModel) or not hasattr(model, "frequencies"):
        lacks = " without frequencies" if isinstance(model, FieldModel) else ""
        raise PinnxError(
            f"model: expected a FieldModel, such as FourierNetwork, with frequencies, got {type(model).__name__}{lacks}"
        )


def require_names(terms: Sequence[Term]) -> None:
    """A text in place of a tuple would be a column for each letter.

    Raises:
        PinnxError: names of columns that are one text.
    """
    for term in terms:
        if isinstance(term.names, str):
            raise PinnxError(f"term {term.name}: expected a tuple of names of columns, ({term.names!r},), got a text")


def require_scales(model: FieldModel, terms: Sequence[Term]) -> None:
    """Terms see the model's dimensionless fields and derivatives: with other scales it is another problem.

    Raises:
        PinnxError: values in other scales than the model's; equations without theirs where the model has some.
    """
    scaled = bool((model.coordinate_scales != 1.0).any() or (model.field_scales != 1.0).any())
    for term in terms:
        if isinstance(term, MeasuredValues | BoundaryValues):
            given = np.atleast_1d(term.scales)
            wanted = model.field_scales[: len(given)] if len(given) > 1 else model.field_scales
            if not np.allclose(given, wanted, rtol=1e-12, atol=0.0):
                raise PinnxError(
                    f"term {term.name}: expected scales {wanted.tolist()}, the field_scales of the model, "
                    f"got {given.tolist()}"
                )
        if isinstance(term, EquationTerm) and scaled:
            stated = term.equations.residual_scales
            if missing := [name for name in term.equations.names if name not in stated]:
                raise PinnxError(
                    f"term {term.name}: expected residual_scales of {', '.join(missing)} (what a residual of one is in "
                    "your units), got none: the model has scales, so jets and residuals are dimensionless"
                )


def require_trained(model: FieldModel, terms: Sequence[Term], trained: Sequence[nn.Parameter]) -> None:
    """What a term learns is given to the optimiser, and is in checkpoints.

    Args:
        model: of a problem.
        terms: of that problem.
        trained: the parameters of the problem.

    Raises:
        PinnxError: a parameter that is not among those, or on another device than the model; a term with parameters
            and without a state.
    """
    seen = {id(parameter) for parameter in trained}
    for term in terms:
        for name, value in vars(term).items():
            owned = value.parameters() if isinstance(value, nn.Module) else [value]
            if any(isinstance(p, nn.Parameter) and p.requires_grad and id(p) not in seen for p in owned):
                raise PinnxError(
                    f"term {term.name}: expected {name} among its parameters(), or requires_grad=False, got a "
                    "parameter that would not be trained"
                )
        learned = list(getattr(term, "parameters", list)())
        for device in {p.device for p in learned} - {model.frequencies.device}:
            raise PinnxError(f"term {term.name}: expected parameters on {model.frequencies.device}, got {device}")
        if learned and not isinstance(term, Stateful):
            raise PinnxError(
                f"term {term.name}: expected state_dict and load_state_dict beside parameters, got none: checkpoints "
                "would not have them"
            )


def require_points(model: FieldModel, term: Term, points: Points, share: Share) -> None:
    """Points that are missing would count as points with a residual of zero.

    Raises:
        PinnxError: what is no dict of NumPy arrays; no "x", or not a row of the model's coordinates for each point;
            fewer points than the share of ``num_points``.
    """
    if not isinstance(points, Mapping):
        raise PinnxError(f"term {term.name}: expected a dict of arrays from draw, got {type(points).__name__}")
    if isinstance(term, JetTerm) and "x" not in points:
        got = ", ".join(map(repr, points)) or "no array"
        raise PinnxError(f"term {term.name}: expected coordinates of the points as 'x' from draw, got {got}")
    for name, array in points.items():
        if not isinstance(array, np.ndarray):
            got = f"{type(array).__name__} for {name!r}"
            raise PinnxError(f"term {term.name}: expected NumPy arrays from draw, got {got}")
    d = len(model.origin)
    if "x" in points and points["x"].shape[1:] != (d,):
        raise PinnxError(f"term {term.name}: expected 'x' of shape [n, {d}] from draw, got {list(points['x'].shape)}")
    if isinstance(term, JetTerm) and type(term).columns is JetTerm.columns:
        wanted, got = len(share.rows(term.num_points)), len(points["x"])
        if got < wanted:
            raise PinnxError(f"term {term.name}: expected {wanted} points, its share of num_points, got {got}")


def require_share(term: Term, step: int, share: Share) -> None:
    """Points that every part draws count once for each.

    Raises:
        PinnxError: the points of all parts are not as many as those of the step.
    """
    parts = [replace(share, part=part) for part in range(share.parts)]
    whole, *drawn = (len(term.draw(step, each).get("x", ())) for each in (WHOLE, *parts))
    if sum(drawn) != whole:
        raise PinnxError(
            f"term {term.name}: expected draw(step, share) to give each of {share.parts} parts its share of {whole} "
            f"points, share.rows(num_points), got {sum(drawn)} in all"
        )
