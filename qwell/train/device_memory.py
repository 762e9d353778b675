"""Batches as tensors, on the processor or on a GPU."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from qwell.train.memory import Memory


class DeviceMemory(Memory):
    """Rows and batches are tensors.

    Arguments:
        device: where batches are wanted.
    """

    def __init__(self, device: str | torch.device) -> None:
        self.device = torch.device(device)
        self._placed: torch.cuda.Event | None = None  # the last copy from pinned memory, perhaps on its way

    def empty(self, rows: int, width: int) -> Tensor:
        """Room for a batch of records, (rows, width) float32, on the device."""
        return torch.empty(rows, width, device=self.device)

    def of(self, array: np.ndarray, beside: Tensor | None = None) -> Tensor:
        """The same numbers in the processor's memory, without a copy; or where `beside` lies."""
        tensor = torch.from_numpy(array)
        return tensor if beside is None else tensor.to(beside.device)

    def room(self, rows: Tensor, buffer: Tensor) -> Tensor:
        """The buffer, or pinned memory of the processor if the rows lie there and the buffer does not."""
        if rows.device == buffer.device:
            return buffer
        return torch.empty_like(buffer, device="cpu").pin_memory()

    def gather(self, rows: Tensor, order: Tensor, out: Tensor) -> None:
        """out[i] = rows[order[i]]; pinned memory is not written to before it is copied."""
        if self._placed is not None:
            self._placed.synchronize()
            self._placed = None
        torch.index_select(rows, 0, order, out=out)

    def place(self, rows: Tensor, buffer: Tensor) -> None:
        """Copy gathered rows to the buffer, behind what the device still does."""
        buffer.copy_(rows, non_blocking=True)
        if buffer.device.type == "cuda" and rows.device.type == "cpu":
            self._placed = torch.cuda.Event()
            self._placed.record(torch.cuda.current_stream(buffer.device))

    def fresh(self, values: Tensor) -> Tensor:
        """Values in contiguous memory of their own."""
        return values.clone(memory_format=torch.contiguous_format)

    def free(self) -> int:
        """Bytes free on the device."""
        return torch.cuda.mem_get_info(self.device)[0] if self.device.type == "cuda" else super().free()
