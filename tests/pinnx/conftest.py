"""What tests of several rooms share."""

from __future__ import annotations

import sys
from pathlib import Path

# So that `import flow_files` works from every folder, under any import mode of pytest.
sys.path.insert(0, str(Path(__file__).resolve().parent / "jobs"))
