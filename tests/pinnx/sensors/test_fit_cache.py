"""SensorSelector with a cache: what comes out of it is what a fit would have learned, or it is learned anew."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from planted_snapshots import planted

import pinn_ext
from pinnx.data.blocks import ArraySource
from pinnx.errors import PinnxError
from pinnx.sensors import SelectionCache, SensorSelector
from pinnx.sensors.fit_cache import fingerprint

MIB = 2**20
VALUES = 10.0 * 0.7 ** np.arange(12)
ATTRIBUTES = ("selected_sensors_", "basis_", "singular_values_", "mean_", "rank_", "r_diagonal_", "log_volume_",
              "n_features_in_", "n_snapshots_", "basis_method_", "num_passes_")  # fmt: skip


@pytest.fixture
def snapshots(rng: np.random.Generator) -> np.ndarray:
    return planted(rng, 60, 400, VALUES) + rng.normal(size=400)


class Counter:
    def __init__(self, call: Any) -> None:
        self.call, self.times = call, 0

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.times += 1
        return self.call(*args, **options)


@pytest.fixture
def pivoting(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Counts how often anything is pivoted."""
    counter = Counter(pinn_ext.pivoted_qr)
    monkeypatch.setattr(pinn_ext, "pivoted_qr", counter)
    return counter


def same_fit(found: SensorSelector, wanted: SensorSelector) -> None:
    for name in ATTRIBUTES:
        one, other = getattr(found, name), getattr(wanted, name)
        assert type(one) is type(other), name
        np.testing.assert_array_equal(one, other, err_msg=name)
        if isinstance(one, np.ndarray):
            assert (one.dtype, one.strides, one.flags.writeable) == (other.dtype, other.strides, other.flags.writeable)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("components", [1, 2])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"subtract_mean": True, "scale_modes": True, "n_modes": 4},
        {"basis": "identity", "subtract_mean": True},
        {"basis": "randomized", "method": "randomized"},
        {"quotas": {0: 2, 1: 3}, "regions": np.arange(200) % 3},
        {"weights": torch.arange(1.0, 201.0)},
    ],
    ids=str,
)
def test_a_fit_out_of_the_cache_is_the_fit(
    snapshots: np.ndarray, tmp_path: Path, pivoting: Counter, dtype: type, components: int, options: dict[str, Any]
) -> None:
    X = snapshots[:, : 200 * components].astype(dtype)
    X = X.reshape(60, 200, components) if components > 1 else X
    train, held_out = X[:50], X[50:]
    plain = SensorSelector(6, **options).fit(train)
    first = SensorSelector(6, cache=tmp_path, **options).fit(train)
    assert pivoting.times == 2
    again = SensorSelector(6, cache=str(tmp_path), **options).fit(train.copy())
    assert pivoting.times == 2
    assert (plain.from_cache_, first.from_cache_, again.from_cache_) == (False, False, True)
    for fitted in (first, again):
        same_fit(fitted, plain)
        assert fitted.quality_ == plain.quality_
        assert fitted.quality(held_out) == plain.quality(held_out)
        np.testing.assert_array_equal(fitted.transform(held_out), plain.transform(held_out))
        np.testing.assert_array_equal(fitted.get_support(), plain.get_support())


def test_anything_that_matters_is_another_entry(snapshots: np.ndarray, tmp_path: Path) -> None:
    cache = SelectionCache(tmp_path)
    changed = snapshots.copy()
    changed[7, 9] = np.nextafter(changed[7, 9], 100.0)
    cases: list[tuple[np.ndarray, int, dict[str, Any]]] = [
        (snapshots, 6, {}),
        (changed, 6, {}),
        (snapshots.astype(np.float32), 6, {}),
        (snapshots.reshape(60, 200, 2), 6, {}),
        (snapshots.reshape(60, 400, 1), 6, {}),
        (snapshots, 5, {}),
        (snapshots, 6, {"seed": 1}),
        (snapshots, 6, {"weights": np.linspace(1.0, 2.0, 400)}),
        (snapshots, 6, {"weights": np.linspace(1.0, 2.1, 400)}),
        (snapshots, 6, {"forbidden": [3]}),
        (snapshots, 6, {"method": "randomized"}),
        (snapshots, 6, {"subtract_mean": True}),
    ]
    for number, (X, k, options) in enumerate(cases, start=1):
        assert not SensorSelector(k, cache=cache, **options).fit(X).from_cache_
        assert len(list(tmp_path.iterdir())) == number
    for X, k, options in cases:
        assert SensorSelector(k, cache=cache, **options).fit(X).from_cache_
    # A limit that changes nothing, memory order, and torch in place of NumPy.
    for X in (np.asfortranarray(snapshots), torch.from_numpy(snapshots).requires_grad_(), snapshots.tolist()):
        assert SensorSelector(6, cache=cache, memory_limit=10**9).fit(X).from_cache_


