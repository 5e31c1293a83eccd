"""The benchmark of precision, small: rows of every precision of this machine, and a wrong gradient that ends it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import bench_precision
import pytest
import torch
from harness import WrongResultError
from machine import Limits
from networks import draw_network, flow_oracle

LIMITS = Limits(10.0, 10.0, 10.0, 10.0, matmul_gflop_per_s=100.0, array_mib=1, matmul_size=8)
CPU = torch.device("cpu")

pytestmark = pytest.mark.skipif(
    not hasattr(torch.backends.mkldnn, "matmul"), reason="torch before 2.9 has no choice of products"
)


def test_rows_of_each_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("results.measure_limits", lambda *_: LIMITS)
    bench_precision.main(["--quick", "--output", str(tmp_path / "p.json")])
    rows = json.loads((tmp_path / "p.json").read_text())["extra"]["precision"]
    assert [row["precision"] for row in rows] == ["float32", "float64", "bfloat16", "float16"]
    errors = {row["precision"]: row["error"] for row in rows}
    assert errors["float64"] < 1e-12 < errors["float32"] < 1e-5 < errors["float16"] < errors["bfloat16"]
    assert all(row["time_s"]["median"] > 0 and row["bytes"] >= 0 for row in rows)


def test_a_wrong_gradient_is_not_timed() -> None:
    steps = bench_precision.precisions(64, 16, CPU)
    wanted = flow_oracle(draw_network(64, 16, bench_precision.LAYERS))
    bfloat16 = next(step for step in steps if step.name == "bfloat16")
    assert bench_precision.error_of(bfloat16, wanted) < 0.06
    with pytest.raises(WrongResultError, match=r"^float16: expected an error <= 7.3e-03, got "):
        bench_precision.error_of(replace(bfloat16, name="float16"), [2 * tensor for tensor in wanted])
