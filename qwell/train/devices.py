"""Which device to compute on, and with how many threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits
from torch import nn

from qwell.errors import DeviceUnavailable
from qwell.train.config import SMALL


def choose_device(name: str = "auto") -> torch.device:
    """`auto` is the GPU if there is one, else the CPU.

    Raises DeviceUnavailable if a device is asked for that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceUnavailable(f"unknown device {name!r}; choose auto, cpu, cuda or cuda:0 …") from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceUnavailable(f"device {name!r} is not supported; choose auto, cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceUnavailable(
            f"device {name!r} was asked for and this machine has {torch.cuda.device_count()} CUDA GPUs"
            " that torch can use; use --device auto or cpu"
        )
    return device


def sensible_threads(model: nn.Module) -> int:
    """Threads of the processor for a network: one for small ones, whose threads would wait for each other.

    Others use all cores, or what OMP_NUM_THREADS allows.
    """
    numbers = sum(p.numel() for p in model.parameters())
    return 1 if numbers < SMALL else torch.get_num_threads()


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """torch and numpy use so many threads inside; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        with threadpool_limits(count, "blas"):
            yield
    finally:
        torch.set_num_threads(before)
