"""Batches: every row once an epoch, in an order that depends on data, seed and epoch alone."""

from pathlib import Path

import numpy as np
import pytest
import torch

from qwell.errors import InvalidInput
from qwell.store.cache import cache_root
from qwell.store.dataset import Dataset
from qwell.store.reader import open_dataset
from qwell.store.schema import Field, Plan, SplitLayout
from qwell.store.writer import DatasetWriter, write_shard
from qwell.train import stream as streams
from qwell.train.device_memory import DeviceMemory
from qwell.train.memory import Memory
from qwell.train.stream import PoolStream, ResidentStream, Stream, open_stream

TIERS = pytest.mark.parametrize("tier", ["resident", "mirror", "pool"])


def take(stream: Stream, n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(v.numpy().copy(), e.numpy().copy()) for v, e in (next(stream) for _ in range(n))]


@TIERS
def test_an_epoch_is_every_row_once(dataset: Dataset, tier: str) -> None:
    stream = open_stream(dataset, tier, batch=70)
    batches = take(stream, stream.batches)
    stream.close()
    v, e = (np.concatenate(part) for part in zip(*batches, strict=True))
    truth_v, truth_e = dataset["train"]["potential"][:], dataset["train"]["energy"][:].astype(np.float32)
    ours, theirs = np.lexsort(v.T), np.lexsort(truth_v.T)
    np.testing.assert_array_equal(v[ours], truth_v[theirs])
    np.testing.assert_array_equal(e[ours], truth_e[theirs])
    assert not np.array_equal(v, truth_v)


@TIERS
@pytest.mark.parametrize("at", [0, 1, 7, 49, 50, 73])
def test_resume_continues_with_the_very_next_batch(dataset: Dataset, tier: str, at: int) -> None:
    whole, first, second = (open_stream(dataset, tier, batch=70, seed=3) for _ in range(3))
    expected = take(whole, at + 60)[at:]
    take(first, at)
    second.load_state_dict(first.state_dict())
    for ours, theirs in zip(take(second, 60), expected, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


@TIERS
def test_epochs_and_seeds_differ(dataset: Dataset, tier: str) -> None:
    a, b = open_stream(dataset, tier, batch=3500), open_stream(dataset, tier, batch=3500, seed=1)
    (first, second), (other,) = take(a, 2), take(b, 1)
    assert not np.array_equal(first[0], second[0]) and not np.array_equal(first[0], other[0])


@TIERS
@pytest.mark.parametrize("world", [2, 5])
def test_ranks_take_contiguous_parts_of_every_batch(dataset: Dataset, tier: str, world: int) -> None:
    """The batch of all ranks together does not depend on how many they are; nor does a resume."""
    whole = open_stream(dataset, tier, batch=70, seed=2)
    parts = [open_stream(dataset, tier, batch=70, seed=2, rank=r, world=world) for r in range(world)]
    take(whole, 13)
    for part in parts:
        part.load_state_dict(whole.state_dict())
    for expected, *ours in zip(take(whole, 80), *(take(p, 80) for p in parts), strict=True):
        for i in (0, 1):
            np.testing.assert_array_equal(np.concatenate([o[i] for o in ours]), expected[i])


def test_resident_and_mirror_give_the_identical_order(dataset: Dataset) -> None:
    a, b = (take(open_stream(dataset, tier, batch=70), 60) for tier in ("resident", "mirror"))
    for ours, theirs in zip(a, b, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])


def test_the_mirror_is_made_once(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    first = take(open_stream(dataset, "mirror", batch=70), 3)
    files = sorted((cache_root() / "mirror" / dataset.digest[:32]).iterdir())
    names = ["train-potential-energy.npy", "train-potential-energy.npy.sha256"]
    assert sorted(f.name for f in files) == names
    assert np.load(files[0]).shape == (3500, 111)
    monkeypatch.setattr(streams.Records, "read", None)
    for ours, theirs in zip(take(open_stream(dataset, "mirror", batch=70), 3), first, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])


