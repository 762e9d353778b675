"""Ground states in two and more dimensions by Monte Carlo (the plan of section 5 of the derivatives paper).

ψ = e^{u(x)}, u = −½ Σ x_i² + N(x); points are drawn from |ψ|² (Metropolis) and

    E_loc = Hψ/ψ = −½ (∇²u + |∇u|²) + V,  Ē = ⟨E_loc⟩

with the Laplacian of N in closed form. Parameters follow δ = −τ Oᵀ (O Oᵀ + λ)⁻¹ (E_loc − Ē), O = ∂u/∂θ
without its mean: stochastic reconfiguration, solved in the space of samples (Chen & Heyl, Nat. Phys. 20,
1476). E_loc of the exact state is a constant, so that errors of Ē vanish together with those of ψ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from qwell.errors import InvalidInput
from qwell.models.fields import perceptron
from qwell.models.jets import derivatives, parameter_jacobian
from qwell.models.tensors import write_tensors
from qwell.physics.formula import Formula
from qwell.studies.metropolis import Metropolis
from qwell.studies.variational.config import OSCILLATORS, SampledConfig
from qwell.train.runs import Run

COUPLING = 0.5
LARGEST = 0.1  # root mean square change of ln ψ in a step
AXES = ("x", "y", "z")


@dataclass(frozen=True)
class SampledProblem:
    """H = −½∇² + V in 2 or 3 dimensions.

    Arguments:
        name: for people and files.
        dimensions: 2 or 3.
        formula: V(x, y[, z]).
        energy: the exact one, if known.
    """

    name: str
    dimensions: int
    formula: str
    energy: float | None = None

    def __call__(self, points: Tensor) -> Tensor:
        """V, (n,), of points (n, d); InvalidInput if it is not finite somewhere."""
        parsed = Formula(self.formula, (*AXES[: self.dimensions], "pi"), "potential", "x**2/2 + y**2/2")
        axes = dict(zip(AXES, points.detach().numpy().T, strict=False))
        value = np.broadcast_to(parsed(**axes, pi=np.pi), len(points)).astype(float)
        if not np.isfinite(value).all():
            raise parsed.refused(f"it is not finite at {points[~np.isfinite(value)][0].tolist()}")
        return torch.from_numpy(value)


def problem_of(text: str, dimensions: int | None = None) -> SampledProblem:
    """One of `OSCILLATORS`, or a formula in x, y[, z].

    oscillator-Nd is V = ½Σx_i², E₀ = N/2; coupled-Nd adds ½ Σ_{i<j} x_i x_j, whose normal modes have
    ω² = ½ (N − 1 times) and ½ + N/2.

    Raises InvalidInput for a formula that cannot be read, or other dimensions than 2 and 3.
    """
    if text in OSCILLATORS:
        d = int(text[-2])
        axes = AXES[:d]
        formula = " + ".join(f"{a}**2/2" for a in axes)
        if text.startswith("oscillator"):
            return SampledProblem(text, d, formula, d / 2)
        pairs = [f"{COUPLING}*{a}*{b}" for i, a in enumerate(axes) for b in axes[i + 1 :]]
        modes = [1 - COUPLING] * (d - 1) + [1 + (d - 1) * COUPLING]
        return SampledProblem(text, d, " + ".join([formula, *pairs]), float(np.sqrt(modes).sum() / 2))
    if dimensions not in (2, 3):
        raise InvalidInput(f"dimensions are {dimensions}; Monte Carlo is made for 2 and 3")
    formula = Formula(text, (*AXES[:dimensions], "pi"), "potential", "x**2/2 + y**2/2").text
    return SampledProblem("formula", dimensions, formula)


@dataclass(frozen=True)
class SampledState:
    """A ground state found by Monte Carlo.

    Arguments:
        network: N of u = −½ Σ x_i² + N.
        energy, error: Ē and its standard error.
        variance: of E_loc.
        samples: effective number of independent ones behind Ē.
        acceptance: of the moves.
        history: Ē at every step.
    """

    network: nn.Sequential
    energy: float
    error: float
    variance: float
    samples: float
    acceptance: float
    history: tuple[float, ...]

    def save(self, run: Run) -> None:
        """Write the network into a run."""
        write_tensors(run.model / "state-0.safetensors", self.network.state_dict())


def solve_sampled(
    problem: SampledProblem,
    config: SampledConfig,
    report: Callable[[int, float], None] = lambda step, energy: None,
) -> SampledState:
    """Find a ground state by Monte Carlo.

    Arguments:
        problem: what.
        config: how; its seed alone is used.
        report: called with step and Ē.

    Raises InvalidInput for a potential that is not finite.
    """
    walkers, seed = config.walkers, config.seed
    network = perceptron(problem.dimensions, config.layers, seed=seed)
    parameters = list(network.parameters())
    with torch.no_grad():
        parameters[-2].mul_(0.01)  # begin near the oscillator's ground state
    start = torch.randn(
        walkers, problem.dimensions, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    sampler = Metropolis(lambda x: 2 * _log_wave(network, x), start / 2**0.5, seed=seed)
    sampler.burn(100)
    history = []
    with torch.no_grad():
        for step in range(config.steps):
            x = sampler.walkers
            energy = local_energy(network, problem, x)
            jacobian = parameter_jacobian(network, x)[:, 0]
            jacobian = (jacobian - jacobian.mean(0)) / walkers**0.5
            gram = jacobian @ jacobian.mT
            gram.diagonal().add_(1e-3 * float(gram.diagonal().mean()) + 1e-12)
            excess = (energy - energy.mean()) / walkers**0.5
            rate = 1.0 / (1 + step / 50)
            delta = -0.5 * rate * (jacobian.mT @ torch.linalg.solve(gram, excess))
            delta *= min(1.0, LARGEST / max(float((jacobian @ delta).norm()), 1e-300))
            vector_to_parameters(parameters_to_vector(parameters) + delta, parameters)
            sampler.refresh()
            sampler.burn(5)
            history.append(float(energy.mean()))
            report(step, history[-1])
        sampler.burn(100)
        chain = sampler.sample(config.sweeps, thin=5)
    mean, error, effective = chain.mean(lambda x: local_energy(network, problem, x))
    values = local_energy(network, problem, chain.flat())
    return SampledState(
        network, mean, error, float(values.var()), effective, chain.acceptance, tuple(history)
    )


def local_energy(network: nn.Module, problem: SampledProblem, x: Tensor) -> Tensor:
    """E_loc = −½ (∇²u + |∇u|²) + V at points (n, d), (n,)."""
    with torch.no_grad():
        jet = derivatives(network, x, "laplacian")
        assert jet.second is not None
        slope = jet.first[:, 0] - x
        laplacian = jet.second[:, 0] - x.shape[-1]
        return -0.5 * (laplacian + (slope**2).sum(-1)) + problem(x)


def _log_wave(network: nn.Module, x: Tensor) -> Tensor:
    found: Tensor = network(x)[:, 0] - 0.5 * (x**2).sum(-1)
    return found
