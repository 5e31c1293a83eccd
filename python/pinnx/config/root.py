"""The whole configuration: its sections, in the order in which data flows through them."""

from __future__ import annotations

from pinnx.config.kinds import Section, setting
from pinnx.config.method import Evals, Model, Report, Sensors, Train
from pinnx.config.problem import Boundary, Data, Domain, Flow

__all__ = ["Config"]


class Config(Section):
    """Everything that decides a run."""

    data: Data = setting({}, "what is known of the flow")
    domain: Domain = setting(Domain(), "the box in which the equations hold")
    flow: Flow = setting(Flow(), "the equations' own numbers")
    boundaries: tuple[Boundary, ...] = setting((), "what is known at boundaries, and at a time")
    sensors: Sensors = setting(Sensors(), "where the velocity is measured")
    model: Model = setting(Model(), "the network")
    train: Train = setting(Train(), "the optimisation")
    evals: Evals = setting(Evals(), "the checks after the training")
    report: Report = setting(Report(), "the pictures of the report")
