"""The frequencies B [d, m] of Fourier features: how they are drawn, and how they are trained.

    random       B_ij = sigma_i scale_i band_j g_ij,   g Gaussian, or uniform of the same spread
    periodic     rounded to whole waves on periodic axes, so that the features are exactly periodic there
    harmonics    k / period on one periodic axis, 0 on all others, k = 1 .. K

Sources: Tancik et al., NeurIPS 2020 (random features); Wang, Wang and Perdikaris, Comput. Methods Appl. Mech. Eng. 384,
2021 (several scales; here they are columns of one B in front of one network); Dong and Ni, J. Comput. Phys. 435, 2021
(periodic embeddings).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from pinnx.errors import PinnxError
from pinnx.models.field_model import FieldModel

__all__ = ["random_frequencies", "train_frequencies"]


def random_frequencies(
    scale: Sequence[float],
    sigma: float | Sequence[float],
    num_frequencies: int,
    *,
    seed: int,
    periods: Mapping[int, float] | None = None,
    bands: Sequence[float] = (1.0,),
    harmonics: int = 0,
    uniform: bool = False,
) -> Tensor:
    """Random frequencies, rounded to whole waves on periodic axes, and behind them the harmonics of these axes.

    Args:
        scale: factor on each input, [d], > 0; one over the domain's extent makes sigma a number of waves.
        sigma: standard deviation in scaled coordinates, one number or one per coordinate, > 0.
        num_frequencies: random ones, >= 1, and at least as many as bands.
        seed: names the draw.
        periods: input -> period; the features are then exactly periodic along it.
        bands: factors on sigma, > 0, each for an equal part of the random frequencies.
        harmonics: K, for each periodic input.
        uniform: draw uniformly, with the same standard deviation.

    Returns:
        [d, m] float64, cycles per unit of each input, m = num_frequencies + K len(periods).

    Raises:
        PinnxError: numbers of the wrong count or sign; harmonics without a periodic input.
    """
    d = len(scale)
    sigmas = [float(sigma)] * d if isinstance(sigma, int | float) else [float(s) for s in sigma]
    if len(sigmas) != d:
        raise PinnxError(f"model.sigma: expected one number or {d}, one per coordinate, got {len(sigmas)}")
    if not all(math.isfinite(s) and s > 0 for s in (*scale, *sigmas)) or num_frequencies < 1:
        raise PinnxError(
            f"frequencies: expected scale, sigma and their number > 0, got {list(scale)}, {sigmas}, {num_frequencies}"
        )
    if not 1 <= len(bands) <= num_frequencies or not all(math.isfinite(band) and band > 0 for band in bands):
        raise PinnxError(f"model.bands: expected 1 to {num_frequencies} numbers > 0, got {list(bands)}")
    if harmonics and not periods:
        raise PinnxError(f"model.harmonics: expected a periodic axis, got none for {harmonics} harmonics; set it to 0")
    generator = torch.Generator().manual_seed(seed)
    if uniform:
        frequencies = torch.rand(d, num_frequencies, generator=generator, dtype=torch.float64)
        frequencies = (2 * frequencies - 1) * math.sqrt(3)
    else:
        frequencies = torch.randn(d, num_frequencies, generator=generator, dtype=torch.float64)
    frequencies *= torch.tensor(sigmas, dtype=torch.float64)[:, None]
    frequencies *= torch.tensor(scale, dtype=torch.float64)[:, None]
    frequencies *= torch.tensor(bands, dtype=torch.float64)[
        torch.arange(num_frequencies) * len(bands) // num_frequencies
    ]
    whole = [frequencies]
    for axis, period in (periods or {}).items():
        frequencies[axis] = torch.round(frequencies[axis] * period) / period
        along = torch.zeros(d, harmonics, dtype=torch.float64)
        along[axis] = torch.arange(1, harmonics + 1, dtype=torch.float64) / period
        whole.append(along)
    return torch.cat(whole, dim=1)


def train_frequencies(model: FieldModel, *, fixed: Collection[int] = (), rates: Sequence[float] | None = None) -> None:
    """Makes the frequencies of a model a parameter, in place; they are now ``rates_i`` times that parameter.

    Args:
        model: with frequencies that are not trained yet.
        fixed: inputs whose frequencies stay as they are: the periodic ones.
        rates: [d], > 0, how fast the frequencies of each input follow the parameter; None: ones.
    """
    frequencies = model.frequencies
    del model.frequencies
    model.register_parameter("frequencies", nn.Parameter(frequencies))
    parametrize.register_parametrization(model, "frequencies", _Trained(frequencies, fixed, rates))


class _Trained(nn.Module):
    """Frequencies from their parameter; rows that are not trained come from a buffer, so that they stay exact."""

    def __init__(self, start: Tensor, fixed: Collection[int], rates: Sequence[float] | None) -> None:
        super().__init__()
        self.register_buffer("start", start.clone(), persistent=False)
        self.register_buffer("free", torch.tensor([[i not in fixed] for i in range(len(start))]), persistent=False)
        rate = torch.tensor([1.0] * len(start) if rates is None else rates, dtype=torch.float64)
        self.register_buffer("rate", rate.to(start)[:, None], persistent=False)

    def forward(self, parameter: Tensor) -> Tensor:
        return torch.where(self.free, parameter * self.rate, self.start)

    def right_inverse(self, frequencies: Tensor) -> Tensor:
        return frequencies / self.rate
