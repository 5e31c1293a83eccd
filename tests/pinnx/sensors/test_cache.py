"""The cache on disk: other content is another key, a damaged entry is never believed, processes may share a folder."""

from __future__ import annotations

import os
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

from pinnx.errors import PinnxError
from pinnx.sensors import cache as cache_module
from pinnx.sensors import content_key
from pinnx.sensors.cache import SelectionCache
from pinnx.sensors.content_key import selection_key

ARRAYS = {"pivots": np.array([3, 1, 2]), "r_diagonal": np.array([2.0, 1.0, 0.5]), "rank": 3, "method": "exact"}


def same(found: dict[str, np.ndarray], wanted: dict[str, Any]) -> bool:
    return found.keys() == wanted.keys() and all(
        np.array_equal(found[name], value) and found[name].dtype == np.asarray(value).dtype
        for name, value in wanted.items()
    )


@pytest.fixture
def cache(tmp_path: Path) -> SelectionCache:
    return SelectionCache(tmp_path / "deep" / "cache")


@pytest.fixture
def key() -> str:
    return selection_key(np.arange(12.0).reshape(3, 4), k=3)


class Counted:
    """A computation that says how often it ran."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self) -> dict[str, Any]:
        self.runs += 1
        return ARRAYS


def test_computes_once_and_returns_the_same(cache: SelectionCache, key: str) -> None:
    compute = Counted()
    assert cache.get(key) is None
    first, second = cache.get_or_compute(key, compute), cache.get_or_compute(key, compute)
    assert compute.runs == 1
    assert same(first, ARRAYS)
    assert same(second, ARRAYS)
    assert [path.name for path in cache.folder.iterdir()] == [f"{key}.sel"]
    assert cache.clear() == 1
    assert cache.get(key) is None
    assert SelectionCache(cache.folder / "none").clear() == 0


def test_a_computation_that_fails_leaves_nothing(cache: SelectionCache, key: str) -> None:
    def fail() -> dict[str, Any]:
        raise PinnxError("no sensors")

    with pytest.raises(PinnxError, match="no sensors"):
        cache.get_or_compute(key, fail)
    assert not cache.folder.exists()
    with pytest.raises(PinnxError, match="state: expected an array of numbers or texts to keep, got object"):
        cache.put(key, {"state": object()})
    assert not cache.folder.exists()


# What a parameter or the data may be, no two alike.
KEYS: list[tuple[Any, dict[str, Any]]] = [
    (np.arange(6.0), {}),
    (np.arange(6.0).reshape(2, 3), {}),
    (np.arange(6.0).reshape(3, 2), {}),
    (np.arange(6.0, dtype=np.float32), {}),
    (np.arange(6), {}),
    (np.arange(6.0) + 1e-16 * np.arange(6.0) * 4, {}),
    (np.array([0.0, 1, 2, 3, 4, np.nan]), {}),
    (np.zeros((0, 3)), {}),
    (np.zeros((3, 0)), {}),
    *(
        (np.arange(6.0), parameters)
        for parameters in (
            *({"k": value} for value in (1, 1.0, True, None, "1", [1], [[1]], {}, {"a": 1}, 1 + 0j, np.array([1]))),
            *({"k": value} for value in (np.array(1.0), np.array([1, 0], bool), ["a", "bc"], ["ab", "c"], "None")),
            *({"j": 1}, {"k": 1, "seed": 0}, {"k": {1: 2}}, {"k": {"1": 2}}, {"k": [[1], []]}, {"k": [[], [1]]}),
        )
    ),
]


def test_no_two_different_things_have_one_key() -> None:
    keys = [selection_key(data, **parameters) for data, parameters in KEYS]
    assert len(set(keys)) == len(KEYS)
    assert keys == [selection_key(data, **parameters) for data, parameters in KEYS]


def test_what_is_the_same_has_one_key(rng: np.random.Generator, tmp_path: Path) -> None:
    data = rng.normal(size=(40, 30))
    wanted = selection_key(data, k=3, weights=[1, 2])
    assert selection_key(data, weights=(1, 2), k=3) == wanted
    assert selection_key(np.asfortranarray(data), k=3, weights=[1, 2]) == wanted
    assert selection_key(np.repeat(data, 2, axis=1)[:, ::2], k=3, weights=[1, 2]) == wanted
    assert selection_key(torch.from_numpy(data), k=3, weights=[1, 2]) == wanted
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"] = data
        assert selection_key(file["x"], k=3, weights=[1, 2]) == wanted
    script = (
        "import numpy as np; from pinnx.sensors import selection_key\n"
        f"data = np.frombuffer(bytes.fromhex('{data.tobytes().hex()}')).reshape(40, 30)\n"
        "print(selection_key(data, k=3, weights=[1, 2]))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert said.stdout.strip() == wanted


def test_every_block_counts(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_key, "BLOCK_BYTES", 100)
    data = rng.normal(size=(97, 5))
    wanted = selection_key(data)
    for row in (0, 1, 50, 96):
        changed = data.copy()
        changed[row, 4] = np.nextafter(changed[row, 4], 9.0)
        assert selection_key(changed) != wanted
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert selection_key(data) == wanted, "whatever the threads"


def test_another_version_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = selection_key(np.ones(3))
    monkeypatch.setattr(content_key, "_version", lambda: "99")
    assert selection_key(np.ones(3)) != before


@pytest.mark.parametrize("value", [object(), {1, 2}, len, np.array([object()]), np.datetime64("2020-01-01"), b"x"])
def test_what_has_no_content_is_refused(value: Any) -> None:
    with pytest.raises(PinnxError, match=r"expected .* to hash, got"):
        selection_key(np.ones(3), rule=value)


DAMAGES = {
    "empty": lambda content: b"",
    "cut short": lambda content: content[: len(content) // 2],
    "last byte missing": lambda content: content[:-1],
    "one bit in the numbers": lambda content: content[:300] + bytes([content[300] ^ 1]) + content[301:],
    "one bit in the checksum": lambda content: content[:20] + bytes([content[20] ^ 1]) + content[21:],
    "more at the end": lambda content: content + b"\0",
    "another file": lambda content: b"rank,x,y\n1,0,0\n",
    "another version": lambda content: content.replace(b"selection 1", b"selection 2"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_ignored_with_a_warning_and_rewritten(cache: SelectionCache, key: str, damage: str) -> None:
    compute = Counted()
    cache.get_or_compute(key, compute)
    path = cache.path_of(key)
    whole = path.read_bytes()
    path.write_bytes(DAMAGES[damage](whole))
    assert path.read_bytes() != whole
    with pytest.warns(RuntimeWarning, match=rf"cache: {path}: .*; computed anew"):
        found = cache.get_or_compute(key, compute)
    assert compute.runs == 2
    assert same(found, ARRAYS)
    assert same(cache.get_or_compute(key, compute), ARRAYS)
    assert compute.runs == 2, "rewritten, and believed again"


def test_an_entry_under_another_name_is_not_believed(cache: SelectionCache, key: str) -> None:
    cache.put(key, ARRAYS)
    other = selection_key(np.ones(2))
    os.rename(cache.path_of(key), cache.path_of(other))
    with pytest.warns(RuntimeWarning, match="the entry of another key"):
        assert cache.get(other) is None


@pytest.mark.parametrize("bad", ["", "../../etc/passwd", "A" * 64, "0" * 63])
def test_only_keys_are_names(cache: SelectionCache, bad: str) -> None:
    with pytest.raises(PinnxError, match="key: expected 64 hexadecimal digits"):
        cache.get(bad)


def test_a_folder_that_cannot_be_written_costs_nobody_the_result(tmp_path: Path, key: str) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    compute = Counted()
    with pytest.warns(RuntimeWarning) as caught:
        assert same(SelectionCache(blocked).get_or_compute(key, compute), ARRAYS)
    assert [str(item.message).rsplit("; ")[-1] for item in caught] == ["computed anew", "not kept"]
    assert compute.runs == 1


def test_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert SelectionCache(tmp_path / "given").folder == tmp_path / "given"


def test_leftovers_of_killed_processes_go_after_a_while(cache: SelectionCache, key: str) -> None:
    cache.folder.mkdir(parents=True)
    old, fresh, foreign = (cache.folder / name for name in ("a.part", "b.part", "notes.txt"))
    for path in (old, fresh, foreign):
        path.touch()
    long_ago = time.time() - 2 * cache_module.STALE_S
    for path in (old, foreign):
        os.utime(path, (long_ago, long_ago))
    cache.put(key, ARRAYS)
    assert not old.exists()
    assert fresh.exists(), "somebody may be writing it"
    assert foreign.exists()


# A process that asks for the same few keys over and over, dropping entries in between, and checks every answer.
WORKER = """
import sys, warnings
import numpy as np
from pinnx.sensors import SelectionCache, selection_key
warnings.simplefilter("error")  # a damaged entry would be an error
cache, rounds = SelectionCache(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
rng, computed = np.random.default_rng(int(sys.argv[3])), 0
def compute(i):
    global computed
    computed += 1
    return {"pivots": np.full(200_000, i), "rank": i}
for _ in range(rounds):
    i = int(rng.integers(3))
    key = selection_key(np.array([i]))
    found = cache.get_or_compute(key, lambda: compute(i))
    assert found["pivots"].shape == (200_000,) and (found["pivots"] == i).all() and found["rank"] == i
    if rng.random() < 0.3:
        cache.path_of(key).unlink(missing_ok=True)
print("computed", computed)
"""


@pytest.fixture
def workers(cache: SelectionCache) -> Iterator[Any]:
    started: list[subprocess.Popen[str]] = []

    def start(rounds: int, seed: int) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", WORKER, str(cache.folder), str(rounds), str(seed)]
        worker = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(worker)
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        return worker

    yield start
    for worker in started:
        worker.kill()
        worker.communicate()


def test_two_processes_share_a_folder(workers: Any, cache: SelectionCache) -> None:
    both = [workers(150, seed) for seed in (1, 2)]
    for worker in both:
        out, error = worker.communicate(timeout=120)
        assert worker.returncode == 0, error
        assert 0 < int(out.split()[-1]) < 150, "some answers came from the cache, some were computed"
    assert not list(cache.folder.glob("*.part"))


def test_a_process_that_is_killed_while_writing_leaves_no_false_entry(workers: Any, cache: SelectionCache) -> None:
    """Killed at some moment or other; what lies there afterwards is whole, or is not there."""
    keys = {i: selection_key(np.array([i])) for i in range(3)}
    for attempt in range(5):
        worker = workers(10**6, attempt)
        time.sleep(0.02 + 0.03 * attempt)
        worker.kill()
        worker.wait()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for i, key in keys.items():
                found = cache.get(key)
                assert found is None or (found["pivots"] == i).all()
    left = {path.suffix for path in cache.folder.iterdir()}
    assert left <= {".sel", ".part"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i, key in keys.items():
            assert (cache.get_or_compute(key, lambda i=i: {"pivots": np.full(9, i)})["pivots"] == i).all()


def test_a_process_that_is_killed_between_writing_and_moving(cache: SelectionCache, key: str) -> None:
    script = (
        "import os, sys, time; from pinnx.sensors.cache import SelectionCache\n"
        "os.replace = lambda *names: (print('written', flush=True), time.sleep(60))\n"
        "SelectionCache(sys.argv[1]).put(sys.argv[2], {'pivots': [1, 2]})"
    )
    words = [sys.executable, "-c", script, str(cache.folder), key]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        writer.kill()
    assert [path.suffix for path in cache.folder.iterdir()] == [".part"]
    compute = Counted()
    assert same(cache.get_or_compute(key, compute), ARRAYS)
    assert compute.runs == 1
