"""In the checkout's root the source folder of pinn_ext hides the installed package: that must say what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
SOURCE = CHECKOUT / "pinn_ext"

pytestmark = pytest.mark.skipif(
    not (SOURCE / "__init__.py").is_file() or not (CHECKOUT / "csrc").is_dir(),
    reason="the tests do not run from a checkout: no pinn_ext and csrc beside them",
)


def python(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a script whose working directory stands first on the path, as at a prompt."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONSAFEPATH", "PYTHONPATH")}
    given = [sys.executable, "-c", script]
    return subprocess.run(given, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.skipif(any(SOURCE.glob("_core*.so")), reason="a compiled module lies in the source folder: nothing hides")
def test_from_the_root_it_says_what_to_do() -> None:
    script = "import sys; sys.dont_write_bytecode = True; import pinn_ext; print(pinn_ext.__file__)"
    done = python(script, CHECKOUT)
    if done.returncode == 0:  # an editable install finds its module from everywhere
        assert "site-packages" not in done.stdout
        return
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: pinn_ext was imported from its source folder {SOURCE}, which hides")
    assert "Run from another folder" in last
    assert "pip install --no-build-isolation -e ." in last


def test_from_elsewhere_it_works(tmp_path: Path) -> None:
    done = python("import pinn_ext; print(pinn_ext.build_info().version)", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_copy_without_its_module_says_so(tmp_path: Path) -> None:
    """An installation that lost its compiled module is another fault with another remedy."""
    (tmp_path / "pinn_ext").mkdir()
    (tmp_path / "pinn_ext" / "__init__.py").write_bytes((SOURCE / "__init__.py").read_bytes())
    done = python("import pinn_ext", tmp_path)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: pinn_ext has no usable compiled module")
    assert "pip install --force-reinstall pinn-ext" in last
