"""Building blocks. Shapes: b batch, c channels, p positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qwell.errors import InvalidInput


class Network(nn.Module):
    """A model of the zoo.

    Of the task "spectra": potentials (b, points) to energies (b, levels), in the same units. Of the task
    "dynamics": what was, to what comes next; see `WindowEmulator` and `RingEmulator`.

    Attributes:
        task: as above.
        config: the frozen dataclass it was built from; of the task "spectra" with `points` and `levels`.
        registry_name: its name in the zoo, set by `create_model`.
        recordable: whether an update of it can be recorded as a CUDA graph.
    """

    task = "spectra"
    config: Any
    registry_name: str = ""
    recordable = True

    def takes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of what the network is called with, without the first number, b; () checks nothing."""
        points = getattr(getattr(self, "config", None), "points", None)
        return () if points is None else ((points,),)

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """What `forward` answers; InvalidInput for shapes other than `takes` says."""
        for given, shape in zip(inputs, self.takes(), strict=False):
            if given.shape[1:] != shape:
                wanted = ", ".join(f"(b, {', '.join(map(str, one))})" for one in self.takes())
                raise InvalidInput(
                    f"{self.registry_name or type(self).__name__} was called with shape"
                    f" {tuple(given.shape)}; it takes {wanted}, b rows at a time"
                )
        return super().__call__(*inputs, **options)

    def put_in(self, potential: Float[Tensor, "b points"], energy: Float[Tensor, "b levels"]) -> None:
        """Take from training rows, before training, what the configuration puts in; nothing by default."""

    def attention_maps(self, potential: Float[Tensor, "b points"]) -> list[Float[Tensor, "b p p"]]:
        """The maps (b, p, p) of every self-attention layer, in order; row i says where position i looks."""
        return []

    def attention_positions(self) -> list[Float[Tensor, "p"]]:
        """Where the positions of each of these layers lie: fractional indices of the mesh, (p,)."""
        return []


def worked_out(make: Callable[[], Float[Tensor, "*shape"]], *shape: int) -> Float[Tensor, "*shape"]:
    """A tensor that a network begins with and that takes arithmetic; on the meta device its shape alone.

    There is nothing to work out there, and arithmetic on it would import torch's compiler, which takes longer
    than all the rest of loading a model.

    Arguments:
        make: gives the tensor, float32.
        shape: of what it gives.
    """
    outline = torch.empty(shape)
    return outline if outline.is_meta else make()


class MirroredLinear(nn.Module):
    """g(A e + B o + b) + g(A e − B o + b), g = GELU: the same for a potential and its mirror image.

    e and o are the even and odd part of the input about the middle, (v(x) ± v(−x))/2, half of each: as many
    weights and products as in a linear layer.

    Arguments:
        points: of the input, (b, points).
        width: of the output, (b, width).
    """

    def __init__(self, points: int, width: int) -> None:
        super().__init__()
        self.even_part = nn.Linear(points - points // 2, width)
        self.odd_part = nn.Linear(points // 2, width, bias=False)

    def forward(self, v: Float[Tensor, "b points"]) -> Float[Tensor, "b width"]:
        even, odd = (v + v.flip(1)) / 2, (v - v.flip(1)) / 2
        a = self.even_part(even[:, : self.even_part.in_features])
        b = self.odd_part(odd[:, : self.odd_part.in_features])
        return nn.functional.gelu(a + b) + nn.functional.gelu(a - b)


class ResidualBlock(nn.Module):
    """x + W₃ relu(W₂ ∗ relu(W₁ x)): pointwise, kernel 3, pointwise (spectra paper, Fig. A3).

    Arguments:
        channels: C of input and output, (b, C, p).
        bottleneck: channels in between.
    """

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.reduce = nn.Conv1d(channels, bottleneck, 1)
        self.mix = nn.Conv1d(bottleneck, bottleneck, 3, padding=1)
        self.expand = nn.Conv1d(bottleneck, channels, 1)

    def forward(self, x: Float[Tensor, "b c p"]) -> Float[Tensor, "b c p"]:
        out: Tensor = x + self.expand(torch.relu(self.mix(torch.relu(self.reduce(x)))))
        return out


class SelfAttention(nn.Module):
    """x + γ O v softmax(qᵀk)ᵀ along positions, γ learned from 0 (SAGAN, arXiv 1805.08318, Eqs. 1–3).

    Arguments:
        channels: C of input and output, (b, C, p).
        reduced: channels of query, key and value; a pointwise convolution leads back to C.
    """

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.query = nn.Conv1d(channels, reduced, 1)
        self.key = nn.Conv1d(channels, reduced, 1)
        self.value = nn.Conv1d(channels, reduced, 1)
        self.output = nn.Conv1d(reduced, channels, 1)
        self.scale = nn.Parameter(torch.zeros(1))

    def map(self, x: Float[Tensor, "b c p"]) -> Float[Tensor, "b p p"]:
        """The attention map (b, p, p): row i says where position i looks; rows sum to 1."""
        return torch.softmax(self.query(x).transpose(1, 2) @ self.key(x), dim=-1)

    def forward(self, x: Float[Tensor, "b c p"]) -> Float[Tensor, "b c p"]:
        out: Tensor = x + self.scale * self.output(self.value(x) @ self.map(x).transpose(1, 2))
        return out
