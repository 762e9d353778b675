"""The introspective learner's networks: translators of potentials to densities, and distillers of those.

Architecture after arXiv:1901.11103; the numerical choices are ours.
Shapes: b batch, t cells, n hidden, d latent.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qwell.physics.cells import HIGHEST


class TaylorCell(nn.Module):
    """h₊ = (1 + W₀ + W₁ v + W₂ v²) h, v = V/2.5: linear in the state, of second order in the potential."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(0.02 * torch.randn(3, size, size) / size**0.5)

    def matrix(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape n n"]:
        """The matrix of each v (…,), (…, n, n)."""
        powers = torch.stack([torch.ones_like(v), v, v * v], -1)
        eye = torch.eye(self.weights.shape[-1], dtype=v.dtype, device=v.device)
        return eye + torch.einsum("...p,pij->...ij", powers, self.weights.to(v.dtype))

    def forward(self, h: Float[Tensor, "b n"], v: Float[Tensor, "b t"]) -> Float[Tensor, "b t n"]:
        """States (b, n) after each of the cells v (b, t), (b, t, n)."""
        stacked = self.weights.transpose(1, 2).permute(1, 0, 2).flatten(1)  # (n, 3n): h ↦ W₀h, W₁h, W₂h
        out = []
        for u in v.unbind(1):
            zero, one, two = (h @ stacked).chunk(3, -1)
            u = u[:, None]
            h = h + zero + u * (one + u * two)
            out.append(h)
        return torch.stack(out, 1)


class FreeCell(nn.Module):
    """z₊ = z + F(z, v), F a perceptron: a control, whose latent numbers obey no matrix."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.change = nn.Sequential(nn.Linear(size + 1, 32), nn.Tanh(), nn.Linear(32, size))
        with torch.no_grad():
            last: nn.Linear = self.change[2]  # type: ignore[assignment]
            last.weight.mul_(0.1)

    def forward(self, z: Float[Tensor, "b n"], v: Float[Tensor, "b t"]) -> Float[Tensor, "b t n"]:
        """States (b, n) after each of the cells v (b, t), (b, t, n)."""
        out = []
        for u in v.unbind(1):
            z = z + self.change(torch.cat([z, u[:, None]], -1))
            out.append(z)
        return torch.stack(out, 1)


class Translator(nn.Module):
    """Potentials to densities, cell by cell.

    Attributes:
        linear: whether densities are linear in the hidden state.
    """

    linear = False

    def start(self, batch: int) -> Float[Tensor, "{batch} n"]:
        """The hidden state before the first cell, (b, n)."""
        raise NotImplementedError

    def run(self, h: Float[Tensor, "b n"], v: Float[Tensor, "b t"]) -> Float[Tensor, "b t n"]:
        """Hidden states after each cell, (b, t, n), of scaled potentials v (b, t)."""
        raise NotImplementedError

    def read(self, h: Float[Tensor, "*shape n"]) -> Float[Tensor, "*shape"]:
        """Densities of hidden states (…, n), (…,)."""
        raise NotImplementedError

    def forward(self, potential: Float[Tensor, "b t"]) -> Float[Tensor, "b t"]:
        """Densities (b, t) of potentials (b, t)."""
        return self.read(self.run(self.start(len(potential)), potential / HIGHEST))


class TaylorTranslator(Translator):
    """A Taylor cell of 8 hidden numbers with a linear read-out without bias."""

    linear = True

    def __init__(self, size: int = 8) -> None:
        super().__init__()
        self.cell = TaylorCell(size)
        self.first = nn.Parameter(torch.randn(size) / size**0.5)
        self.out = nn.Linear(size, 1, bias=False)

    def start(self, batch: int) -> Float[Tensor, "{batch} n"]:
        return self.first.expand(batch, -1)

    def run(self, h: Float[Tensor, "b n"], v: Float[Tensor, "b t"]) -> Float[Tensor, "b t n"]:
        found: Tensor = self.cell(h, v)
        return found

    def read(self, h: Float[Tensor, "*shape n"]) -> Float[Tensor, "*shape"]:
        found: Tensor = self.out(h)[..., 0]
        return found


class GRUTranslator(Translator):
    """A gated recurrent unit of 32 hidden numbers with a perceptron as read-out."""

    def __init__(self, size: int = 32) -> None:
        super().__init__()
        self.cell = nn.GRU(1, size, batch_first=True)
        self.first = nn.Parameter(torch.zeros(size))
        self.head = nn.Sequential(nn.Linear(size, 64), nn.SiLU(), nn.Linear(64, 1))

    def start(self, batch: int) -> Float[Tensor, "{batch} n"]:
        return self.first.expand(batch, -1)

    def run(self, h: Float[Tensor, "b n"], v: Float[Tensor, "b t"]) -> Float[Tensor, "b t n"]:
        found: Tensor = self.cell(v[..., None], h[None].contiguous())[0]
        return found

    def read(self, h: Float[Tensor, "*shape n"]) -> Float[Tensor, "*shape"]:
        found: Tensor = self.head(h)[..., 0]
        return found


TRANSLATORS: dict[str, type[TaylorTranslator] | type[GRUTranslator]] = {
    "taylor": TaylorTranslator,
    "gru": GRUTranslator,
}


class Distiller(nn.Module):
    """A recurrent auto-encoder of hidden states: encoder at the start only, decoder after every cell.

    z₀ = e(y₀), z₊ = (1 + W₀ + W₁ v + W₂ v²) z, ŷ = D(z, zz). The decoder may be any function of z; it is
    also given the products z_i z_j, which a perceptron of its size makes to three digits only.

    Arguments:
        hidden: n, of the states to be rebuilt.
        latent: d.
        angle: W₀ begins as a rotation by it in every pair of latent numbers.
        linear: whether z₊ is linear in z, as above; else it is a perceptron's (`FreeCell`).
        plain: whether encoder and decoder are linear maps, too: a control.
    """

    def __init__(
        self, hidden: int, latent: int, angle: float = 0.12, linear: bool = True, plain: bool = False
    ) -> None:
        super().__init__()
        self.plain = plain
        self.encoder = nn.Sequential(nn.Linear(hidden, 64), nn.Tanh(), nn.Linear(64, latent))
        if plain:  # the first state is the same in all sequences: what is encoded is a constant
            self.encoder = nn.Sequential(nn.Identity(), nn.Identity(), nn.Linear(hidden, latent))
        self.cell: TaylorCell | FreeCell = TaylorCell(latent) if linear else FreeCell(latent)
        self.decoder: nn.Module = (
            nn.Linear(latent, hidden)
            if plain
            else nn.Sequential(
                nn.Linear(latent + latent * (latent + 1) // 2, 64),
                nn.SiLU(),
                nn.Linear(64, 64),
                nn.SiLU(),
                nn.Linear(64, hidden),
            )
        )
        with torch.no_grad():
            last: nn.Linear = self.encoder[2]  # type: ignore[assignment]
            last.weight.mul_(0.1)
            last.bias.zero_()
            last.bias[0] = 1.0
            if isinstance(self.cell, TaylorCell):
                for i in range(latent - 1):
                    self.cell.weights[0, i, i + 1] += angle
                    self.cell.weights[0, i + 1, i] -= angle

    def latents(self, start: Float[Tensor, "b n"], v: Float[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        """z after each cell, (b, t, d), of first states (b, n) and scaled potentials (b, t)."""
        found: Tensor = self.cell(self.encoder(start), v)
        return found

    def forward(self, start: Float[Tensor, "b n"], v: Float[Tensor, "b t"]) -> Float[Tensor, "b t n"]:
        """Rebuilt hidden states, (b, t, n)."""
        return self.decode(self.latents(start, v))

    def decode(self, z: Float[Tensor, "*shape d"]) -> Float[Tensor, "*shape n"]:
        """Rebuilt hidden states (…, n) of latent numbers (…, d)."""
        if self.plain:
            straight: Tensor = self.decoder(z)
            return straight
        i, j = torch.triu_indices(z.shape[-1], z.shape[-1], device=z.device).unbind()
        found: Tensor = self.decoder(torch.cat([z, z[..., i] * z[..., j]], -1))
        return found