def test_a_damaged_entry_is_learned_anew(snapshots: np.ndarray, tmp_path: Path, pivoting: Counter) -> None:
    SensorSelector(6, cache=tmp_path).fit(snapshots)
    (entry,) = tmp_path.iterdir()
    content = entry.read_bytes()
    for damaged in (
        b"",
        content[: len(content) // 2],
        content[:-1],
        content[:9000] + bytes([content[9000] ^ 1]) + content[9001:],
    ):
        entry.write_bytes(damaged)
        with pytest.warns(RuntimeWarning, match="cannot be read .*; computed anew"):
            assert not SensorSelector(6, cache=tmp_path).fit(snapshots).from_cache_
        assert SensorSelector(6, cache=tmp_path).fit(snapshots).from_cache_, "replaced"
    entry.rename(entry.with_stem("0" * 64))
    with pytest.warns(RuntimeWarning, match="the file of another fit"):
        assert SelectionCache(tmp_path).load("0" * 64) is None


def test_a_folder_that_cannot_be_written_loses_no_result(snapshots: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.warns(RuntimeWarning, match="cache: ") as caught:
        fitted = SensorSelector(6, cache=tmp_path / "file").fit(snapshots)
    assert [str(item.message).rsplit("; ")[-1] for item in caught] == ["computed anew", "not kept"]
    same_fit(fitted, SensorSelector(6).fit(snapshots))


def test_where_the_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PINNX_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert SelectionCache().folder == tmp_path / ".cache" / "pinnx" / "selections"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert SelectionCache().folder == tmp_path / ".cache" / "pinnx" / "selections"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert SelectionCache().folder == tmp_path / "xdg" / "pinnx" / "selections"
    monkeypatch.setenv("PINNX_CACHE", "~/mine")
    assert SelectionCache().folder == tmp_path / "mine"


def test_leftovers_of_killed_processes_are_removed_after_an_hour(tmp_path: Path) -> None:
    cache = SelectionCache(tmp_path)
    old, fresh, foreign = (tmp_path / name for name in ("a.part", "b.part", "notes.txt"))
    for path in (old, fresh, foreign):
        path.touch()
    for path in (old, foreign):
        os.utime(path, (time.time() - 7200,) * 2)
    cache.save("k", {"pivots": np.arange(3)})
    assert (old.exists(), fresh.exists(), foreign.exists()) == (False, True, True)


# A process that asks for the same few fits over and over, removing files in between, and checks every answer.
WORKER = """
import sys, warnings
import numpy as np
from pinnx.sensors import SelectionCache
warnings.simplefilter("error")  # a damaged file would be an error
cache, rng = SelectionCache(sys.argv[1]), np.random.default_rng(int(sys.argv[3]))
print("ready", flush=True)
for _ in range(int(sys.argv[2])):
    i = int(rng.integers(3))
    found = cache.load(f"{i}" * 64)
    if found is None:
        cache.save(f"{i}" * 64, {"pivots": np.full(20_000, i)})
    else:
        assert found["pivots"].shape == (20_000,) and (found["pivots"] == i).all()
    if rng.random() < 0.3:
        (cache.folder / (f"{i}" * 64 + ".npz")).unlink(missing_ok=True)
"""


def test_processes_share_a_folder_and_one_that_is_killed_leaves_no_false_file(tmp_path: Path) -> None:
    def start(rounds: int, seed: int) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", WORKER, str(tmp_path), str(rounds), str(seed)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    killed, *both = start(10**6, 0), start(20, 1), start(20, 2)
    try:
        assert killed.stdout is not None
        assert "ready\n" in iter(killed.stdout.readline, ""), "it asks and answers before it is killed"
        for worker in both:
            _, error = worker.communicate(timeout=300)
            assert worker.returncode == 0, error
    finally:
        for worker in (killed, *both):
            worker.kill()
            worker.communicate()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i in range(3):
            found = SelectionCache(tmp_path).load(f"{i}" * 64)
            assert found is None or (found["pivots"] == i).all()


def test_what_a_parameter_may_be_is_told_apart(snapshots: np.ndarray) -> None:
    values: list[Any] = [1, 1.0, True, None, "1", [1], [[1]], {}, {"a": 1}, {1: 2}, {"1": 2}, [[1], []], [[], [1]],
                         np.array([1]), np.array(1.0), np.array([1, 0], bool), ["a", "bc"], ["ab", "c"],
                         "None"]  # fmt: skip
    keys = [fingerprint(ArraySource(torch.ones(3, 4)), {"k": value}, None, None) for value in values]
    assert len(set(keys)) == len(values)


def test_what_cannot_be_fitted_is_not_kept(snapshots: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(PinnxError, match="n_modes: expected at most 1"):
        SensorSelector(6, n_modes=50, cache=tmp_path / "cache").fit(snapshots)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("layout", [{}, {"chunks": (1, 90_000)}])
def test_streamed_datasets(tmp_path: Path, pivoting: Counter, layout: dict[str, Any]) -> None:
    data = (planted(np.random.default_rng(0), 90, 90_000, VALUES) + 0.01).astype(np.float32)
    with h5py.File(tmp_path / "flow.h5", "w") as file:
        file.create_dataset("u", data=data, **layout)
    limit, cache = 50 * MIB, SelectionCache(tmp_path / "cache")
    name = f"{tmp_path / 'flow.h5'}::u"
    plain = SensorSelector(6, memory_limit=limit).fit(name)
    fits = [SensorSelector(6, memory_limit=limit, cache=cache).fit(name) for _ in range(2)]
    assert [fit.from_cache_ for fit in fits] == [False, True]
    assert pivoting.times == 2
    for fit in fits:
        same_fit(fit, plain)
        assert fit.quality_ == plain.quality_
    with h5py.File(tmp_path / "flow.h5") as file:
        assert SensorSelector(6, memory_limit=limit, cache=cache).fit(file["u"]).from_cache_
    # The whole of it in memory is read in another way, and says so in its attributes.
    assert not SensorSelector(6, cache=cache).fit(name).from_cache_
    with h5py.File(tmp_path / "flow.h5", "r+") as file:
        file["u"][89, 89_999] += 1.0
    assert not SensorSelector(6, memory_limit=limit, cache=cache).fit(name).from_cache_


def test_streamed_blocks_have_no_content_to_look_up(snapshots: np.ndarray, tmp_path: Path) -> None:
    blocks = [snapshots[:30], snapshots[30:]]
    message = "cache: expected an array or a dataset, whose content .* got blocks out of an iterable with a"
    for X in (blocks, iter(blocks)):
        with pytest.raises(PinnxError, match=message):
            SensorSelector(6, memory_limit=200 * MIB, cache=tmp_path / "cache").fit(X)
    assert not (tmp_path / "cache").exists()

    def once() -> Iterator[np.ndarray]:
        yield from blocks

    # Without a limit blocks are joined, and are an array.
    assert not SensorSelector(6, cache=tmp_path).fit(once()).from_cache_
    assert SensorSelector(6, cache=tmp_path).fit(snapshots).from_cache_


def test_no_cache_and_no_folder(snapshots: np.ndarray, tmp_path: Path) -> None:
    for wrong in (3, True, {"folder": "x"}):
        with pytest.raises(PinnxError, match="cache: expected None, a folder or a SelectionCache, got"):
            SensorSelector(6, cache=wrong).fit(snapshots)
    with pytest.raises(PinnxError, match="expected numbers, texts or arrays to hash"):
        SensorSelector(6, cache=tmp_path, weights={1, 2}).fit(snapshots)


def test_parameters_copies_and_clones(snapshots: np.ndarray, tmp_path: Path) -> None:
    cache = SelectionCache(tmp_path)
    selector = SensorSelector(6, cache=cache)
    assert selector.get_params()["cache"] is cache
    assert repr(selector) == f"SensorSelector(6, cache={cache!r})" or "..." in repr(selector)
    selector.fit(snapshots)
    for other in (copy.deepcopy(selector), pickle.loads(pickle.dumps(selector))):
        assert other.get_params() == selector.get_params()
        assert other.fit(snapshots).from_cache_
    selector.set_params(cache=None).fit(snapshots)
    assert not selector.from_cache_
    assert SelectionCache(tmp_path) != SelectionCache(tmp_path / "other")
    assert hash(SelectionCache(tmp_path)) == hash(cache)
    base = pytest.importorskip("sklearn.base")
    clone = base.clone(SensorSelector(6, cache=cache))
    assert clone.get_params()["cache"] == cache
    assert clone.fit(snapshots).from_cache_
