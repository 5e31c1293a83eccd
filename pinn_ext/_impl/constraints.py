"""What limits a choice of columns: checks of weights, costs and constraints, and their form for the kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinn_ext._impl.checks import describe

__all__ = [
    "NO_CONSTRAINTS",
    "Constraints",
    "check_constraints",
    "check_forced",
    "check_forced_allowed",
    "check_no_mask",
    "given_tensor",
    "num_left",
]

MAX_REGIONS = 1 << 24  # where candidates are fewer: each label has a quota in memory, used or not


@dataclass(frozen=True)
class Constraints:
    """Tensors on the device of ``A``; None where nothing is asked.

    Args:
        weights, costs: ``[n]`` in the dtype of ``A``. A weight of zero is among the forbidden.
        forbidden: ``[n]`` uint8.
        forced: ``[f]`` int64, distinct, none of them forbidden.
        positions: ``[n, d]`` float64.
        min_distance: where there are positions.
        regions: ``[n]`` int64.
        quotas: ``[num_regions]`` int64.
    """

    weights: Tensor | None
    costs: Tensor | None
    forbidden: Tensor | None
    forced: Tensor
    positions: Tensor | None
    min_distance: float
    regions: Tensor | None
    quotas: Tensor | None


NO_CONSTRAINTS = Constraints(None, None, None, torch.zeros(0, dtype=torch.int64), None, 0.0, None, None)


def check_constraints(
    A: Tensor,
    k: int,
    *,
    weights: Any,
    costs: Any,
    forbidden: Any,
    forced: Any,
    positions: Any,
    min_distance: Any,
    regions: Any,
    max_per_region: Any,
) -> Constraints:
    """Raises where the arguments contradict one another, or leave fewer than ``k`` of the n candidates of ``A``."""
    n = A.shape[1]
    weight = _numbers("weights", weights, n, A)
    cost = _numbers("costs", costs, n, A)
    banned = _forbidden(forbidden, n, A.device)
    chosen = check_forced(forced, n, k).to(A.device)
    if weight is not None and bool((weight < 0).any()):
        raise ValueError(f"weights: expected numbers >= 0, got {weight.min().item():g}")
    position, distance = _positions(positions, min_distance, n, A.device)
    region, quota = _regions(regions, max_per_region, n, A.device)
    check_forced_allowed(
        chosen,
        weights=None if weight is None else weight[chosen],
        forbidden=None if banned is None else banned[chosen],
        positions=None if position is None else position[chosen],
        min_distance=distance,
        regions=None if region is None else region[chosen],
        quotas=quota,
    )
    if weight is not None and bool((weight == 0).any()):
        banned = weight == 0 if banned is None else banned | (weight == 0)
    free = None if region is None or quota is None else _bincount(region if banned is None else region[~banned], quota)
    left = num_left(n if banned is None else n - int(banned.sum()), free, quota)
    if k > left:
        raise ValueError(f"k: expected at most {left}, the candidates that the constraints leave of {n}, got {k}")
    return Constraints(
        weight,
        cost,
        None if banned is None else banned.to(torch.uint8),
        chosen,
        position,
        distance,
        region,
        quota,
    )


def check_forced(value: Any, n: int | None, k: int) -> Tensor:
    """Distinct indices, at most ``k``, on the CPU; below ``n``, where that is known."""
    indices = _indices("forced", () if value is None else value, n, torch.device("cpu"))
    if indices.numel() > k:
        raise ValueError(f"forced: expected at most k = {k} indices, got {indices.numel()}")
    if len(set(indices.tolist())) != indices.numel():
        raise ValueError(f"forced: expected distinct indices, got {indices.tolist()}")
    return indices


def check_forced_allowed(
    forced: Tensor,
    *,
    weights: Tensor | None,
    forbidden: Tensor | None,
    positions: Tensor | None,
    min_distance: float,
    regions: Tensor | None,
    quotas: Tensor | None,
) -> None:
    """Raises unless the forced may all be chosen; weights, forbidden, positions and regions are theirs alone."""
    if weights is not None and bool((weights == 0).any()):
        raise ValueError("weights, forced: expected a weight above 0 for each forced candidate, got 0")
    if forbidden is not None and bool(forbidden.any()):
        both = forced[forbidden.to(forced.device)].tolist()
        raise ValueError(f"forced, forbidden: expected no candidate in both, got {both}")
    for i in range(1, 0 if positions is None else forced.numel()):
        assert positions is not None
        nearest = float((positions[:i] - positions[i]).square().sum(1).min()) ** 0.5
        if nearest < min_distance:
            raise ValueError(
                f"forced: expected candidates at least min_distance = {min_distance:g} from one another, got "
                f"{nearest:g} at index {forced[i].item()}"
            )
    if regions is not None and quotas is not None:
        over = _bincount(regions, quotas) > quotas
        if bool(over.any()):
            raise ValueError(
                f"forced: expected at most max_per_region in each region, got more in region {int(over.nonzero()[0])}"
            )


def num_left(num_allowed: int, num_in_regions: Tensor | None, quotas: Tensor | None) -> int:
    """How many of the allowed may be chosen together, but for distances."""
    if num_in_regions is None or quotas is None:
        return num_allowed
    return int(torch.minimum(num_in_regions, quotas).sum())


def _bincount(regions: Tensor, quotas: Tensor) -> Tensor:
    return torch.bincount(regions, minlength=quotas.numel())


def check_no_mask(name: str, value: Any) -> None:
    """A masked array of NumPy would lose its mask without a word."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        masked = int(np.ma.getmaskarray(value).sum())
        raise ValueError(f"{name}: expected numbers without a mask, got {masked} masked ones of {value.size}")


