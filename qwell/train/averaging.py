"""A running average of weights: w̄ ← d w̄ + (1 − d) w after every update (Polyak and Juditsky's)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The average of a model's weights over its last updates, about 1/(1 − d) of them.

    At the beginning the decay is (1 + u)/(10 + u), so that the first weights are soon forgotten.

    Arguments:
        model: whose weights.
        decay: d, between 0 and 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._model = model
        self.weights: dict[str, Tensor] = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def add(self, update: int) -> None:
        """Take in the weights after update number `update`, counted from 1."""
        decay = min(self.decay, (1 + update) / (10 + update))
        torch._foreach_lerp_(list(self.weights.values()), list(self._model.parameters()), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the averaged weights inside, and its own again afterwards."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def settle(self) -> None:
        """Give the model the averaged weights for good."""
        for name, parameter in self._model.named_parameters():
            parameter.copy_(self.weights[name])

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self._model.named_parameters():
            own = parameter.detach().clone()
            parameter.copy_(self.weights[name])
            self.weights[name].copy_(own)
