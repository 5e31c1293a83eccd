"""What a linear method makes of the same measurements: gappy POD, beside which the network is judged.

Gappy POD learns from snapshots of the whole field, which the network never sees. So it reconstructs twice:

    gappy POD             has learned from every frame of the reference, those it reconstructs included: optimistic,
                          exact where the reference has fewer modes than the sensors can tell apart
    gappy POD, held out   has learned from four fifths of the frames and reconstructs the others, each fifth (of
                          neighbouring frames) in turn

Neither says anything of the pressure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pinnx.errors import PinnxError
from pinnx.evals.accuracy import field_errors
from pinnx.jobs.case import Case
from pinnx.sensors.gappy_pod import fit_gappy_pod
from pinnx.sensors.sampling import sample_velocity

__all__ = ["Baseline", "gappy_pod_baseline"]

ALL_FRAMES, HELD_OUT = "gappy POD", "gappy POD, held out"
# Parts into which the frames are cut; each is asked of the modes of the others.
NUM_PARTS = 5


@dataclass(frozen=True)
class Baseline:
    """Errors of the linear method on the reference, and what they are worth.

    Args:
        errors: relative L2 errors of the velocity by name of the baseline; empty where there is none.
        note: what the baselines were given, or why there is none.
    """

    note: str
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
    found = np.empty_like(wanted)
    for part in parts:
        others = np.setdiff1d(np.arange(num_times), part)
        try:
            fitted = fit_gappy_pod(wanted[others], seen[others], noise=noise)
        except PinnxError as error:
            return Baseline(f"{note} With some of the frames held out it is not available: {error}.", errors)
        found[part] = fitted.reconstruct(measured[part])
    errors[HELD_OUT] = field_errors(found, wanted)
    return Baseline(
        f"{note} Held out: each of {len(parts)} stretches of frames was reconstructed from modes of the others.",
        errors,
    )
