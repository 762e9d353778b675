"""Shuffled batches from the shards of a split, in an order that is a function of (digest, seed, epoch) alone.

Two tiers: `resident` holds the whole split as one float32 record array on the device and gathers rows
there; `pool` reads whole shards ahead in threads, mixes K of them in memory, and gathers from the mixture.
A record is a row's input and target side by side, so that a batch is one gather.

A batch is valid until the next one is asked for: its memory is reused (a CUDA graph reads it in place).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qwell.errors import InvalidInput
from qwell.store.reader import Dataset, Split
from qwell.train.config import TIERS


class Records:
    """Rows of a split as float32 records [input | target]."""

    def __init__(self, split: Split, inputs: str, targets: str) -> None:
        self.split, self.inputs, self.targets = split, inputs, targets
        self.width_in = int(np.prod(split.fields[inputs].shape))
        self.width = self.width_in + int(np.prod(split.fields[targets].shape))

    @property
    def bytes(self) -> int:
        return 4 * self.width * len(self.split)

    def read_shard(self, index: int, out: np.ndarray) -> None:
        """Fill `out` (rows of the shard, width) float32."""
        rows = self.split.shard(index, (self.inputs, self.targets))
        out[:, : self.width_in] = rows[self.inputs].reshape(len(out), -1)
        out[:, self.width_in :] = rows[self.targets].reshape(len(out), -1)

    def read_all(self) -> np.ndarray:
        """The whole split, (rows, width) float32, shards read in parallel."""
        records = np.empty((len(self.split), self.width), np.float32)
        spans = [slice(*self.split.layout.span(i)) for i in range(self.split.shards)]
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda i: self.read_shard(i, records[spans[i]]), range(len(spans))))
        return records


class Stream:
    """Endless batches of a split; the base of both tiers.

    Arguments:
        data: the data set (its digest seeds the order).
        split: which split.
        batch: rows a batch; the last, incomplete batch of an epoch is left out.
        seed: of the order.
        device: where batches are wanted.
        inputs, targets: fields.
        pool: shards mixed at a time (tier `pool`).

    Raises:
        InvalidInput: `batch` is not in 1 … rows.
    """

    def __init__(
        self,
        data: Dataset,
        *,
        split: str = "train",
        batch: int = 100,
        seed: int = 0,
        device: str | torch.device = "cpu",
        inputs: str = "potential",
        targets: str = "energy",
    ) -> None:
        self.records = Records(data[split], inputs, targets)
        self.rows, self.batch, self.seed = len(data[split]), batch, seed
        self.device = torch.device(device)
        if not 1 <= batch <= self.rows:
            raise InvalidInput(
                f"batch is {batch}; {data.path} has {self.rows} rows of {split}, choose 1 to {self.rows}"
            )
        self.batches = self.rows // batch  # an epoch
        self.epoch, self.index = 0, 0
        self._digest = int(data.digest[:16], 16)
        self._buffer = torch.empty(batch, self.records.width, device=self.device)
        self._open: Iterator[None] | None = None

    def _generator(self) -> np.random.Generator:
        """The random numbers of this epoch's order."""
        return np.random.Generator(
            np.random.SFC64(np.random.SeedSequence([self._digest, self.seed, self.epoch]))
        )

    def _fill(self) -> Iterator[None]:
        """Fill the buffer with batch after batch of this epoch, from `self.index` on."""
        raise NotImplementedError

    def __next__(self) -> tuple[Tensor, Tensor]:
        """The next (inputs, targets), each (batch, …) float32 on the device."""
        if self.index == self.batches:
            self.epoch, self.index, self._open = self.epoch + 1, 0, None
        if self._open is None:
            self._open = self._fill()
        next(self._open)
        self.index += 1
        return self._buffer[:, : self.records.width_in], self._buffer[:, self.records.width_in :]

    def __iter__(self) -> Stream:
        return self

    def state_dict(self) -> dict[str, int]:
        """Where the stream is; `load_state_dict` continues with the very next batch."""
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
        self._rows = torch.from_numpy(self.records.read_all()).to(self.device)

    def _fill(self) -> Iterator[None]:
        order = torch.from_numpy(self._generator().permutation(self.rows)).to(self.device)
        for i in range(self.index, self.batches):
            torch.index_select(self._rows, 0, order[i * self.batch : (i + 1) * self.batch], out=self._buffer)
            yield


