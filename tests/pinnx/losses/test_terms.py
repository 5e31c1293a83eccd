"""The term of what is known: means over components, nothing that is masked, and no mean over nothing."""

from __future__ import annotations

import pytest
import torch

from pinnx.errors import PinnxError
from pinnx.losses import masked_mean_square


def test_mean_square_of_known_numbers() -> None:
    misfit = torch.tensor([[1.0, 2.0], [3.0, -4.0]])
    assert float(masked_mean_square(misfit, torch.ones(2, 2))) == 7.5
    assert float(masked_mean_square(misfit, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))) == 8.5
    assert float(masked_mean_square(misfit, torch.tensor([[0.0, 1.0], [0.0, 0.0]]))) == 4.0


def test_what_is_unknown_has_no_gradient() -> None:
    misfit = torch.tensor([[1.0, 5.0], [3.0, -4.0]], requires_grad=True)
    masked_mean_square(misfit, torch.tensor([[1.0, 0.0], [1.0, 0.0]])).backward()
    assert misfit.grad is not None
    assert misfit.grad.tolist() == [[1.0, 0.0], [3.0, 0.0]]


def test_no_points_are_no_loss() -> None:
    with pytest.raises(PinnxError, match="loss: expected at least one point, got none"):
        masked_mean_square(torch.ones(0, 3), torch.ones(0, 3))


@pytest.mark.parametrize("shape", [(2,), (3,), (2, 1), ()])
def test_a_mask_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PinnxError, match=r"mask: expected shape \[2, 3\], got \["):
        masked_mean_square(torch.ones(2, 3), torch.ones(shape))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_misfit_that_is_not_finite_shows(bad: float) -> None:
    assert not torch.isfinite(masked_mean_square(torch.tensor([[bad, 1.0]]), torch.tensor([[0.0, 1.0]])))
