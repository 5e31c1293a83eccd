"""What limits a choice of columns: checks of weights, costs and constraints, and their form for the kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    limits = Constraints(weight, cost, banned, chosen, position, distance, region, quota)
    check_forced_allowed(limits, chosen)
    if weight is not None and bool((weight == 0).any()):
        banned = weight == 0 if banned is None else banned | (weight == 0)
    free = None if region is None or quota is None else _bincount(region if banned is None else region[~banned], quota)
    left = num_left(n if banned is None else n - int(banned.sum()), free, quota)
    if k > left:
        raise ValueError(f"k: expected at most {left}, the candidates that the constraints leave of {n}, got {k}")
    return limits if banned is None else replace(limits, forbidden=banned.to(torch.uint8))


def check_forced(value: Any, n: int | None, k: int) -> Tensor:
    """Distinct indices, at most ``k``, on the CPU; below ``n``, where that is known."""
    indices = _indices("forced", () if value is None else value, n, torch.device("cpu"))
    if indices.numel() > k:
        raise ValueError(f"forced: expected at most k = {k} indices, got {indices.numel()}")
    if len(set(indices.tolist())) != indices.numel():
        raise ValueError(f"forced: expected distinct indices, got {indices.tolist()}")
    return indices


def check_forced_allowed(limits: Constraints, numbers: Tensor) -> None:
    """Raises unless the forced may all be chosen; a message calls them by their ``numbers``."""
    forced = limits.forced
    if limits.weights is not None and bool((limits.weights[forced] == 0).any()):
        raise ValueError("weights, forced: expected a weight above 0 for each forced candidate, got 0")
    if limits.forbidden is not None and bool((forbidden := limits.forbidden[forced].bool()).any()):
        raise ValueError(f"forced, forbidden: expected no candidate in both, got {numbers[forbidden].tolist()}")
    if limits.positions is not None:
        positions = limits.positions[forced]
        for i in range(1, forced.numel()):
            nearest = float((positions[:i] - positions[i]).square().sum(1).min()) ** 0.5
            if nearest < limits.min_distance:
                raise ValueError(
                    f"forced: expected candidates at least min_distance = {limits.min_distance:g} from one another, "
                    f"got {nearest:g} at index {numbers[i].item()}"
                )
    if limits.regions is not None and limits.quotas is not None:
        over = _bincount(limits.regions[forced], limits.quotas) > limits.quotas
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


def _array(name: str, value: Any, wanted: str, *shapes: Sequence[int | None], whole: bool = False) -> Tensor:
    """Real numbers of one of the shapes, in which None is any length from 1; ``whole``: of a type for whole numbers."""
    array = given_tensor(name, value, wanted)
    fits = array.numel() > 0 and any(
        len(shape) == array.dim() and all(want in (None, size) for want, size in zip(shape, array.shape, strict=True))
        for shape in shapes
    )
    if not fits or array.is_complex() or array.dtype == torch.bool or (whole and array.is_floating_point()):
        raise ValueError(f"{name}: expected {wanted}, got {describe(array)}")
    return array


def _together(**pair: Any) -> bool:
    """Whether two arguments that need each other are there. Raises where one is missing."""
    missing = [name for name, value in pair.items() if value is None]
    if len(missing) == 1:
        (there,) = pair.keys() - missing
        raise ValueError(f"{missing[0]}: expected with {there}, got None")
    return not missing


def _numbers(name: str, value: Any, n: int, A: Tensor) -> Tensor | None:
    if value is None:
        return None
    wanted = f"{n} finite numbers, one for each candidate"
    numbers = _array(name, value, wanted, [n]).to(A.device, A.dtype).contiguous()
    if not bool(numbers.isfinite().all()):
        raise ValueError(f"{name}: expected {wanted}, got {int((~numbers.isfinite()).sum())} that are NaN or infinite")
    return numbers


def _indices(name: str, value: Any, n: int | None, device: torch.device) -> Tensor:
    wanted = "indices from 0" if n is None else f"indices from 0 to {n - 1}"
    if given_tensor(name, value, wanted).numel() == 0:  # of any type, as an empty list is one of floats
        return torch.zeros(0, dtype=torch.int64, device=device)
    indices = _array(name, value, wanted, [], [None], whole=True).reshape(-1).to(device, torch.int64)
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
    if not _together(positions=positions, min_distance=min_distance):
        return None, 0.0
    position = _array("positions", positions, f"coordinates [{n}, d]", [n, None])
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
    if not _together(regions=regions, max_per_region=max_per_region):
        return None, None
    region = _array("regions", regions, f"{n} whole numbers from 0", [n], whole=True)
    region = region.to(device, torch.int64).contiguous()
    if int(region.min()) < 0:
        raise ValueError(f"regions: expected labels from 0, got {int(region.min())}")
    num_regions = int(region.max()) + 1
    if num_regions > (most := max(n, MAX_REGIONS)):
        raise ValueError(f"regions: expected labels from 0 to {most - 1}, got {num_regions - 1}")
    wanted = "a whole number, or one for each region"
    quota = _array("max_per_region", max_per_region, wanted, [], [None], whole=True).to(device, torch.int64)
    if quota.dim() == 1 and quota.numel() < num_regions:
        raise ValueError(f"max_per_region: expected {num_regions} numbers, one for each region, got {quota.numel()}")
    quota = (quota.expand(num_regions) if quota.dim() == 0 else quota).contiguous()
    if int(quota.min()) < 0:
        raise ValueError(f"max_per_region: expected numbers >= 0, got {int(quota.min())}")
    return region, quota
