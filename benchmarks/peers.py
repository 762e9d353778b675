"""Shuffled batches of one data set through our streams and through those of others, side by side in one run.

python benchmarks/peers.py [--rows 200000] [--only resident pool litdata …]

Every peer gets the same rows (101 float32 + 10 float64) in its own format, is used as its documentation
recommends for speed, and runs in a process of its own. Those that are not installed are left out:
pip install mosaicml-streaming litdata webdataset datasets grain
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

Batches = Iterable[Any]
SECONDS = 3.0  # at least, and one epoch
LONGEST = 12.0
BARS = {1000: {"resident": 2.0, "pool, zarr": 1.0}, 100: {"resident": 1.7, "pool, zarr": 0}}  # tier → times


def arrays(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    from qwell import open_dataset

    train = open_dataset(folder / "m3.zarr")["train"]
    return train["potential"][:], train["energy"][:]


def ours(tier: str, name: str = "m3.zarr") -> Callable[[Path, int], Iterator[Batches]]:
    """One of our tiers."""

    def epochs(folder: Path, batch: int) -> Iterator[Batches]:
        from qwell import open_dataset
        from qwell.train.stream import open_stream

        stream = open_stream(open_dataset(folder / name), tier, batch=batch)
        while True:
            yield (next(stream) for _ in range(stream.batches))

    return epochs


def dataloader(folder: Path, batch: int) -> Iterator[Batches]:
    """torch DataLoader over tensors in memory, row by row (its default)."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    v, e = (torch.from_numpy(a) for a in arrays(folder))
    loader = DataLoader(TensorDataset(v, e), batch_size=batch, shuffle=True, drop_last=True)
    while True:
        yield loader


def dataloader_batched(folder: Path, batch: int) -> Iterator[Batches]:
    """torch DataLoader over tensors in memory, a whole batch of indices at a time (its fastest idiom)."""
    import torch
    from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

    data = TensorDataset(*(torch.from_numpy(a) for a in arrays(folder)))
    sampler = BatchSampler(RandomSampler(data), batch, drop_last=True)
    loader = DataLoader(data, sampler=sampler, batch_size=None)
    while True:
        yield loader


def numpy_loop(folder: Path, batch: int) -> Iterator[Batches]:
    """Three lines: arrays in memory, a permutation an epoch, rows by lists of indices."""
    v, e = arrays(folder)
    dice = np.random.default_rng(0)
    while True:
        order = dice.permutation(len(v))
        parts = (order[i : i + batch] for i in range(0, len(v) - batch + 1, batch))
        yield ((v[part], e[part]) for part in parts)


def torch_loop(folder: Path, batch: int) -> Iterator[Batches]:
    """The same of tensors."""
    import torch

    v, e = (torch.from_numpy(a) for a in arrays(folder))
    while True:
        yield ((v[part], e[part]) for part in torch.randperm(len(v)).split(batch) if len(part) == batch)


def mosaic(folder: Path, batch: int) -> Iterator[Batches]:
    """mosaicml-streaming: MDS shards, its own shuffle, torch DataLoader with two workers."""
    from streaming import MDSWriter, StreamingDataset
    from torch.utils.data import DataLoader

    path = folder / "mds"
    if not path.exists():
        columns = {"v": "ndarray:float32:101", "e": "ndarray:float64:10"}
        with MDSWriter(out=str(path), columns=columns) as out:
            for v, e in zip(*arrays(folder), strict=True):
                out.write({"v": v, "e": e})
    data = StreamingDataset(local=str(path), shuffle=True, batch_size=batch)
    while True:
        yield DataLoader(data, batch_size=batch, drop_last=True, num_workers=2)


