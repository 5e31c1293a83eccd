"""The term of what is known: the mean square of the misfit over the components that are known.

    term = sum_ic mask_ic misfit_ic^2 / sum_ic mask_ic

Components count one by one: a wall knows two velocities, an outlet one pressure. (The terms of the equations come out
of the fused step, `pinn_ext.navier_stokes_loss`.)
"""

from __future__ import annotations

from torch import Tensor

from pinnx.errors import PinnxError

__all__ = ["masked_mean_square"]


def masked_mean_square(misfit: Tensor, mask: Tensor) -> Tensor:
    """The mean square of a misfit where it counts, a scalar, differentiable in ``misfit``.

    Args:
        misfit: prediction minus measurement, [n, c].
        mask: one where the component is known, else zero, [n, c].

    Raises:
        PinnxError: no points, as a mean over nothing would be a loss that is always met; or a mask of another shape.
    """
    if misfit.shape[0] == 0:
        raise PinnxError("loss: expected at least one point, got none")
    if mask.shape != misfit.shape:
        raise PinnxError(f"mask: expected shape {list(misfit.shape)}, got {list(mask.shape)}")
    return (misfit * mask).square().sum() / mask.sum()
