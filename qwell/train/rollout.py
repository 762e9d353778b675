"""Rollouts: an emulator fed with its own predictions (dynamics paper, Methods).

Emulators that see windows begin with `history` true frames. Every point lies in `width` windows; its
predictions are averaged with weights ∝ exp(−k²/(2·2.8²)), k the distance from the middle of the window.
Emulators on the ring begin with one true frame and need no averaging. On a GPU what leads from one frame to
the next is recorded as a CUDA graph.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from qwell.errors import InvalidInput
from qwell.models.emulators import GRUEmulator, WindowEmulator
from qwell.models.layers import Network
from qwell.models.propagating import RingEmulator, between_frames, change_mesh
from qwell.physics.waves import PARTS, as_complex
from qwell.progress import track
from qwell.train.recording import recorded

SPREAD = 2.8  # points
TOGETHER = 64  # frames of all cases that are brought to the points of the ring at once


def weights_of(width: int) -> Tensor:
    """Of the predictions of a point, by where it lies in the window, (width,), Σ = 1; float64."""
    k = torch.arange(width, dtype=torch.float64) - (width - 1) / 2
    weights = torch.exp(-(k**2) / (2 * SPREAD**2))
    return weights / weights.sum()


def windows_of(frames: Tensor, width: int) -> Tensor:
    """All windows round a ring: (…, n, c) → (…, n, width, c); window i begins at point i."""
    ring = torch.cat([frames, frames[..., : width - 1, :]], dim=-2)
    return ring.unfold(-2, width, 1).transpose(-1, -2)


def average(prediction: Tensor, weights: Tensor) -> Tensor:
    """Frames (…, n, p) from the predictions of all windows, (…, n, width, p)."""
    width = prediction.shape[-2]
    parts = [weights[w] * prediction[..., w, :].roll(w, dims=-2) for w in range(width)]
    return torch.stack(parts).sum(0)


def history_of(model: Network) -> int:
    """True frames that a rollout begins with."""
    return model.config.history if isinstance(model, WindowEmulator) else 1


@torch.inference_mode()
def rollout(
    model: Network,
    seed: np.ndarray,
    potential: np.ndarray,
    frames: int,
    fused: bool = True,
    keep_norm: bool = False,
) -> np.ndarray:
    """Predict frames after the seed, all cases together.

    Arguments:
        model: of the task "dynamics", in eval mode.
        seed: (cases, history, n, 2), true.
        potential: (cases, n), V/v_scale; or (cases, history + frames, n) where it changes with time.
        frames: to predict.
        fused: let models keep what does not change from frame to frame; the same numbers to rounding.
        keep_norm: bring every predicted frame to the norm of the last true one before going on with it.

    Returns: (cases, frames, n, 2), in the model's precision.

    Raises InvalidInput if emulators on the ring are asked to keep the norm: that is left to them.
    """
    parameter = next(model.parameters()).real
    start = torch.from_numpy(np.ascontiguousarray(seed)).to(parameter)
    v = torch.from_numpy(np.ascontiguousarray(potential)).to(parameter)
    if isinstance(model, RingEmulator):
        if keep_norm:
            raise InvalidInput(
                f"keeping the norm is for emulators that see windows; {model.registry_name} is on the ring"
            )
        return _on_ring(model, start, v, frames)
    assert isinstance(model, WindowEmulator)
    norm = start[:, -1].flatten(1).norm(dim=1) if keep_norm else None
    step: FusedGRU | Plain
    if fused and v.ndim == 2 and isinstance(model, GRUEmulator) and not model.config.normalised:
        step = FusedGRU(model, start, v, norm)
    else:
        step = Plain(model, start, v, norm)
    out = start.new_empty(len(start), frames, *start.shape[2:])
    for f in track(range(frames), "frames"):
        out[:, f] = step.advance()
    return out.cpu().numpy()


def predict_frames(
    model: Network,
    v_scale: float,
    psi: np.ndarray,
    potential: np.ndarray,
    frames: int,
    keep_norm: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true frames, (cases, frames, n) complex64.

    Arguments:
        model: of the task "dynamics", in eval mode; v_scale: its potentials are divided by it.
        psi: true frames (cases, at least history + frames, n, 2).
        potential: (cases, n), hartree; or (cases, at least history + frames, n).
        keep_norm: see `rollout`.

    Raises InvalidInput if there are too few frames, or a potential that the model cannot see.
    """
    history = history_of(model)
    if psi.shape[1] < history + frames:
        raise InvalidInput(
            f"frames is {frames}, and {history} are seen; the trajectories have {psi.shape[1]}: choose at"
            f" most {psi.shape[1] - history}"
        )
    if isinstance(model, WindowEmulator) and model.config.channels == 2 and potential.any():
        raise InvalidInput("this emulator has no channel for potentials; give free trajectories")
    if potential.ndim == 3:
        potential = potential[:, : history + frames]
    found = rollout(model, psi[:, :history], potential / v_scale, frames, keep_norm=keep_norm)
    truth = psi[:, history : history + frames]
    return as_complex(found, np.complex64), as_complex(truth, np.complex64)


