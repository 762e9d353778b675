"""Several processes that train one model, as torchrun starts them: every rank takes its part of each batch.

After each backward pass the gradients are averaged in one flat all-reduce; with equal parts the average of
the ranks' means is the mean over the batch, so that W ranks do what one process does, up to rounding. Weights
need no exchange: all ranks draw them from one seed, or read one checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from qwell.errors import DeviceUnavailable


@dataclass(frozen=True)
class Team:
    """This process (`rank`) among `world`; alone by default, when all of this costs nothing."""

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def average_gradients(self, model: nn.Module) -> None:
        """Replace every gradient by its mean over the ranks."""
        if self.world == 1:
            return
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        flat /= self.world
        parts = flat.split([g.numel() for g in gradients])
        torch._foreach_copy_(gradients, [p.view_as(g) for p, g in zip(parts, gradients, strict=True)])

    def mean(self, value: Tensor) -> float:
        """The mean over the ranks of a scalar."""
        if self.world > 1:
            value = value.clone()
            dist.all_reduce(value)
            value /= self.world
        return value.item()

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether any rank raises its flag."""
        return flag if self.world == 1 else self.mean(torch.tensor(float(flag), device=device)) > 0

    def tell(self, text: str) -> str:
        """The leader's text, on every rank."""
        if self.world == 1:
            return text
        told = [text]
        dist.broadcast_object_list(told)
        return told[0]


@contextmanager
def join_team(device: torch.device) -> Iterator[tuple[Team, torch.device]]:
    """The team that torchrun describes in the environment, and this rank's device; alone without torchrun.

    Raises DeviceUnavailable if there are more ranks on this machine than GPUs.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Team(), device
        return
    if device.type == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise DeviceUnavailable(
                f"process {local} of this machine has no GPU: there are {torch.cuda.device_count()};"
                " start fewer with --nproc-per-node, or use --device cpu"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Team(dist.get_rank(), world), device
        dist.barrier()  # a rank that leaves while another is still at work may be aborted by gloo
    finally:
        dist.destroy_process_group()
