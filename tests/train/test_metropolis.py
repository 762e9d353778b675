"""The sampler samples what it says, and knows how well."""

import numpy as np
import pytest
import torch

from qwell.errors import InvalidInput
from qwell.studies.metropolis import Metropolis, correlation_time


def sampled(log_density, start: torch.Tensor, sweeps: int = 600, seed: int = 0):
    sampler = Metropolis(log_density, start, seed=seed)
    sampler.burn(300)
    return sampler.sample(sweeps, thin=3)


def test_hydrogen() -> None:
    start = torch.randn(400, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    chain = sampled(lambda x: -2 * x.norm(dim=-1), start)
    for of, exact in ((lambda x: x.norm(dim=-1), 1.5), (lambda x: 1 / x.norm(dim=-1), 1.0)):
        mean, error, effective = chain.mean(of)
        assert abs(mean - exact) < 3 * error and error < 0.01 and effective > 5000
    assert 0.4 < chain.acceptance < 0.6


def test_second_excited_oscillator_crosses_its_nodes() -> None:
    start = torch.full((400, 1), 2.0, dtype=torch.float64)  # all in one lobe
    chain = sampled(lambda x: 2 * (2 * x[:, 0] ** 2 - 1).abs().log() - x[:, 0] ** 2, start)
    mean, error, _ = chain.mean(lambda x: x[:, 0] ** 2)
    assert abs(mean - 2.5) < 3 * error and error < 0.02
    assert 0.1 < float((chain.flat() < -0.71).double().mean()) < 0.5


def test_refusing_to_move_is_recorded() -> None:
    """Two steps of unequal weight: without repeats both would be as likely."""

    def steps(x: torch.Tensor) -> torch.Tensor:
        inside = (x[:, 0] > 0) & (x[:, 0] < 2)
        weight = torch.where(x[:, 0] < 1, torch.tensor(0.0), torch.tensor(3.0).log()).double()
        return torch.where(inside, weight, torch.tensor(-torch.inf).double())

    chain = sampled(steps, torch.full((500, 1), 0.5, dtype=torch.float64))
    mean, error, _ = chain.mean(lambda x: (x[:, 0] > 1).double())
    assert abs(mean - 0.75) < 4 * error and error < 0.01


def test_correlation_time_of_a_known_process() -> None:
    rng = np.random.default_rng(0)
    rho = 0.8
    noise = rng.standard_normal((4000, 50))
    x = np.zeros_like(noise)
    for i in range(1, len(x)):
        x[i] = rho * x[i - 1] + noise[i]
    assert correlation_time(x) == pytest.approx((1 + rho) / (1 - rho), rel=0.1)
    assert correlation_time(noise) == pytest.approx(1, abs=0.1)
    assert correlation_time(np.ones((10, 3))) == 1


def test_same_seed_same_chain() -> None:
    start = torch.zeros(10, 2, dtype=torch.float64)
    a, b = (sampled(lambda x: -(x**2).sum(-1), start, 20, seed=5).points for _ in range(2))
    assert torch.equal(a, b)


def test_where_the_density_vanishes_nobody_starts() -> None:
    with pytest.raises(InvalidInput, match="vanishes or is no number"):
        Metropolis(lambda x: x[:, 0].log(), torch.tensor([[-1.0]]))
