"""Shuffled batches of a split, in an order that is a function of (digest, seed, epoch) alone.

Three tiers: `resident` holds the whole split as one float32 record array on the device and gathers rows
there; `mirror` does the same with a decoded copy on the local disk, memory-mapped and shared by all
processes of a machine; `pool` reads shards ahead in threads and mixes K of them in memory at a time.
A record is a row's fields (input, target …) side by side, so that a batch is one gather.

Batch t of an epoch is rows [tB, (t+1)B) of its order; of several ranks each takes an equal, contiguous part
of every batch, so that results do not depend on how many there are.

A batch is valid until the next one is asked for: its memory is reused. Batches are tensors on a device, or
arrays of numpy, which need no torch.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from qwell.errors import InvalidInput, unknown
from qwell.store.cache import cache_root, limit
from qwell.store.dataset import Dataset
from qwell.store.records import Records
from qwell.train.config import TIERS
from qwell.train.memory import memory_on

if TYPE_CHECKING:
    import torch

FIELDS = ("potential", "energy")


class Stream:
    """Endless batches of a split; the base of the tiers.

    Arguments:
        data: the data set (its digest seeds the order).
        split: which split.
        batch: rows a batch over all ranks; the last, incomplete batch of an epoch is left out.
        seed: of the order.
        device: where tensors are wanted; None for arrays of numpy.
        fields: what a batch holds, e.g. input and target.
        rank, world: this process among how many.

    Raises:
        InvalidInput: `batch` is not in 1 … rows, or no multiple of `world`.
    """

    def __init__(
        self,
        data: Dataset,
        *,
        split: str = "train",
        batch: int = 100,
        seed: int = 0,
        device: str | torch.device | None = "cpu",
        fields: Sequence[str] = FIELDS,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.records = Records(data[split], fields)
        self.rows, self.batch, self.seed = len(data[split]), batch, seed
        self.memory = memory_on(device)
        self.device = self.memory.device
        if not 1 <= batch <= self.rows:
            raise InvalidInput(
                f"batch is {batch}; {data.path} has {self.rows} rows of {split}, choose 1 to {self.rows}"
            )
        if batch % world:
            raise InvalidInput(f"batch is {batch}; it must be a multiple of the {world} processes")
        self.share = batch // world  # rows of a batch that are ours, from `offset` on
        self.offset = rank * self.share
        self.batches = self.rows // batch  # an epoch
        self.epoch, self.index = 0, 0
        self._digest = int(data.digest[:16], 16)
        self._buffer = self.memory.empty(self.share, self.records.width)
        self._batch = tuple(
            self._buffer[:, columns].reshape(self.share, *shape)
            for columns, shape in zip(self.records.columns, self.records.shapes, strict=True)
        )
        self._open: Iterator[Any] | None = None

    def _generator(self, part: int = 0) -> np.random.Generator:
        """The random numbers of this epoch's order, or of a part of it."""
        entropy = [self._digest, self.seed, self.epoch]
        return np.random.Generator(np.random.SFC64(np.random.SeedSequence(entropy, spawn_key=(part,))))

    def _fill(self) -> Iterator[Any]:
        """Our part, (share, width), of batch after batch of this epoch, from `self.index` on."""
        raise NotImplementedError

    def __next__(self) -> tuple[Any, ...]:
        """The next batch of every field, each (batch / world, …) float32 on the device."""
        if self.index == self.batches:
            self.epoch, self.index, self._open = self.epoch + 1, 0, None
        if self._open is None:
            self._open = self._fill()
        records = next(self._open)
        if records is not self._buffer:
            self.memory.place(records, self._buffer)
        self.index += 1
        return self._batch

    def __iter__(self) -> Stream:
        return self

    def state_dict(self) -> dict[str, int]:
        """Where the stream is; `load_state_dict` goes on with the very next batch, on any number of ranks."""
        return {"epoch": self.epoch, "index": self.index}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self.index, self._open = state["epoch"], state["index"], None

    def close(self) -> None:
        """Stop reading ahead."""
        if self._open is not None:
            self._open.close()  # type: ignore[attr-defined]
        self._open = None


class ResidentStream(Stream):
    """The split lives on the device; an epoch is one permutation."""

    def __init__(self, data: Dataset, **options: Any) -> None:
        super().__init__(data, **options)
        rows = self.records.read_all(np.empty((self.rows, self.records.width), np.float32))
        self._rows = self.memory.of(rows, beside=self._buffer)

    def _fill(self) -> Iterator[Any]:
        order = self.memory.of(self._generator().permutation(self.rows), beside=self._rows)
        out = self.memory.room(self._rows, self._buffer)
        for i in range(self.index, self.batches):
            first = i * self.batch + self.offset
            self.memory.gather(self._rows, order[first : first + self.share], out)
            yield out


class MirrorStream(ResidentStream):
    """The order of `resident`, from a memory-mapped copy on the local disk."""

    def __init__(self, data: Dataset, **options: Any) -> None:
        Stream.__init__(self, data, **options)
        self._rows = self.memory.of(self.records.mirror())


POOL_BYTES = 64 * 2**20  # of a pool of chunks, at least


