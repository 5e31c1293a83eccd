"""Settings of the classical solver that stands beside the network where it applies."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from pinnx.config.kinds import Count, Section, Switch, setting

__all__ = ["Solver"]


class Solver(Section):
    """A classical solver of steady plane flow: velocities along all sides, an outflow on the right, a free stream."""

    beside: Switch = setting(
        True, "solve the flow on a grid as well where that is possible, and show the answer beside that of the network"
    )
    cells: Count | None = setting(
        None, "cells of its finest grid along a side of mean length, 18 or more; null = by the Reynolds number"
    )
    unknown: tuple[Literal["left", "right", "bottom", "top"], ...] = setting(
        (),
        "sides whose velocity along the side is known up to a factor, found from the sensors before the training",
    )
    polish: Switch | None = setting(
        None,
        "solve from the network's field as well; the answer conserves mass and momentum and stands beside the field; "
        "true: with the network's velocity along sides that have none; null: where all sides have one",
    )

    @model_validator(mode="after")
    def _each_side_once(self) -> Solver:
        if len(set(self.unknown)) != len(self.unknown):
            raise ValueError(f"unknown: expected each side once, got {list(self.unknown)}")
        return self
