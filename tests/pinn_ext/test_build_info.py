"""What was built is told, and which path a network takes; what takes the slower one says so, once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import pinn_ext
from pinn_ext import _core, build_info
from pinn_ext._impl import network

CUDA = {"cuda_version": "13.0", "cuda_architectures": "80,90"}


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """Each test is the first to ask, and leaves no answer to the next."""
    for function in (network._warn_composed, network._built_with_cuda):
        function.cache_clear()
    yield
    for function in (network._warn_composed, network._built_with_cuda):
        function.cache_clear()


def build_with(monkeypatch: pytest.MonkeyPatch, *, serves: bool = False, **changes: str) -> None:
    """Lets the package believe in another build, whose fused CUDA kernels take every network or none."""
    built = _core.build_info() | changes
    monkeypatch.setattr(_core, "build_info", lambda: dict(built))
    monkeypatch.setattr(_core, "cuda_fused_supports", lambda shape, float64: serves)


def test_fields() -> None:
    info = build_info()
    assert info.version == pinn_ext.__version__
    assert info.active_instruction_set in info.instruction_sets
    assert info.threads == torch.get_num_threads()
    assert (info.cuda_version is None) == (info.cuda_architectures == ())


def test_paths_of_a_build_for_the_cpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    build_with(monkeypatch, cuda_version="", cuda_architectures="")
    assert build_info().fused == {
        "cpu float32": "every width",
        "cpu float64": "every width",
        "cuda float32": None,
        "cuda float64": None,
    }


def test_paths_of_a_build_with_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    build_with(monkeypatch, **CUDA)
    for name, value in {"WIDTH": 256, "OUTPUTS": 8, "STREAMS": 6}.items():
        monkeypatch.setattr(_core, f"MAX_FUSED_{name}", value)
    fused = build_info().fused
    assert fused["cuda float32"] == "widths up to 256, 8 outputs and 6 streams, else composed"
    assert fused["cuda float64"] == "no width: composed"
    assert fused["cpu float32"] == "every width"


def test_the_kernels_say_what_is_told() -> None:
    """The limits are those that the kernels hold to."""
    if build_info().cuda_version is None:
        pytest.skip("this build has no CUDA kernels, so there are no limits of theirs")
    streams = _core.JetStreams([0, 1], [1.0, 1.0], True)

    def serves(width: int, outputs: int, *, float64: bool = False) -> bool:
        shape = _core.MlpShape(4, 2, 3, [6, width, outputs], streams, _core.Activation.tanh)
        return _core.cuda_fused_supports(shape, float64)

    text: Any = build_info().fused["cuda float32"]
    width, outputs, _ = (int(number) for number in re.findall(r"\d+", text))
    assert serves(width, outputs)
    assert not serves(width + 1, outputs)
    assert not serves(width, outputs + 1)
    assert not serves(width, outputs, float64=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_composed_path_is_said_once(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    build_with(monkeypatch, **CUDA)
    x: Any = SimpleNamespace(is_cuda=True, dtype=dtype)
    name = str(dtype).removeprefix("torch.")
    fused = build_info().fused[f"cuda {name}"]
    with pytest.warns(UserWarning, match=rf"a network in {name} on CUDA goes layer by layer \(composed\)") as caught:
        assert not network.fused_supports(None, x)
    assert str(fused) in str(caught[0].message)
    assert not network.fused_supports(None, x)  # a second warning would be an error here


def test_nothing_is_said_where_the_fused_path_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu: Any = SimpleNamespace(is_cuda=False, dtype=torch.float64)
    cuda: Any = SimpleNamespace(is_cuda=True, dtype=torch.float32)
    build_with(monkeypatch, serves=False, **CUDA)
    assert network.fused_supports(None, cpu)
    build_with(monkeypatch, serves=True, **CUDA)
    assert network.fused_supports(None, cuda)


def test_no_path_is_promised_in_a_build_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CUDA tensor goes on to the kernel that says how to rebuild, not to a slower one that would say the same."""
    build_with(monkeypatch, serves=False, cuda_version="", cuda_architectures="")
    x: Any = SimpleNamespace(is_cuda=True, dtype=torch.float32)
    assert network.fused_supports(None, x)
