"""A checkpoint counts only when complete: cut short, altered or foreign files are refused by name."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from pinnx.errors import PinnxError
from pinnx.train import (
    CheckpointFolder,
    Hook,
    LoggedStep,
    SaveCheckpoints,
    Trainer,
    checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from pinnx.train.checkpoint import checkpoint_loss
from pinnx.train.ranks import OneProcess

STATE = {"step": 3, "network": {"w": torch.arange(6.0).reshape(2, 3)}, "list": [1, 2.5, None, "name"]}

# Everything that a state may hold, in the forms in which it comes.
WIDE = torch.arange(12.0, dtype=torch.float64).reshape(3, 4)
ODD = {
    "float32": torch.tensor([1.0, -0.0, math.inf, math.nan, 1e-45]),
    "float64": WIDE,
    "transposed": WIDE.T,
    "slice of it": WIDE[1:, 1],
    "int64": torch.tensor([2**62, -1]),
    "bool": torch.tensor([True, False]),
    "bfloat16": torch.tensor([1.5, 2.5], dtype=torch.bfloat16),
    "number": torch.tensor(7.0),
    "none": torch.empty(0, 3),
    "random": torch.Generator().manual_seed(5).get_state(),
    "floats": [0.1, 1e308, 5e-324, -0.0, math.inf, -math.inf, math.nan],
    "integers": (2**70, True, 0),
    "nested": [{"a": ({},)}, [], ()],
    "state": {0: {"exp_avg": torch.ones(2)}, 1: {}, None: 3, "0": {"exp_avg": torch.zeros(2)}},
    "tensor": {"dict": [["tensor", "x"]], "float": "nan"},
    "text": 'quotes " and é\n',
}

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
import torch
from pinnx.train import save_checkpoint

path = Path(sys.argv[1])
save_checkpoint(path, {"step": 1, "w": torch.ones(1000)})

def half_a_file(path, content):
    with path.open("wb") as file:
        file.write(content[:2000])
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

Path.write_bytes = half_a_file
save_checkpoint(path, {"step": 2, "w": torch.zeros(1000)})
"""


