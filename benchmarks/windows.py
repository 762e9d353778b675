"""How fast windows of trajectories come, and the whole data set of the dynamics paper is made.

    python benchmarks/windows.py [--simulations 300] [--workers 2]

Makes the first potentials of `paper-barrier` in a temporary directory, reads 189 simulations into memory,
and gathers batches of 128 windows of (5, 23, 3) on one core. `copying` is the physical limit: as many bytes
copied in one piece.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
from common import report

from qwell.datagen.pipeline import generate
from qwell.datagen.presets import preset
from qwell.store.reader import open_dataset
from qwell.store.windows import Windows

BATCH, COUNT = 128, 400_000


class Memory:
    """The most that this process and all below it hold at a time (proportional share), looked at often."""

    def __init__(self) -> None:
        self._most, self._done = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.2):
            own, total = psutil.Process(), 0
            for process in [own, *own.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self._most = max(self._most, total)

    def stop(self) -> int:
        self._done.set()
        self._thread.join()
        return self._most


def rate(windows: Windows) -> float:
    """Windows a second, over COUNT of them."""
    batches = windows.batches(BATCH)
    next(batches)
    clock, done = time.perf_counter(), 0
    for batch in batches:
        done += len(batch)
        if done >= COUNT:
            break
    return done / (time.perf_counter() - clock)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--simulations", type=int, default=300, help="a multiple of 189, rounded up; 2646: all"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="for the data set; a temporary one by default")
    options = parser.parse_args()
    recipe = preset("paper-barrier")
    family = recipe.families[0]
    count = min(-(-options.simulations // 189), len(family.potentials))
    recipe = replace(recipe, families=(replace(family, potentials=family.potentials[:count]),), validation=0)
    rows: dict[str, float | int] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "paper-barrier.zarr"
        memory = Memory()
        clock = time.perf_counter()
        generate(recipe, path, workers=options.workers)
        rows["simulations"] = 189 * count
        rows["generating: seconds"] = time.perf_counter() - clock
        rows["generating: simulations/s"] = 189 * count / rows["generating: seconds"]
        rows["generating: GB"] = recipe.plan().bytes / 1e9
        rows["generating: memory of all processes together, GB (target 4)"] = memory.stop() / 1e9
        data = open_dataset(path)
        few = np.empty((189, *data["train"].fields["psi"].shape), np.float32)
        data["train"]["psi"].read_into(0, 189, few)
        potential = data["train"]["potential"][:189]
        clock = time.perf_counter()
        windows = Windows(few, potential, recipe.curriculum)
        rows["choosing windows: ms a simulation"] = 1e3 * (time.perf_counter() - clock) / 189
        rows["windows a simulation"] = len(windows) // 189
        rows["resident: windows/s (target 300,000)"] = rate(windows)
        np.save(Path(folder) / "psi.npy", few)
        mapped = np.load(Path(folder) / "psi.npy", mmap_mode="r")
        rows["memory-mapped: windows/s (target 300,000)"] = rate(
            Windows(mapped, potential, recipe.curriculum)
        )
    out = np.empty((BATCH, 5, 23, 3), np.float32)
    source = np.zeros((4000, *out.shape), np.float32)
    clock = time.perf_counter()
    for i in range(COUNT // BATCH):
        out[...] = source[i % 4000]
    rows["copying: windows/s"] = COUNT / (time.perf_counter() - clock)
    command = f"python benchmarks/windows.py --simulations {options.simulations} --workers {options.workers}"
    report("windows", command, rows)


if __name__ == "__main__":
    main()
