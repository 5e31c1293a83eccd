"""Our pivoted QR inside PySensors, and the same answer without it.

PySensors (pip install python-sensors) keeps its own models, bases and scores; only the optimizer is
replaced. `SensorSelector` does the whole job by itself: modes and choice, streamed where need be.
"""

from __future__ import annotations

import time

import numpy as np
from pysensors.basis import SVD
from pysensors.optimizers import QR
from pysensors.reconstruction import SSPOR

from pinnx.sensors import PySensorsOptimizer, SensorSelector

NUM_SENSORS = 12


def fields(num: int, side: int, seed: int) -> np.ndarray:
    """Random sums of waves on a square, the longer the stronger: [num, side * side] float32."""
    x, y = np.meshgrid(np.linspace(0.0, 1.0, side), np.linspace(0.0, 1.0, side), indexing="ij")
    waves = [np.cos(np.pi * (i * x + j * y) + i) / (1 + i * i + j * j) for i in range(5) for j in range(5)]
    amplitudes = np.random.default_rng(seed).normal(size=(num, len(waves)))
    return (amplitudes @ np.reshape(waves, (len(waves), -1))).astype(np.float32)


def main() -> None:
    """Fits three times, and compares."""
    train, unseen = fields(100, 128, seed=0), fields(20, 128, seed=1)
    chosen = {}
    for name, optimizer in (("PySensors", QR()), ("PySensors, our QR", PySensorsOptimizer())):
        start = time.perf_counter()
        basis = SVD(n_basis_modes=NUM_SENSORS, random_state=0)
        model = SSPOR(basis=basis, optimizer=optimizer, n_sensors=NUM_SENSORS).fit(train, quiet=True)
        seconds = time.perf_counter() - start
        rebuilt = model.predict(unseen[:, model.selected_sensors], method="unregularized")
        error = np.linalg.norm(rebuilt - unseen) / np.linalg.norm(unseen)
        chosen[name] = model.selected_sensors
        print(f"{name:20s} {seconds * 1e3:7.1f} ms   error on unseen fields {100 * error:.2f} %")

    start = time.perf_counter()
    selector = SensorSelector(NUM_SENSORS).fit(train)
    seconds = time.perf_counter() - start
    quality = selector.quality(unseen)
    chosen["SensorSelector"] = selector.selected_sensors_
    print(
        f"{'SensorSelector':20s} {seconds * 1e3:7.1f} ms   error on unseen fields {100 * quality.held_out_error:.2f} %"
    )
    print(f"{'random places':20s} {'':10s}   error on unseen fields {100 * quality.random_held_out_error:.2f} %")

    wanted = set(chosen["PySensors"].tolist())
    same = all(set(sensors.tolist()) == wanted for sensors in chosen.values())
    print(f"the same {NUM_SENSORS} sensors" if same else f"other sensors: {chosen}")


if __name__ == "__main__":
    main()
