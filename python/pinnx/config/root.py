"""The whole configuration: its sections, in the order in which data flows through them."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Union

from pydantic import Field, model_validator
from pydantic.fields import FieldInfo

from pinnx.config.breakage_section import BALANCES, Breakage, without_effect
from pinnx.config.data_section import Data
from pinnx.config.evals_section import Evals, Report, Solver
from pinnx.config.flow_section import Boundary, Domain, Flow
from pinnx.config.kinds import Section, Seed, setting
from pinnx.config.model_section import Model
from pinnx.config.sensors_section import Sensors
from pinnx.config.train_section import Train
from pinnx.errors import PinnxError

__all__ = ["PROBLEMS", "SEEDED", "Config", "fields_of", "require_flow"]

# The kinds of problem: a section with a `kind` of its own is one more, by its place in this list.
PROBLEMS: dict[str, type[Section]] = {section.model_fields["kind"].default: section for section in (Flow, Breakage)}
Problem = Annotated[Union[*PROBLEMS.values()], Field(discriminator="kind")] if len(PROBLEMS) > 1 else Flow


# Sections whose seed is that at the top unless they have their own.
SEEDED = ("sensors", "model", "train")


class Config(Section):
    """Everything that decides a run."""

    seed: Seed = setting(0, "of everything random: the network, its points, the sensors; each can be set apart")
    data: Data | None = setting(None, "what is known of the flow")
    domain: Domain = setting(Domain(), "the box in which the equations hold")
    problem: Problem = setting(Flow(), "which equations hold, with their own numbers")
    boundaries: tuple[Boundary, ...] = setting((), "what is known at boundaries, and at a time")
    sensors: Sensors = setting(Sensors(), "where the velocity is measured")
    model: Model = setting(Model(), "the network")
    train: Train = setting(Train(), "the optimisation")
    solver: Solver = setting(Solver(), "a classical solver beside the network")
    evals: Evals = setting(Evals(), "the checks after the training")
    report: Report = setting(Report(), "the pictures of the report")

    @model_validator(mode="after")
    def _what_the_kind_of_problem_needs(self) -> Config:
        if isinstance(self.problem, Flow):
            if self.data is None:
                raise ValueError("data: expected exactly one of path, measurements, synthetic, got none")
            return self
        ignored = without_effect(self.model_dump(), type(self).model_construct().model_dump())
        if ignored:
            raise ValueError(f"{ignored[0]}: has no effect on a problem of kind breakage; leave it out")
        used = {self.train.optimizer, *(phase.optimizer for phase in self.train.phases)}
        if "gauss_newton" in used:
            raise ValueError("train.optimizer: expected one without gauss_newton for a problem of kind breakage")
        if self.train.balance.method not in BALANCES:
            raise ValueError(f"train.balance.method: expected one of {', '.join(BALANCES)} for breakage")
        return self

    @model_validator(mode="after")
    def _training_fits(self) -> Config:
        if self.model.stream_function:
            if self.train.balance.method in ("ntk", "lagrangian"):
                got = self.train.balance.method
                raise ValueError(f"model.stream_function: expected another train.balance.method than {got}")
            used = {self.train.optimizer, *(phase.optimizer for phase in self.train.phases)}
            if "gauss_newton" in used and len(used) > 1:
                raise ValueError(
                    "model.stream_function: expected gauss_newton in all of the training or nowhere, as it has a form "
                    f"of the equations of its own, got {' and '.join(sorted(used))}"
                )
            if self.model.hard_boundaries and used != {"gauss_newton"}:
                raise ValueError(
                    "model.hard_boundaries with stream_function: expected train.optimizer gauss_newton, "
                    f"got {' and '.join(sorted(used))}"
                )
        if self.data is not None and self.data.noise.share == "estimated" and self.train.data_loss != "squares":
            raise ValueError(f"data.noise: estimated takes train.data_loss squares, got {self.train.data_loss}")
        return self

    @model_validator(mode="after")
    def _one_seed(self) -> Config:
        """A section without a seed of its own has that at the top."""
        for name in SEEDED:
            section = getattr(self, name)
            if section.seed is None:
                # Not by assignment: a configuration is frozen once it is made.
                self.__dict__[name] = section.model_copy(update={"seed": self.seed})
        return self


def require_flow(config: Config, who: str) -> None:
    """Refuses another kind of problem, in the name of ``who``, which needs a flow.

    Raises:
        PinnxError: it is no flow.
    """
    if not isinstance(config.problem, Flow):
        raise PinnxError(f"{who}: expected a problem of kind flow, got {config.problem.kind}")


@cache
def fields_of(section: type[Section]) -> dict[str, FieldInfo]:
    """The settings of a section by the names that users type.

    At the root each kind of problem is a section by the name of the kind, which is short for ``problem``.
    """
    if section in PROBLEMS.values():
        return {name: field for name, field in section.model_fields.items() if name != "kind"}
    fields: dict[str, FieldInfo] = {}
    for name, field in section.model_fields.items():
        if section is Config and name == "problem":
            fields |= {
                kind: FieldInfo(annotation=given, description="a kind of problem") for kind, given in PROBLEMS.items()
            }
        else:
            fields[name] = field
    return fields
