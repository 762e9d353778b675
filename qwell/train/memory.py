"""What batches are made of: arrays of numpy here; tensors in `device_memory`, which alone needs torch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


class Memory:
    """Rows and batches are arrays of numpy."""

    device: Any = None  # of torch

    def empty(self, rows: int, width: int) -> Any:
        """Room for a batch of records, (rows, width) float32, where batches are wanted."""
        return np.empty((rows, width), np.float32)

    def of(self, array: np.ndarray, beside: Any = None) -> Any:
        """The same numbers in the processor's memory, without a copy; or where `beside` lies."""
        return array

    def room(self, rows: Any, buffer: Any) -> Any:
        """Where `gather` puts rows on their way to a buffer: the buffer itself if both lie in one memory."""
        return buffer

    def gather(self, rows: Any, order: Any, out: Any) -> None:
        """out[i] = rows[order[i]]."""
        np.take(rows, order, axis=0, out=out, mode="clip")  # "raise" would copy `out`

    def place(self, rows: Any, buffer: Any) -> None:
        """Copy gathered rows to the buffer, where they are not there already."""
        buffer[...] = rows

    def fresh(self, values: Any) -> Any:
        """Values in contiguous memory of their own."""
        return values.copy()

    def free(self) -> int:
        """Bytes free."""
        name = "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in os.sysconf_names else "SC_PHYS_PAGES"  # macOS: all
        return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")


def memory_on(device: str | torch.device | None) -> Memory:
    """Tensors on a device of torch, or arrays of numpy for None."""
    if device is None:
        return Memory()
    from qwell.train.device_memory import DeviceMemory

    return DeviceMemory(device)
