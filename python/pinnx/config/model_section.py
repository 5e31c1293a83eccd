"""Settings of the network; see docs/models.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import model_validator

from pinn_ext.activation import Activation
from pinnx.config.kinds import Count, Natural, NonNegative, Number, Positive, Section, Seed, Switch, setting

__all__ = ["Model"]


class Factorization(Section):
    """Random weight factorisation: each row of a weight matrix is a learned length times a learned direction."""

    mean: Number | None = setting(
        1.0, "mean of the logarithm of the lengths at the start; null = plain weights, as in a siren without a mean"
    )
    deviation: NonNegative = setting(0.1, "its standard deviation")

    @model_validator(mode="after")
    def _deviation_with_a_mean(self) -> Factorization:
        if self.mean is None and self.changed("deviation"):
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
    time_period: Positive | None = setting(
        None,
        "period of a flow that repeats itself: the fields have it exactly, and t is scaled by one over it; null = none",
        "time",
    )
    train_frequencies: Switch = setting(False, "train the frequencies too, but for those along periodic axes")
    activation: Activation = setting("tanh", "activation function; a siren takes sine")
    omega: Positive = setting(5.0, "siren: factor on what goes into each sine; the paper has 30")
    factorization: Factorization = setting(Factorization(), "of the weights of all layers")
    hard_boundaries: Switch = setting(
        False,
        "what is prescribed at sides and circles holds exactly, by the form of the fields; other places stay in the "
        "loss; with a stream function the walls of a box, trained by gauss_newton",
    )
    stream_function: Switch = setting(
        False,
        "the velocity is the curl of a stream function, so its divergence is zero by form; for plane flows, with an "
        "mlp or a siren",
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
        if self.architecture != "siren" and self.changed("omega"):
            raise ValueError(f"omega: only for a siren, got {self.architecture}")
        if self.architecture == "siren" and self.activation != "sine":
            raise ValueError(f"activation: expected sine for a siren, got {self.activation}")
        if self.stream_function and self.architecture == "piratenet":
            raise ValueError("stream_function: expected an mlp or a siren, got piratenet")
        if self.architecture == "siren" and self.train_frequencies:
            raise ValueError("train_frequencies: those of a siren always are; set it to false")
        if self.architecture == "siren" and self.factorization.mean is not None:
            raise ValueError("factorization.mean: not for a siren, whose omega does the same; set it to null")
        return self
