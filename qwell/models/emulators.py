"""Emulators of quantum dynamics that see windows (dynamics paper; parameter counts are the authors').

A window is `history` frames × `width` points × `channels` (Re ψ, Im ψ, and V/v_scale unless free). The
answer is (Re ψ, Im ψ) of the next frame on the same points. Shapes: b batch, h history, w width, c channels,
k hidden.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qwell.errors import InvalidInput
from qwell.models.layers import Network
from qwell.physics.waves import PARTS

SMALLEST = 1e-30  # size of a window of nothing


@dataclass(frozen=True)
class WindowConfig:
    """Arguments:

    channels: 3, or 2 without a potential.
    history: frames seen.
    width: points of a window.
    hidden: k; 0 stands for width × channels, as in the paper.
    normalised: whether a window is seen, and continued, in units of the root mean square of its ψ.
    """

    channels: int = 3
    history: int = 4
    width: int = 23
    hidden: int = 0
    normalised: bool = False

    def __post_init__(self) -> None:
        if self.channels not in (2, 3) or self.history < 1 or self.width < 1:
            raise InvalidInput(
                f"channels is {self.channels}, history {self.history}, width {self.width}; channels must be 2"
                " or 3, the others at least 1"
            )

    @property
    def k(self) -> int:
        return self.hidden or self.width * self.channels

    @property
    def inputs(self) -> int:
        """Numbers in one frame of a window."""
        return self.width * self.channels

    @property
    def outputs(self) -> int:
        return self.width * PARTS


def size_of(windows: Float[Tensor, "b h w c"]) -> Float[Tensor, "b 1 1"]:
    """⟨(Re ψ)² + (Im ψ)²⟩^{1/2} of each window; never 0."""
    waves = windows[..., :PARTS]
    return (PARTS * waves.square().mean(dim=(1, 2, 3))).sqrt().clamp(min=SMALLEST)[:, None, None]


class WindowEmulator(Network):
    """Windows (b, h, w, c) to the next frame's (b, w, 2).

    The Schrödinger equation is linear, and windows in the tail of a packet are 10⁻⁶ of those in its middle.
    If `normalised`, a network f sees and answers in units of s = ⟨(Re ψ)² + (Im ψ)²⟩^{1/2}, the mean over the
    window: s f(ψ/s, V). What it answers is then of degree one in ψ, f(cψ) = c f(ψ) for c > 0.
    """

    task = "dynamics"

    def __init__(self, config: WindowConfig) -> None:
        super().__init__()
        self.config = config

    def takes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.config.history, self.config.width, self.config.channels),)

    def forward(self, windows: Float[Tensor, "b h w c"]) -> Float[Tensor, "b w 2"]:
        if not self.config.normalised:
            return self.following(windows)
        waves, rest = windows[..., :PARTS], windows[..., PARTS:]
        size = size_of(windows)
        return self.following(torch.cat([waves / size[..., None], rest], dim=-1)) * size

    def following(self, windows: Float[Tensor, "b h w c"]) -> Float[Tensor, "b w 2"]:
        """The next frame, in the units in which the window is."""
        raise NotImplementedError

    def _begin(self) -> None:
        """Glorot uniform weights, zero biases, as the authors' framework begins with."""
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)


class LinearEmulator(WindowEmulator):
    """The last frame, linearly: w·c → 2w."""

    def __init__(self, config: WindowConfig) -> None:
        super().__init__(config)
        self.head = nn.Linear(config.inputs, config.outputs)
        self._begin()

    def following(self, windows: Float[Tensor, "b h w c"]) -> Float[Tensor, "b w 2"]:
        frame: Tensor = self.head(windows[:, -1].flatten(1)).unflatten(1, (-1, PARTS))
        return frame


class DenseEmulator(WindowEmulator):
    """Each frame w·c → k, relu; all of them h·k → k, relu; k → 2w."""

    def __init__(self, config: WindowConfig) -> None:
        super().__init__(config)
        self.embed = nn.Linear(config.inputs, config.k)
        self.mix = nn.Linear(config.history * config.k, config.k)
        self.head = nn.Linear(config.k, config.outputs)
        self._begin()

    def following(self, windows: Float[Tensor, "b h w c"]) -> Float[Tensor, "b w 2"]:
        frames = torch.relu(self.embed(windows.flatten(2)))
        frame: Tensor = self.head(torch.relu(self.mix(frames.flatten(1)))).unflatten(1, (-1, PARTS))
        return frame


class ConvEmulator(WindowEmulator):
    """16 filters over the h frames of a point, relu; 16·w → k, relu; k → 2w."""

    FILTERS = 16

    def __init__(self, config: WindowConfig) -> None:
        super().__init__(config)
        self.filters = nn.Linear(config.history * config.channels, self.FILTERS)
        self.mix = nn.Linear(self.FILTERS * config.width, config.k)
        self.head = nn.Linear(config.k, config.outputs)
        self._begin()

    def following(self, windows: Float[Tensor, "b h w c"]) -> Float[Tensor, "b w 2"]:
        points = windows.transpose(1, 2).flatten(2)  # (b, w, h·c)
        features = torch.relu(self.filters(points)).flatten(1)
        frame: Tensor = self.head(torch.relu(self.mix(features))).unflatten(1, (-1, PARTS))
        return frame


class GRUEmulator(WindowEmulator):
    """Each frame w·c → k, relu; a gated recurrent unit over the frames; [output, state] 2k → 2w.

    With e_t the embedded frame, h_0 = 0 and ⊙ the product of elements,

        z, r = σ(W_zr e_t + a_zr + U_zr h + b_zr),   n = relu(W_n e_t + a_n + r ⊙ (U_n h + b_n))
        h ← z ⊙ h + (1 − z) ⊙ n

    (Cho et al. 2014, arXiv:1406.1078, with the reset after the product, as in the authors' framework). Output
    and state are one and the same vector; both have weights in the head.
    """

    def __init__(self, config: WindowConfig) -> None:
        super().__init__(config)
        k = config.k
        self.embed = nn.Linear(config.inputs, k)
        self.from_input = nn.Linear(k, 3 * k)  # z, r, n
        self.from_state = nn.Linear(k, 3 * k)
        self.head = nn.Linear(2 * k, config.outputs)
        self._begin()
        nn.init.orthogonal_(self.from_state.weight)

    def advance(
        self,
        projected: Float[Tensor, "*b {3*self.config.k}"],
        state: Float[Tensor, "*b {self.config.k}"] | None,
    ) -> Float[Tensor, "*b {self.config.k}"]:
        """The next state, (…, k), from a projected frame W e + a, (…, 3k), and the state before (None: 0)."""
        k = self.config.k
        back = self.from_state.bias.expand_as(projected) if state is None else self.from_state(state)
        z, r = torch.sigmoid(projected[..., : 2 * k] + back[..., : 2 * k]).chunk(2, dim=-1)
        n = torch.relu(projected[..., 2 * k :] + r * back[..., 2 * k :])
        return (1 - z) * n if state is None else torch.lerp(n, state, z)

    def following(self, windows: Float[Tensor, "b h w c"]) -> Float[Tensor, "b w 2"]:
        projected = self.from_input(torch.relu(self.embed(windows.flatten(2))))
        state = None
        for frame in projected.unbind(1):
            state = self.advance(frame, state)
        assert state is not None  # there is at least one frame
        following: Tensor = self.head(torch.cat([state, state], dim=-1)).unflatten(1, (-1, PARTS))
        return following
