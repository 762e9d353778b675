"""Distillers: how many numbers a translator's hidden states really need."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from qwell.models.introspective import Distiller
from qwell.physics.cells import HIGHEST
from qwell.progress import Done, stage
from qwell.studies.introspect.translate import Report

ANGLES = (0.04, 0.24)
DECODED = 24  # cells of each sequence that are decoded in an update
DIVERGED = 1e6  # loss from which on a sequence has grown beyond all numbers
ENOUGH = 0.02  # running loss below which sequences grow
GOOD = 1e-4  # MSE/var


@dataclass(frozen=True)
class Distilled:
    """A distiller, and its losses MSE/var(y) over whole sequences.

    Arguments:
        model: the network.
        latent, seed: d, and the seed.
        validation, test: losses; infinite where sequences grow beyond all numbers.
    """

    model: Distiller
    latent: int
    seed: int
    validation: float
    test: float


class _Training:
    """A distiller in training; sequences grow whenever they are rebuilt well enough."""

    def __init__(
        self,
        start: Tensor,
        y: Tensor,
        potential: Tensor,
        latent: int,
        seed: int,
        total: int,
        linear: bool,
        plain: bool,
    ) -> None:
        self.start, self.y, self.v = start, y, potential / HIGHEST
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            angle = ANGLES[0] + (ANGLES[1] - ANGLES[0]) * float(torch.rand(()))
            self.model = Distiller(y.shape[-1], latent, angle, linear, plain)
        self.generator = torch.Generator().manual_seed(seed)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=5e-3)
        self.total, self.done, self.length, self.running = total, 0, 6, 1.0
        self.scale = float(y.var(dim=(0, 1)).sum())

    def go(self, steps: int, done: Done) -> None:
        """So many more updates, each told to `done`; the rate falls towards the end of all."""
        for _ in range(steps):
            done(1)
            left = 1 - self.done / self.total
            for group in self.optimiser.param_groups:
                group["lr"] = 5e-3 * min(1.0, 2.5 * left + 0.01)
            some = torch.randint(len(self.y), (128,), generator=self.generator)
            v = self.v[some, : self.length]
            z = self.model.latents(self.start[some], v)
            places = torch.randperm(self.length, generator=self.generator)[:DECODED]
            rebuilt = self.model.decode(z[:, places])
            loss = ((rebuilt - self.y[some][:, places]) ** 2).sum(-1).mean() / self.scale
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimiser.step()
            self.done += 1
            self.running += 0.1 * (loss.item() - self.running)
            if self.running < ENOUGH and self.length < self.v.shape[1]:
                self.length = min(int(self.length * 1.12) + 1, self.v.shape[1])


@torch.no_grad()
def rebuilding_loss(model: Distiller, start: Tensor, y: Tensor, potential: Tensor) -> float:
    """MSE/var(y) over whole sequences; infinite if they grow beyond a million times the variance."""
    rebuilt = model(start, potential / HIGHEST)
    found = float(((rebuilt - y) ** 2).sum(-1).mean() / y.var(dim=(0, 1)).sum())
    return found if found < DIVERGED else math.inf


Split = tuple[Tensor, Tensor, Tensor]


def distil(
    train: Split,
    validation: Split,
    test: Split,
    latent: int,
    seed: int,
    steps: int,
    starts: int,
    report: Report,
    linear: bool = True,
    plain: bool = False,
) -> Distilled:
    """The best of some distillers: all are begun, the one ahead on validation data is trained to the end.

    Arguments:
        train, validation, test: first states (rows, n), states y (rows, t, n), potentials (rows, t).
        latent: d.
        seed: of the first.
        steps: of Adam, for the best; a quarter of it for the others.
        starts: how many are begun.
        report: called with stage, step, loss.
        linear: whether latent numbers are updated by matrices.
        plain: whether encoder and decoder are linear maps.
    """
    trainings = [_Training(*train, latent, 1000 * k + seed, steps, linear, plain) for k in range(starts)]
    quarter = steps // 4
    with stage(f"updates of a distiller to {latent}", starts * quarter + steps - quarter) as done:
        for training in trainings:
            training.go(quarter, done)
        ahead = max(trainings, key=lambda t: (t.length, -t.running))
        ahead.go(steps - quarter, done)
    losses = [rebuilding_loss(ahead.model, *split) for split in (validation, test)]
    report(f"distiller {latent}", steps, losses[0])
    return Distilled(ahead.model.eval(), latent, seed, losses[0], losses[1])


def verdict(losses: dict[int, float]) -> int | None:
    """The d at which the loss falls by the largest factor, from the next smaller d: below, it rises abruptly.

    Without latent numbers, and where sequences diverge, the loss is the variance, 1. Losses below GOOD are
    alike: closed forms are rebuilt to rounding, perceptrons to what training reaches.

    Arguments:
        losses: d → the least validation loss, MSE/var.

    None if nothing is rebuilt better than to a tenth: then there is nothing to be said.
    """
    dimensions = sorted(losses)
    if min(losses.values()) > 0.1:
        return None
    heights = [1.0, *(min(max(losses[d], GOOD), 1.0) for d in dimensions)]
    falls = [above / here for above, here in itertools.pairwise(heights)]
    return dimensions[falls.index(max(falls))]
