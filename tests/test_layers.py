"""Packages import only what stands before them: the contracts of pyproject.toml, kept by import-linter."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
PROJECT = CHECKOUT / "pyproject.toml"
LINTER = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"

pytestmark = [
    pytest.mark.skipif(find_spec("importlinter") is None, reason="import-linter is not installed (extra: dev)"),
    pytest.mark.skipif(not PROJECT.is_file(), reason="the tests do not run from a checkout: no pyproject.toml"),
]


def lint(config: Path, folder: Path, *more_paths: Path) -> subprocess.CompletedProcess[str]:
    """Runs import-linter over what is installed, after the folders of ``more_paths``."""
    path = os.pathsep.join([*map(str, more_paths), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    environment = os.environ | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    given = [sys.executable, "-c", LINTER, "--config", str(config), "--no-cache"]
    return subprocess.run(given, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_contracts_are_kept(tmp_path: Path) -> None:
    done = lint(PROJECT, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kept, 0 broken" in done.stdout


def test_a_broken_contract_would_show(tmp_path: Path) -> None:
    """A room that looks back is refused, so the test above tests something."""
    for name, text in (("__init__", ""), ("data", "from pinnx import cli\n"), ("cli", "")):
        (tmp_path / "pinnx").mkdir(exist_ok=True)
        (tmp_path / "pinnx" / f"{name}.py").write_text(text)
    config = tmp_path / "contracts.toml"
    config.write_text(
        '[tool.importlinter]\nroot_packages = ["pinnx"]\n[[tool.importlinter.contracts]]\nname = "one way"\n'
        'type = "layers"\ncontainers = ["pinnx"]\nlayers = ["cli", "data"]\n'
    )
    done = lint(config, tmp_path, tmp_path)
    assert done.returncode != 0
    assert "pinnx.data is not allowed to import pinnx.cli" in done.stdout


def test_every_room_stands_in_the_contract() -> None:
    """A room that no layer names would be free to import anything."""
    import tomllib

    contracts = tomllib.loads(PROJECT.read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    named = {room.strip() for layer in layers for room in layer.split("|")}
    package = CHECKOUT / "python" / "pinnx"
    rooms = {path.stem for path in package.glob("*.py")} | {path.parent.name for path in package.glob("*/__init__.py")}
    assert rooms - {"__init__", "__main__", "py"} == named
