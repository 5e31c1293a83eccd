"""Networks that speak jets."""

from __future__ import annotations

from pinnx.models.added_field import AddedField
from pinnx.models.field_model import FieldModel
from pinnx.models.fourier_network import FourierNetwork, random_frequencies

__all__ = ["AddedField", "FieldModel", "FourierNetwork", "random_frequencies"]
