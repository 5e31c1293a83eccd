"""What a finished run says of its misfit beside the noise of the measurements, stated or estimated."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import chdtri

from pinnx.config import Config
from pinnx.errors import PinnxError
from pinnx.physics.measured_values import MeasuredValues
from pinnx.report.formatting import percent
from pinnx.train.found_noise import LEAST
from pinnx.train.noise_estimate import estimated_noise
from pinnx.train.trainer import Trainer

__all__ = ["at_the_noise", "noise_facts", "noise_lines"]

# A root mean square of misfit / sigma outside of what 98 % of all draws have, and by so much more, is a warning.
RARE, BEYOND = 0.01, 1.5
# Steps of a training that has learned too little to say what noise is.
YOUNG = 200
# An estimate above it is rather a model that is wrong than an instrument.
LARGE = 0.1


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


def at_the_noise(facts: dict[str, Any] | None) -> bool:
    """Whether the misfit at the sensors is that of the noise: losses that no longer fall are right then."""
    if facts is None or facts["misfit"] is None or (facts["found"] != "stated" and facts["share"] < LEAST):
        return False
    return not noise_lines(facts)


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