class PoolStream(Stream):
    """Shards read ahead, K of them mixed at a time. For splits larger than memory.

    The units of an epoch are permuted, cut into groups of K, and the rows of a group permuted; batches run on
    across groups. Where rows are i.i.d. by position a unit is a shard, and any K gives exact statistics.
    Where they are grouped (trajectories, merged sets) a unit is a chunk, so that a pool holds many places of
    the data set: the variance of a batch's mean exceeds that of independent rows by a factor of at most
    1 + (B − 1)/K · (1 − K/C), with K units pooled of C.

    Arguments:
        pool: units mixed at a time; by default 2 shards, or chunks of 64 MiB in all and at least 32.
        threads: readers.
    """

    def __init__(self, data: Dataset, *, pool: int | None = None, threads: int = 2, **options: Any) -> None:
        super().__init__(data, **options)
        layout = self.records.split.layout
        size = layout.shard_rows if data.row_order == "iid" else layout.chunk_rows
        self.units = [(i, min(i + size, self.rows)) for i in range(0, self.rows, size)]
        if pool is None:
            pool = 2 if data.row_order == "iid" else max(32, POOL_BYTES // (4 * self.records.width * size))
        if pool < 1 or threads < 1:
            raise InvalidInput(f"pool is {pool} and threads {threads}; both must be at least 1")
        self.pool, self.threads = min(pool, len(self.units)), threads
        self._spare: list[np.ndarray] | None = None

    def _fill(self) -> Iterator[Any]:
        out, filled = None, 0
        for rows, order in self._read_ahead():
            out = self.memory.room(rows, self._buffer) if out is None else out
            position = 0
            while position < len(order):
                take = min(self.share - filled, len(order) - position)
                chosen = order[position : position + take]
                self.memory.gather(rows, chosen, out[filled : filled + take])
                position, filled = position + take, (filled + take) % self.share
                if not filled:
                    yield out

    def _read_ahead(self) -> Iterator[tuple[Any, Any]]:
        """The rows of group after group, and their order; while one is used the next is read."""
        units = [self.units[i] for i in self._generator().permutation(len(self.units))]
        groups = [units[i : i + self.pool] for i in range(0, len(units), self.pool)]
        ends = np.cumsum([sum(stop - start for start, stop in group) for group in groups])
        resume = self.index * self.batch
        first = int(np.searchsorted(ends, resume, side="right"))
        largest = self.pool * max(stop - start for start, stop in self.units)
        # kept for the next epoch only when this one was not abandoned, with reads still under way
        pools = self._spare or [np.empty((largest, self.records.width), np.float32) for _ in range(2)]
        self._spare = None
        readers = ThreadPoolExecutor(self.threads)

        def begin(k: int) -> tuple[Future[np.ndarray], list[Future[None]]]:
            """Begin to read group k into its pool, and to draw its order."""
            sizes = [stop - start for start, stop in groups[k]]
            offsets = np.cumsum([0, *sizes])
            reads = [
                readers.submit(self.records.read, start, stop, pools[k % 2][offsets[i] : offsets[i + 1]])
                for i, (start, stop) in enumerate(groups[k])
            ]
            return readers.submit(self._order, k, int(offsets[-1]), int(ends[k]), resume), reads

        try:
            ahead = begin(first)
            for k in range(first, len(groups)):
                drawn, reads = ahead
                for task in reads:
                    task.result()
                order = self.memory.of(drawn.result())
                if k + 1 < len(groups):
                    ahead = begin(k + 1)
                yield self.memory.of(pools[k % 2]), order
            self._spare = pools
        finally:  # never wait: an abandoned stream may be collected in a thread that its reads depend on
            readers.shutdown(wait=False, cancel_futures=True)

    def _order(self, group: int, size: int, end: int, resume: int) -> np.ndarray:
        """Where in its pool a group's rows lie that are ours and still to come, in their order.

        The group's rows are `end − size` … `end − 1` of the epoch's order; those before `resume` are done.
        """
        order = self._generator(group + 1).permutation(size)
        place = np.arange(end - size, end)
        coming = (place >= resume) & (place < self.batches * self.batch)
        within = place % self.batch - self.offset
        ours = coming & (within >= 0) & (within < self.share)
        return order if ours.all() else order[ours]


_TIERS: dict[str, type[Stream]] = {"resident": ResidentStream, "mirror": MirrorStream, "pool": PoolStream}


def open_stream(data: Dataset, tier: str = "auto", **options: Any) -> Stream:
    """Open the tier asked for.

    `auto` is resident if the split fits in half of the device's free memory; else pool, or mirror where rows
    are grouped and the cache's disk has room for them.

    Arguments:
        data: the data set.
        tier: "auto", "resident", "mirror" or "pool".
        options: see `Stream` and `PoolStream`.

    Raises InvalidInput for an unknown tier.
    """
    if tier not in TIERS:
        raise InvalidInput(unknown("stream tier", tier, TIERS))
    if tier == "auto":
        size = Records(data[options.get("split", "train")], options.get("fields", FIELDS)).bytes
        if fits_in_memory(size, options.get("device", "cpu")):
            tier = "resident"
        else:
            tier = "mirror" if data.row_order == "grouped" and size < _free_disk() / 2 else "pool"
    return _TIERS[tier](data, **options)


def fits_in_memory(size: int, device: str | torch.device | None) -> bool:
    """Whether so many bytes are less than half of what a device has free; None is the processor."""
    return size < memory_on(device).free() / 2


def _free_disk() -> int:
    """Bytes free where the cache is, or that the cache may take if that is less."""
    folder = next(p for p in (cache_root(), *cache_root().absolute().parents) if p.exists())
    free, most = shutil.disk_usage(folder).free, limit()
    return free if most is None else min(free, most)
