"""How fast batches come to training loops of others: `qwell.loader`, and `Split.torch` in torch's DataLoader.

python benchmarks/loader.py [--n 500000] [--batch 1000]

Rates are medians over epochs of wall time. Beside them stand rows per second of this process's own processor
time: on a machine that does other work as well, wall time says more of that work.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from common import report
from torch.utils.data import DataLoader

import qwell


def rates(batches: Iterable[object], rows: int, repeats: int) -> tuple[float, float]:
    """Rows per second over whole epochs after the first, of wall time and of this process's own time."""
    found = []
    for _ in range(repeats + 1):
        clock = time.perf_counter(), time.process_time()
        for _ in batches:
            pass
        found.append((rows / (time.perf_counter() - clock[0]), rows / (time.process_time() - clock[1])))
    wall, own = np.median(found[1:], axis=0)
    return float(wall), float(own)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=500_000)
    parser.add_argument("--batch", type=int, default=1000)
    options = parser.parse_args()
    n, batch = options.n, options.batch
    torch.set_num_threads(1)
    rows: dict[str, object] = {"rows": n, "batch": batch}
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["QWELL_CACHE"] = str(Path(scratch) / "cache")
        path = Path(scratch) / "m3.zarr"
        qwell.generate(qwell.SpectraRecipe("m3", n=n, validation=0, solver="lanes"), path, workers=0)
        data = qwell.open_dataset(path)
        mapped = data["train"].torch()
        ways: dict[str, Iterable[object]] = {
            "loader, fresh tensors (at least 5e6)": qwell.loader(data, batch=batch, epochs=1),
            "loader, numpy": qwell.loader(data, batch=batch, epochs=1, as_numpy=True),
            "DataLoader, shuffled, in this process (at least 1e6)": DataLoader(mapped, batch, shuffle=True),
            "DataLoader, 2 workers (at least 1e6)": DataLoader(mapped, batch, shuffle=True, num_workers=2),
            "DataLoader, 2 workers that stay (at least 1e6)": DataLoader(
                mapped, batch, shuffle=True, num_workers=2, persistent_workers=True
            ),
        }
        for name, batches in ways.items():
            wall, own = rates(batches, n, 5)
            rows |= {f"{name} [rows/s]": wall, f"{name} [rows/s of its processor]": own}
    rows["load of the machine at the end"] = os.getloadavg()[0]
    report(f"loader-{batch}", f"python benchmarks/loader.py --n {n} --batch {batch}", rows)


if __name__ == "__main__":
    main()