def litdata_(folder: Path, batch: int) -> Iterator[Batches]:
    """litdata: optimised chunks of raw tensors, its StreamingDataLoader with two workers."""
    import torch
    from litdata import StreamingDataLoader, StreamingDataset, optimize

    path = folder / "litdata"
    if not path.exists():
        v, e = arrays(folder)
        np.savez(folder / "rows.npz", v=v, e=e)
        optimize(
            fn=_litdata_rows,
            inputs=[(str(folder / "rows.npz"), i, min(i + 10_000, len(v))) for i in range(0, len(v), 10_000)],
            output_dir=str(path),
            chunk_bytes="16MB",
            num_workers=1,
        )
    data = StreamingDataset(str(path), shuffle=True, drop_last=True)
    loader = StreamingDataLoader(data, batch_size=batch, drop_last=True, num_workers=2)
    assert torch.is_tensor(next(iter(loader)))
    while True:
        yield loader


def _litdata_rows(job: tuple[str, int, int]) -> Iterator[Any]:
    import torch

    path, start, stop = job
    with np.load(path) as file:
        v, e = file["v"][start:stop], file["e"][start:stop].astype(np.float32)
    for row in np.concatenate([v, e], axis=1):
        yield torch.from_numpy(row)


def webdataset_(folder: Path, batch: int) -> Iterator[Batches]:
    """webdataset: tar shards of raw rows, shuffle buffer of 10,000."""
    import webdataset as wds

    path = folder / "tar"
    if not path.exists():
        path.mkdir()
        with wds.ShardWriter(str(path / "%06d.tar"), maxcount=20_000, verbose=0) as out:
            for i, (v, e) in enumerate(zip(*arrays(folder), strict=True)):
                out.write({"__key__": f"{i:09d}", "v.bin": v.tobytes(), "e.bin": e.tobytes()})
    shards = sorted(map(str, path.glob("*.tar")))
    while True:
        data = wds.WebDataset(shards, shardshuffle=len(shards), empty_check=False).shuffle(10_000)
        data = data.map(lambda s: (np.frombuffer(s["v.bin"], "f4"), np.frombuffer(s["e.bin"], "f8")))
        yield data.batched(batch, partial=False)


def _arrow(folder: Path) -> Any:
    import datasets

    path = folder / "arrow"
    if not path.exists():
        v, e = arrays(folder)
        features = datasets.Features(
            v=datasets.Array2D((1, 101), "float32"), e=datasets.Array2D((1, 10), "float64")
        )
        columns = {"v": v[:, None], "e": e[:, None]}
        datasets.Dataset.from_dict(columns, features=features).save_to_disk(path)
    return datasets.load_from_disk(path)


def datasets_map(folder: Path, batch: int) -> Iterator[Batches]:
    """HF datasets, map-style: shuffled indices, numpy format, iter(batch_size)."""
    data = _arrow(folder)
    for seed in range(10**6):
        yield data.shuffle(seed=seed).with_format("numpy").iter(batch, drop_last_batch=True)


def datasets_iterable(folder: Path, batch: int) -> Iterator[Batches]:
    """HF datasets, iterable: shard order and a buffer of 10,000, numpy format, iter(batch_size)."""
    data = _arrow(folder).to_iterable_dataset(num_shards=25)
    for seed in range(10**6):
        shuffled = data.shuffle(seed=seed, buffer_size=10_000).with_format("numpy")
        yield shuffled.iter(batch, drop_last_batch=True)


def grain_(folder: Path, batch: int) -> Iterator[Batches]:
    """Grain: MapDataset over arrays in memory, global shuffle, batches."""
    import grain

    v, e = arrays(folder)

    class Rows:
        def __len__(self) -> int:
            return len(v)

        def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
            return v[i], e[i]

    for seed in range(10**6):
        data = grain.MapDataset.source(Rows()).shuffle(seed=seed).batch(batch, drop_remainder=True)
        yield data.to_iter_dataset(grain.ReadOptions(num_threads=2, prefetch_buffer_size=500))