class PoolStream(Stream):
    """Whole shards read ahead; K of them mixed at a time. For splits larger than memory.

    The shards of an epoch are permuted, cut into groups of K, and the rows of a group permuted; batches
    run on across groups. With rows that are i.i.d. by position any K gives exact statistics; for grouped
    rows a larger K mixes better.
    """

    def __init__(self, data: Dataset, *, pool: int = 2, threads: int = 2, **options: Any) -> None:
        super().__init__(data, **options)
        if pool < 1 or threads < 1:
            raise InvalidInput(f"pool is {pool} shards and threads {threads}; both must be at least 1")
        self.pool, self.threads = pool, threads

    def _fill(self) -> Iterator[None]:
        random, layout = self._generator(), self.records.split.layout
        shards = random.permutation(layout.shards)
        groups = [shards[i : i + self.pool] for i in range(0, len(shards), self.pool)]
        sizes = [sum(np.diff(layout.span(int(s)))[0] for s in group) for group in groups]
        orders = [random.permutation(size) for size in sizes]
        ends = np.cumsum(sizes)
        start = self.index * self.batch
        first = int(np.searchsorted(ends, start, side="right"))
        staging = self._buffer if self.device.type == "cpu" else torch.empty_like(self._buffer, device="cpu")
        staging = staging if self.device.type == "cpu" else staging.pin_memory()
        filled = 0
        # one pool is filled while the other is emptied; they are this epoch's own, so that reads left over
        # from an abandoned epoch never land in them
        pools = [np.empty((max(sizes), self.records.width), np.float32) for _ in range(2)]
        threads = ThreadPoolExecutor(self.threads)
        try:
            ahead = self._read(threads, groups[first], pools[first % 2])
            for g in range(first, len(groups)):
                records = self._wait(ahead)
                if g + 1 < len(groups):
                    ahead = self._read(threads, groups[g + 1], pools[(g + 1) % 2])
                order = torch.from_numpy(orders[g])
                position = max(start - int(ends[g] - sizes[g]), 0)
                while position < len(order):
                    take = min(self.batch - filled, len(order) - position)
                    torch.index_select(
                        records, 0, order[position : position + take], out=staging[filled : filled + take]
                    )
                    position, filled = position + take, filled + take
                    if filled == self.batch:
                        if staging is not self._buffer:
                            self._buffer.copy_(staging)
                        filled = 0
                        yield
        finally:  # never wait: an abandoned stream may be collected in a thread that its reads depend on
            threads.shutdown(wait=False, cancel_futures=True)

    def _read(
        self, threads: ThreadPoolExecutor, group: np.ndarray, pool: np.ndarray
    ) -> tuple[np.ndarray, list[Future[None]]]:
        """Begin to read a group of shards into the first rows of a pool."""
        spans = [self.records.split.layout.span(int(s)) for s in group]
        offsets = np.cumsum([0, *(stop - start for start, stop in spans)])
        records = pool[: offsets[-1]]
        tasks = [
            threads.submit(self.records.read_shard, int(shard), records[offsets[i] : offsets[i + 1]])
            for i, shard in enumerate(group)
        ]
        return records, tasks

    def _wait(self, ahead: tuple[np.ndarray, list[Future[None]]]) -> Tensor:
        records, tasks = ahead
        for task in tasks:
            task.result()
        return torch.from_numpy(records)


def open_stream(data: Dataset, tier: str = "auto", **options: Any) -> Stream:
    """Open the tier asked for; `auto` is resident if the split fits in half of the device's free memory.

    Arguments:
        data: the data set.
        tier: "auto", "resident" or "pool".
        options: see `Stream`.

    Raises InvalidInput for an unknown tier.
    """
    if tier not in TIERS:
        raise InvalidInput(f"unknown stream tier {tier!r}; choose one of {', '.join(TIERS)}")
    if tier == "auto":
        names = {key: options[key] for key in ("inputs", "targets") if key in options}
        records = Records(
            data[options.get("split", "train")], **{"inputs": "potential", "targets": "energy", **names}
        )
        free = _free_memory(torch.device(options.get("device", "cpu")))
        tier = "resident" if records.bytes < free / 2 else "pool"
    return ResidentStream(data, **options) if tier == "resident" else PoolStream(data, **options)


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    name = (
        "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in os.sysconf_names else "SC_PHYS_PAGES"
    )  # macOS: all there is
    return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")
