"""How far a pass over streamed snapshots has got, told to whoever asks.

progress("pass 2", 300, 8000)     300 of 8,000 snapshots, or places where columns are read;
                                  None in place of a total that is not known
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from torch import Tensor

from pinnx.sensors.snapshot_source import SnapshotSource

__all__ = ["Progress", "watch"]

Progress = Callable[[str, int, int | None], None]


def watch(source: SnapshotSource, progress: Progress) -> None:
    """Have a source tell how far each pass has got.

    Args:
        source: what is read; its methods `rows` and `columns` are wrapped, for this one object.
        progress: called before the first block of a pass and after each, in the thread that works.
    """
    rows, columns, passes = source.rows, source.columns, count(1)

    def watched_rows() -> Iterator[Tensor]:
        name, total, done = f"pass {next(passes)}", source.num_snapshots, 0
        progress(name, 0, total)
        for block in rows():
            size = len(block)
            yield block
            done += size
            progress(name, done, total)

    def watched_columns() -> Iterator[tuple[int, int, Tensor]]:
        name = f"pass {next(passes)}"
        progress(name, 0, source.n)
        for begin, end, block in columns():
            yield begin, end, block
            progress(name, end // source.c, source.n)

    own: Any = source
    own.rows, own.columns = watched_rows, watched_columns
