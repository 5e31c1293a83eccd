"""What a linear method makes of the same measurements: gappy POD, beside which the network is judged.

Gappy POD learns from snapshots of the whole field, which the network never sees. So it reconstructs twice:

    gappy POD             has learned from every frame of the reference, those it reconstructs included: optimistic,
                          exact where the reference has fewer modes than the sensors can tell apart
    gappy POD, held out   has learned from four fifths of the frames and reconstructs the others, each fifth (of
                          neighbouring frames) in turn
    gappy POD, random     as many sensors at random places, held out as before: the median of three draws

None says anything of the pressure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError
from pinnx.evals.accuracy import field_errors
from pinnx.jobs.cases.case import Case
from pinnx.sensors.gappy_pod import fit_gappy_pod
from pinnx.sensors.sampling import sample_velocity
from pinnx.sensors.selection import select_sensors

__all__ = ["Baseline", "gappy_pod_baseline"]

Array = NDArray[Any]

ALL_FRAMES, HELD_OUT, RANDOM = "gappy POD", "gappy POD, held out", "gappy POD, random sensors"
# Parts into which the frames are cut; each is asked of the modes of the others.
NUM_PARTS = 5
DRAWS = 3


@dataclass(frozen=True)
class Baseline:
    """Errors of the linear method on the reference, and what they are worth."""

    note: str  # what the baselines were given, or why there is none
    # Relative L2 errors of the velocity by name of the baseline; empty where there is none.
    errors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def gappy_pod_baseline(case: Case) -> Baseline:
    """Reconstruct the reference from the measurements that the network was given, by gappy POD.

    Where the measurements carry noise, the method gets their size.
    """
    reference = case.reference
    if reference is None:
        return Baseline("Gappy POD: not available. It learns from snapshots of the whole field, and there are none.")
    num_times = reference.num_times
    if num_times < 2:
        return Baseline(
            "Gappy POD: not available. It learns from snapshots, and a steady flow has only the one to reconstruct."
        )
    wanted, seen = reference.velocity, sample_velocity(reference, case.sensors)
    measured = case.velocity.reshape(seen.shape)
    noise = float(np.sqrt(np.mean((measured - seen) ** 2)))
    try:
        whole = fit_gappy_pod(wanted, seen, noise=noise)
    except PinnxError as error:
        return Baseline(f"Gappy POD: not available: {error}.")
    errors = {ALL_FRAMES: field_errors(whole.reconstruct(measured), wanted)}
    note = (
        f"Gappy POD is linear and uses no equations. It learned from all {num_times} snapshots of this reference, "
        "including those that it reconstructs, so its error is optimistic. The network was trained on none of them."
    )
    parts = [part for part in np.array_split(np.arange(num_times), NUM_PARTS) if part.size]
    if num_times - max(part.size for part in parts) < 2:
        return Baseline(f"{note} There are too few frames to hold some of them out.", errors)
    try:
        errors[HELD_OUT] = _held_out(wanted, seen, measured, noise, parts)
    except PinnxError as error:
        return Baseline(f"{note} With some of the frames held out it is not available: {error}.", errors)
    note += f" Held out: each of {len(parts)} stretches of frames was reconstructed from modes of the others."
    if case.sensors.method == "random":
        return Baseline(f"{note} The sensors are random ones.", errors)
    draws = [_random_places(reference, len(case.sensors), noise, parts, seed) for seed in range(DRAWS)]
    known = sorted((draw for draw in draws if draw is not None), key=lambda draw: draw["velocity"])
    if len(known) < DRAWS:
        return Baseline(f"{note} From as many random sensors it is not available.", errors)
    errors[RANDOM] = known[DRAWS // 2]
    return Baseline(f"{note} Random sensors: as many places, held out as well, the median of {DRAWS} draws.", errors)


def _held_out(wanted: Array, seen: Array, measured: Array, noise: float, parts: Sequence[Array]) -> dict[str, float]:
    """Errors of frames that are reconstructed part by part, from modes of the others."""
    found = np.empty_like(wanted)
    for part in parts:
        others = np.setdiff1d(np.arange(len(wanted)), part)
        found[part] = fit_gappy_pod(wanted[others], seen[others], noise=noise).reconstruct(measured[part])
    return field_errors(found, wanted)


def _random_places(
    reference: Snapshots, count: int, noise: float, parts: Sequence[Array], seed: int
) -> dict[str, float] | None:
    """The same of as many sensors at random places, with noise of the same size; None where there is no answer."""
    try:
        seen = sample_velocity(reference, select_sensors(reference, count, method="random", seed=seed))
        noisy = seen + noise * np.random.default_rng(seed).normal(size=seen.shape)
        return _held_out(reference.velocity, seen, noisy, noise, parts)
    except PinnxError:
        return None