def test_a_damaged_mirror_is_made_again(dataset: Dataset) -> None:
    """A bit flipped in the copy or its record, either cut short or gone: the same batches all the same."""
    first = take(open_stream(dataset, "mirror", batch=70), 2)
    folder = cache_root() / "mirror" / dataset.digest[:32]
    whole = {path: path.read_bytes() for path in folder.iterdir()}
    for path, content in whole.items():
        flipped = bytearray(content)
        flipped[len(content) // 3] ^= 16
        for damaged in (bytes(flipped), content[: len(content) // 2], b"", None):
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            for ours, theirs in zip(take(open_stream(dataset, "mirror", batch=70), 2), first, strict=True):
                np.testing.assert_array_equal(ours[0], theirs[0])
            assert {path: path.read_bytes() for path in folder.iterdir()} == whole


def grouped(tmp_path: Path) -> Dataset:
    """Rows in 200 groups of 50 with one value each: a batch of one group says nothing about the others."""
    layout = SplitLayout(10_000, 5_000, 50)
    field = (("potential", "x"), ("energy", "level"))
    fields = tuple(Field(name, (dim,), (1,), "float32", "1", name) for name, dim in field)
    plan = Plan("spectra", "grouped", {}, fields, (), {"train": layout})
    writer = DatasetWriter(tmp_path / "grouped.zarr", plan)
    for i in range(2):
        rows = np.repeat(np.arange(100 * i, 100 * i + 100), 50)[:, None].astype(np.float32)
        write_shard(writer.root, plan, "train", i, {"potential": rows, "energy": rows})
    writer.finish({})
    return open_dataset(tmp_path / "grouped.zarr")


@pytest.mark.parametrize("pool", [32, 100])
def test_the_pool_of_a_grouped_set_mixes_as_theory_says(tmp_path: Path, pool: int) -> None:
    """Var of a batch's mean is that of independent rows times 1 + (B − 1)/K · (1 − K/C)."""
    data, size, chunks = grouped(tmp_path), 100, 200
    means: list[float] = []
    for seed in range(20):
        stream = PoolStream(data, batch=size, seed=seed, pool=pool)
        means += [float(v.mean()) for v, _ in take(stream, stream.batches)]
    independent = (chunks**2 - 1) / 12 / size
    expected = 1 + (size - 1) / pool * (1 - pool / chunks)
    assert np.var(means) / independent == pytest.approx(expected, rel=0.25)
    assert open_stream(data, "pool", batch=10).pool >= 32


def test_threads_do_not_change_the_order(dataset: Dataset) -> None:
    one, three = (PoolStream(dataset, batch=70, threads=n) for n in (1, 3))
    for a, b in zip(take(one, 120), take(three, 120), strict=True):
        np.testing.assert_array_equal(a[0], b[0])


def test_pool_mixes_shards(dataset: Dataset) -> None:
    """With K = 2 shards pooled, half of a batch comes from each on average."""
    shard_of = {row.tobytes(): i // 1000 for i, row in enumerate(dataset["train"]["potential"][:])}
    batch = take(PoolStream(dataset, batch=500, pool=2), 1)[0][0]
    counts = np.bincount([shard_of[row.tobytes()] for row in batch], minlength=4)
    assert (counts > 0).sum() == 2


def test_auto_chooses_by_memory(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(open_stream(dataset), ResidentStream)
    monkeypatch.setattr(Memory, "free", lambda memory: 10**6)
    assert isinstance(open_stream(dataset), PoolStream)


def test_batches_are_on_the_device_as_float32(dataset: Dataset) -> None:
    v, e = next(open_stream(dataset, batch=5))
    assert v.shape == (5, 101) and e.shape == (5, 10) and v.dtype == e.dtype == torch.float32


def test_refusals(dataset: Dataset) -> None:
    with pytest.raises(InvalidInput, match="3500 rows"):
        open_stream(dataset, batch=3501)
    with pytest.raises(InvalidInput, match="auto, resident, mirror, pool"):
        open_stream(dataset, "river")


def test_memory_is_not_written_to_while_it_is_copied_to_a_gpu() -> None:
    """A stand-in for the event that a GPU raises when it has copied a batch."""
    memory, out, seen = DeviceMemory("cpu"), torch.zeros(2, 3), []

    class Event:
        def synchronize(self) -> None:
            seen.append(out.clone())

    memory._placed = Event()  # type: ignore[assignment]
    for _ in range(2):
        memory.gather(torch.ones(4, 3), torch.tensor([3, 1]), out)
    assert len(seen) == 1 and not seen[0].any() and out.all()