def given_tensor(name: str, value: Any, wanted: str) -> Tensor:
    """What came as a tensor, of any type and shape. Raises where it is none."""
    check_no_mask(name, value)
    try:
        if isinstance(value, np.ndarray):
            # A copy: torch takes no view of another byte order or of negative strides, and warns of read-only memory.
            value = np.array(value, dtype=value.dtype.newbyteorder("="), order="C")
        tensor = torch.as_tensor(value).detach()
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise TypeError(f"{name}: expected {wanted}, got {describe(value)}") from error
    if tensor.layout is not torch.strided or tensor.is_meta:
        raise ValueError(f"{name}: expected {wanted}, dense and in memory, got {describe(tensor)} ({tensor.layout})")
    return tensor


def _numbers(name: str, value: Any, n: int, A: Tensor) -> Tensor | None:
    if value is None:
        return None
    wanted = f"{n} finite numbers, one for each candidate"
    numbers = given_tensor(name, value, wanted)
    if list(numbers.shape) != [n] or numbers.is_complex() or numbers.dtype == torch.bool:
        raise ValueError(f"{name}: expected {wanted}, got {describe(numbers)}")
    numbers = numbers.to(A.device, A.dtype).contiguous()
    if not bool(numbers.isfinite().all()):
        raise ValueError(f"{name}: expected {wanted}, got {int((~numbers.isfinite()).sum())} that are NaN or infinite")
    return numbers


def _indices(name: str, value: Any, n: int | None, device: torch.device) -> Tensor:
    wanted = "indices from 0" if n is None else f"indices from 0 to {n - 1}"
    indices = given_tensor(name, value, wanted)
    if indices.numel() == 0:
        return torch.zeros(0, dtype=torch.int64, device=device)
    if indices.dim() > 1 or indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool:
        raise ValueError(f"{name}: expected {wanted}, got {describe(indices)}")
    indices = indices.reshape(-1).to(device, torch.int64)
    wrong = indices[(indices < 0) | (indices >= (2**63 - 1 if n is None else n))]
    if wrong.numel():
        raise ValueError(f"{name}: expected {wanted}, got {wrong[0].item()}")
    return indices


def _forbidden(value: Any, n: int, device: torch.device) -> Tensor | None:
    if value is None:
        return None
    tensor = given_tensor("forbidden", value, f"a mask of {n} bools, or indices")
    if tensor.dtype == torch.bool:
        if list(tensor.shape) != [n]:
            raise ValueError(f"forbidden: expected a mask of {n} bools, or indices, got {describe(tensor)}")
        return tensor.to(device)
    mask = torch.zeros(n, dtype=torch.bool, device=device)
    mask[_indices("forbidden", value, n, device)] = True
    return mask


def _positions(positions: Any, min_distance: Any, n: int, device: torch.device) -> tuple[Tensor | None, float]:
    if (positions is None) != (min_distance is None):
        there, missing = ("positions", "min_distance") if min_distance is None else ("min_distance", "positions")
        raise ValueError(f"{missing}: expected with {there}, got None")
    if positions is None:
        return None, 0.0
    position = given_tensor("positions", positions, f"coordinates [{n}, d]")
    no_number = position.is_complex() or position.dtype == torch.bool
    if position.dim() != 2 or position.shape[0] != n or position.shape[1] == 0 or no_number:
        raise ValueError(f"positions: expected coordinates [{n}, d], got {describe(position)}")
    position = position.to(device, torch.float64).contiguous()
    if not bool(position.isfinite().all()):
        raise ValueError("positions: expected finite coordinates, got NaN or infinity")
    try:
        if isinstance(min_distance, bool | np.bool_ | str | bytes):
            raise TypeError
        distance = float(min_distance)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise TypeError(f"min_distance: expected a number above 0, got {describe(min_distance)}") from error
    if not 0.0 < distance < float("inf"):
        raise ValueError(f"min_distance: expected a number above 0, got {min_distance!r}")
    return position, distance


def _regions(regions: Any, max_per_region: Any, n: int, device: torch.device) -> tuple[Tensor | None, Tensor | None]:
    if (regions is None) != (max_per_region is None):
        there, missing = ("regions", "max_per_region") if max_per_region is None else ("max_per_region", "regions")
        raise ValueError(f"{missing}: expected with {there}, got None")
    if regions is None:
        return None, None
    region = given_tensor("regions", regions, f"{n} labels")
    if list(region.shape) != [n] or region.is_floating_point() or region.is_complex() or region.dtype == torch.bool:
        raise ValueError(f"regions: expected {n} whole numbers from 0, got {describe(region)}")
    region = region.to(device, torch.int64).contiguous()
    if int(region.min()) < 0:
        raise ValueError(f"regions: expected labels from 0, got {int(region.min())}")
    num_regions = int(region.max()) + 1
    if num_regions > (most := max(n, MAX_REGIONS)):
        raise ValueError(f"regions: expected labels from 0 to {most - 1}, got {num_regions - 1}")
    quota = given_tensor("max_per_region", max_per_region, "a whole number, or one for each region")
    if quota.is_floating_point() or quota.is_complex() or quota.dtype == torch.bool or quota.dim() > 1:
        raise ValueError(f"max_per_region: expected a whole number, or one for each region, got {describe(quota)}")
    quota = quota.to(device, torch.int64)
    if quota.dim() == 1 and quota.numel() < num_regions:
        raise ValueError(f"max_per_region: expected {num_regions} numbers, one for each region, got {quota.numel()}")
    quota = (quota.expand(num_regions) if quota.dim() == 0 else quota).contiguous()
    if int(quota.min()) < 0:
        raise ValueError(f"max_per_region: expected numbers >= 0, got {int(quota.min())}")
    return region, quota
