"""The folder of a run: never one that holds something, whole files, a history that a resumed run continues."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pinnx.errors import PinnxError
from pinnx.train import RunFolder
from pinnx.train.run_folder import write_text


@pytest.mark.parametrize("exists", [False, True])
def test_a_new_folder_is_made_with_its_parents(tmp_path: Path, exists: bool) -> None:
    path = tmp_path / "a" / "b"
    if exists:
        path.mkdir(parents=True)
        (path / "notes.txt").write_text("mine")
    RunFolder(path).create()
    assert path.is_dir()
    assert not exists or (path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", RunFolder.FILES)
def test_a_folder_that_holds_a_run_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    for call in (RunFolder(tmp_path).require_free, RunFolder(tmp_path).create):
        with pytest.raises(PinnxError) as caught:
            call()
        hint = f", or go on with it: pinnx reconstruct --resume {tmp_path}" if name == "config.yaml" else ""
        wanted = f"{tmp_path}: expected a folder without a run, found {name}; choose another --out{hint}"
        assert str(caught.value) == wanted
    assert (tmp_path / name).read_text() == "precious"
    assert [item.name for item in tmp_path.iterdir()] == [name]


def test_a_finished_run_is_not_said_to_go_on(tmp_path: Path) -> None:
    for name in RunFolder.FILES:
        (tmp_path / name).touch()
    with pytest.raises(PinnxError, match=r"choose another --out$"):
        RunFolder(tmp_path).require_free()


def test_a_link_to_nowhere_counts_as_a_file_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").symlink_to(tmp_path / "gone")
    with pytest.raises(PinnxError, match=r"found config\.yaml"):
        RunFolder(tmp_path).require_free()


def test_the_command_to_go_on_is_ready_for_a_shell(tmp_path: Path) -> None:
    path = tmp_path / "my run; really"
    assert RunFolder(path).how_to_go_on == f"pinnx reconstruct --resume '{path}'"


def test_places_that_are_no_folder_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(PinnxError, match="expected a folder for the run, got a file"):
        RunFolder(file).require_free()
    with pytest.raises(PinnxError, match="expected a place where a folder can be made, got: Not a directory"):
        RunFolder(file / "run").create()
    with pytest.raises(PinnxError, match="expected a place where a folder can be made, got: File name too long"):
        RunFolder(tmp_path / ("n" * 300)).create()
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PinnxError, match="expected a folder that can be written"):
            RunFolder(tmp_path).create()
        with pytest.raises(PinnxError, match="expected a place where a folder can be made"):
            RunFolder(tmp_path / "run").create()
    finally:
        tmp_path.chmod(0o700)


def test_history_is_one_object_a_line(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.read_history(10) == []
    rows = [{"step": step, "loss/total": 1.0 / step} for step in (1, 10, 20)]
    for row in rows:
        folder.append_history(row)
    assert [json.loads(line) for line in folder.history.read_text().splitlines()] == rows
    assert folder.read_history(10) == rows[:2]


def test_history_goes_back_to_the_checkpoint(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in (1, 10, 20):
        folder.append_history({"step": step})
    with folder.history.open("a") as file:
        file.write('{"step": 30, "loss/to')  # killed in the middle of a line
    assert [row["step"] for row in folder.read_history(100)] == [1, 10, 20]
    folder.rewind_history(10)
    folder.append_history({"step": 20})
    assert folder.history.read_text() == '{"step": 1}\n{"step": 10}\n{"step": 20}\n'
    folder.rewind_history(0)
    assert folder.history.read_text() == ""


def test_a_text_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \ud800")  # half a character: nothing that could be encoded
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["metrics.json"]
