"""Settings of what stands behind the training: the checks and what must hold, the classical solver, the report."""

from __future__ import annotations

from typing import Literal

from pydantic import create_model, model_validator

from pinnx.config.kinds import Count, Factor, Number, Positive, Resolution, Section, Several, Switch, Text, setting
from pinnx.evals.gates import GATES

__all__ = ["Evals", "Limits", "Report", "Solver"]


# One setting for each gate: the table of pinnx.evals is the only place of its limits.
Limits = create_model(
    "Limits",
    __base__=Section,
    __doc__="What must hold for a check to pass: the gates of `pinnx.evals`. U and L are the scales of the case.",
    **{
        name: (Positive, setting(gate.limit, gate.description, gate.unit))
        for name, gate in GATES.items()
        if gate.in_runs
    },
)


class Evals(Section):
    """The checks after the training."""

    points: Count = setting(20000, "points at which the residuals are measured")
    grid: Count | None = setting(
        None,
        "points along the longest side of the grid on which the flow of data.measurements is written; "
        "null = 128 in two dimensions, 48 in three",
    )
    times: Count | tuple[Number, ...] | None = setting(
        None,
        "times at which the flow of data.measurements is written: how many, from the first to the last, or a list; "
        "null = those of the rows, or 200 where they are more",
        "time",
    )
    formats: tuple[Literal["vtu", "netcdf"], ...] = setting(
        (), "the fields in further formats beside fields.h5: vtu for ParaView (extra mesh), netcdf with names of CF"
    )
    left_out: Factor | None = setting(
        None,
        "share of the sensors that a second, shorter training leaves out, to measure the error there; null = 0.1 where "
        "there is no reference, else 0, which makes none",
    )
    left_out_steps: Count | None = setting(None, "steps of that training; null = three tenths of train.steps")
    members: Several | None = setting(
        None,
        "networks that are trained beside the one of the run, each with other seeds and without an equal part of the "
        "sensors; they give a standard deviation at each point and its coverage, 5 for example; null = none",
    )
    limits: Limits = setting(Limits(), "what must hold")
    baseline: Text | None = setting(
        None,
        "file of pinnx baseline; a run whose equations, boundaries or gates are others is refused; null = none",
        file=True,
    )
    acknowledged: tuple[Text, ...] = setting(
        (), "settings of the baseline, or sections such as flow, whose change is wanted"
    )

    @model_validator(mode="after")
    def _acknowledged_beside_a_baseline(self) -> Evals:
        if self.acknowledged and self.baseline is None:
            raise ValueError("acknowledged: only with evals.baseline, got none")
        return self


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


class Report(Section):
    """The pictures of report.html."""

    dpi: Resolution = setting(110, "resolution of the pictures", "dots/inch")
    frames: Count = setting(3, "instants that are drawn of an unsteady flow")
