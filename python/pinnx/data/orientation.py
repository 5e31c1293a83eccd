"""Is a gridded velocity field read with its axes in the right order?

    relative divergence = ||div u|| / ||grad u||      (2-norms over inner grid points and frames)

It is small for an incompressible flow and of order one for the same array read with two axes
exchanged or one axis backwards: shapes cannot tell, on a square grid, but the divergence can. A
shear flow u(y) shows it best: exchanged, it becomes u(x), whose divergence is its whole gradient.

Limits of the method: a flow that stays divergence-free when transposed (Taylor-Green vortices)
passes either way, and exchanging the axes and the components at once mirrors a flow into
another true flow. Scattered points carry no axis order, so there is nothing to check.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations, product

import numpy as np

from pinnx.errors import PinnxError

__all__ = ["check_orientation", "relative_divergence"]

# Measured on lid-driven cavities, Re 100 to 3200: right on every fourth point of the grid 0.03,
# transposed 0.7 to 0.9, one axis backwards 0.3 to 0.7. An order is blamed only if another one is
# far better, so that data which is merely coarse or noisy is not.
SUSPICIOUS = 0.05
BETTER_BY = 3.0
# Random vectors without any divergence constraint have 1 / sqrt(d): 0.71 in 2-D, 0.58 in 3-D.
NOT_DIVERGENCE_FREE = 0.3
# A slice of a flow in space has about this.
ODD = 0.1
MAX_FRAMES = 3  # frames looked at: first, middle, last


def relative_divergence(velocity: np.ndarray, lines: Sequence[np.ndarray]) -> float:
    """Return ||div u|| / ||grad u|| of velocities on a grid, by finite differences.

    Second-order central differences (`numpy.gradient`, uneven spacing allowed). The ends of axes of
    three or more points do not count: differences are one-sided there, and walls are where a flow
    may jump (the corners of a lid-driven cavity alone raise the ratio from 1e-5 to 0.4).

    Args:
        velocity: [..., n_x, n_y[, n_z], d] float, any number of leading axes (frames); places beside NaN do not count.
        lines: d coordinates [n_axis], each strictly increasing or strictly decreasing.

    Returns:
        The ratio, between 0 and sqrt(d); NaN where the velocity is uniform: nothing to check.

    Raises:
        PinnxError: shapes that do not fit each other, or fewer than two points along an axis.
    """
    dim = len(lines)
    expected = (*(line.size for line in lines), dim)
    if velocity.shape[-dim - 1 :] != expected or min(expected) < 2:
        raise PinnxError(
            f"velocity: expected shape [..., {', '.join(map(str, expected))}], at least 2 along "
            f"each axis, got {list(velocity.shape)}"
        )
    places = tuple(range(-dim, 0))
    inner = (..., *(slice(1, -1) if line.size >= 3 else slice(None) for line in lines))
    divergence: np.ndarray | float = 0.0
    gradient_squared = 0.0
    for component in range(dim):
        values = velocity[..., component]
        # Differences of equal numbers on uneven lines round to noise; those of zeros do not.
        values = values - np.fmin.reduce(values, axis=places, keepdims=True)
        for axis, line in enumerate(lines):
            derivative = np.gradient(values, line, axis=axis - dim)[inner]
            gradient_squared += float(np.nansum(derivative**2))
            if axis == component:
                divergence = divergence + derivative
    if gradient_squared == 0.0:
        return float("nan")
    return float(np.sqrt(np.nansum(divergence**2) / gradient_squared))


def check_orientation(velocity: np.ndarray, lines: Sequence[np.ndarray], axes: Sequence[str]) -> list[str]:
    """Raise if the field is far from divergence-free and another reading of its axes or components is not.

    Where no other reading is better either (a slice of a 3-D flow, noisy data, a uniform flow), the data passes.

    Args:
        velocity: [T, n_x, n_y[, n_z], d] float, as read with `axes`.
        lines: d coordinates [n_axis] in the order x, y[, z], as they stand in the file.
        axes: the axes of the file's arrays that were assumed, e.g. ("t", "y", "x").

    Returns:
        A sentence on what is odd, or none.

    Raises:
        PinnxError: another order of axes or components, or a coordinate backwards, fits far better.
    """
    frames = np.unique(np.linspace(0, velocity.shape[0] - 1, MAX_FRAMES).round().astype(int))
    sample = velocity[frames]
    # Squares of very small or large numbers leave the range of float64.
    sample = sample / (np.max(np.abs(sample), where=~np.isnan(sample), initial=0.0) or 1.0)
    given = relative_divergence(sample, lines)
    if np.isnan(given):
        return ["The velocity is uniform, which cannot show whether the order of its axes is right."]
    if given <= SUSPICIOUS:
        return []
    readings = [(relative_divergence(other, lines), remedy) for other, remedy in _other_readings(sample, axes)]
    best = min((value for value, _ in readings), default=np.inf)
    if best < min(given / BETTER_BY, NOT_DIVERGENCE_FREE):
        # Potential flows pass in several readings: the first, with the fewest changes, is named.
        fitting = [reading for reading in readings if reading[0] <= 2 * best]
        value, remedy = fitting[0]
        # On a square grid a flow whose components are exchanged looks like the mirrored flow with its axes exchanged.
        also = [f", and so does {other}" for _, other in fitting[1:] if "exchanged" in other and "axes" in remedy][:1]
        raise PinnxError(
            f"axes: with {_quoted(axes)} the field is not divergence-free (|div u| / |grad u| = {given:.2g}), {remedy} "
            f"fits ({value:.2g}){''.join(also)}; "
            "data.check_orientation=false takes it as it is"
        )
    if given <= ODD:
        return []
    if given <= NOT_DIVERGENCE_FREE:
        return [
            f"The velocity is not quite divergence-free (|div u| / |grad u| = {given:.2g}): noise, a coarse grid, or a "
            "slice of a 3-D flow, which the equations of a plane do not describe."
        ]
    return [
        f"The velocity is far from divergence-free (|div u| / |grad u| = {given:.2g}) in every order of its axes: "
        "noise, a slice of a 3-D flow, wrong arrays, or numbers that mark what is missing. Its equations do not hold."
    ]


def _other_readings(velocity: np.ndarray, axes: Sequence[str]) -> Iterator[tuple[np.ndarray, str]]:
    """Yield the field under every other axis order and direction, fewest changes first, then of its components."""
    dim = velocity.shape[-1]
    shape = velocity.shape[1:-1]
    # Reversing every axis at once changes the sign of the divergence only, so z, or y in 2-D, keeps
    # its direction or x does: half of the 2^d combinations are enough.
    flips = [flip for flip in product((False, True), repeat=dim) if 2 * sum(flip) <= dim]
    flips = [f for f in flips if 2 * sum(f) < dim or not f[0]]
    for flip in sorted(flips, key=sum):
        for order in permutations(range(dim)):
            if order == tuple(range(dim)) and not any(flip):
                continue
            if tuple(shape[axis] for axis in order) != shape:
                continue
            other = velocity.transpose(0, *(1 + axis for axis in order), dim + 1)
            reversed_axes = [axis for axis in range(dim) if flip[axis]]
            other = np.flip(other, axis=tuple(1 + axis for axis in reversed_axes))
            # Axis L of the new reading is the array axis that was called order[L] before.
            rename = {"xyz"[order[axis]]: "xyz"[axis] for axis in range(dim)}
            remedy = f"axes {_quoted([rename.get(name, name) for name in axes])}"
            names = " and ".join("xyz"[axis] for axis in reversed_axes)
            yield other, remedy + (f" with the values of {names} in reverse" if names else "")
    for one, other in combinations(range(dim), 2):
        order = list(range(dim))
        order[one], order[other] = other, one
        yield velocity[..., order], f"{'uvw'[one]} and {'uvw'[other]} exchanged"


def _quoted(axes: Sequence[str]) -> str:
    return "(" + ", ".join(f'"{name}"' for name in axes) + ")"
