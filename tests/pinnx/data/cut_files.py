"""What is said of a file that is cut while it is mapped; for a process of its own, which the system would end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pinnx.data import DataMapping, MemoryMappedDataset
from pinnx.data.stored_velocity import StoredVelocity
from pinnx.errors import PinnxError


def kept_and_new_block_of_a_file_that_is_cut(path: Path) -> list[str]:
    rows = MemoryMappedDataset(path, 10)
    rows.block(0)
    os.truncate(path, 1000)
    said = []
    for number in (0, 5):
        with pytest.raises(PinnxError) as refused:
            rows.block(number).max()
        said.append(str(refused.value))
    return said


def what_a_file_that_is_cut_says(path: Path, names: DataMapping) -> str:
    velocity = StoredVelocity([path], names)
    os.truncate(path, 4096)
    with pytest.raises(PinnxError) as refused:
        velocity[tuple(map(slice, (0,) * 4, velocity.shape))]
    return str(refused.value)
