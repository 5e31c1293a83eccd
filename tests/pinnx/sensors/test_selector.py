"""SensorSelector: pivots against SciPy, every kind of input, vector fields, figures, refusals."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.linalg
import tolerances
import torch
from planted_snapshots import modes_of, planted

from pinnx.errors import PinnxError
from pinnx.sensors import ApproximateQRSelector, SensorSelector
from pinnx.sensors.estimator import NotFittedError
from pinnx.sensors.gappy_pod import fit_gappy_pod

VALUES = 10.0 * 0.7 ** np.arange(12)


@pytest.fixture
def snapshots(rng: np.random.Generator) -> np.ndarray:
    return planted(rng, 60, 400, VALUES) + rng.normal(size=400)


def pivots(matrix: np.ndarray, k: int) -> np.ndarray:
    return scipy.linalg.qr(matrix.astype(np.float64), mode="r", pivoting=True)[1][:k]


@pytest.mark.parametrize("scale_modes", [False, True])
@pytest.mark.parametrize("subtract_mean", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pod_takes_scipys_pivots(snapshots: np.ndarray, dtype: type, subtract_mean: bool, scale_modes: bool) -> None:
    X = snapshots.astype(dtype)
    selector = SensorSelector(6, subtract_mean=subtract_mean, scale_modes=scale_modes).fit(X)
    exact = X.astype(np.float64)
    mean = exact.mean(axis=0) if subtract_mean else np.zeros(400)
    rows, values = modes_of(exact - mean, 6)
    chosen = pivots(rows * values[:, None] if scale_modes else rows, 6)
    np.testing.assert_array_equal(selector.selected_sensors_, chosen)
    bound = tolerances.modes_by_squares(np.finfo(dtype).eps, values)
    np.testing.assert_allclose(selector.singular_values_, values, rtol=bound)
    np.testing.assert_allclose(selector.basis_, rows.T, atol=bound)
    np.testing.assert_allclose(selector.mean_, mean, atol=bound)
    assert selector.selected_sensors_.dtype == np.int64
    assert selector.basis_.dtype == dtype
    assert (selector.rank_, selector.n_features_in_, selector.n_snapshots_) == (6, 400, 60)
    assert selector.log_volume_ == pytest.approx(np.log(selector.r_diagonal_).sum())
    assert (np.diff(selector.r_diagonal_) <= 0).all()


@pytest.mark.parametrize("method", ["exact", "randomized"])
@pytest.mark.parametrize("basis", ["pod", "identity", "randomized"])
def test_every_basis_with_every_method(snapshots: np.ndarray, basis: str, method: str) -> None:
    selector = SensorSelector(8, basis=basis, method=method)
    chosen = selector.fit(snapshots).selected_sensors_
    assert len(set(chosen.tolist())) == 8
    assert selector.basis_.shape == (400, 60 if basis == "identity" else 8)
    again = SensorSelector(8, basis=basis, method=method).fit(snapshots)
    np.testing.assert_array_equal(chosen, again.selected_sensors_)
    # Any of them sees the field better than chance.
    rows, _ = modes_of(snapshots, 8)
    random = [np.linalg.cond(rows[:, np.random.default_rng(i).permutation(400)[:8]]) for i in range(20)]
    assert np.linalg.cond(rows[:, chosen]) < np.median(random)


def test_identity_pivots_the_snapshots(snapshots: np.ndarray) -> None:
    selector = SensorSelector(7, basis="identity", subtract_mean=True).fit(snapshots)
    np.testing.assert_array_equal(selector.selected_sensors_, pivots(snapshots - snapshots.mean(axis=0), 7))
    assert selector.singular_values_ is None
    plain = SensorSelector(7, basis="identity").fit(snapshots)
    assert np.shares_memory(plain.basis_, snapshots)


def test_one_sensor_measures_all_components(rng: np.random.Generator) -> None:
    """Two components at one place are one candidate: both are projected out."""
    flat = planted(rng, 60, 240, VALUES)
    X = flat.reshape(60, 80, 3)
    selector = SensorSelector(4, n_modes=12).fit(X)
    assert selector.basis_.shape == (80, 3, 12)
    assert selector.mean_.shape == (80, 3)
    rows, _ = modes_of(flat, 12)
    left = rows.reshape(12, 80, 3).transpose(1, 0, 2)
    for chosen in selector.selected_sensors_:
        lengths = np.linalg.norm(left, axis=(1, 2))
        assert lengths[chosen] >= lengths.max() * (1 - tolerances.PIVOT_LENGTH)
        q, _ = np.linalg.qr(left[chosen])
        left = left - q @ (q.T @ left)
    assert selector.transform(X).shape == (60, 4, 3)
    # Four sensors of three components see all twelve modes.
    assert selector.quality_.num_determined == 12


@pytest.mark.parametrize(("components", "modes"), [(1, 4), (2, 6), (3, 8)])
def test_modes_between_sensors_and_what_they_measure(rng: np.random.Generator, components: int, modes: int) -> None:
    X = planted(rng, 60, 240, VALUES).reshape(60, -1, components)
    X = X[..., 0] if components == 1 else X
    selector = SensorSelector(4).fit(X)
    assert selector.basis_.shape[-1] == modes
    np.testing.assert_array_equal(selector.selected_sensors_, SensorSelector(4, n_modes=modes).fit(X).selected_sensors_)
    # Never more than what is above the rounding of float32.
    assert SensorSelector(20).fit(X).basis_.shape[-1] == 12


def test_half_way_is_better_than_either_end(rng: np.random.Generator) -> None:
    """Waves that are measured with 2 % noise: as many modes as sensors miss some, as many as numbers amplify noise."""
    x, y = rng.uniform(size=(2, 300))
    waves = [(a, b) for a in range(-4, 5) for b in range(5) if b > 0 or a > 0]
    stream = np.array([[np.cos(2 * np.pi * (a * x + b * y)), np.sin(2 * np.pi * (a * x + b * y))] for a, b in waves])
    across = np.stack([np.array(waves) @ [[0], [1]], -np.array(waves) @ [[1], [0]]], axis=-1)  # [waves, 1, 2]
    shapes = (stream[:, :, :, None] * across[:, None]).reshape(-1, 600)
    sizes = np.repeat([np.exp(-np.hypot(a, b)) for a, b in waves], 2)
    fields = (rng.normal(size=(400, sizes.size)) * sizes @ shapes).reshape(400, 300, 2)
    train, test = fields[:300], fields[300:]
    errors = {}
    for modes in (8, 12, 16):
        selector = SensorSelector(8, n_modes=modes).fit(train)
        scaled = (selector.basis_ * selector.singular_values_).reshape(600, modes)
        seen = selector.transform(test) + 0.02 * fields.std() * np.random.default_rng(1).normal(size=(100, 8, 2))
        at = scaled.reshape(300, 2, modes)[selector.selected_sensors_].reshape(16, modes)
        rebuilt = seen.reshape(100, 16) @ np.linalg.pinv(at).T @ scaled.T
        errors[modes] = np.linalg.norm(rebuilt - test.reshape(100, 600)) / np.linalg.norm(test)
    assert SensorSelector(8).fit(train).basis_.shape[-1] == 12
    assert errors[12] < errors[8]
    assert errors[12] < errors[16]


def test_more_sensors_than_modes(snapshots: np.ndarray) -> None:
    selector = SensorSelector(20, n_modes=5).fit(snapshots)
    assert selector.rank_ == 5
    assert len(set(selector.selected_sensors_.tolist())) == 20
    assert not selector.r_diagonal_[5:].any()


def test_the_same_from_every_kind_of_input(snapshots: np.ndarray, tmp_path: Path) -> None:
    wanted = SensorSelector(6).fit(snapshots).selected_sensors_
    with h5py.File(tmp_path / "flow.h5", "w") as file:
        file["group/u"] = snapshots
    read_only = snapshots.copy()
    read_only.flags.writeable = False
    swapped = snapshots.astype(snapshots.dtype.newbyteorder())
    kinds = {
        "torch": torch.from_numpy(snapshots),
        "a tensor that asks for gradients": torch.from_numpy(snapshots).requires_grad_(),
        "Fortran order": np.asfortranarray(snapshots),
        "backwards": snapshots[:, ::-1][:, ::-1],
        "read-only": read_only,
        "another byte order": swapped,
        "lists": snapshots.tolist(),
        "blocks": [snapshots[:25], snapshots[25:]],
        "a generator": (snapshots[i : i + 7] for i in range(0, 60, 7)),
        "a file": f"{tmp_path / 'flow.h5'}::group/u",
    }
    for name, X in kinds.items():
        np.testing.assert_array_equal(SensorSelector(6).fit(X).selected_sensors_, wanted, err_msg=name)
    with h5py.File(tmp_path / "flow.h5") as file:
        np.testing.assert_array_equal(SensorSelector(6).fit(file["group/u"]).selected_sensors_, wanted)


def test_whole_numbers_become_float64(rng: np.random.Generator) -> None:
    X = rng.integers(0, 255, size=(20, 50))
    selector = SensorSelector(4).fit(X)
    assert selector.basis_.dtype == np.float64
    np.testing.assert_array_equal(selector.selected_sensors_, SensorSelector(4).fit(X.astype(float)).selected_sensors_)


def test_x_is_not_changed(snapshots: np.ndarray) -> None:
    before = snapshots.copy()
    for basis in ("pod", "identity", "randomized"):
        SensorSelector(5, basis=basis, subtract_mean=True).fit(snapshots)
    np.testing.assert_array_equal(snapshots, before)


def test_constraints_reach_the_choice(snapshots: np.ndarray) -> None:
    free = SensorSelector(6).fit(snapshots).selected_sensors_
    banned = SensorSelector(6, forbidden=free[:2]).fit(snapshots).selected_sensors_
    assert not set(free[:2].tolist()) & set(banned.tolist())
    forced = SensorSelector(6, forced=[17, 3]).fit(snapshots).selected_sensors_
    assert forced[:2].tolist() == [17, 3]
    weights = np.ones(400)
    weights[200:] = 1e-3
    assert SensorSelector(6, weights=weights).fit(snapshots).selected_sensors_.max() < 200
    x = np.linspace(0.0, 1.0, 400)[:, None]
    apart = SensorSelector(6, positions=x, min_distance=0.15).fit(snapshots).selected_sensors_
    assert np.diff(np.sort(x[apart, 0])).min() >= 0.15


@pytest.mark.parametrize(
    "options",
    [{}, {"basis": "identity"}, {"basis": "randomized"}, {"basis": "randomized", "method": "randomized"},
     {"areas": np.linspace(0.5, 2.0, 60)}, {"scale_modes": True, "subtract_mean": True}],
)  # fmt: skip
@pytest.mark.parametrize(("size", "dtype"), [(1e200, "f8"), (1e-200, "f8"), (1e30, "f4"), (1e-30, "f4")])
def test_numbers_of_any_size(rng: np.random.Generator, options: dict, size: float, dtype: str) -> None:
    """Their squares leave the range of the type; sensors and modes are those of numbers near 1."""
    usual = (rng.normal(size=(20, 6)) @ rng.normal(size=(6, 60))).astype(dtype)
    wanted = SensorSelector(5, **options).fit(usual)
    found = SensorSelector(5, **options).fit((usual.astype("f8") * size).astype(dtype))
    np.testing.assert_array_equal(found.selected_sensors_, wanted.selected_sensors_)
    if wanted.singular_values_ is not None:
        np.testing.assert_allclose(found.singular_values_ / size, wanted.singular_values_, rtol=1e-4)
        np.testing.assert_allclose(np.abs(found.basis_), np.abs(wanted.basis_), atol=1e-4)


@pytest.mark.parametrize("basis", ["pod", "identity"])
def test_nan_at_places_that_may_not_be_chosen(rng: np.random.Generator, basis: str) -> None:
    whole = rng.normal(size=(12, 5)) @ rng.normal(size=(5, 40))
    body = np.arange(40) % 4 == 0
    masked = np.ma.array(whole, mask=np.tile(body, (12, 1)))
    gaps, zeros = masked.filled(np.nan), masked.filled(0.0)
    options = [{"forbidden": np.flatnonzero(body)}, {"forbidden": body}, {"weights": np.where(body, 0.0, 1.0)}]
    for more in options:
        wanted = SensorSelector(4, basis=basis, **more).fit(zeros)
        found = SensorSelector(4, basis=basis, **more).fit(gaps)
        np.testing.assert_array_equal(found.selected_sensors_, wanted.selected_sensors_)
        assert found.quality_ == wanted.quality_
    assert np.isnan(gaps).any(), "X is not changed"
    with pytest.raises(PinnxError, match=r"expected finite|NaN"):
        SensorSelector(4, basis=basis, forbidden=[0, 4]).fit(gaps)
    with pytest.raises(PinnxError, match=r"X: expected values everywhere, got 120 of 480 masked; give filled\(nan\)"):
        SensorSelector(4, basis=basis, forbidden=body).fit(masked)


def test_masks_are_refused_and_not_dropped(snapshots: np.ndarray) -> None:
    selector = SensorSelector(6).fit(snapshots)
    plain, masked = np.ma.array(snapshots), np.ma.masked_greater(snapshots, np.quantile(snapshots, 0.9))
    fields, seen = snapshots[..., None], selector.transform(snapshots)[..., None]
    np.testing.assert_array_equal(selector.transform(plain)[..., None], seen)
    assert selector.quality(plain) == selector.quality(snapshots)
    gappy = fit_gappy_pod(fields, np.ma.array(seen))
    hidden = np.ma.masked_greater(seen, np.quantile(seen, 0.9))
    for name, refused in (
        ("X", lambda: selector.transform(masked)),
        ("held_out", lambda: selector.quality(masked)),
        ("snapshots", lambda: fit_gappy_pod(masked[..., None], seen)),
        ("seen", lambda: fit_gappy_pod(fields, hidden)),
        ("seen", lambda: gappy.reconstruct(hidden)),
    ):
        with pytest.raises(
            PinnxError, match=rf"^{name}: expected values everywhere, got .* masked; give filled\(nan\)"
        ):
            refused()


def test_figures_beside_random_places(snapshots: np.ndarray, rng: np.random.Generator) -> None:
    train, held_out = snapshots[:45], snapshots[45:]
    selector = SensorSelector(12, subtract_mean=True).fit(train)
    figures = selector.quality(held_out)
    assert figures.held_out_error < figures.random_held_out_error
    assert selector.quality_.log_volume > selector.quality_.random_log_volume
    assert selector.quality_.held_out_error is None
    assert selector.quality_ is selector.quality_
    seen = selector.transform(held_out) - selector.mean_[selector.selected_sensors_]
    rebuilt = np.linalg.lstsq(selector.basis_[selector.selected_sensors_], seen.T, rcond=None)[0].T @ selector.basis_.T
    fluctuation = held_out - selector.mean_
    error = np.linalg.norm(rebuilt - fluctuation) / np.linalg.norm(fluctuation)
    assert figures.held_out_error == pytest.approx(error, rel=1e-6)


def test_transform_and_support(snapshots: np.ndarray) -> None:
    selector = SensorSelector(5)
    seen = selector.fit_transform(snapshots)
    np.testing.assert_array_equal(seen, snapshots[:, selector.selected_sensors_])
    np.testing.assert_array_equal(selector.transform(torch.from_numpy(snapshots)).numpy(), seen)
    mask = selector.get_support()
    assert mask.sum() == 5
    np.testing.assert_array_equal(np.flatnonzero(mask), selector.get_support(indices=True))
    with pytest.raises(PinnxError, match=r"X: expected shape \['T', 400\], as in fit, got \[60, 399\]"):
        selector.transform(snapshots[:, 1:])


def test_parameters_in_scikit_learns_manner(snapshots: np.ndarray) -> None:
    selector = SensorSelector(6, basis="randomized", weights=np.ones(400), seed=3)
    assert selector.get_params()["seed"] == 3
    assert repr(selector) == "SensorSelector(6, basis='randomized', seed=3, weights=<ndarray [400]>)"
    assert selector.set_params(n_sensors=4, seed=0) is selector
    assert len(selector.fit(snapshots).selected_sensors_) == 4
    with pytest.raises(PinnxError, match="SensorSelector: no parameter 'sensors'; it has n_sensors, basis"):
        selector.set_params(sensors=3, seed=9)
    assert selector.seed == 0
    again = pickle.loads(pickle.dumps(selector))
    np.testing.assert_array_equal(again.selected_sensors_, selector.selected_sensors_)


def test_before_fit_nothing_is_known() -> None:
    selector = SensorSelector(3)
    for name in ("selected_sensors_", "basis_", "quality_"):
        assert not hasattr(selector, name)
    with pytest.raises(NotFittedError, match=r"SensorSelector: expected fit\(\.\.\.\) before selected_sensors_"):
        selector.transform(np.zeros((2, 3)))
    with pytest.raises(AttributeError, match="no attribute 'sensors'"):
        _ = selector.sensors  # type: ignore[attr-defined]


def test_scikit_learn_takes_it_for_one_of_its_own(snapshots: np.ndarray) -> None:
    base = pytest.importorskip("sklearn.base")
    pipeline = pytest.importorskip("sklearn.pipeline")
    validation = pytest.importorskip("sklearn.utils.validation")
    exceptions = pytest.importorskip("sklearn.exceptions")
    selector = SensorSelector(6, forced=[3], seed=2).fit(snapshots)
    copy = base.clone(selector)
    assert copy.get_params() == selector.get_params()
    with pytest.raises(exceptions.NotFittedError):
        validation.check_is_fitted(copy)
    validation.check_is_fitted(selector)
    chain = pipeline.Pipeline([("sensors", copy), ("again", SensorSelector(2))]).fit(snapshots)
    assert chain.transform(snapshots).shape == (60, 2)
    chain.set_params(sensors__n_sensors=5)
    assert chain.named_steps["sensors"].n_sensors == 5


@pytest.mark.parametrize(
    ("options", "X", "message"),
    [
        ({"n_sensors": 0}, None, "n_sensors: expected an integer >= 1, got 0"),
        ({"n_sensors": 2.5}, None, "n_sensors: expected an integer >= 1, got 2.5"),
        ({"n_sensors": 401}, None, "n_sensors: expected 1 to 400, the places of X, got 401"),
        ({"basis": "svd"}, None, "basis: expected one of pod, identity, randomized, got 'svd'"),
        ({"method": "qr"}, None, "method: expected one of exact, randomized, got 'qr'"),
        ({"basis": "identity", "n_modes": 3}, None, "n_modes: only for basis 'pod' or 'randomized'"),
        ({"n_modes": 61}, None, "n_modes: expected at most 1"),
        ({"memory_limit": 0}, None, "memory_limit: expected a number of bytes > 0 or None, got 0"),
        ({}, np.zeros(5), "X: expected shape [T, n] or [T, n, c], got [5]"),
        ({}, np.zeros((0, 5)), "X: expected at least one snapshot of one place, got [0, 5]"),
        ({}, np.zeros((3, 4), dtype=complex), "X: expected real numbers, got complex128"),
        ({}, 7, "X: expected an array, an HDF5 dataset or an iterable of blocks, got int"),
        ({}, [], "X: expected at least one block of snapshots, got an empty iterable"),
        ({}, "flow.h5", "X: expected an array or 'file.h5::dataset', got 'flow.h5'"),
        ({}, "nowhere.h5::u", "nowhere.h5: cannot be opened as HDF5"),
        ({}, [np.zeros((2, 3)), np.zeros((2, 4))], "X: expected blocks of shape ['b', 3], as the first, got [2, 4]"),
    ],
)
def test_refuses(snapshots: np.ndarray, options: dict, X: object, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        SensorSelector(**{"n_sensors": 2, **options}).fit(snapshots if X is None else X)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_approximate_selector(snapshots: np.ndarray) -> None:
    selector = ApproximateQRSelector(rank_fraction=0.5)
    chosen = selector.select_sensors_approximate(snapshots, 8)
    assert chosen.dtype == np.int64
    assert len(set(chosen.tolist())) == 8
    np.testing.assert_array_equal(chosen, selector.select_sensors_approximate(snapshots, 8))
    # All twelve directions are in a sketch of thirty rows: no direction of the exact choice is lost.
    rows, _ = modes_of(snapshots, 8)
    exact = SensorSelector(8, basis="identity").fit(snapshots).selected_sensors_
    assert np.linalg.cond(rows[:, chosen]) < 3.0 * np.linalg.cond(rows[:, exact])
    assert repr(selector) == "ApproximateQRSelector(rank_fraction=0.5)"
    for wrong in (0.0, 1.5):
        with pytest.raises(PinnxError, match=f"rank_fraction: expected a number > 0 up to 1, got {wrong}"):
            ApproximateQRSelector(rank_fraction=wrong)
    with pytest.raises(PinnxError, match=r"data_matrix: expected shape \[T, n\] or \[T, n, c\], got \[5\]"):
        selector.select_sensors_approximate(np.zeros(5), 2)
