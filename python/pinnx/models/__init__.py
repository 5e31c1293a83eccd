"""Networks that speak jets."""

from __future__ import annotations

from pinnx.models.added_field import AddedField
from pinnx.models.factorization import factorize_weights
from pinnx.models.field_model import FieldModel
from pinnx.models.fourier_network import FourierNetwork
from pinnx.models.frequencies import random_frequencies, train_frequencies
from pinnx.models.hard_boundaries import Circle, HardBoundaries, Held, Plane
from pinnx.models.pirate_network import PirateNetwork
from pinnx.models.pressure_ramp import PressureRamp
from pinnx.models.siren import Siren
from pinnx.models.stream_function import StreamFunction, VorticityStreamFunction

__all__ = [
    "AddedField",
    "Circle",
    "FieldModel",
    "FourierNetwork",
    "HardBoundaries",
    "Held",
    "PirateNetwork",
    "Plane",
    "PressureRamp",
    "Siren",
    "StreamFunction",
    "VorticityStreamFunction",
    "factorize_weights",
    "random_frequencies",
    "train_frequencies",
]