def bits(value: Any) -> Any:
    """Tensors as dtype, shape and bytes, numbers as text, keys with their types."""
    if isinstance(value, torch.Tensor):
        content = value.contiguous().reshape(-1).view(torch.uint8)
        return str(value.dtype), tuple(value.shape), content.numpy().tobytes()
    if isinstance(value, dict):
        return [(repr(key), bits(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value).__name__, [bits(item) for item in value]
    return repr(value)


@pytest.mark.parametrize("state", [STATE, ODD])
def test_round_trip_is_bitwise(tmp_path: Path, state: dict[str, Any]) -> None:
    path = tmp_path / "checkpoint"
    save_checkpoint(path, state, loss=0.1)
    loaded = load_checkpoint(path)
    assert bits(loaded) == bits(state)
    assert bits(loaded) != bits(state | {"text": "other"}), "the comparison sees a difference"
    assert checkpoint_loss(path) == 0.1
    assert [item.name for item in tmp_path.iterdir()] == ["checkpoint"]


def test_what_is_no_tensor_and_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PinnxError, match=r"strings and containers of them, got Trap at part/0$"):
        save_checkpoint(tmp_path / "c", {"part": [Trap()]})
    assert list(tmp_path.iterdir()) == []


def test_other_programs_can_read_it(tmp_path: Path) -> None:
    """The tensors by their path, in a format of which torch and pinnx know nothing."""
    save_checkpoint(tmp_path / "c", {"model": {"weight_0": torch.eye(2)}, "step": 7})
    with safetensors.safe_open(tmp_path / "c", framework="numpy") as file:
        assert list(file.keys()) == ["model/weight_0"]
        assert file.get_tensor("model/weight_0").tolist() == [[1, 0], [0, 1]]
        assert json.loads(file.metadata()["state"])["dict"][1] == ["step", 7]


def test_every_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    save_checkpoint(path, STATE)
    whole = path.read_bytes()
    for size in (*range(9), 30, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(PinnxError, match=r"checkpoint: expected a whole checkpoint, got .*damaged") as caught:
            load_checkpoint(path)
        assert "\n" not in str(caught.value)


def test_every_altered_byte_is_refused(tmp_path: Path) -> None:
    """But in the padding of the header, which says nothing."""
    path = tmp_path / "checkpoint"
    save_checkpoint(path, STATE, loss=2.0)
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        if place < header and whole[place] == ord(" ") and not whole[place:header].strip():
            continue
        with pytest.raises(PinnxError, match=r"expected a (whole )?checkpoint"):
            load_checkpoint(path)
    path.write_bytes(whole)
    assert bits(load_checkpoint(path)) == bits(STATE)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    for call in (load_checkpoint, checkpoint_loss):
        with pytest.raises(PinnxError, match="no such checkpoint"):
            call(tmp_path / "none")
    path.write_text("weights, perhaps")
    with pytest.raises(PinnxError, match="expected a whole checkpoint, got a damaged file"):
        load_checkpoint(path)
    torch.save({"format": 3, "step": 1}, path)
    with pytest.raises(PinnxError, match="expected a whole checkpoint, got a damaged file"):
        load_checkpoint(path)
    for header, got in ((None, "another file"), ({"format": "4", "state": "{}"}, "format 4")):
        safetensors.torch.save_file({"w": torch.ones(2)}, path, header)
        with pytest.raises(PinnxError, match=f"expected a checkpoint of format 6, got {got}"):
            load_checkpoint(path)


def test_a_state_that_is_no_dict_of_parts_is_refused(tmp_path: Path) -> None:
    """And trees that no save writes, with a digest that fits."""
    deep = "[" * 100_000 + "]" * 100_000
    for tree, wanted in (
        ("[1]", "damaged file|dict of parts"),
        ("3", "got int"),
        ('{"x": 1}', "unknown"),
        (deep, "dam"),
    ):
        header = {"format": checkpoint.FORMAT, "loss": "inf", "state": tree}
        header["blake2b"] = checkpoint._digest(header, {})
        safetensors.torch.save_file({}, tmp_path / "c", header)
        with pytest.raises(PinnxError, match=wanted):
            load_checkpoint(tmp_path / "c")


def test_no_code_in_a_checkpoint_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "checkpoint"
    torch.save({"format": "4", "step": Trap()}, path)
    with pytest.raises(PinnxError, match="expected a whole checkpoint"):
        load_checkpoint(path)
    assert not (tmp_path / "trapped").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "trapped").exists(), "the trap works"


class Trap:
    """An object that makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("trapped",)


def test_a_failure_while_writing_leaves_the_old_one(tmp_path: Path) -> None:
    """A limit on the size of files, by the kernel: the write stops in the middle, as on a full disk."""
    path = tmp_path / "checkpoint"
    save_checkpoint(path, STATE)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_checkpoint(path, {"step": 4, "w": torch.ones(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert load_checkpoint(path)["step"] == 3
    assert [item.name for item in tmp_path.iterdir()] == ["checkpoint"]


def test_a_half_written_checkpoint_is_ignored(tmp_path: Path) -> None:
    """Killed in the middle of writing the second: the first is what is there, and the next one takes its place."""
    path = tmp_path / "checkpoint"
    given = [sys.executable, "-c", KILLED_WHILE_WRITING, str(path)]
    done = subprocess.run(given, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert path.with_name("checkpoint.part").exists()
    assert load_checkpoint(path)["step"] == 1
    save_checkpoint(path, {"step": 3})
    assert load_checkpoint(path)["step"] == 3
    assert [item.name for item in tmp_path.iterdir()] == ["checkpoint"]


def test_what_is_loaded_shares_no_memory_with_the_file(tmp_path: Path) -> None:
    """A training writes into its state; and kernels may round by the alignment of what they read."""
    save_checkpoint(tmp_path / "c", {"one": torch.ones(1, dtype=torch.uint8), "w": torch.ones(100)})
    before = (tmp_path / "c").read_bytes()
    state = load_checkpoint(tmp_path / "c")
    assert state["w"].data_ptr() % 64 == 0
    state["w"].zero_()
    assert (tmp_path / "c").read_bytes() == before


def state_at(step: int) -> dict[str, Any]:
    return {"clock": {"step": step}, "w": torch.full((3,), float(step))}


def steps_in(folder: Path) -> list[int]:
    return sorted(int(item.stem.removeprefix("step-")) for item in folder.glob("*.safetensors"))


def test_the_last_few_and_the_best_are_kept(tmp_path: Path) -> None:
    checkpoints = CheckpointFolder(tmp_path, keep=2)
    checkpoints.save(state_at(0))
    for step, loss in ((1, 5.0), (2, 3.0), (3, 4.0), (4, math.nan)):
        checkpoints.save(state_at(step), loss)
    assert steps_in(tmp_path) == [2, 3, 4]
    again = CheckpointFolder(tmp_path, keep=1)  # another process knows the losses from the files
    again.save(state_at(5), 3.5)
    assert steps_in(tmp_path) == [2, 5]
    again.save(state_at(6), 2.5)
    assert steps_in(tmp_path) == [6], "the best is the last"
    again.save(state_at(6))
    assert checkpoint_loss(tmp_path / "step-00000006.safetensors") == 2.5, "saved again, with the loss of that step"
    assert again.latest().state["clock"]["step"] == 6


@pytest.mark.parametrize("damage", ["cut", "altered", "empty", "folder"])
def test_the_one_before_a_damaged_one_is_used_and_the_reason_given(tmp_path: Path, damage: str) -> None:
    checkpoints = CheckpointFolder(tmp_path)
    for step in (1, 2, 3):
        checkpoints.save(state_at(step), 1.0 / step)
    last = tmp_path / "step-00000003.safetensors"
    content = last.read_bytes()
    last.unlink()
    if damage == "folder":
        last.mkdir()
    else:
        changed = {"cut": content[:-1], "altered": content[:-1] + b"\1", "empty": b""}
        last.write_bytes(changed[damage])
    (tmp_path / "step-00000009.safetensors.part").write_bytes(content[:50])
    found = (again := CheckpointFolder(tmp_path)).latest()
    assert found.state["clock"]["step"] == 2
    (reason,) = found.refused
    assert reason.startswith(f"{last}: ")
    again.save(state_at(4), 0.1)  # a damaged one takes no place of a whole one
    assert {2, 4} <= set(steps_in(tmp_path))
    (tmp_path / "step-00000004.safetensors").unlink()
    (tmp_path / "step-00000002.safetensors").write_bytes(b"")
    with pytest.raises(PinnxError, match=f"^{tmp_path}: expected a whole checkpoint, found none; .*3.safetensors: .*;"):
        CheckpointFolder(tmp_path).latest()


def test_a_folder_without_checkpoints_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PinnxError, match=r"expected a whole checkpoint, found none$"):
        CheckpointFolder(tmp_path).latest()


def test_a_hook_saves_them_with_the_loss_that_was_logged(make_trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    folder, seen = CheckpointFolder(tmp_path, keep=1), {}

    class Seen(Hook):
        def on_log(self, logged: LoggedStep) -> None:
            seen[logged.step] = logged.total

    trainer = make_trainer(steps=12, log_every=2, checkpoint_every=4, hooks=[Seen(), SaveCheckpoints(folder)])
    trainer.save()
    assert checkpoint_loss(tmp_path / "step-00000000.safetensors") == math.inf, "none was logged"
    trainer.run()
    best = min((seen[step], step) for step in (4, 8, 12))[1]
    assert steps_in(tmp_path) == sorted({best, 12})
    for step in steps_in(tmp_path):
        assert checkpoint_loss(tmp_path / f"step-{step:08d}.safetensors") == seen[step]
    assert folder.latest().state["clock"]["step"] == 12


def test_of_several_ranks_the_first_one_saves(make_trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    """Two that wrote one file were in each other's way."""

    class Second(OneProcess):
        rank, first = 1, False

    for ranks, steps in ((Second(), []), (OneProcess(), [2, 4])):
        hooks = [Hook(), SaveCheckpoints(CheckpointFolder(tmp_path))]
        make_trainer(steps=4, checkpoint_every=2, hooks=hooks, ranks=ranks).run()
        assert steps_in(tmp_path) == steps
    with pytest.raises(PinnxError, match=r"^hooks: expected a Hook for each, got builtin_function_or_method$"):
        make_trainer(hooks=[print])


@pytest.mark.parametrize("found", ["none", "a file"])
def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path, found: str) -> None:
    missing = tmp_path / "runs" / "misspelt"
    message = f"^{missing}: expected a folder of checkpoints, found {found}; make it first$"
    missing.mkdir(parents=True)
    checkpoints = CheckpointFolder(missing)
    missing.rmdir()
    if found == "a file":
        missing.touch()
    for search in (lambda: CheckpointFolder(missing), checkpoints.latest, lambda: checkpoints.of_step(1)):
        with pytest.raises(PinnxError, match=message):
            search()


def test_paths_may_be_text(tmp_path: Path) -> None:
    path = CheckpointFolder(str(tmp_path)).save(state_at(1), 0.5)
    assert CheckpointFolder(str(tmp_path)).latest().path == path
    save_checkpoint(str(path), state_at(2))
    assert load_checkpoint(str(path))["clock"]["step"] == 2


def test_the_format_is_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT", "9")
    save_checkpoint(tmp_path / "c", STATE)
    monkeypatch.undo()
    with pytest.raises(PinnxError, match="expected a checkpoint of format 6, got format 9"):
        load_checkpoint(tmp_path / "c")
