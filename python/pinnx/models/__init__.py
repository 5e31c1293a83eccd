"""Networks that speak jets."""

from __future__ import annotations

from pinnx.models.fourier_network import FourierNetwork, random_frequencies

__all__ = ["FourierNetwork", "random_frequencies"]
