"""Which device to compute on."""

from __future__ import annotations

import torch

from qwell.errors import DeviceUnavailable


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
