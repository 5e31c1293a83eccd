"""Settings that state the method: sensors, network, optimisation, checks, pictures.

Units are those of the data. Relations between settings are checked here; everything about one value
is in its kind (kinds.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from annotated_types import Gt
from pydantic import AllowInfNan, Strict, create_model, model_validator

from pinn_ext.activation import Activation
from pinnx.config.kinds import (
    Count,
    Factor,
    Inner,
    Natural,
    NonNegative,
    Number,
    Positive,
    Ramp,
    Resolution,
    Says,
    Section,
    Seed,
    Several,
    Share,
    Switch,
    Text,
    only_for_method,
    setting,
)
from pinnx.config.optimisation import FIRST_ORDER, Optimizer, Phase, QuasiNewton
from pinnx.config.points_section import PointSettings
from pinnx.evals.gates import GATES

__all__ = ["Evals", "Model", "Report", "Sensors", "Train"]


Choosing = Literal["interpolation", "qr", "randomized", "coverage", "lattice", "farthest", "random", "positions"]


Precisions = Annotated[
    tuple[tuple[Natural, Literal["float64", "float32", "tf32", "bfloat16", "float16"]], ...],
    Says("a list of [step, precision] with float64, float32, tf32, bfloat16 or float16"),
]


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
            raise ValueError(f"positions: only for method positions, got method {self.method}; set it to null")
        for name in ("min_distance", "margin"):
            if getattr(self, name) is not None and self.method == "positions":
                raise ValueError(f"{name}: not for method positions, which are taken as they are; set it to null")
        return self


class Factorization(Section):
    """Random weight factorisation: each row of a weight matrix is a learned length times a learned direction."""

    mean: Number | None = setting(
        1.0, "mean of the logarithm of the lengths at the start; null = plain weights, as in a siren without a mean"
    )
    deviation: NonNegative = setting(0.1, "its standard deviation")

    @model_validator(mode="after")
    def _deviation_with_a_mean(self) -> Factorization:
        if self.mean is None and self.deviation != type(self).model_fields["deviation"].default:
            raise ValueError("deviation: only with a mean, got mean null")
        return self


class Model(Section):
    """The network behind Fourier features; see docs/models.md."""

    architecture: Literal["mlp", "siren", "piratenet"] = setting(
        "mlp",
        "mlp: layers of equal width; siren: sines in all layers, the frequencies trained; piratenet: residual blocks "
        "with gates, which start as the identity",
    )
    width: Count = setting(64, "features of each hidden layer")
    layers: Count = setting(4, "number of hidden layers; of a piratenet that of blocks, three layers each")
    frequencies: Count = setting(32, "random Fourier frequencies; each gives a cosine and a sine, in a siren one sine")
    sigma: Positive | tuple[Positive, ...] = setting(
        0.5,
        "standard deviation of the frequencies, one number or one per axis (t, x, y, z)",
        "1/scaled length",
    )
    input_scale: tuple[Positive, ...] | None = setting(
        None,
        "factor on each coordinate (t, x, y, z), folded into the frequencies; null = one over the domain's extent",
        "1/length, 1/time",
    )
    bands: tuple[Positive, ...] = setting(
        (1.0,), "factors on sigma, each for an equal part of the frequencies: flows of several scales"
    )
    harmonics: Natural = setting(
        0, "for each periodic axis so many whole waves along it alone, 1, 2, ... per period, beside the random ones"
    )
    train_frequencies: Switch = setting(False, "train the frequencies too, but for those along periodic axes")
    activation: Activation = setting("tanh", "activation function; a siren takes sine")
    omega: Positive = setting(5.0, "siren: factor on what goes into each sine; the paper has 30")
    factorization: Factorization = setting(Factorization(), "of the weights of all layers")
    hard_boundaries: Switch = setting(
        False,
        "what is prescribed at sides and circles holds exactly, by the form of the fields; other places stay in the "
        "loss",
    )
    corner_flow: Switch = setting(
        True,
        "add the Stokes flow next to corners where two sides prescribe different velocities, in two dimensions; the "
        "network learns the rest",
    )
    seed: Seed | None = setting(None, "seed of the frequencies and of the first weights; null = that at the top")

    @model_validator(mode="before")
    @classmethod
    def _plain_weights_of_a_siren(cls, given: Any) -> Any:
        """A siren whose factorisation is not given has none."""
        if isinstance(given, Mapping) and given.get("architecture") == "siren" and "factorization" not in given:
            return {**given, "factorization": {"mean": None}}
        return given

    @model_validator(mode="after")
    def _settings_of_the_architecture_alone(self) -> Model:
        if self.architecture != "siren" and self.omega != type(self).model_fields["omega"].default:
            raise ValueError(f"omega: only for a siren, got {self.architecture}")
        if self.architecture == "siren" and self.activation != "sine":
            raise ValueError(f"activation: expected sine for a siren, got {self.activation}")
        if self.architecture == "siren" and self.train_frequencies:
            raise ValueError("train_frequencies: those of a siren always are; set it to false")
        if self.architecture == "siren" and self.factorization.mean is not None:
            raise ValueError("factorization.mean: not for a siren, whose omega does the same; set it to null")
        return self


class Weights(Section):
    """Factors of the terms of the loss, each a mean square."""

    momentum: NonNegative = setting(1.0, "momentum residuals")
    continuity: NonNegative = setting(1.0, "continuity residual")
    data: NonNegative = setting(10.0, "misfit at the sensors")
    boundary: NonNegative = setting(10.0, "misfit at the boundary conditions")
    slopes: NonNegative = setting(1.0, "conditions with slopes at boundaries")
    flux: NonNegative = setting(10.0, "misfit of known fluxes")


class Balance(Section):
    """How the weights of the loss follow the training; see docs/training.md."""

    method: Literal["none", "relobralo", "gradnorm", "ntk", "lagrangian"] = setting(
        "none",
        "factors on train.weights that are found during the training; none: constant weights; relobralo: a column of "
        "the loss that falls less counts more; gradnorm: so too, by the lengths of the gradients; "
        "ntk: all columns are learned at one rate, by traces of the tangent kernel; lagrangian: data, boundary and "
        "continuity are constraints, whose weights grow until they hold",
    )
    temperature: Positive = setting(0.1, "relobralo: a smaller one lets the slowest column take more")
    decay: Factor = setting(0.999, "relobralo: share of the factors that stays from step to step")
    lookback: Share = setting(0.999, "relobralo: how often, in the mean, a step leaves the first losses aside")
    asymmetry: NonNegative = setting(1.5, "gradnorm: 0 makes all gradients of one length; larger: slow columns gain")
    lr: Positive = setting(0.025, "gradnorm: learning rate of the factors' logarithms")
    every: Count = setting(10, "gradnorm, ntk: steps from one update to the next, a backward pass for each column")

    growth: Positive = setting(0.01, "lagrangian: of the weight of a constraint in a step, while it does not fall")
    memory: Factor = setting(0.99, "lagrangian: share of a constraint's mean square that stays from step to step")

    @model_validator(mode="after")
    def _settings_of_the_method_alone(self) -> Balance:
        only_for_method(self, BALANCE_SETTINGS)
        return self


# A setting of another method would be read and do nothing.
BALANCE_SETTINGS = {
    "temperature": ("relobralo",),
    "decay": ("relobralo",),
    "lookback": ("relobralo",),
    "asymmetry": ("gradnorm",),
    "lr": ("gradnorm",),
    "every": ("gradnorm", "ntk"),
    "growth": ("lagrangian",),
    "memory": ("lagrangian",),
}


class Causal(Section):
    """Weights of the equations in time: they count at a time once they hold at the times before."""

    tolerance: Positive | None = setting(
        None,
        "a larger one holds later times back until earlier ones are learned better, 1 for example; null = all times "
        "count alike",
    )
    parts: Count = setting(16, "equal parts of the time, each with a weight")
    every: Count = setting(10, "steps from one update of the weights to the next, a forward pass each")

    @model_validator(mode="after")
    def _settings_of_causal_weights_alone(self) -> Causal:
        for name in ("parts", "every"):
            if self.tolerance is None and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name}: only with a tolerance, got tolerance null")
        return self


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
    lr: Positive = setting(3e-3, "soap, adam: learning rate at the start; a cosine leads to final_lr")
    final_lr: NonNegative = setting(1e-5, "learning rate at the end")
    warm_start: Literal["none", "solver"] = setting(
        "none",
        "solver: the network begins as a fit to the field of a classical solver on coarse grids, which guides the "
        "training, less and less, where it applies (docs/choosing.md); with balance none",
    )
    warm_up: Natural = setting(0, "steps at the start in which the learning rate grows linearly to lr")
    clip: Positive | None = setting(
        None, "soap, adam: a gradient that is longer, over all parameters, is scaled to this length; null = none is"
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
    cuda_graph: Literal["auto", "on", "off"] = setting(
        "auto", "replay a step's loss, its gradients and the update of soap as CUDA graphs; auto: on a CUDA device"
    )

    @model_validator(mode="after")
    def _warm_start_has_its_weight(self) -> Train:
        if self.warm_start != "none" and self.balance.method != "none":
            raise ValueError(f"warm_start: expected balance.method none beside it, got {self.balance.method}")
        return self

    @model_validator(mode="after")
    def _stages_follow_one_another(self) -> Train:
        ends = [stage.until for stage in self.curriculum]
        if any(second <= first for first, second in pairwise(ends)):
            raise ValueError(f"curriculum: expected rising until, got {', '.join(f'{end:g}' for end in ends)}")
        return self

    @model_validator(mode="after")
    def _cosine_goes_down(self) -> Train:
        if self.final_lr > self.lr:
            raise ValueError(f"final_lr: expected at most lr = {self.lr:g}, got {self.final_lr:g}")
        return self

    @model_validator(mode="after")
    def _phases_in_order(self) -> Train:
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
            raise ValueError(f"warm_up: only for optimizer soap and adam, got {self.optimizer}")
        if self.clip is not None and used.isdisjoint(FIRST_ORDER):
            raise ValueError(f"clip: only for soap and adam, got {' and '.join(sorted(used))}")
        if "gauss_newton" in used and self.data_loss != "squares":
            raise ValueError(f"data_loss: expected squares for optimizer gauss_newton, got {self.data_loss}")
        for name, wanted in {"pairs": {"lbfgs"}, "points_for": {"lbfgs", "ssbroyden"}}.items():
            changed = getattr(self.quasi_newton, name) != QuasiNewton.model_fields[name].default
            if changed and used.isdisjoint(wanted):
                raise ValueError(f"quasi_newton.{name}: only for {' and '.join(sorted(wanted))}, which no phase uses")
        return self

    @model_validator(mode="after")
    def _delta_of_huber_alone(self) -> Train:
        if self.data_loss != "huber" and self.huber_delta != Train.model_fields["huber_delta"].default:
            raise ValueError(f"huber_delta: only for data_loss huber, got data_loss {self.data_loss}")
        return self


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
    left_out: Factor | None = setting(
        None,
        "share of the sensors that a second, shorter training leaves out, to measure the error there; null = 0.1 where "
        "there is no reference, else 0, which makes none",
    )
    left_out_steps: Count | None = setting(None, "steps of that training; null = three tenths of train.steps")
    members: Several | None = setting(
        None,
        "networks that are trained beside the one of the run, each with other seeds and without an equal part of the "
        "sensors; they give an interval of 90 % for the velocity, 5 for example; null = none",
    )
    limits: Limits = setting(Limits(), "what must hold")
    baseline: Text | None = setting(
        None, "file of pinnx baseline; a run whose equations, boundaries or gates are others is refused; null = none"
    )
    acknowledged: tuple[Text, ...] = setting(
        (), "settings of the baseline, or sections such as flow, whose change is wanted"
    )

    @model_validator(mode="after")
    def _acknowledged_beside_a_baseline(self) -> Evals:
        if self.acknowledged and self.baseline is None:
            raise ValueError("acknowledged: only with evals.baseline, got none")
        return self


class Report(Section):
    """The pictures of report.html."""

    dpi: Resolution = setting(110, "resolution of the pictures", "dots/inch")
    frames: Count = setting(3, "instants that are drawn of an unsteady flow")
