"""A dataset that MATLAB wrote as HDF5 (version 7.3), with its axes in reverse: indexed here as MATLAB shows it."""

from __future__ import annotations

import math
from typing import Any

import h5py
import numpy as np

__all__ = ["MatlabDataset"]


class MatlabDataset:
    """An array whose axes are those of a dataset from the last to the first; only what is indexed is read."""

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset = dataset
        self.shape: tuple[int, ...] = dataset.shape[::-1]
        self.chunks: tuple[int, ...] | None = dataset.chunks and dataset.chunks[::-1]
        self.dtype, self.ndim, self.size = dataset.dtype, len(self.shape), math.prod(self.shape)
        self.nbytes = self.size * self.dtype.itemsize

    @property
    def fillvalue(self) -> Any:
        """What it holds where nothing was written."""
        return self._dataset.fillvalue

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._dataset[()], dtype).T

    def __getitem__(self, index: Any) -> np.ndarray:
        index = index if isinstance(index, tuple) else (index,)
        if len(index) - (Ellipsis in index) > self.ndim:
            raise IndexError(f"{len(index)} indices for {self.ndim} axes")
        at = index.index(Ellipsis) if Ellipsis in index else len(index)
        left = [slice(None)] * (self.ndim - len(index) + (Ellipsis in index))
        place = (*index[:at], *left, *index[at + 1 :])
        if any(isinstance(cut, slice) and (cut.step or 1) < 0 for cut in place):
            return np.asarray(self)[place]
        return np.asarray(self._dataset[place[::-1]]).T
