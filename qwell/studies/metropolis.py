"""Metropolis sampling of |ψ|^{2β}: many walkers at once, Gaussian steps, rejected moves repeat the point.

Detailed balance holds for the recorded chain because a walker that refuses to move is recorded again where
it stands; a list of accepted moves only would be another distribution (Metropolis et al., J. Chem. Phys.
21, 1087). The step is tuned while burning in, and fixed from then on.
Shapes: w walkers, s sweeps, d dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qwell.errors import InvalidInput

ACCEPTED = 0.5  # share of moves that the tuning aims at


@dataclass(frozen=True)
class Chain:
    """What was sampled, and how well.

    Arguments:
        points: (s, w, d).
        step: of the proposals.
        acceptance: share of moves accepted.
    """

    points: Tensor
    step: float
    acceptance: float

    def flat(self) -> Tensor:
        """All points, (s·w, d)."""
        return self.points.flatten(0, 1)

    def mean(self, of: Callable[[Tensor], Tensor]) -> tuple[float, float, float]:
        """Mean of a function of points, its standard error, and the effective number of samples."""
        values = of(self.flat()).detach().double().reshape(self.points.shape[:2]).numpy()
        time = correlation_time(values)
        effective = values.size / time
        return float(values.mean()), float(values.std() / np.sqrt(effective)), effective


class Metropolis:
    """Walkers in the distribution p(x) ∝ e^{log_density(x)}.

    Arguments:
        log_density: points (w, d) → (w,), −∞ where p vanishes.
        start: (w, d), where p > 0.
        step: first guess of the proposals' standard deviation.
        seed: of the proposals.

    Raises InvalidInput if p vanishes, or is no number, where walkers start.
    """

    def __init__(
        self, log_density: Callable[[Tensor], Tensor], start: Tensor, step: float = 1.0, seed: int = 0
    ) -> None:
        self.log_density, self.step = log_density, step
        self.generator = torch.Generator().manual_seed(seed)
        self.walkers = start.clone()
        with torch.no_grad():
            self.heights = log_density(self.walkers)
        if not bool(torch.isfinite(self.heights).all()):
            raise InvalidInput("the density vanishes or is no number where walkers start")

    def refresh(self) -> None:
        """Ask for the density again, after it has changed."""
        with torch.no_grad():
            self.heights = self.log_density(self.walkers)

    def sweep(self) -> float:
        """Move every walker once; returns the share that moved."""
        with torch.no_grad():
            shape, kind = self.walkers.shape, self.walkers.dtype
            proposed = self.walkers + self.step * torch.randn(shape, dtype=kind, generator=self.generator)
            heights = self.log_density(proposed)
            dice = torch.rand(len(self.walkers), dtype=kind, generator=self.generator).log()
            taken = dice < heights - self.heights  # a density that is no number is never entered
            self.walkers = torch.where(taken.unsqueeze(-1), proposed, self.walkers)
            self.heights = torch.where(taken, heights, self.heights)
            return float(taken.double().mean())

    def burn(self, sweeps: int) -> None:
        """Forget the start, and tune the step until half of the moves are accepted."""
        for _ in range(sweeps):
            self.step *= float(np.exp(0.2 * (self.sweep() - ACCEPTED)))

    def sample(self, sweeps: int, thin: int = 1) -> Chain:
        """Record every `thin`-th of so many sweeps times `thin`."""
        points, moved = [], []
        for _ in range(sweeps):
            moved += [self.sweep() for _ in range(thin)]
            points.append(self.walkers)
        return Chain(torch.stack(points), self.step, float(np.mean(moved)))


def correlation_time(values: np.ndarray) -> float:
    """τ = 1 + 2 Σ_t ρ(t), summed to the first t ≥ 5τ (Sokal), ρ averaged over walkers.

    Arguments:
        values: (s, w).

    The effective number of samples is s·w/τ; 1 ≤ τ ≤ s.
    """
    sweeps = len(values)
    centred = values - values.mean()
    power = np.abs(np.fft.rfft(centred, 2 * sweeps, axis=0)) ** 2
    lagged = np.fft.irfft(power, axis=0)[:sweeps].mean(axis=1) / np.arange(sweeps, 0, -1)
    if lagged[0] <= 0:
        return 1.0
    times = 2 * np.cumsum(lagged / lagged[0]) - 1
    window = np.arange(sweeps) >= 5 * times
    return float(np.clip(times[window.argmax() if window.any() else -1], 1.0, sweeps))
