"""Steps per second of a run on one thread, on all and as it chooses, in quiet and beside a busy process.

    python benchmarks/bench_threads.py [--quick] [--steps 400] [--out FILE.json]

The command `pinnx demo` without an end of its own: its history has the steps and their times. The goal: what it
chooses takes at least 0.9 of the steps per second of the better of the two, in quiet and beside one `yes`. The last row
is two threads that spin while they wait, the default of OpenMP. All runs of a row draw the same points, and the
loss that they end a step with is compared to the bit before a number is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

GOAL = 0.9
ROUNDS = 3
SPINNING = {"OMP_WAIT_POLICY": "ACTIVE"}


def main() -> None:
    """Prints a table; exits with 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 steps, one round and no goal: whether it works")
    parser.add_argument("--steps", type=int, help="steps of each run (default: 400)")
    parser.add_argument("--out", type=Path, help="JSON")
    options = parser.parse_args()
    steps = options.steps or (20 if options.quick else 400)
    cpus = len(os.sched_getaffinity(0))
    ways = {"one thread": ("1", {}), f"{cpus} threads": (str(cpus), {}), "chosen": ("null", {})}
    ways |= {f"{cpus} threads that spin": (str(cpus), SPINNING)}
    rows, missed = {}, False
    for neighbours in (0, 1):
        rates: dict[str, list[float]] = {name: [] for name in ways}
        busy = [subprocess.Popen(["yes"], stdout=subprocess.DEVNULL) for _ in range(neighbours)]
        try:
            losses = set()
            for _ in range(1 if options.quick else ROUNDS):
                for name, (threads, environment) in ways.items():
                    rate, loss = run(steps, threads, environment)
                    rates[name].append(rate)
                    losses.add(loss)
        finally:
            for process in busy:
                process.kill()
                process.wait()
        if len(losses) != 1:
            sys.exit(f"expected one loss whatever the threads, got {sorted(losses)}")
        middle = {name: median(values) for name, values in rates.items()}
        share = middle["chosen"] / max(middle["one thread"], middle[f"{cpus} threads"])
        missed |= share < GOAL
        rows[f"{neighbours} busy neighbours"] = {"steps_per_s": rates, "share": share}
        shown = "  ".join(f"{name} {value:.0f}" for name, value in middle.items())
        print(f"{neighbours} busy neighbours, steps/s: {shown}  share of the better {share:.2f} (goal {GOAL})")
    if options.out is not None:
        options.out.write_text(json.dumps({"cpus": cpus, "steps": steps, "rows": rows}, indent=1) + "\n")
    sys.exit(missed and not options.quick)


def run(steps: int, threads: str, environment: dict[str, str]) -> tuple[float, float]:
    """Steps per second and the last loss of a demo; its first tenth, where threads are chosen, counts."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["demo", "--quiet", "--out", f"{folder}/run", f"train.steps={steps}", f"train.threads={threads}"]
        subprocess.run([sys.executable, "-P", "-m", "pinnx", *words], env={**os.environ, **environment}, check=True)
        last = json.loads(Path(folder, "run", "history.jsonl").read_text().splitlines()[-1])
    return last["step"] / last["time_s"], last["loss/total"]


if __name__ == "__main__":
    main()