PEERS: dict[str, tuple[Callable[[Path, int], Iterator[Batches]], str]] = {
    "resident": (ours("resident"), ""),
    "mirror": (ours("mirror"), ""),
    "pool, zarr": (ours("pool"), ""),
    "pool, hdf5": (ours("pool", "m3.h5"), ""),
    "numpy, v[order[i:i + B]]": (numpy_loop, "numpy"),
    "torch, v[order[i:i + B]]": (torch_loop, "torch"),
    "DataLoader by index lists": (dataloader_batched, "torch"),
    "DataLoader": (dataloader, "torch"),
    "MDS": (mosaic, "mosaicml-streaming"),
    "litdata": (litdata_, "litdata"),
    "webdataset": (webdataset_, "webdataset"),
    "HF datasets": (datasets_map, "datasets"),
    "HF datasets, iterable": (datasets_iterable, "datasets"),
    "Grain": (grain_, "grain"),
}


def measure(name: str, folder: Path, batch: int) -> float:
    """Rows per second, median over epochs (or over seconds, where an epoch takes longer)."""
    epochs = PEERS[name][0](folder, batch)
    batches = next(epochs)  # writes the peer's own format, if that is not there
    rates: list[tuple[int, float]] = []
    end, warm = time.perf_counter() + LONGEST, False
    while sum(n / r for n, r in rates) < SECONDS and time.perf_counter() < end:
        clock, rows = time.perf_counter(), 0
        for _ in batches:
            rows += batch
            if time.perf_counter() > end:
                break
        rate = rows / (time.perf_counter() - clock)
        if warm or time.perf_counter() > end:  # the first epoch warms up, unless it is all there is time for
            rates.append((rows, rate))
        warm, batches = True, next(epochs)
    return float(np.median([rate for _, rate in rates]))


def measure_apart(name: str, folder: Path, batch: int, python: str) -> float | str:
    """`measure` in a process of its own."""
    package = PEERS[name][1]
    try:
        installed = version(package) if package else ""
    except PackageNotFoundError:
        installed = "?"
        if python == sys.executable:
            return "not installed"
    command = [python, __file__, "--one", name, "--folder", str(folder), "--batch", str(batch)]
    environment = {**os.environ, "QWELL_CACHE": str(folder / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=environment)
    lines = [line for line in done.stdout.splitlines() if line.startswith("rate ")]
    if not lines:
        reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return f"failed with {package} {installed}: {reason[:120]}"
    return float(lines[-1].split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--only", nargs="*", default=list(PEERS))
    parser.add_argument(
        "--python",
        nargs="*",
        default=[],
        metavar="PEER=PATH",
        help="other interpreters (MDS and HF datasets conflict)",
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print("rate", measure(options.one, options.folder, options.batch))
        return
    from common import report

    from qwell import SpectraRecipe, generate

    rows: dict[str, Any] = {"rows": options.rows}
    pythons = dict(entry.split("=", 1) for entry in options.python)
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("m3.zarr", "m3.h5"):
            recipe = SpectraRecipe("m3", n=options.rows, validation=1000, solver="lanes")
            generate(recipe, Path(scratch) / name)
        for batch in (1000, 100):
            for name in options.only:
                rate = measure_apart(name, Path(scratch), batch, pythons.get(name, sys.executable))
                rows[f"{name}, batch {batch} [rows/s]"] = rate
                print(
                    f"{name:<28}{batch:>6}  {rate if isinstance(rate, str) else f'{rate:14,.0f}'}", flush=True
                )
            rates = {name: rows[f"{name}, batch {batch} [rows/s]"] for name in options.only}
            numbers = {name: r for name, r in rates.items() if isinstance(r, float)}
            others = [r for name, r in numbers.items() if PEERS[name][1]]
            for tier, least in BARS[batch].items():
                if others and tier in numbers:
                    at_least = f" (at least {least})" if least else ""
                    rows[f"{tier} / fastest peer, batch {batch}{at_least}"] = numbers[tier] / max(others)
    installed = {}
    for package in sorted({p for _, p in PEERS.values() if p}):
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    rows["versions"] = json.dumps(installed)
    report("peers", f"python benchmarks/peers.py --rows {options.rows}", rows)


if __name__ == "__main__":
    main()
