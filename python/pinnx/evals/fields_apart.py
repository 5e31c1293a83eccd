"""How far two fields are apart, point by point and wave by wave.

    relative L2   ||a - b|| / ||b||             RMSE   (mean |a - b|^2)^(1/2)
    largest       max |a - b|, and its place
    spectrum      E(k): kinetic energy per unit of the wavenumber k = |k|, summed over shells of whole numbers of waves
                  in the longest side; its integral is the mean of |u|^2 / 2

A grid that is not periodic is multiplied by a Hann window along that axis, divided by the root mean square of the
window, and its mean is taken out first: without that the jump at the ends puts energy into all waves.

Sources: S. B. Pope, "Turbulent Flows", Cambridge 2000, section 6.5, for spectra; F. J. Harris, Proc. IEEE 66 (1978)
51-83, for windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from pinnx.errors import PinnxError
from pinnx.evals.numbers import as_array

__all__ = ["Apart", "apart", "energy_spectrum", "resolved_wavenumber"]

# A wave is there where it has between half and twice the energy of the reference.
RESOLVED_FACTOR = 2.0
# Of the energy of the strongest shell: what is below is rounding, or the ends of the window.
NEGLIGIBLE = 1e-6
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Apart:
    """Distances of a field from its reference, in the units of both; ``worst_at`` is the place of the largest."""

    relative_l2: float
    rmse: float
    largest: float
    worst_at: tuple[float, ...]


def apart(prediction: Any, reference: Any, points: Any) -> Apart:
    """The distances of one frame.

    Args:
        prediction: [n] or [n, d]; of a vector the length of the difference counts.
        reference: the same shape.
        points: [n, d], the places.

    Raises:
        PinnxError: other shapes, numbers that are not finite, a reference of zeros.
    """
    found, wanted, places = (
        as_array(name, part)
        for name, part in (("prediction", prediction), ("reference", reference), ("points", points))
    )
    if found.shape != wanted.shape or len(places) != len(wanted):
        raise PinnxError(f"prediction: expected shape {list(wanted.shape)} at {len(places)} points, got {found.shape}")
    size = float(np.linalg.norm(wanted))
    if size == 0.0:
        raise PinnxError("reference: expected a field that is not zero everywhere, got zeros")
    error = np.abs(found - wanted) if wanted.ndim == 1 else np.linalg.norm(found - wanted, axis=1)
    worst, whole = int(error.argmax()), float(np.linalg.norm(error))
    place = tuple(places[worst].tolist())
    return Apart(whole / size, whole / float(np.sqrt(len(error))), float(error[worst]), place)


def energy_spectrum(
    velocity: Sequence[Any], axes: Sequence[Any], *, periods: Sequence[float | None] | None = None
) -> tuple[Array, Array]:
    """The energy spectrum of a velocity on an even grid.

    Args:
        velocity: d components [nx, ny[, nz]].
        axes: the lines of the grid, evenly spaced.
        periods: of each axis, whose first point is not repeated at its end; None: not periodic.

    Returns:
        Wavenumbers k, radians per length, and E(k), length^3 / time^2.

    Raises:
        PinnxError: an axis that is not even, other shapes.
    """
    lines, parts = [as_array("axes", line) for line in axes], [as_array("velocity", part) for part in velocity]
    shape = tuple(line.size for line in lines)
    if any(part.shape != shape for part in parts):
        raise PinnxError(f"velocity: expected components of shape {list(shape)}, got {list(parts[0].shape)}")
    steps = [float(np.diff(line).mean()) for line in lines]
    if any(np.abs(np.diff(line) - h).max() > 1e-3 * h for line, h in zip(lines, steps, strict=True)):
        raise PinnxError("axes: expected even grids for a spectrum, got spacings that differ")
    window = np.ones(shape)
    for axis, (n, period) in enumerate(zip(shape, periods or [None] * len(shape), strict=True)):
        if period is None:
            hann = np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2
            along = [n if i == axis else 1 for i in range(len(shape))]
            window = window * (hann / np.sqrt((hann**2).mean())).reshape(along)
    unit = 2 * np.pi / max(n * h for n, h in zip(shape, steps, strict=True))
    waves = np.meshgrid(*(2 * np.pi * fft.fftfreq(n, h) for n, h in zip(shape, steps, strict=True)), indexing="ij")
    shell = np.rint(np.sqrt(sum(w**2 for w in waves)) / unit).astype(np.int64)
    energy = np.zeros(shell.max() + 1)
    for part in parts:
        amplitude = np.abs(fft.fftn((part - part.mean()) * window, norm="forward")) ** 2 / 2
        energy += np.bincount(shell.reshape(-1), weights=amplitude.reshape(-1), minlength=energy.size)
    highest = int(np.pi / max(steps) / unit)  # beyond it shells are cut by the corners of the grid
    return unit * np.arange(1, highest + 1), energy[1 : highest + 1] / unit


def resolved_wavenumber(found: Array, wanted: Array, wavenumbers: Array) -> float:
    """The wavenumber up to which a spectrum has between half and twice the energy of its reference; 0: none.

    Shells with less than 1e-6 of the strongest say nothing, and end the comparison.

    Args:
        found: E(k) of the reconstruction.
        wanted: E(k) of the reference, on the same grid.
        wavenumbers: k.
    """
    counts = wanted > NEGLIGIBLE * wanted.max()
    agree = (found < RESOLVED_FACTOR * wanted) & (found > wanted / RESOLVED_FACTOR)
    last = int(np.argmin(counts)) if not counts.all() else len(counts)
    wrong = np.flatnonzero(~agree[:last])
    reached = int(wrong[0]) if wrong.size else last
    return float(wavenumbers[reached - 1]) if reached else 0.0
