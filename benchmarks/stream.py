"""How fast shuffled batches come: our tiers beside torch's DataLoader, in one run.

python benchmarks/stream.py [--n 500000] [--batch 1000]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from common import report
from torch.utils.data import DataLoader, TensorDataset

from qwell.datagen.pipeline import generate
from qwell.datagen.recipes.spectra import SpectraRecipe
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
        os.environ["QWELL_CACHE"] = str(Path(scratch) / "cache")
        recipe, speeds = SpectraRecipe("m3", n=n, validation=0, solver="lanes"), {}
        for name in ("m3.h5", "m3.zarr"):
            generate(recipe, Path(scratch) / name)
            data = open_dataset(Path(scratch) / name)
            for tier in ("pool",) if name == "m3.h5" else ("resident", "mirror", "pool"):
                stream = open_stream(data, tier, batch=batch)
                for _ in epoch(stream):
                    pass
                speeds[f"{tier} {name[3:]}"] = rate(lambda s=stream: epoch(s), n, 15)
                stream.close()
        tensors = TensorDataset(
            torch.from_numpy(data["train"]["potential"][:]), torch.from_numpy(data["train"]["energy"][:])
        )
        loader = DataLoader(tensors, batch_size=batch, shuffle=True)
        speeds["DataLoader"] = rate(lambda: loader, n, 3)
    rows = {
        "rows": n,
        "batch": batch,
        "resident [rows/s] (at least 8e6)": speeds["resident zarr"],
        "mirror, after the first epoch [rows/s] (at least 8e6)": speeds["mirror zarr"],
        "pool on Zarr [rows/s] (at least 2e6)": speeds["pool zarr"],
        "pool on HDF5 [rows/s] (at least 3e6)": speeds["pool h5"],
        "torch DataLoader over TensorDataset [rows/s]": speeds["DataLoader"],
        "resident / DataLoader (at least 10)": speeds["resident zarr"] / speeds["DataLoader"],
        "pool on Zarr / DataLoader": speeds["pool zarr"] / speeds["DataLoader"],
    }
    report(f"stream-{batch}", f"python benchmarks/stream.py --n {n} --batch {batch}", rows)


if __name__ == "__main__":
    main()
