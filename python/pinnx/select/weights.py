"""Weights of places: an array of the file, or the rule for channels.

They multiply what a sensor at a place would add; 0 leaves the place out.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np

from pinnx.config import Config
from pinnx.data.fields import Fields, read_fields
from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError
from pinnx.select.inputs import split_names
from pinnx.sensors.channel import channel_wall_weights

__all__ = ["PlaceWeights", "place_weights"]

CHANNEL = "channel"


@dataclass(frozen=True, eq=False)
class PlaceWeights:
    """A weight for each place.

    Args:
        values: [n] float64, >= 0.
        rule: where they come from, for a sentence.
    """

    values: np.ndarray
    rule: str


def place_weights(options: argparse.Namespace, config: Config, fields: Fields) -> PlaceWeights | None:
    """Return the weights that --weights names; None without it.

    Raises:
        PinnxError: no such array, one that is no weight for each place, or a channel that is cut.
    """
    if options.weights is None:
        return None
    window = {axis: limit for axis, limit in config.data.window.model_dump().items() if limit is not None}
    if options.weights == CHANNEL:
        if "y" in window:
            raise PinnxError(
                f"--weights channel: expected the channel from wall to wall, got data.window.y={window['y']}"
            )
        across = fields.points[:, 1]
        low, high = float(across.min()), float(across.max())
        if not low < high:
            raise PinnxError(f"--weights channel: expected walls at two values of y, got y = {low:g} alone")
        values = channel_wall_weights(across, 0.5 * (high - low), centre=0.5 * (low + high))
        return PlaceWeights(values, f"the rule for channels, {values.max():g} near the walls y = {low:g} and {high:g}")
    names: list[str] | None
    if options.variable is not None:
        names = None if options.points is None else split_names(options.points)
    else:
        arrays = config.data.arrays
        names = [name for name in (arrays.x, arrays.y, arrays.z) if name is not None]
    stored = read_fields(options.file, [options.weights], coordinates=names, axes=config.data.axes)
    if stored.num_times != 1:
        raise PinnxError(f"{options.weights}: expected one weight for each place, got {list(stored.values.shape[:2])}")
    values = stored.values[0, :, 0].astype(np.float64)
    points = stored.points
    if window:
        # As the flow itself is cut.
        cut = Snapshots(points, np.repeat(values[None, :, None], points.shape[1], axis=2)).window(**window)
        points, values = cut.points, cut.velocity[0, :, 0]
    if not np.array_equal(points, fields.points):
        raise PinnxError(f"{options.weights}: expected a weight for each of {fields.num_points} places, got others")
    if (values < 0.0).any() or not values.any():
        raise PinnxError(
            f"{options.weights}: expected weights >= 0 that are not all 0, got {values.min():g} to {values.max():g}"
        )
    return PlaceWeights(values, f"{options.weights}, {values.min():g} to {values.max():g}")
