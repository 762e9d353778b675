"""Ten networks that are no chain of layers, as people write them, and how many inputs each takes."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as f


class Residual(nn.Module):
    """Blocks that are added to what goes into them."""

    def __init__(self, inputs: int = 3, width: int = 32) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(inputs, width), nn.Linear(width, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width)) for _ in range(3)
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        for block in self.blocks:
            h = torch.tanh(h + block(h))
        return self.last(h)


class Attention(nn.Module):
    """Coordinates as tokens that look at each other."""

    def __init__(self, inputs: int = 4, width: int = 16) -> None:
        super().__init__()
        self.embed, self.place = nn.Linear(1, width), nn.Parameter(torch.randn(inputs, width))
        self.look = nn.MultiheadAttention(width, 4, batch_first=True)
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x.unsqueeze(-1)) + self.place
        h = self.norm(h + self.look(h, h, h, need_weights=False)[0])
        return self.last(h.mean(dim=1))


class ByHand(nn.Module):
    """Attention written out, with softmax and products of matrices."""

    def __init__(self, inputs: int = 4, width: int = 8) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(2, width) for _ in range(3))
        self.place, self.last = nn.Parameter(torch.randn(inputs)), nn.Linear(inputs * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.stack([x, self.place.expand_as(x)], dim=-1)
        weights = (self.q(h) @ self.k(h).transpose(-1, -2) / 8**0.5).softmax(dim=-1)
        return self.last((weights @ self.v(h)).flatten(1))


class Fourier(nn.Module):
    """Sines and cosines of the coordinates, and SIREN's layers."""

    def __init__(self, inputs: int = 2, width: int = 24) -> None:
        super().__init__()
        self.waves = nn.Parameter(torch.randn(inputs, width))
        self.middle, self.last = nn.Linear(2 * width, width), nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        phase = x @ self.waves
        return self.last(torch.sin(3 * self.middle(torch.cat([phase.sin(), phase.cos()], dim=-1))))


class Gated(nn.Module):
    """Highways: σ(g) tanh(h) + (1 − σ(g)) x."""

    def __init__(self, inputs: int = 3, width: int = 24) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(inputs, width), nn.Linear(width, 2)
        self.change, self.gate = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        h = f.silu(self.first(x))
        gate = torch.sigmoid(self.gate(h))
        return self.last(gate * self.change(h).tanh() + (1 - gate) * h)


class Bilinear(nn.Module):
    """DeepONet: two branches, and the product of what they make."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(2, width), nn.GELU(), nn.Linear(width, width))
        self.trunk = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bi,bi->b", self.branch(x[:, :2]), self.trunk(x[..., 2:])).unsqueeze(1)


class Convolution(nn.Module):
    """A field on eight places, along which it is convolved."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, 6, 3, padding=1, padding_mode="circular")
        self.second, self.last = nn.Conv1d(6, 6, 3, padding=1), nn.Linear(48, 1)
        self.norm = nn.GroupNorm(2, 6)

    def forward(self, x: Tensor) -> Tensor:
        h = f.softplus(self.first(x[:, None, :]))
        return self.last(torch.flatten(self.norm(f.mish(self.second(h))), 1))


class Envelope(nn.Module):
    """A wave function with its decay and a boundary put in by hand."""

    def __init__(self, inputs: int = 3, width: int = 24) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(inputs + 1, width), nn.ELU(), nn.Linear(width, width), nn.CELU())
        self.last = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        square = (x**2).sum(-1, keepdim=True)
        radius = torch.sqrt(square + 0.01)
        return torch.exp(-0.5 * radius) * self.last(self.inner(torch.cat((x, radius), -1))) / (1 + square)


class Normed(nn.Module):
    """Layer and batch normalisation, dropout, flattening: in eval."""

    def __init__(self, inputs: int = 5, width: int = 24) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(inputs, width), nn.LayerNorm(width), nn.Mish(), nn.Dropout(0.3),
            nn.Linear(width, width), nn.BatchNorm1d(width), nn.SELU(), nn.Linear(width, 2),
        )  # fmt: skip
        self.layers[6].running_mean.normal_()  # type: ignore[union-attr, operator]
        self.layers[6].running_var.uniform_(0.5, 2)  # type: ignore[union-attr, operator]

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Encoder(nn.Module):
    """A layer of a transformer as torch has it."""

    def __init__(self, inputs: int = 3, width: int = 16) -> None:
        super().__init__()
        self.embed, self.place = nn.Linear(1, width), nn.Parameter(torch.randn(inputs, width))
        self.layer = nn.TransformerEncoderLayer(width, 2, 32, activation="gelu", batch_first=True)
        self.last = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.layer(self.embed(x[..., None]) + self.place)
        return self.last(h[:, 0])


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "residual": (Residual, 3),
    "attention": (Attention, 4),
    "attention by hand": (ByHand, 4),
    "fourier features": (Fourier, 2),
    "gated": (Gated, 3),
    "two branches": (Bilinear, 3),
    "convolution": (Convolution, 8),
    "envelope": (Envelope, 3),
    "normalised": (Normed, 5),
    "transformer": (Encoder, 3),
}
