"""Memory that is used again, work on streams, and a training whose memory does not grow."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pinnx.errors import PinnxError
from pinnx.train.streams import CUDAStreamManager
from pinnx.train.tensor_pool import PoolStatistics, TensorPool

Build = Callable[..., Any]


def address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


# --- the pool -----------------------------------------------------------------------------------------------------


def test_what_comes_back_is_given_out_again() -> None:
    pool = TensorPool()
    first = pool.get_tensor((3, 4))
    assert (first.dtype, first.device.type, first.stride()) == (torch.float32, "cpu", (4, 1))
    where = address(first)
    pool.return_tensor(first)
    assert pool.kept_bytes == 48
    del first
    again = pool.get_tensor((3, 4))
    assert address(again) == where
    assert again.shape == (3, 4)
    assert pool.kept_bytes == 0
    assert pool.statistics == PoolStatistics(reused=1, allocated=1, returned=1)


@pytest.mark.parametrize(
    "other",
    [
        {"shape": (4, 3)},
        {"shape": (12,)},
        {"dtype": torch.int32},
        {"dtype": torch.float16},
        {"strides": (1, 3)},
    ],
)
def test_another_shape_stride_or_dtype_is_other_memory(other: dict[str, Any]) -> None:
    pool = TensorPool()
    pool.return_tensor(pool.get_tensor((3, 4)))
    got = pool.get_tensor(**({"shape": (3, 4)} | other))
    assert got.shape == other.get("shape", (3, 4))
    assert got.dtype == other.get("dtype", torch.float32)
    if "strides" in other:
        assert got.stride() == (1, 3)
    assert pool.statistics == PoolStatistics(allocated=2, returned=1)
    pool.return_tensor(got)
    del got
    pool.get_tensor(**({"shape": (3, 4)} | other))
    assert pool.statistics.reused == 1


def test_a_tensor_from_elsewhere_is_kept_under_its_own_key() -> None:
    pool = TensorPool()
    foreign = torch.zeros(5, dtype=torch.complex64)
    where = address(foreign)
    pool.return_tensor(foreign)
    del foreign
    assert address(pool.get_tensor((5,), torch.complex64)) == where


def test_what_a_graph_has_saved_is_not_given_out() -> None:
    pool = TensorPool()
    factor = pool.get_tensor((6,)).fill_(2.0)
    weight = torch.ones(6, requires_grad=True)
    total = (weight * factor).sum()
    pool.return_tensor(factor)  # too early: the backward pass reads it
    del factor
    pool.get_tensor((6,)).fill_(7.0)
    total.backward()
    assert torch.equal(weight.grad, torch.full((6,), 2.0))
    assert pool.statistics == PoolStatistics(allocated=2, returned=1, waited=1)
    del total
    pool.get_tensor((6,))
    assert pool.statistics.reused == 1, "the graph is gone"


def test_a_view_or_an_array_keeps_it_too() -> None:
    pool = TensorPool()
    for hold in (lambda t: t[2:], lambda t: t.numpy()):
        tensor = pool.get_tensor((6,))
        held, where = hold(tensor), address(tensor)
        pool.return_tensor(tensor)
        del tensor
        assert address(pool.get_tensor((6,))) != where
        del held
        pool.clear()


def test_a_leaf_comes_back_without_its_graph() -> None:
    pool = TensorPool()
    leaf = pool.get_tensor((2,)).requires_grad_(True)
    pool.return_tensor(leaf)
    del leaf
    assert not pool.get_tensor((2,)).requires_grad


def test_what_the_pool_refuses() -> None:
    pool, whole = TensorPool(), torch.zeros(4, 4)
    with pytest.raises(
        PinnxError, match=r"^tensor: expected one with memory of its own, got a view \[2, 4\] of a larger"
    ):
        pool.return_tensor(whole[:2])
    pool.return_tensor(whole)
    with pytest.raises(PinnxError, match=r"^tensor: expected one that is in use, got \[4, 4\] a second time$"):
        pool.return_tensor(whole)
    with pytest.raises(PinnxError, match=r"^strides: expected one >= 0 for each of the sizes \[3, 4\], got \[1\]$"):
        pool.get_tensor((3, 4), strides=(1,))


def test_a_training_uses_the_memory_of_its_points_again(make_trainer: Build, make_problem: Build) -> None:
    trainer = make_trainer(steps=8)
    trainer.run()
    pool = trainer.problem._workspace
    assert pool.statistics.allocated == 1
    assert pool.statistics.reused >= 7
    # In float64 the points of a batch are that memory: two batches at a time are two.
    problem = make_problem(dtype=torch.float64)
    first = problem.batch(0)
    numbers = first.flat.clone()
    problem.batch(1)
    assert torch.equal(first.flat, numbers)


# --- streams ------------------------------------------------------------------------------------------------------


def test_on_the_cpu_work_is_done_in_order_and_at_once() -> None:
    streams, done = CUDAStreamManager(3, "cpu"), []
    assert not streams.concurrent
    pending = [streams.run_async(lambda i: done.append(i) or i, i) for i in range(4)]
    assert done == [0, 1, 2, 3]
    assert [each.result() for each in pending] == [0, 1, 2, 3]
    with pytest.raises(PinnxError, match=r"^n_streams: expected an integer >= 1, got 0$"):
        CUDAStreamManager(0)


def test_terms_by_way_of_streams_have_the_same_losses(make_problem: Build, make_trainer: Build) -> None:
    problem = make_problem()
    batch, weights = problem.batch(0), torch.ones(len(problem.names))
    total, columns = problem.loss(batch, weights)
    problem._streams = CUDAStreamManager(2, "cpu")
    again = problem.loss(batch, weights)
    assert torch.equal(total, again[0])
    assert torch.equal(columns, again[1])
    with pytest.raises(PinnxError, match=r"^train\.streams: expected 1 on the cpu, where terms run in order, got 2$"):
        problem.use_streams(2)


@pytest.mark.gpu
@pytest.mark.parametrize("cuda_graph", ["off", "on"])
def test_cuda_streams_give_the_steps_of_one_stream(make_problem: Build, make_trainer: Build, cuda_graph: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device (torch.cuda.is_available() is False)")

    def trained(streams: int) -> list[torch.Tensor]:
        problem = make_problem()
        problem.model.to("cuda")
        problem.terms[0].equations.to("cuda")
        problem.use_streams(streams)
        trainer = make_trainer(problem=problem, steps=60, cuda_graph=cuda_graph)
        trainer.run()
        return [p.detach().clone() for p in problem.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(trained(1), trained(3), strict=True))


@pytest.mark.gpu
def test_cuda_work_on_two_streams_overlaps() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device (torch.cuda.is_available() is False)")
    streams, clocks = CUDAStreamManager(2), 50_000_000

    def seconds(run: Callable[[], None]) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        run()
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end)

    def side_by_side() -> None:
        for pending in [streams.run_async(torch.cuda._sleep, clocks) for _ in range(2)]:
            pending.result()

    def in_order() -> None:
        for _ in range(2):
            torch.cuda._sleep(clocks)

    assert seconds(side_by_side) < 0.75 * seconds(in_order)


# --- memory -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
@pytest.mark.parametrize(
    ("optimizer", "first", "steps"), [("adam", 150, 750), pytest.param("soap", 1000, 20_000, marks=pytest.mark.slow)]
)
def test_memory_does_not_grow(make_trainer: Build, make_problem: Build, optimizer: str, first: int, steps: int) -> None:
    """Within 1 %; docs/performance.md has how much it is."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    trainer = make_trainer(problem=make_problem(sides=()), optimizer=optimizer, steps=steps)
    while trainer.step < first:
        trainer.train_step()
    before = resident()
    while trainer.step < steps:
        trainer.train_step()
    print(f"{before * mmap.PAGESIZE} bytes after {first} steps, {resident() * mmap.PAGESIZE} after {steps}")
    assert resident() <= 1.01 * before
    lost = before * mmap.PAGESIZE // 50  # 2 %, from the system: the heap of a long suite has room for more
    with mmap.mmap(-1, lost) as kept:
        kept.write(bytes(lost))
        assert resident() > 1.01 * before
