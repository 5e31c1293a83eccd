"""The noise of the measurements: what was stated of it, and what a finished run says of its misfit beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from pinnx.config import Config
from pinnx.data.measured_rows import Measurements, measured_columns
from pinnx.errors import PinnxError
from pinnx.physics.measured_values import MeasuredValues
from pinnx.report.formatting import number, percent
from pinnx.train.found_noise import LEAST
from pinnx.train.noise_estimate import estimated_noise
from pinnx.train.trainer import Trainer

__all__ = ["noise_facts", "noise_lines", "stated_noise"]

# A root mean square of misfit / sigma outside of what 98 % of all draws have, and by so much more, is a warning.
RARE, BEYOND = 0.01, 1.5
# Steps of a training that has learned too little to say what noise is.
YOUNG = 200
# An estimate above it is rather a model that is wrong than an instrument.
LARGE = 0.1


def stated_noise(config: Config, measured: Measurements) -> tuple[dict[str, NDArray[np.float64]], str]:
    """Standard deviations of what was measured, [rows] by name, and what must be known of them; {}: none are known.

    Raises:
        PinnxError: the noise of something that is not measured, or of a part of what is.
    """
    stated, added = config.data.noise, config.sensors.noise
    share = (added or None) if stated.share is None else stated.share if stated.share != "estimated" else None
    columns = measured_columns(measured.velocity, measured.pressure, measured.speed)
    for name in type(stated).model_fields:
        if name != "share" and getattr(stated, name) is not None and name not in columns:
            raise PinnxError(f"data.noise.{name}: expected a quantity that is measured, {', '.join(columns)}")
    if stated.share == 0.0:
        return {}, ""
    known = np.isfinite(measured.velocity)
    speeds = np.concatenate([measured.velocity[known], _finite(columns.get("speed"))])
    sizes = {"p": float(np.std(_finite(columns.get("p")))) if "p" in columns else 0.0}
    with np.errstate(over="ignore"):  # velocities that overflow are refused with the first loss
        speed = float(np.linalg.norm(speeds)) / max(len(speeds), 1) ** 0.5
    found: dict[str, NDArray[np.float64]] = {}
    for name, column in columns.items():
        one = getattr(stated, name)
        if one is None and share is not None:
            one = share * sizes.get(name, speed)
        if name in measured.deviations:
            found[name] = measured.deviations[name]
        elif one is not None:
            found[name] = np.full(len(column), one)
    missing = [name for name in columns if name not in found or not (found[name][np.isfinite(columns[name])] > 0).all()]
    if found and missing:
        raise PinnxError(
            f"data.noise: expected that of {', '.join(columns)}, got none of {', '.join(missing)}; "
            "data.noise.share sets the others, data.noise=0 leaves all of it out"
        )
    if not found:
        return {}, ""
    shown = ", ".join(f"{number(_mean(found[name], columns[name]))} for {name}" for name in found)
    where = "sensors.noise, which adds it" if added and stated == type(stated)() else "data.noise"
    where = "columns of standard deviations" if measured.deviations else where
    return found, f"Noise of the measurements, by {where}: {shown}. They are not fitted closer than that."


def noise_facts(config: Config, trainer: Trainer) -> dict[str, Any] | None:
    """The entry of metrics.json: the noise, and how large the misfit is beside it; None where nothing is known.

    That of measurements of which none was stated is estimated now, and was not used.
    """
    problem, used = trainer.problem, trainer.noise
    (data,) = (term for term in problem.terms if type(term) is MeasuredValues)
    share, variance, odd = None if used is None else used.share, data.variance, None
    if variance is not None:
        share = float(np.sqrt(variance)) / data.size
    elif used is None and config.data.noise.share is None and config.data.measurements and trainer.step >= YOUNG:
        share, odd = _estimated(trainer, data)
    if share is None:
        return None
    known = data.deviations_missed(problem.model, (share * data.size) ** 2) if share else None
    found = "left-out sensors" if used is not None or variance is None else "stated"
    return {
        "numbers": int(data.mask.sum()),
        "share": share,
        "misfit": known,
        "found": found,
        "used": variance is not None,
        "contradicting": odd,
    }


def _estimated(trainer: Trainer, data: MeasuredValues) -> tuple[float | None, dict[str, Any] | None]:
    """The noise by sensors that are left out, as a share of the measurements, and a sensor that the others contradict.

    Both None where none can be found.
    """
    try:
        found = estimated_noise(trainer.problem, trainer.weights.values, trainer.steps + 1)
    except PinnxError:
        return None, None
    if found is None:
        return None, None
    odd = found.contradicting
    shares = {} if odd is None else {"left_out": found.left_out / data.size, "without_it": odd.left_out / data.size}
    return found.deviation / data.size, None if odd is None else {"place": odd.place, **shares}


def noise_lines(facts: dict[str, Any] | None) -> list[str]:
    """A sentence where the misfit is far from what the noise leaves, or where a noise that was not stated is large.

    Where one sensor explains it, that one is named instead.
    """
    if facts is None or facts["misfit"] is None:
        return []
    numbers, misfit, share = facts["numbers"], facts["misfit"], facts["share"]
    if facts["found"] != "stated" and share < LEAST:
        return []
    if (odd := facts["contradicting"]) is not None:
        place = ", ".join(f"{x:.8g}" for x in odd["place"])
        return [
            f"the sensor at ({place}) contradicts the others and the equations: without it left-out sensors are missed "
            f"by {percent(odd['without_it'])} of the measurements in place of {percent(odd['left_out'])}; look at "
            "place, time, sign and unit of what was measured there, or leave it out"
        ]
    if facts["found"] != "stated" and share > LARGE:
        return [
            f"the noise that left-out sensors show is {percent(share)} of the measurements: what the equations cannot "
            "explain counts as noise, so look at viscosity, boundaries, forces, units and sensors (one that is wrong, "
            "two that are exchanged); data.noise states it"
        ]
    low, high = (float(np.sqrt(chdtri(numbers, tail) / numbers)) for tail in (1.0 - RARE, RARE))
    if misfit < low / BEYOND:
        if facts["found"] != "stated" and not facts["used"]:
            return [
                f"left-out sensors show {percent(share)} of the measurements that the others do not explain: noise, "
                "which is fitted too then, flow that is not resolved, or sensors that are wrong or exchanged; against "
                "noise data.noise=estimated, or its value, helps"
            ]
        remedy = "is fitted too, or stated too large; a smaller train.weights.data, or data.noise"
        return [f"the misfit at the sensors is {misfit:.2g} of their noise: the noise {remedy}"]
    if misfit > high * BEYOND:
        return [
            f"the misfit at the sensors is {misfit:.2g} times their noise: the equations or the boundaries contradict "
            "them, the training is too short, or data.noise is too small"
        ]
    return []


def _finite(column: NDArray[np.float64] | None) -> NDArray[np.float64]:
    return np.empty(0) if column is None else column[np.isfinite(column)]


def _mean(deviation: NDArray[np.float64], column: NDArray[np.float64]) -> float:
    """The root mean square where something was measured."""
    return float(np.sqrt(np.mean(deviation[np.isfinite(column)] ** 2)))
