"""Settings of the optimisation that are sections of their own: phases behind the first, quasi-Newton methods."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from pinnx.config.kinds import Count, Inner, Positive, Section, setting

__all__ = ["FIRST_ORDER", "Optimizer", "Phase", "QuasiNewton"]

Optimizer = Literal["soap", "adam", "lbfgs", "ssbroyden", "gauss_newton"]
FIRST_ORDER = ("soap", "adam")


class QuasiNewton(Section):
    """Settings of lbfgs and ssbroyden, of whichever phase."""

    pairs: Count = setting(50, "lbfgs: last steps, with the changes of the gradient along them, that it remembers")
    points_for: Count = setting(
        200,
        "steps that are taken on one draw of the points; fewer where no step lowers the loss on them any more",
    )


class Phase(Section):
    """A later part of the training with another optimiser, precision or learning rate."""

    start: Inner = setting(..., "it begins at the latest after this share of train.steps")
    optimizer: Optimizer = setting("lbfgs", "what takes its steps, as for train.optimizer")
    dtype: Literal["float32", "float64"] | None = setting(
        None, "precision; null = float64 for lbfgs, ssbroyden and gauss_newton, else as before"
    )
    lr: Positive | None = setting(
        None, "soap, adam: learning rate at its start, from which a cosine leads to train.final_lr; null = train.lr"
    )
    patience: Count | None = setting(
        None, "it begins earlier once the loss has fallen by less than 5 % in so many steps; null = it does not"
    )

    @model_validator(mode="after")
    def _as_its_optimizer_needs(self) -> Phase:
        if self.optimizer not in FIRST_ORDER:
            if self.dtype == "float32":
                raise ValueError(f"dtype: expected float64 for {self.optimizer}, which compares losses, got float32")
            if self.lr is not None:
                raise ValueError(f"lr: only for soap and adam, got optimizer {self.optimizer}, which finds its own")
        return self
