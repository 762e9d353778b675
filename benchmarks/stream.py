"""How fast shuffled batches come: our two tiers beside torch's DataLoader, in one run.

python benchmarks/stream.py [--n 500000] [--batch 1000]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from common import report
from torch.utils.data import DataLoader, TensorDataset

from qwell.datagen.pipeline import generate
from qwell.datagen.recipes import SpectraRecipe
from qwell.store.reader import open_dataset
from qwell.train.stream import Stream, open_stream


def rate(batches: Callable[[], Iterable[object]], rows: int, repeats: int) -> float:
    """Median rows per second over whole epochs."""
    speeds = []
    for _ in range(repeats):
        clock = time.perf_counter()
        for _ in batches():
            pass
        speeds.append(rows / (time.perf_counter() - clock))
    return float(np.median(speeds))


def epoch(stream: Stream) -> Iterable[object]:
    return (next(stream) for _ in range(stream.batches))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=500_000)
    parser.add_argument("--batch", type=int, default=1000)
    options = parser.parse_args()
    n, batch = options.n, options.batch
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "m3.zarr"
        generate(SpectraRecipe("m3", n=n, validation=0, solver="lanes"), path)
        data = open_dataset(path)
        speeds = {}
        for tier in ("resident", "pool"):
            stream = open_stream(data, tier, batch=batch)
            for _ in epoch(stream):
                pass
            speeds[tier] = rate(lambda s=stream: epoch(s), n, 9)
            stream.close()
        tensors = TensorDataset(
            torch.from_numpy(data["train"]["potential"][:]), torch.from_numpy(data["train"]["energy"][:])
        )
        loader = DataLoader(tensors, batch_size=batch, shuffle=True)
        speeds["DataLoader"] = rate(lambda: loader, n, 3)
    rows = {
        "rows": n,
        "batch": batch,
        "resident [rows/s] (at least 8e6)": speeds["resident"],
        "pool [rows/s] (at least 2e6)": speeds["pool"],
        "torch DataLoader over TensorDataset [rows/s]": speeds["DataLoader"],
        "resident / DataLoader (at least 10)": speeds["resident"] / speeds["DataLoader"],
        "pool / DataLoader": speeds["pool"] / speeds["DataLoader"],
    }
    report(f"stream-{batch}", f"python benchmarks/stream.py --n {n} --batch {batch}", rows)


if __name__ == "__main__":
    main()
