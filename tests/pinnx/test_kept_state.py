"""The state of an object by the names of its attributes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from pinnx.kept_state import KeptState
from pinnx.train import load_checkpoint, save_checkpoint


class Inner(KeptState):
    kept = ("_numbers",)

    def __init__(self, numbers: list[float]) -> None:
        self._numbers = torch.tensor(numbers)


class Outer(KeptState):
    kept = ("step", "_least", "notes", "done", "_inner")

    def __init__(self, step: int, numbers: list[float]) -> None:
        self.step, self._least, self.notes, self.done = step, math.inf, [f"step {step}"], step > 1
        self._inner = Inner(numbers)
        self.other = step


def test_a_state_goes_through_a_checkpoint_into_what_is_there(tmp_path: Path) -> None:
    saved, loaded = Outer(2, [1.0, 2.0]), Outer(1, [0.0, 0.0])
    place = loaded._inner._numbers
    save_checkpoint(tmp_path / "c", saved.state_dict())
    loaded.load_state_dict(load_checkpoint(tmp_path / "c"))
    assert (loaded.step, loaded._least, loaded.notes, loaded.done) == (2, math.inf, ["step 2"], True)
    assert loaded._inner._numbers is place, "a CUDA graph reads it there"
    assert place.tolist() == [1.0, 2.0]
    assert loaded.other == 1, "what is not named is not touched"
    assert set(saved.state_dict()) == {"step", "least", "notes", "done", "inner"}
    loaded.notes.append("later")
    assert saved.notes == ["step 2"]


def test_what_does_not_fit_is_refused() -> None:
    loaded = Outer(1, [0.0, 0.0])
    with pytest.raises(ValueError, match=r"^numbers: expected \[2\], got \[1\]$"):  # copying would repeat it
        loaded.load_state_dict(Outer(2, [1.0]).state_dict())
    with pytest.raises(KeyError):
        loaded.load_state_dict({"step": 1})
