"""The start files of clusters: their syntax, and that the commands in them are ours."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pinnx.cli.command import _parser

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SLURM = (EXAMPLES / "slurm.sbatch").read_text()
SERVICE, JOB = yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text())
(CONTAINER,) = JOB["spec"]["template"]["spec"]["containers"]
SCRIPTS = {"slurm": SLURM, "kubernetes": CONTAINER["args"][0]}


def problems(script: str) -> str:
    """What bash, and shellcheck where it is there, say about a script."""
    said = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False).stderr
    if shutil.which("shellcheck"):
        check = ["shellcheck", "--shell=bash", "-"]
        said += subprocess.run(check, input=script, capture_output=True, text=True, check=False).stdout
    return said


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_are_bash(name: str) -> None:
    assert problems(SCRIPTS[name]) == ""


def test_a_script_that_is_cut_short_would_show() -> None:
    assert "syntax error" in problems(SLURM[: SLURM.index("\nfi")])


@pytest.mark.parametrize("name", SCRIPTS)
def test_they_start_what_the_command_line_takes(name: str) -> None:
    commands = re.findall(r"(?:job=\(|set -- )((?:resume|reconstruct)[^)#\n]*)", SCRIPTS[name])
    assert [shlex.split(command)[0] for command in commands] == ["resume", "reconstruct"]
    for command in commands:
        options, rest = _parser().parse_known_args(shlex.split(command))
        assert options.on_ranks
        assert rest in ([], ["train.device=cuda"])


def test_the_pods_find_each_other() -> None:
    spec = JOB["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] == 2
    name = SERVICE["metadata"]["name"]
    assert spec["template"]["spec"]["subdomain"] == name
    assert f"--rdzv-endpoint={JOB['metadata']['name']}-0.{name}:" in SCRIPTS["kubernetes"]
    volumes = {volume["name"] for volume in spec["template"]["spec"]["volumes"]}
    assert {mount["name"] for mount in CONTAINER["volumeMounts"]} == volumes
