"""Choose sensors for snapshots of any size, in the manner of scikit-learn.

    X [T, n] or [T, n, c]  ->  A [r, n, c]  ->  k columns by pivoted QR

Pivoted QR is that of `pinn_ext.pivoted_qr`; how A is made: `pivoted_matrix.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

import pinn_ext
from pinnx.data.blocks import ArraySource, Progress, SnapshotSource
from pinnx.data.given_arrays import unmasked
from pinnx.data.open_snapshots import open_snapshots
from pinnx.errors import PinnxError
from pinnx.sensors.constraints import Constraints
from pinnx.sensors.fit_cache import SelectionCache, fingerprint, learned, restore
from pinnx.sensors.pivoted_matrix import BASES, MatrixPlan, PivotedMatrix, work_rows
from pinnx.sensors.quality import SelectionQuality, selection_quality

__all__ = ["SensorSelector"]

# What says where things are stored, and not what comes out.
STORAGE = ("memory_limit", "cache")


@dataclass(eq=False, repr=False, kw_only=True)
class SensorSelector(Constraints, MatrixPlan):
    """Choose k places from which the field can be recovered.

    Args:
        n_sensors: k, 1 <= k <= n.
        basis: "pod", "randomized" or "identity".
        n_modes: r; None takes k (1 + c) / 2, as many as sensors where one measures one number, save
            those that are no more than the rounding of float32 data. Not for "identity".
        method: "exact" or "randomized", of `pinn_ext.pivoted_qr`.
        subtract_mean: take the mean over time off first; else the mean is among the modes.
        scale_modes: weight each mode by its singular value, so that sensors go where energy is not
            yet seen; orthonormal modes alone weigh the weakest like the strongest, which is best
            for as many sensors as modes, without noise.
        areas: [n] > 0, what each place stands for (`pinnx.sensors.cell_areas`): modes are those of the inner
            product over the domain, so that an uneven mesh does not count. Their values at the places are
            what is pivoted. None: all places alike. Not used by "identity".
        weights: [n] >= 0, multiply what a place would add; 0 forbids it.
        costs: [n], subtracted from it, in units of the columns of A.
        forbidden: bool [n] or indices.
        forced: indices, taken first and in this order.
        positions: [n, d], with `min_distance`.
        min_distance: no two sensors are nearer than that.
        regions: [n] integer labels from 0.
        max_per_region: at most so many in a region, one number or one for each.
        quotas: exactly so many in a region: {label: count}; the others share the rest.
        grid_shape: numbers of places along each axis, in C order; for `refine`.
        refine: multi-resolution: choose among every f-th grid line, then around the winners among
            all; a number f, or falling numbers such as (8, 2) for more levels. 1 or None: at once.
        seed: of what is random.
        oversampling: rows of a sketch beyond the modes.
        power_iterations: of the range finder.
        sketch: "gaussian" or "sparse_sign", for method "randomized".
        memory_limit: bytes for `fit`, beyond what the caller holds; datasets and iterables are
            streamed in blocks so that it holds. None: they are read whole.
        cache: where a fit is looked up, by the content of X and the parameters, and kept: a folder
            or a `SelectionCache`; None: nowhere. Streamed datasets are read once for it.

    Passes over the data: basis "pod" 2 (method of snapshots; 3 where float32 does not resolve the
    modes) or, for many snapshots or data that come in rows, those of "randomized":
    2 + `power_iterations`; "randomized" with method "randomized" 1; "identity" 1.

    Attributes, after `fit`:
        selected_sensors_: [k] int64, by rank.
        basis_: [n, r] or [n, c, r], columns orthonormal (in the inner product of the areas, divided by their
            mean); for "identity" the snapshots.
        singular_values_: [r] float64; None for "identity".
        mean_: [n] or [n, c], what was taken off: the mean over time, or zeros.
        rank_: sensors that added to the span; the others are placed greedily D-optimal within it.
        r_diagonal_: [k], what each added when it was chosen; 0 beyond the rank.
        log_volume_: sum of log r_diagonal_ over the rank, in the scale of A.
        quality_: figures beside random placement (`pinnx.sensors.selection_quality`); see `quality`.
        n_features_in_: n.
        n_snapshots_: T.
        basis_method_: how the basis was made: "snapshots", "range_finder", "sketch", "identity".
        num_passes_: over the data, but for a cache's.
        from_cache_: whether the cache had the answer; all else is as if it had not.

    Source: Manohar, Brunton, Kutz, Brunton, IEEE Control Systems 38, 2018.
    """

    grid_shape: tuple[int, ...] | None = None
    refine: int | tuple[int, ...] | None = None
    memory_limit: int | None = None
    cache: Any = None

    def fit(self, X: Any, y: Any = None, *, progress: Progress | None = None) -> Self:
        """Choose the sensors.

        Args:
            X: [T, n] or [T, n, c] float32 or float64, NumPy or torch on any device (other numbers become
                float64); an h5py dataset or "file.h5::name"; anything with a shape, a dtype and rows
                that can be sliced; or an iterable of blocks of snapshots. It is not changed, and not copied.
                Places that are forbidden, or have a weight of 0, may be NaN in an array: they count as 0.
            y: ignored, as scikit-learn asks for.
            progress: called as progress("pass 1", done, total) while snapshots are streamed: how many of them
                (of the places, where columns are read) a pass has read; "hashing" is what a cache reads.

        Returns:
            self.

        Raises:
            PinnxError: arguments that contradict one another or the data; values that are not finite;
                blocks out of an iterable, streamed, with a cache.
        """
        self._check()
        kept = self.cache is None or isinstance(self.cache, SelectionCache)
        cache: SelectionCache | None = self.cache if kept else SelectionCache(self.cache)
        found, key = None, ""

        def num_rows(c: int) -> int:
            return work_rows(self._rows(c), self.oversampling)

        with open_snapshots(X, num_rows=num_rows, memory_limit=self.memory_limit) as source:
            if self.n_sensors > source.n:
                raise PinnxError(f"n_sensors: expected 1 to {source.n}, the places of X, got {self.n_sensors}")
            if isinstance(source, ArraySource):
                source.matrix = self._without_gaps(source)
            if cache is not None:
                own = {name: value for name, value in self.get_params(deep=False).items() if name not in STORAGE}
                key = fingerprint(source, own, self.memory_limit, progress)
                found = cache.load(key)
            source.progress = None if source.in_memory else progress
            if found is None:
                self._learn(source)
            else:
                restore(self, found)
                if self.basis_method_ == "identity":
                    self._keep_basis(self._matrix_of(source), source)
        if cache is not None and found is None:
            cache.save(key, learned(self))
        self.from_cache_ = found is not None
        self._quality: SelectionQuality | None = None
        return self

    def transform(self, X: Any) -> Any:
        """Return what the sensors see of snapshots: [T, k] or [T, k, c], in the order of their rank."""
        chosen = self.selected_sensors_
        values = X if isinstance(X, Tensor) else unmasked("X", X)
        if values.ndim != self.basis_.ndim or values.shape[1] != self.n_features_in_:
            wanted = ["T", *self.basis_.shape[:-1]]
            raise PinnxError(f"X: expected shape {wanted}, as in fit, got {list(values.shape)}")
        return values[:, torch.from_numpy(chosen).to(values.device)] if isinstance(X, Tensor) else values[:, chosen]

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Choose the sensors and return what they see."""
        return self.fit(X, y).transform(X)

    def get_support(self, indices: bool = False) -> np.ndarray:
        """Return which places were chosen: a mask [n], or their indices in rising order."""
        chosen = np.sort(self.selected_sensors_)
        if indices:
            return chosen
        mask = np.zeros(self.n_features_in_, dtype=bool)
        mask[chosen] = True
        return mask

    def quality(
        self, held_out: Any = None, *, num_random: int = 20, seed: int = 0, progress: Progress | None = None
    ) -> SelectionQuality:
        """Return figures of the choice beside random placement; see `selection_quality`.

        Args:
            held_out: [T, n] or [T, n, c] snapshots that `fit` has not seen, for the error of the linear
                reconstruction; an array, or rows to slice, read in blocks. None: without it.
            num_random: random placements.
            seed: names them.
            progress: called as progress("held-out", done, T).
        """
        chosen, basis = self.selected_sensors_, self.basis_
        if self.singular_values_ is not None:
            basis = basis * self.singular_values_
        options: dict[str, Any] = {"num_random": num_random, "seed": seed, "progress": progress}
        return selection_quality(basis, chosen, mean=self.mean_, held_out=held_out, **options)

    @property
    def quality_(self) -> SelectionQuality:
        """Figures of the choice beside random placement, without held-out snapshots."""
        if self.__dict__.get("_quality") is None:
            self._quality = self.quality()
        assert self._quality is not None
        return self._quality

    def _check(self) -> None:
        if isinstance(self.n_sensors, bool) or not isinstance(self.n_sensors, int | np.integer) or self.n_sensors < 1:
            raise PinnxError(f"n_sensors: expected an integer >= 1, got {self.n_sensors!r}")
        if self.basis not in BASES:
            raise PinnxError(f"basis: expected one of {', '.join(BASES)}, got {self.basis!r}")
        if self.n_modes is not None:
            if self.basis == "identity":
                raise PinnxError("n_modes: only for basis 'pod' or 'randomized', got basis 'identity'")
            if isinstance(self.n_modes, bool) or not isinstance(self.n_modes, int | np.integer) or self.n_modes < 1:
                raise PinnxError(f"n_modes: expected an integer >= 1 or None, got {self.n_modes!r}")
        for name in ("oversampling", "power_iterations"):
            if not getattr(self, name) >= 0:
                raise PinnxError(f"{name}: expected an integer >= 0, got {getattr(self, name)}")

    def _without_gaps(self, source: ArraySource) -> Tensor:
        """The snapshots, 0 in place of NaN at places that may not be chosen; a copy where there are any."""
        excluded = np.zeros(source.n, dtype=bool)
        forbidden, weights = (
            given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(() if given is None else given)
            for given in (self.forbidden, self.weights)
        )
        if forbidden.shape == excluded.shape and forbidden.dtype == bool:
            excluded |= forbidden
        elif forbidden.dtype.kind in "iu" and (forbidden < source.n).all():  # what is wrong is refused where it is used
            excluded[forbidden] = True
        if weights.shape == excluded.shape:
            excluded |= weights == 0.0
        columns = torch.from_numpy(np.flatnonzero(np.repeat(excluded, source.c))).to(source.device)
        if not len(columns) or not bool(source.matrix[:, columns].isnan().any()):
            return source.matrix
        matrix = source.matrix.clone()
        matrix[:, columns] = matrix[:, columns].nan_to_num(nan=0.0)
        return matrix

    def _learn(self, source: SnapshotSource) -> None:
        found = self._matrix_of(source)
        self._keep_basis(found, source)
        values = found.singular_values
        self.singular_values_ = None if values is None else values.cpu().numpy()
        self.basis_method_, self.n_snapshots_ = found.method, found.num_snapshots
        self.n_features_in_ = source.n
        self.num_passes_ = source.num_passes
        self._keep_choice(found.matrix.reshape(-1, source.n, source.c) if source.vector else found.matrix)

    def replace_sensors(self, chosen: np.ndarray) -> None:
        """Take other sensors for those of the fit, in this order; the basis stays.

        Args:
            chosen: [k] distinct places.
        """
        self.forced, self._quality = chosen, None
        scales = self.singular_values_ if self.scale_modes and self.singular_values_ is not None else 1.0
        self._keep_choice(torch.from_numpy(np.ascontiguousarray(np.moveaxis(self.basis_ * scales, -1, 0))))

    def _keep_choice(self, matrix: Tensor) -> None:
        choice = self._choose(matrix)
        self.selected_sensors_ = choice.pivots.cpu().numpy()
        self.r_diagonal_ = choice.r_diagonal.cpu().numpy()
        self.rank_ = choice.rank
        self.log_volume_ = choice.log_volume

    def _keep_basis(self, found: PivotedMatrix, source: SnapshotSource) -> None:
        shape = (source.n, source.c) if source.vector else (source.n,)
        # Rows stay contiguous in memory; columns are how bases are written.
        self.basis_ = np.moveaxis(found.basis.cpu().numpy().reshape(-1, *shape), 0, -1)
        self.mean_ = found.mean.cpu().numpy().reshape(shape)

    def _choose(self, matrix: Tensor) -> pinn_ext.PivotedQR:
        options: dict[str, Any] = {"method": self.method}
        if self.method == "randomized":
            options |= {"seed": self.seed, "oversampling": self.oversampling, "sketch": self.sketch}
            if self.basis_method_ == "sketch":
                options = {"method": "exact"}  # of what is a sketch already
        return self._columns(matrix, int(self.n_sensors), self.grid_shape, self.refine, options)
