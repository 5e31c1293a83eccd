"""How fast particles break, from noisy size distributions: a network and least squares with a classical solver.

    S(v) = s0 v^a, two daughters of any size; f measured at 3 times with 1 % noise; s0 and a unknown

    python examples/breakage_kinetics.py [--steps 1000]

Both are given the same measurements and the same guess, twice the rate and half as much again in the exponent. The
classical fit is faster and has intervals: it is the yardstick. The network needs no solver that knows the equation.
"""

from __future__ import annotations

import argparse

import numpy as np

import pinnx
from pinnx.evals import BREAKAGE_CASES

NOISE = 0.01


def main() -> None:
    """Trains, and prints what both have found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()

    exact, random = BREAKAGE_CASES["case1"], np.random.default_rng(0)
    t, v = (grid.ravel() for grid in np.meshgrid([2.0, 5.0, 10.0], np.geomspace(0.01, 2.0, 20)))
    f = exact.density(v, t) * np.exp(NOISE * random.standard_normal(len(v)))
    kept = f > 1e-6 * f.max()

    found = pinnx.run_case(
        "case1",
        adam_epochs=options.steps,
        measured=(t[kept], v[kept], f[kept]),
        learn=["s0", "a"],
        guess={"s0": 2.0, "a": 1.5},
    )
    for name, number in found.found.items():
        fit = number["estimate"]
        print(f"{name}: network {number['value']:.4f}, guess {number['guess']:.4f}, exact 1")
        print(f"{name}: least squares {fit['value']:.4f}, 95 % from {fit['low']:.4f} to {fit['high']:.4f}")
    print(f"f at v = 0.1, t = 5: {float(found.predict(0.1, 5.0)):.4f}, exact {float(exact.density(0.1, 5.0)):.4f}")


if __name__ == "__main__":
    main()
