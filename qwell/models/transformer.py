"""A transformer encoder over patches of the potential (Vaswani et al. 2017, arXiv:1706.03762; pre-norm).

    patches of `patch` neighbouring values → tokens + learned positions → layers → flatten → levels

Shapes: b batch, t tokens, d width, h heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qwell.errors import InvalidInput
from qwell.models.layers import Network, worked_out


@dataclass(frozen=True)
class TransformerConfig:
    """Arguments:

    points: M + 1, values of a potential.
    levels: energies predicted.
    width: d of a token, a multiple of `heads`.
    heads: of attention.
    layers: of the encoder.
    patch: values a token; the last patch is filled with the value at the wall.
    energy_scale: as in `ResSAConfig`.
    """

    points: int = 101
    levels: int = 10
    width: int = 64
    heads: int = 4
    layers: int = 3
    patch: int = 5
    energy_scale: float = 100.0

    def __post_init__(self) -> None:
        if self.heads < 1 or self.width % self.heads or not 1 <= self.patch <= self.points or self.layers < 1:
            raise InvalidInput(
                f"width {self.width} must be a multiple of heads {self.heads}, patch {self.patch} between 1"
                f" and {self.points}, and layers {self.layers} at least 1"
            )

    @property
    def tokens(self) -> int:
        """t, patches that cover the potential."""
        return -(-self.points // self.patch)


class EncoderLayer(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); (b, t, d) to the same."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def attend(
        self, x: Float[Tensor, "b t d"]
    ) -> tuple[Float[Tensor, "b h t t"], Float[Tensor, "b h t d//h"]]:
        """Maps (b, h, t, t), whose rows sum to 1, and values (b, h, t, d/h)."""
        parts = self.query_key_value(self.norm1(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        return torch.softmax(query @ key.mT / query.shape[-1] ** 0.5, dim=-1), value

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        weights, value = self.attend(x)
        x = x + self.output((weights @ value).transpose(1, 2).flatten(2))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class Transformer(Network):
    """Potentials (b, points) to energies (b, levels)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        c = config
        self.embed = nn.Linear(c.patch, c.width)
        shape = (c.tokens, c.width)
        self.position = nn.Parameter(worked_out(lambda: torch.randn(shape) * 0.02, *shape))
        self.layers = nn.Sequential(*(EncoderLayer(c.width, c.heads) for _ in range(c.layers)))
        self.head = nn.Sequential(
            nn.LayerNorm(c.width), nn.Flatten(), nn.Linear(c.tokens * c.width, c.levels)
        )

    def _tokens(self, potential: Tensor) -> Tensor:
        c = self.config
        v = potential / c.energy_scale
        v = torch.cat([v, v[:, -1:].expand(-1, c.tokens * c.patch - c.points)], dim=1)
        tokens: Tensor = self.embed(v.reshape(len(v), c.tokens, c.patch)) + self.position
        return tokens

    def forward(self, potential: Float[Tensor, "b points"]) -> Float[Tensor, "b levels"]:
        energies: Tensor = self.head(self.layers(self._tokens(potential))) * self.config.energy_scale
        return energies

    def attention_maps(self, potential: Float[Tensor, "b points"]) -> list[Float[Tensor, "b t t"]]:
        """The maps (b, t, t) of every layer, averaged over heads."""
        maps, x = [], self._tokens(potential)
        with torch.no_grad():
            for layer in self.layers:
                maps.append(layer.attend(x)[0].mean(1))  # type: ignore[operator]
                x = layer(x)
        return maps

    def attention_positions(self) -> list[Float[Tensor, "t"]]:
        """Where the tokens of each layer lie: indices of the mesh, (t,)."""
        c = self.config
        centres = torch.arange(c.tokens) * c.patch + (c.patch - 1) / 2
        return [centres.clamp(max=c.points - 1) for _ in range(c.layers)]
