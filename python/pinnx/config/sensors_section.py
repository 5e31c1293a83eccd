"""Settings of the sensors: how many, and how they are chosen."""

from __future__ import annotations

from pydantic import model_validator

from pinnx.config.kinds import Count, Formula, NonNegative, Number, Positive, Section, Seed, Switch, setting
from pinnx.sensors.selection import Choosing

__all__ = ["Sensors"]


class Sensors(Section):
    """Where the velocity is measured; not used with data.measurements, which has its own places."""

    count: Count = setting(12, "number of sensors; not used by method positions")
    method: Choosing = setting(
        "interpolation",
        "interpolation: covers the domain, finer where the flow varies; qr: pivoted QR on modes of the flow; "
        "randomized: the same on a random sketch; coverage, lattice, farthest, random: points that cover the area, "
        "in rows, far from one another, or drawn by area; or given positions",
    )
    modes: Count | None = setting(
        None, "number of modes; null = (1 + c) / 2 for each sensor of c components, save those that are rounding noise"
    )
    subtract_mean: Switch = setting(False, "modes of the fluctuation alone, without the mean over time")
    scale_modes: Switch = setting(True, "qr: weight each mode by its singular value")
    area_weighted: Switch = setting(True, "modes of the domain, whatever the mesh; else each point counts alike")
    weight: Formula | None = setting(
        None,
        "how much each place counts, a formula in x, y, z, >= 0: sensors stand denser where it is large, none where it "
        "is 0; lattice and farthest leave out zeros alone",
    )
    seed: Seed | None = setting(None, "seed of the random choice and of the noise; null = that at the top")
    positions: tuple[tuple[Number, ...], ...] | None = setting(
        None, "positions [x, y] or [x, y, z] for method positions", "length"
    )
    min_distance: Positive | None = setting(None, "least distance between two chosen sensors", "length")
    margin: Positive | None = setting(None, "least distance of a chosen sensor to the edge of the data", "length")
    noise: NonNegative = setting(
        0.0,
        "standard deviation of the Gaussian noise added to what the sensors see, as a fraction of its root mean square",
    )

    @model_validator(mode="after")
    def _method_has_what_it_needs(self) -> Sensors:
        if self.method == "positions" and not self.positions:
            raise ValueError("method positions: expected sensors.positions, got none")
        if self.positions is not None and self.method != "positions":
            raise ValueError(
                f"positions: only for method positions, got method {self.method}; set method to positions or it to null"
            )
        for name in ("min_distance", "margin", "weight"):
            if getattr(self, name) is not None and self.method == "positions":
                raise ValueError(f"{name}: not for method positions, which are taken as they are; set it to null")
        return self
