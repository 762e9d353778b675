"""Batches of trajectories: windows for emulators that see windows, segments for those that see the ring.

The order of an epoch is a function of (digest of the data, seed, epoch). With a GPU the trajectories live
there, and batches are gathered there.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from qwell.errors import InvalidInput
from qwell.models.emulators import size_of
from qwell.models.propagating import between_frames
from qwell.physics.waves import PARTS, as_complex
from qwell.store.dataset import Dataset
from qwell.store.driven import potentials_of, touched_of
from qwell.store.records import Records
from qwell.store.windows import LEARNED, ORDERED, Curriculum, Order, Windows, gather
from qwell.train.stream import fits_in_memory


def trajectories_of(data: Dataset, tier: str, device: torch.device) -> np.ndarray:
    """ψ of all trajectories to learn from, (simulations, frames, n, 2) float32, contiguous.

    Arguments:
        data: trajectories.
        tier: "resident" reads them into memory; "mirror" maps a decoded copy on the local disk, which is made
            when it is first asked for and shared by all processes; "auto" is resident if they fit in half of
            the free memory.
        device: where batches are wanted; a GPU takes all trajectories.
    """
    records = Records(data[LEARNED], ["psi"])
    if tier == "auto":
        tier = "resident" if fits_in_memory(records.bytes, device) else "mirror"
    if tier == "mirror":
        rows = records.mirror()
    else:
        rows = records.read_all(np.empty((len(records.split), records.width), np.float32))
    return rows.reshape(-1, *records.shapes[0])


class TrajectoryStream:
    """Endless batches; the base of the two kinds.

    Arguments:
        data: trajectories; their digest seeds the order.
        total: what an epoch has of whatever a batch is made of.
        batch: of it.
        seed: of the order.
        device: where batches are wanted.
    """

    def __init__(self, data: Dataset, total: int, batch: int, seed: int, device: torch.device) -> None:
        if not 1 <= batch <= total:
            raise InvalidInput(f"batch is {batch}; {data.path} has {total:,} samples: choose 1 to that")
        self.device, self.batch, self.total = device, batch, total
        self.epoch, self.index = 0, 0
        self._key = (int(data.digest[:16], 16), seed)
        self._ordered: tuple[int, int, np.ndarray] | None = None

    def _next_rows(self) -> np.ndarray:
        """Which samples the next batch has; the last, incomplete batch of an epoch is left out."""
        if self.index == self.total // self.batch:
            self.epoch, self.index = self.epoch + 1, 0
        per = max(ORDERED // self.batch, 1)
        part = self.index // per
        if self._ordered is None or self._ordered[:2] != (self.epoch, part):
            order = Order(self.total, (*self._key, self.epoch))
            first = part * per * self.batch
            rows = order(np.arange(first, min(first + per * self.batch, self.total)))
            self._ordered = (self.epoch, part, rows)
        first = (self.index - part * per) * self.batch
        self.index += 1
        return self._ordered[2][first : first + self.batch]

    def __next__(self) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def state_dict(self) -> dict[str, int]:
        """Where the stream is; `load_state_dict` goes on with the very next batch."""
        return {"epoch": self.epoch, "index": self.index}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self.index = state["epoch"], state["index"]


class WindowStream(TrajectoryStream):
    """Windows of the curriculum: inputs (b, h, w, c), targets (b, w, 2).

    Arguments:
        data, batch, seed, device: see `TrajectoryStream`.
        curriculum: which windows.
        channels: 3, or 2 without the potential.
        tier: see `trajectories_of`.
        noise: standard deviation of what is added to Re ψ and Im ψ of the inputs, in units of the root mean
            square of ψ in the window; a function of (digest, seed, epoch, batch).
    """

    def __init__(
        self,
        data: Dataset,
        *,
        batch: int,
        seed: int,
        device: torch.device,
        curriculum: Curriculum,
        channels: int,
        tier: str = "auto",
        noise: float = 0.0,
    ) -> None:
        psi, potential = trajectories_of(data, tier, device), potentials_of(data, LEARNED)
        self.windows = Windows(psi, potential, curriculum, touched=touched_of(data, LEARNED))
        super().__init__(data, len(self.windows), batch, seed, device)
        self.channels, self.history, self.noise = channels, curriculum.history, noise
        shape = (batch, curriculum.history + 1, curriculum.width, PARTS + 1)
        self._frames = torch.empty(shape, device=device)
        self._on_device: tuple[Tensor, Tensor] | None = None
        if device.type == "cuda":
            self._on_device = (
                torch.from_numpy(self.windows.psi).to(device),
                torch.from_numpy(self.windows.potential).to(device),
            )

    def __next__(self) -> tuple[Tensor, ...]:
        simulation, start, left = self.windows.at(self._next_rows())
        c = self.windows.curriculum
        if self._on_device is None:
            found = gather(self.windows.psi, self.windows.potential, simulation, start, left, c)
            self._frames = torch.from_numpy(found)
        else:
            psi, potential = self._on_device
            index = torch.from_numpy(np.stack([simulation, start, left])).to(self.device, non_blocking=True)
            times = index[1][:, None, None] + torch.arange(c.history + 1, device=self.device)[:, None]
            where = (index[2][:, None] + torch.arange(c.width, device=self.device)) % psi.shape[2]
            self._frames[..., :PARTS] = psi[index[0][:, None, None], times, where[:, None]]
            if potential.ndim == 3:
                self._frames[..., PARTS] = potential[index[0][:, None, None], times, where[:, None]]
            else:
                self._frames[..., PARTS] = potential[index[0][:, None], where][:, None]
        seen, target = self._frames[:, :-1, :, : self.channels], self._frames[:, -1, :, :PARTS]
        if self.noise:
            seen[..., :PARTS] += self._noise(seen)
        return seen, target

    def _noise(self, seen: Tensor) -> Tensor:
        """For a batch (b, h, w, c) of inputs, (b, h, w, 2)."""
        rng = np.random.Generator(np.random.SFC64((*self._key, self.epoch, self.index)))
        normal = rng.standard_normal((*seen.shape[:-1], PARTS), dtype=np.float32)
        return torch.from_numpy(normal).to(seen.device) * (self.noise * size_of(seen))[..., None]


class SegmentStream(TrajectoryStream):
    """Pieces of trajectories: ψ (b, unroll + 1, n) complex64 and V/v_scale (b, n).

    Of driven trajectories V/v_scale is (b, unroll, n), between the frames of ψ.

    Arguments:
        data, batch, seed, device: see `TrajectoryStream`.
        unroll: frames after the first.
        v_scale: the potential is divided by it.
        tier: see `trajectories_of`.
    """

    def __init__(
        self,
        data: Dataset,
        *,
        batch: int,
        seed: int,
        device: torch.device,
        unroll: int,
        v_scale: float,
        tier: str = "auto",
    ) -> None:
        psi = trajectories_of(data, tier, device)
        self._psi = as_complex(psi, np.complex64)
        potential = torch.from_numpy((potentials_of(data, LEARNED) / v_scale).astype(np.float32))
        self._potential = between_frames(potential) if potential.ndim == 3 else potential
        self._starts, self._unroll = psi.shape[1] - unroll, unroll
        if self._starts < 1:
            raise InvalidInput(f"unroll is {unroll}; {data.path} has {psi.shape[1]} frames")
        super().__init__(data, len(psi) * self._starts, batch, seed, device)

    def __next__(self) -> tuple[Tensor, ...]:
        simulation, start = np.divmod(self._next_rows(), self._starts)
        times = start[:, None] + np.arange(self._unroll + 1)
        psi = torch.from_numpy(self._psi[simulation[:, None], times])
        if self._potential.ndim == 3:
            potential = self._potential[simulation[:, None], times[:, :-1]]
        else:
            potential = self._potential[simulation]
        return psi.to(self.device), potential.to(self.device)