def _on_ring(model: RingEmulator, start: Tensor, potential: Tensor, frames: int) -> np.ndarray:
    points = start.shape[2]
    psi = change_mesh(torch.view_as_complex(start[:, -1].contiguous()), model.mesh)
    fixed = model.prepare(potential) if potential.ndim == 2 else None
    moving = between_frames(potential) if fixed is None else potential

    def advance(psi: Tensor, *between: Tensor) -> Tensor:
        return model.advance(psi, fixed or model.prepare(*between))

    following = recorded(advance, "a rollout", psi.device, model)
    out = torch.empty(len(psi), frames, points, dtype=psi.dtype, device=psi.device)
    together = max(1, TOGETHER // len(psi))
    for first in track(range(0, frames, together), "blocks of frames"):
        block = []
        for frame in range(first, min(first + together, frames)):
            psi = following(psi) if fixed else following(psi, moving[:, frame])
            block.append(psi)
        out[:, first : first + together] = change_mesh(torch.stack(block, 1), points)
    return torch.view_as_real(out).cpu().numpy()


def with_norm(frame: Tensor, norm: Tensor | None) -> Tensor:
    """Frames (cases, n, 2) brought to norms (cases,); as they are if none are given."""
    if norm is None:
        return frame
    return frame * (norm / frame.flatten(1).norm(dim=1))[:, None, None]


class Plain:
    """Every frame through the whole model."""

    def __init__(self, model: WindowEmulator, start: Tensor, potential: Tensor, norm: Tensor | None) -> None:
        self.model, self.frames, self.norm = model, start.clone(), norm
        c = model.config
        static = potential if potential.ndim == 3 else potential[:, None].expand(-1, c.history, -1)
        self.potential = static[..., None] if c.channels == 3 else None
        self.weights = weights_of(c.width).to(start)
        self.first, self.history = 0, c.history
        self.following = recorded(self._following, "a rollout", start.device, model)

    def advance(self) -> Tensor:
        """The next frame, (cases, n, 2)."""
        seen: tuple[Tensor, ...] = (self.frames,)
        if self.potential is not None:
            first = min(self.first, self.potential.shape[1] - self.history)  # 0 where V does not change
            seen = (self.frames, self.potential[:, first : first + self.history])
        self.first += 1
        frame: Tensor = self.following(*seen)
        self.frames = torch.cat([self.frames[:, 1:], frame[:, None]], dim=1)
        return frame

    def _following(self, *seen: Tensor) -> Tensor:
        """The frame after the last ones, (cases, h, n, 2), with V, (cases, h, n, 1), if it is seen."""
        windows = windows_of(torch.cat(seen, dim=-1), self.model.config.width)  # (cases, h, n, w, c)
        found = self.model(windows.transpose(1, 2).flatten(0, 1)).unflatten(0, (len(windows), -1))
        return with_norm(average(found, self.weights), self.norm)


class FusedGRU:
    """Only what a new frame adds: its projection, made once, and the recurrence over those that are kept.

    The potential's part of the embedding is made once; both copies of the state in the head are one; the
    weights of the average are in the head.
    """

    def __init__(self, model: GRUEmulator, start: Tensor, potential: Tensor, norm: Tensor | None) -> None:
        self.model, self.norm = model, norm
        c = model.config
        n, self.width, k = start.shape[2], c.width, c.k
        embed = model.embed.weight.unflatten(1, (c.width, c.channels))
        self.embed = embed[..., :PARTS].flatten(1).T.contiguous()  # (w·2, k)
        self.fixed = model.embed.bias.expand(len(start) * n, k)
        if c.channels == 3:
            self.fixed = torch.addmm(
                model.embed.bias,
                windows_of(potential[..., None], c.width)[..., 0].flatten(0, 1),
                embed[..., 2].T,
            )
        head = (model.head.weight[:, :k] + model.head.weight[:, k:]).unflatten(0, (c.width, PARTS))
        weights = weights_of(c.width).to(start)
        # windows that end at a point come before it: with the points of a window in reverse, the predictions
        # of a point lie on a diagonal
        self.head = (head * weights[:, None, None]).flip(0).flatten(0, 1).T.contiguous()  # (k, w·2)
        self.bias = (model.head.bias.unflatten(0, (c.width, PARTS)) * weights[:, None]).sum(0)
        self.input = model.from_input.weight.T.contiguous(), model.from_input.bias
        self.state = model.from_state.weight.T.contiguous(), model.from_state.bias
        self.cases, self.n, self.k = len(start), n, k
        self.kept = [self._project(frame) for frame in start.unbind(1)]
        rows = len(start) * n
        self.back, self.gates = start.new_empty(rows, 3 * k), start.new_empty(rows, 2 * k)
        self.new = start.new_empty(rows, k)
        self.spread = start.new_empty(len(start), n + c.width - 1, c.width, PARTS)
        self.following = recorded(self._following, "a rollout", start.device, model)

    def _project(self, frame: Tensor) -> Tensor:
        """W e + a of all windows of a frame, (cases·n, 3k)."""
        windows = windows_of(frame, self.width).flatten(0, 1).flatten(1)
        embedded = torch.addmm(self.fixed, windows, self.embed).relu_()
        return torch.addmm(self.input[1], embedded, self.input[0])

    def advance(self) -> Tensor:
        """The next frame, (cases, n, 2)."""
        frame, projected = self.following(*self.kept)
        self.kept = [*self.kept[1:], projected]
        return frame

    def _following(self, *kept: Tensor) -> tuple[Tensor, Tensor]:
        """The frame after the last ones, of which projections are kept, and its own projection."""
        k = self.k
        state: Tensor | None = None
        for projected in kept:
            if state is None:
                torch.add(projected[:, : 2 * k], self.state[1][: 2 * k], out=self.gates)
                back = self.state[1][2 * k :]
            else:
                torch.addmm(self.state[1], state, self.state[0], out=self.back)
                torch.add(projected[:, : 2 * k], self.back[:, : 2 * k], out=self.gates)
                back = self.back[:, 2 * k :]
            self.gates.sigmoid_()
            z, r = self.gates[:, :k], self.gates[:, k:]
            torch.addcmul(projected[:, 2 * k :], r, back, out=self.new).relu_()
            state = self.new - z * self.new if state is None else torch.lerp(self.new, state, z)
        assert state is not None
        found = (state @ self.head).view(self.cases, self.n, self.width, PARTS)
        self.spread[:, self.width - 1 :] = found
        self.spread[:, : self.width - 1] = found[:, self.n - self.width + 1 :]
        rows = self.width * PARTS
        diagonals = self.spread.as_strided(
            (self.cases, self.n, self.width, PARTS), (self.spread.stride(0), rows, rows + PARTS, 1)
        )
        frame = with_norm(diagonals.sum(2) + self.bias, self.norm)
        return frame, self._project(frame)
