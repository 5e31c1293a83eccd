"""The tests here share modules."""

from __future__ import annotations

import sys
from pathlib import Path

# So that `import stored_flow` works under any import mode of pytest.
sys.path.insert(0, str(Path(__file__).resolve().parent))
