"""Settings of the optimisation: steps, methods and phases, points, precision, the machine, relations between them."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from annotated_types import Gt
from pydantic import AllowInfNan, Strict, model_validator

from pinnx.config.kinds import (
    Count,
    Factor,
    Inner,
    Natural,
    NonNegative,
    Number,
    Positive,
    Ramp,
    Says,
    Section,
    Seed,
    setting,
)
from pinnx.config.points_section import PointSettings
from pinnx.config.weighting_section import Balance, Causal, Weights
from pinnx.train.graph import UseCudaGraph
from pinnx.train.optimizers import FIRST_ORDER, FirstOrderName
from pinnx.train.precision_policy import Precision

__all__ = ["Train"]

Optimizer = Literal[FirstOrderName, "lbfgs", "ssbroyden", "gauss_newton"]
LISTED, JOINED = ", ".join(FIRST_ORDER), " and ".join(FIRST_ORDER)


class QuasiNewton(Section):
    """Settings of the methods of second order, of whichever phase."""

    pairs: Count = setting(50, "lbfgs: last steps, with the changes of the gradient along them, that it remembers")
    points_for: Count | None = setting(
        None,
        "steps that are taken on one draw of the points, of gauss_newton too; fewer where no step lowers the loss on "
        "them any more; null = 200, of gauss_newton 1",
    )


class Phase(Section):
    """A later part of the training with another optimiser, precision or learning rate."""

    start: Inner = setting(..., "it begins at the latest after this share of train.steps")
    optimizer: Optimizer = setting("lbfgs", "what takes its steps, as for train.optimizer")
    dtype: Literal["float32", "float64"] | None = setting(
        None, f"precision; null = as before for {JOINED}, else float64"
    )
    lr: Positive | None = setting(
        None, f"{LISTED}: learning rate at its start, from which a cosine leads to train.final_lr; null = train.lr"
    )
    patience: Count | None = setting(
        None, "it begins earlier once the loss has fallen by less than 5 % in so many steps; null = it does not"
    )

    @model_validator(mode="after")
    def _as_its_optimizer_needs(self) -> Phase:
        if self.optimizer not in FIRST_ORDER:
            if self.dtype == "float32":
                raise ValueError(f"dtype: expected float64 for {self.optimizer}, which compares losses, got float32")
            if self.lr is not None:
                raise ValueError(f"lr: only for {JOINED}, got optimizer {self.optimizer}, which finds its own")
        return self


Precisions = Annotated[
    tuple[tuple[Natural, Precision], ...],
    Says("a list of [step, precision] with float64, float32, tf32, bfloat16 or float16"),
]


class Stage(Section):
    """A part of the training in which the equations have other numbers; after the last stage they have their own."""

    until: Inner = setting(..., "share of the steps up to which the stage holds")
    numbers: dict[str, Number] = setting(
        ..., "number of the equations -> its value: nu, forcing_x, forcing_y, forcing_z", "that of the number"
    )


class GuardSettings(Section):
    """Checks at every checkpoint; a training that has lost the physics returns to the last good one."""

    worse: Annotated[float, Strict(), AllowInfNan(False), Gt(1), Says("a number > 1")] = setting(
        3.0, "a value beyond its red line counts as lost from so many times the last good one on"
    )
    returns: Natural = setting(3, "returns in a row before the training stops")


class Train(Section):
    """The optimisation."""

    steps: Count = setting(3000, "number of steps")
    optimizer: Optimizer = setting(
        "soap",
        "soap: Adam in the eigenbasis of Shampoo's preconditioner; adam; lbfgs: limited-memory BFGS with a line "
        "search; ssbroyden: self-scaled Broyden with a matrix of all parameters, for small networks; gauss_newton: "
        "damped least squares with the Jacobian of all residuals, for small networks",
    )
    lr: Positive = setting(3e-3, f"{LISTED}: learning rate at the start; a cosine leads to final_lr")
    final_lr: NonNegative = setting(1e-5, "learning rate at the end")
    warm_start: Literal["auto", "none", "solver"] = setting(
        "auto",
        "solver: the network begins as a fit to the field of a classical solver on coarse grids, which guides the "
        "training, less and less, where it applies (docs/choosing.md), with balance none; auto: so for steady bodies "
        "in a stream that is known far away",
    )
    warm_up: Natural = setting(0, "steps at the start in which the learning rate grows linearly to lr")
    clip: Positive | None = setting(
        None, f"{LISTED}: a gradient that is longer, over all parameters, is scaled to this length; null = none is"
    )
    phases: tuple[Phase, ...] = setting(
        (), "later parts of the training, each with its optimiser, precision and learning rate, in their order"
    )
    quasi_newton: QuasiNewton = setting(QuasiNewton(), "lbfgs and ssbroyden")
    retries: Natural = setting(
        3,
        "how often the training returns to a state before a loss that is not finite, each time with steps half as "
        "large, before it gives up",
    )
    guard: GuardSettings | None = setting(GuardSettings(), "null = no checks while it trains")
    lr_nu: Positive | None = setting(
        None, "learning rate at the start of the logarithm of a viscosity that is fitted; null = ten times lr"
    )
    lr_forcing: Positive | None = setting(
        None,
        "learning rate at the start of a force that is fitted, in units of its guess, or of nu U / L^2 where that is "
        "larger; null = ten times lr",
    )
    estimate_at: tuple[Inner, ...] = setting(
        (),
        "[0.5, 0.8] for example: shares of the steps after which a viscosity or a force that is fitted is put where "
        "the loss would take it, and held while the fields follow (docs/training.md); [] = it follows its gradient; "
        "with data_loss squares",
    )
    betas: tuple[Factor, Factor] = setting((0.95, 0.95), "decay of the first and second moments")
    precondition_frequency: Count = setting(5, "steps from one preconditioner of SOAP to the next")
    collocation_points: Count = setting(2048, "points for the residuals, fresh in each step")
    boundary_points: Count = setting(256, "points for each boundary condition, fresh in each step")
    points: PointSettings = setting(PointSettings(), "how these points are spread over the domain")
    data_points: Count | None = setting(None, "measurements used in each step, drawn at random; null = all")
    data_loss: Literal["squares", "huber"] = setting(
        "squares",
        "what is averaged over the measurements: squares of the misfit, or of small ones alone and straight lines "
        "beyond (huber), so that a wrong reading pulls less",
    )
    huber_delta: Positive = setting(
        0.1, "data_loss huber: misfit from which on it is straight, as a share of the field's scale"
    )
    weights: Weights = setting(Weights(), "factors of the terms of the loss")
    balance: Balance = setting(Balance(), "how the weights follow the training")
    causal: Causal = setting(Causal(), "weights of the equations in time")
    physics_ramp: Ramp | None = setting(
        None,
        "the weights of the equations are 0 up to the first of these shares of the steps, grow linearly, and are full "
        "from the second on, [0.3, 0.7] for example; null = full from the first step",
    )
    curriculum: tuple[Stage, ...] = setting((), "stages with easier equations, a larger viscosity for example")
    corner_radius: Positive | None = setting(
        None,
        "points nearer than this to a corner where two sides disagree count less, smoothly; null = "
        "all points count alike",
        "length",
    )
    seed: Seed | None = setting(None, "seed of the points; null = that at the top")
    track: tuple[Literal["tensorboard", "mlflow"], ...] = setting(
        (), "programs that follow the training as well, by pip install 'pinn-ext[tracking]'; see docs/reconstruction.md"
    )
    log_every: Count = setting(10, "steps from one line of history.jsonl to the next")
    checkpoint_every: Count = setting(500, "steps from one checkpoint to the next")
    keep_checkpoints: Count = setting(2, "how many of the last checkpoints are kept, beside the one of the least loss")
    dtype: Literal["float32", "float64"] = setting("float32", "precision of the training")
    precision: Precisions | Literal["auto"] | None = setting(
        None,
        "precision of the matrix products, each from a step on, [[0, float32], [1000, bfloat16], [4000, float32]] for "
        "example; auto: a cheaper one is tried where it pays; null = that of dtype; see docs/training.md",
    )
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "where to train; auto: CUDA if found")
    threads: Count | None = setting(
        None, "threads of a step on the CPU; null = what measured steps find the fastest; the result is the same"
    )
    streams: Count = setting(
        1, "CUDA streams for the copy of the points and for terms of the loss side by side; 1 = all in order"
    )
    cuda_graph: UseCudaGraph = setting(
        "auto", "replay a step's loss, its gradients, clipping and the update as CUDA graphs; auto: on a CUDA device"
    )

    @model_validator(mode="after")
    def _settings_fit_together(self) -> Train:
        if self.warm_start == "solver" and self.balance.method != "none":
            raise ValueError(f"warm_start: expected balance.method none beside it, got {self.balance.method}")
        ends = [stage.until for stage in self.curriculum]
        if any(second <= first for first, second in pairwise(ends)):
            raise ValueError(f"curriculum: expected rising until, got {', '.join(f'{end:g}' for end in ends)}")
        if self.final_lr > self.lr:
            raise ValueError(f"final_lr: expected at most lr = {self.lr:g}, got {self.final_lr:g}")
        starts = [phase.start for phase in self.phases]
        if any(a >= b for a, b in pairwise(starts)):
            raise ValueError(f"phases: expected each start to be later than the one before, got {starts}")
        for number, phase in enumerate(self.phases):
            if phase.lr is not None and phase.lr < self.final_lr:
                raise ValueError(
                    f"phases.{number}.lr: expected at least final_lr = {self.final_lr:g}, got {phase.lr:g}"
                )
        return self

    @model_validator(mode="after")
    def _settings_of_the_optimizers(self) -> Train:
        if self.optimizer not in FIRST_ORDER and self.dtype == "float32":
            raise ValueError(f"dtype: expected float64 for {self.optimizer}, which compares losses, got float32")
        used = {self.optimizer, *(phase.optimizer for phase in self.phases)}
        if self.warm_up and self.optimizer not in FIRST_ORDER:
            raise ValueError(f"warm_up: only for optimizer {JOINED}, got {self.optimizer}")
        if self.clip is not None and used.isdisjoint(FIRST_ORDER):
            raise ValueError(f"clip: only for {JOINED}, got {' and '.join(sorted(used))}")
        if "gauss_newton" in used and self.data_loss != "squares":
            raise ValueError(f"data_loss: expected squares for optimizer gauss_newton, got {self.data_loss}")
        for name, wanted in {"pairs": {"lbfgs"}, "points_for": {"lbfgs", "ssbroyden", "gauss_newton"}}.items():
            if self.quasi_newton.changed(name) and used.isdisjoint(wanted):
                raise ValueError(f"quasi_newton.{name}: only for {' and '.join(sorted(wanted))}, which no phase uses")
        if self.data_loss != "huber" and self.changed("huber_delta"):
            raise ValueError(f"huber_delta: only for data_loss huber, got data_loss {self.data_loss}")
        return self
