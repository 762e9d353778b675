"""Networks of coordinates: wave functions and potentials as perceptrons."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import nn

from qwell.errors import InvalidInput, unknown
from qwell.models.activations import ACTIVATIONS


def perceptron(
    inputs: int,
    layers: Sequence[int],
    outputs: int = 1,
    activation: str = "Tanh",
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> nn.Sequential:
    """W_L σ(… σ(W₁ x + b₁) …) + b_L, with weights drawn N(0, 2/(n_in + n_out)) (Glorot), biases zero.

    Arguments:
        inputs, outputs: coordinates and values.
        layers: hidden widths.
        activation: a name of `ACTIVATIONS`.
        dtype: of the weights.
        seed: of the weights; torch's global generator is left alone.

    Raises InvalidInput for an unknown activation or widths below 1.
    """
    if activation not in ACTIVATIONS:
        raise InvalidInput(unknown("activation", activation, ACTIVATIONS))
    if not all(width >= 1 for width in layers):
        raise InvalidInput(f"layers are {list(layers)}; widths are at least 1")
    generator = torch.Generator().manual_seed(seed)
    modules: list[nn.Module] = []
    for a, b in itertools.pairwise([inputs, *layers, outputs]):
        linear = nn.Linear(a, b, dtype=dtype)
        nn.init.xavier_normal_(linear.weight, generator=generator)
        nn.init.zeros_(linear.bias)
        modules += [linear, ACTIVATIONS[activation]()]
    return nn.Sequential(*modules[:-1])
