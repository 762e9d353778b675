"""The eigenvalue network of the spectra paper (appendix A, Figs. A1–A3): residual blocks with self-attention.

    (b, 101) × 0.01 → five Res-SA blocks → (b, 256, 17) → flatten → 1024 → 10 × 100

A Res-SA block is a convolution of kernel 5 without padding, a pooling by 2 in blocks 2 and 5, three
residual blocks, and self-attention: lengths 101 → 97 → 46 → 42 → 38 → 17. 31 ReLU, 4,912,513 parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qwell.errors import InvalidInput
from qwell.models.layers import Network, ResidualBlock, SelfAttention


@dataclass(frozen=True)
class ResSAConfig:
    """Shape of the network; the defaults are the paper's, or where it is silent, ours (docs/design.md).

    Arguments:
        points: M + 1, values of a potential.
        levels: energies predicted.
        channels: of each Res-SA block; its length is the number of blocks R_D.
        pooled: numbers (from 1) of the blocks that pool by 2.
        bottleneck: divisor of the channels inside a residual block.
        attention: divisor of the channels of query, key and value; 0 leaves self-attention out.
        hidden: width between the two linear layers.
        pooling: "max" or "mean".
        energy_scale: inputs are divided by it, outputs multiplied, so that numbers inside are of order 1.
    """

    points: int = 101
    levels: int = 10
    channels: tuple[int, ...] = (16, 32, 64, 128, 256)
    pooled: tuple[int, ...] = (2, 5)
    bottleneck: int = 4
    attention: int = 8
    hidden: int = 1024
    pooling: str = "max"
    energy_scale: float = 100.0

    def __post_init__(self) -> None:
        if self.pooling not in ("max", "mean"):
            raise InvalidInput(f"pooling is {self.pooling!r}; choose max or mean")
        if not self.channels or min(self.channels) < max(self.bottleneck, self.attention):
            raise InvalidInput(
                f"channels {self.channels} must each be at least the divisors"
                f" {self.bottleneck} and {self.attention}"
            )
        if self.length < 1:
            raise InvalidInput(
                f"{self.points} points are too few for {len(self.channels)} blocks; use fewer channels"
            )

    @property
    def length(self) -> int:
        """Positions left after the last block."""
        length = self.points
        for number in range(1, len(self.channels) + 1):
            length = (length - 4) // (2 if number in self.pooled else 1)
        return length


class ResSABlock(nn.Sequential):
    """Convolution (kernel 5, no padding), pooling or not, three residual blocks, self-attention (Fig. A2)."""

    def __init__(self, inputs: int, channels: int, pool: bool, config: ResSAConfig) -> None:
        layers: list[nn.Module] = [nn.Conv1d(inputs, channels, 5)]
        if pool:
            layers.append(nn.MaxPool1d(2) if config.pooling == "max" else nn.AvgPool1d(2))
        layers += [ResidualBlock(channels, channels // config.bottleneck) for _ in range(3)]
        if config.attention:
            layers.append(SelfAttention(channels, channels // config.attention))
        super().__init__(*layers)


class ResSA(Network):
    """Potentials (b, points) to energies (b, levels), both in energy units ħ²/(m·length²)."""

    def __init__(self, config: ResSAConfig) -> None:
        super().__init__()
        self.config = config
        inputs = (1, *config.channels[:-1])
        self.blocks = nn.Sequential(
            *(
                ResSABlock(inputs[i], channels, i + 1 in config.pooled, config)
                for i, channels in enumerate(config.channels)
            )
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(config.channels[-1] * config.length, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.levels),
        )

    def forward(self, potential: Float[Tensor, "b points"]) -> Float[Tensor, "b levels"]:
        x = self.blocks(potential.unsqueeze(1) / self.config.energy_scale)
        energies: Tensor = self.head(x) * self.config.energy_scale
        return energies

    def attention_maps(self, potential: Float[Tensor, "b points"]) -> list[Float[Tensor, "b p p"]]:
        """The maps (b, p, p) of every self-attention layer, in order (Fig. 9)."""
        maps: list[Tensor] = []
        x = potential.unsqueeze(1) / self.config.energy_scale
        with torch.no_grad():
            for block in self.blocks:
                for layer in block:  # type: ignore[attr-defined]
                    if isinstance(layer, SelfAttention):
                        maps.append(layer.map(x))
                    x = layer(x)
        return maps

    def attention_positions(self) -> list[Float[Tensor, "p"]]:
        """Centres of what each position has seen through convolutions and poolings: indices of the mesh."""
        centres, positions = torch.arange(self.config.points, dtype=torch.float32), []
        for number in range(1, len(self.config.channels) + 1):
            centres = centres[2:-2]
            if number in self.config.pooled:
                centres = centres[: len(centres) // 2 * 2].reshape(-1, 2).mean(1)
            positions.append(centres)
        return positions
