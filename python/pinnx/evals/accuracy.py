"""How far a reconstructed field is from its reference: relative L2 errors.

    relative_l2(a, b) = ||a - b|| / ||b||,   ||a||^2 = sum over all frames and points of a^2

Points are weighted alike, as they come: on a refined mesh the refined region counts for more.
Velocity is ``[T, n, d]`` (frames, points, components u, v[, w]), pressure ``[F, n]`` (frames,
points). The pressure of an incompressible flow is known up to a function of time, so its mean over
the points is taken out of every frame, on both sides, before the norms.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnx.errors import PinnxError

__all__ = [
    "field_errors",
    "relative_l2",
    "relative_l2_per_frame",
    "relative_l2_up_to_constant",
    "worst_component",
]

_COMPONENTS = ("u", "v", "w")
# Parts below this share of the velocity's norm are no measure of a reconstruction: a fluctuation of a nearly steady
# flow, a component that is hardly there.
SIGNIFICANT = 0.01
# Of the velocity: a smaller fluctuation is judged beside it. ABC flow and a vortex that lose 2 to 6 % were warned of by
# 0.16 to 0.18 of that, with velocities right to 0.02; one of 1.5 % that is missed as a whole is still beyond the gate.
LEAST_MOVING = 0.1
BESIDE_A_TENTH = "relative to a tenth of the velocity, which is more"


def relative_l2(prediction: ArrayLike, reference: ArrayLike, *, name: str = "field") -> float:
    """The relative L2 error ``||prediction - reference|| / ||reference||`` over all entries.

    Args:
        prediction: any shape, any real dtype (computed in float64).
        reference: the same shape.
        name: what the errors call the two arrays.

    Returns:
        A number >= 0; 1 is the error of predicting zero everywhere.

    Raises:
        PinnxError: shapes differ, an array is empty or not finite, or the reference is zero
            everywhere.
    """
    predicted, wanted = _pair(prediction, reference, name)
    return _ratio(predicted - wanted, wanted, name)


def relative_l2_up_to_constant(prediction: ArrayLike, reference: ArrayLike, *, name: str = "pressure") -> float:
    """The relative L2 error of a field that is known up to one constant per frame.

    With ``q' = q - mean_n q`` in every frame: ``||prediction' - reference'|| / ||reference'||``.
    The mean difference is the constant that makes the numerator smallest.

    Args:
        prediction: ``[n]`` (one frame) or ``[F, n]``.
        reference: the same shape.
        name: what the errors call the two arrays.

    Raises:
        PinnxError: as ``relative_l2``, another number of axes, or a reference constant in every
            frame.
    """
    predicted, wanted = _pair(prediction, reference, name)
    if wanted.ndim not in (1, 2):
        raise PinnxError(f"{name}: expected shape [n] or [frames, n], got {list(wanted.shape)}")
    fluctuation = wanted - wanted.mean(axis=-1, keepdims=True)
    difference = predicted - wanted
    difference = difference - difference.mean(axis=-1, keepdims=True)
    if not _varies(wanted):
        raise PinnxError(f"{name}: expected a reference that varies over the points, got one constant per frame")
    return _ratio(difference, fluctuation, name)


def relative_l2_per_frame(prediction: ArrayLike, reference: ArrayLike, *, name: str = "field") -> NDArray[np.float64]:
    """The error of every frame, in units of the reference's root-mean-square norm over time.

        error_t = ||prediction_t - reference_t|| / sqrt(mean_s ||reference_s||^2)

    One denominator for all frames keeps a flow that starts from rest defined, and makes the
    root-mean-square of the curve the ``relative_l2`` of the whole.

    Args:
        prediction: ``[T, ...]``.
        reference: the same shape.
        name: what the errors call the two arrays.

    Returns:
        ``[T]`` float64.

    Raises:
        PinnxError: as ``relative_l2``.
    """
    predicted, wanted = _pair(prediction, reference, name)
    if wanted.ndim < 2:
        raise PinnxError(f"{name}: expected shape [frames, points, ...], got {list(wanted.shape)}")
    frames = wanted.shape[0]
    scale = np.linalg.norm(wanted) / np.sqrt(frames)
    if scale == 0.0:
        raise PinnxError(f"{name}: expected a reference that is not zero everywhere, got zeros")
    errors: NDArray[np.float64] = np.linalg.norm((predicted - wanted).reshape(frames, -1), axis=1) / scale
    return errors


def field_errors(
    prediction: ArrayLike,
    reference: ArrayLike,
    *,
    pressure: ArrayLike | None = None,
    reference_pressure: ArrayLike | None = None,
) -> dict[str, float]:
    """Relative L2 errors of a flow: of the velocity as a vector, of its components, and of the pressure where known.

        velocity      ||V - V_ref|| / ||V_ref||
        fluctuation   the same of V' = V - mean_t V at each point; only where ||V_ref'|| is 1 % of ||V_ref|| or more
        speed         || |V| - |V_ref| || / || |V_ref| ||, which does not see an error of direction
        p             up to a constant in each frame

    Args:
        prediction: velocity ``[T, n, d]``, d = 2 or 3.
        reference: velocity ``[T, n, d]``.
        pressure: ``[F, n]`` at the frames where the reference is known, given together with
            ``reference_pressure``.
        reference_pressure: ``[F, n]``.

    Returns:
        ``{"velocity"[, "fluctuation"], "u", "v"[, "w"], "speed"[, "p"]}``. A component whose reference is zero to
        rounding (beside the speed), or a pressure that is constant, has no relative error and is absent.

    Raises:
        PinnxError: shapes differ or are not the above, an array is empty or not finite, the
            reference flow is at rest, or one pressure came without the other.
    """
    predicted, wanted = _pair(prediction, reference, "velocity")
    if wanted.ndim != 3 or wanted.shape[2] not in (2, 3):
        raise PinnxError(f"velocity: expected shape [frames, points, 2 or 3], got {list(wanted.shape)}")
    if (pressure is None) != (reference_pressure is None):
        missing = "pressure" if pressure is None else "reference_pressure"
        raise PinnxError(f"field_errors: expected both pressures or none, got no {missing}")

    wanted_speed = np.linalg.norm(wanted, axis=2)
    negligible = np.finfo(np.float64).eps * np.linalg.norm(wanted_speed)
    errors = {"velocity": relative_l2(predicted, wanted, name="velocity")}
    moving = wanted - wanted.mean(axis=0)
    if np.linalg.norm(moving) >= SIGNIFICANT * np.linalg.norm(wanted):
        errors["fluctuation"] = relative_l2(predicted - predicted.mean(axis=0), moving, name="fluctuation")
    for column, name in enumerate(_COMPONENTS[: wanted.shape[2]]):
        if np.linalg.norm(wanted[..., column]) > negligible:
            errors[name] = relative_l2(predicted[..., column], wanted[..., column], name=name)
    errors["speed"] = relative_l2(np.linalg.norm(predicted, axis=2), wanted_speed, name="speed")
    if pressure is not None and reference_pressure is not None and _varies(np.asarray(reference_pressure)):
        errors["p"] = relative_l2_up_to_constant(pressure, reference_pressure, name="p")
    return errors


def worst_component(errors: Mapping[str, float], reference: ArrayLike) -> str | None:
    """The name of the component of the velocity with the largest of the errors, of those that matter.

    Args:
        errors: of ``field_errors``.
        reference: velocity ``[T, n, d]``. A component below 1 % of its norm does not matter.

    Returns:
        None where ``reference`` has no such component, which a flow never lacks.
    """
    wanted = np.asarray(reference, dtype=np.float64)
    whole = np.linalg.norm(wanted)
    named = [
        name
        for name, column in zip(_COMPONENTS, np.moveaxis(wanted, -1, 0), strict=False)
        if name in errors and np.linalg.norm(column) >= SIGNIFICANT * whole
    ]
    return max(named, key=errors.__getitem__, default=None)


def _varies(reference: NDArray[np.float64]) -> bool:
    """Whether a field is more than one constant per frame."""
    fluctuation = reference - reference.mean(axis=-1, keepdims=True)
    # A constant leaves a fluctuation of rounding errors, which would pass for a reference.
    return bool(np.linalg.norm(fluctuation) > 4 * np.finfo(np.float64).eps * np.linalg.norm(reference))


def _pair(prediction: ArrayLike, reference: ArrayLike, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    predicted = np.asarray(prediction, dtype=np.float64)
    wanted = np.asarray(reference, dtype=np.float64)
    if predicted.shape != wanted.shape:
        raise PinnxError(f"{name}: expected the reference's shape {list(wanted.shape)}, got {list(predicted.shape)}")
    if wanted.size == 0:
        raise PinnxError(f"{name}: expected at least one value, got shape {list(wanted.shape)}")
    for role, values in (("prediction", predicted), ("reference", wanted)):
        bad = int(values.size - np.count_nonzero(np.isfinite(values)))
        if bad:
            raise PinnxError(f"{name}: expected finite values, got {bad} of {values.size} not finite in the {role}")
    return predicted, wanted


def _ratio(difference: NDArray[np.float64], wanted: NDArray[np.float64], name: str) -> float:
    norm = np.linalg.norm(wanted)
    if norm == 0.0:
        raise PinnxError(f"{name}: expected a reference that is not zero everywhere, got zeros")
    return float(np.linalg.norm(difference) / norm)
