"""Shuffled batches of a data set for training loops of your own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwell.errors import InvalidInput, extras_needed
from qwell.store.dataset import Dataset
from qwell.store.reader import open_dataset
from qwell.train.stream import open_stream

if TYPE_CHECKING:
    import torch


class Loader:
    """Passes over a split in shuffled batches, a tuple of fresh arrays each; see `loader`."""

    def __init__(
        self,
        data: Dataset | str | Path,
        split: str = "train",
        batch: int = 1000,
        epochs: int | None = None,
        fields: Sequence[str] | None = None,
        device: str | torch.device = "cpu",
        *,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        stream: str = "auto",
        as_numpy: bool = False,
    ) -> None:
        where = _place(str(device), as_numpy)
        if epochs is not None and epochs < 1:
            raise InvalidInput(f"epochs is {epochs}; it must be at least 1, or None for batches without end")
        if not 0 <= rank < world:
            raise InvalidInput(f"rank is {rank} of {world} processes; it must be from 0 to {world - 1}")
        opened = data if isinstance(data, Dataset) else open_dataset(data)
        self.fields = tuple(fields or opened[split].fields)
        self.epochs = epochs
        self._stream = open_stream(
            opened, stream, split=split, batch=batch, seed=seed, device=where, fields=self.fields,
            rank=rank, world=world,
        )  # fmt: skip
        self._first = 0  # epoch of the pass that goes on, or of the next one
        self._begun = False  # whether the next pass takes the last one up
        self._passes = 0

    def __len__(self) -> int:
        """Batches of a pass; TypeError if it is without end."""
        if self.epochs is None:
            raise TypeError("a loader without epochs has no length; give epochs=1")
        return self.epochs * self._stream.batches

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Begin the next pass; or go on, after `load_state_dict` and where passes are without end."""
        stream = self._stream
        if not self._begun and self.epochs is not None:
            self._first = stream.epoch + (stream.index > 0)
            stream.load_state_dict({"epoch": self._first, "index": 0})
        self._begun = False
        self._passes += 1
        return self._pass(self._passes)

    def _pass(self, number: int) -> Iterator[tuple[Any, ...]]:
        stream = self._stream
        while self.epochs is None or (stream.epoch - self._first) * stream.batches + stream.index < len(self):
            batch = next(stream)
            yield tuple(map(stream.memory.fresh, batch))  # the stream's own is used again for the next one
            if self._passes != number:
                raise InvalidInput(
                    "this pass over the loader is over, because another one was begun; for two at a time make"
                    " two loaders"
                )

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass begin with this epoch, whose order is always the same."""
        if epoch < 0:
            raise InvalidInput(f"epoch is {epoch}; it must be at least 0")
        self._first, self._begun = epoch, True
        self._stream.load_state_dict({"epoch": epoch, "index": 0})

    def state_dict(self) -> dict[str, int]:
        """Where the loader is, as plain numbers; `load_state_dict` goes on with the very next batch."""
        return {"first": self._first, **self._stream.state_dict()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next pass take up one that was interrupted, on any number of processes."""
        self._first, self._begun = state["first"], True
        self._stream.load_state_dict({"epoch": state["epoch"], "index": state["index"]})

    def close(self) -> None:
        """Stop reading ahead."""
        self._stream.close()


def _place(device: str, as_numpy: bool) -> torch.device | None:
    """Where tensors are wanted; None for arrays of numpy, which need no torch."""
    if as_numpy:
        if device not in ("auto", "cpu"):
            raise InvalidInput(
                f"arrays of numpy are on the cpu, not on {device}; leave device or as_numpy out"
            )
        return None
    with extras_needed():
        from qwell.train.devices import choose_device
    return choose_device(device)


def loader(data: Dataset | str | Path, split: str = "train", batch: int = 1000, **options: Any) -> Loader:
    """Shuffled batches for a training loop of your own.

    >>> for potential, energy in qwell.loader("store/m3.zarr", epochs=3, fields=["potential", "energy"]): ...

    A batch is a tuple of float32 tensors, (batch / world, …) each, in memory of its own. The order is a
    function of the data set's version, the seed and the epoch alone; the last, incomplete batch of an epoch
    is left out. Every `iter()` of a loader with `epochs` begins the next pass, in another order; one without
    end goes on where it was.

    Arguments:
        data: an open data set or its path.
        split: which split.
        batch: rows a batch, over all processes.
        epochs: in a pass; without end by default, and then there is no `len()`.
        fields: what a batch holds, in this order; by default all fields of the data set.
        device: where tensors are wanted: "cpu", "cuda", "cuda:1" …, or "auto".
        seed: of the order.
        rank, world: which of how many processes this is; each gets its own part of every batch.
        stream: where rows come from, see `open_stream`.
        as_numpy: give arrays of numpy instead of tensors, e.g. for JAX, which takes both (`__dlpack__`);
            they need no torch.

    Raises InvalidInput for values out of range, MissingExtra for tensors where torch is not installed.
    """
    return Loader(data, split, batch, **options)
