"""Minimisers of the energy functional Ē[φ_θ] on a rule of integration.

Adam       the paper's.
L-BFGS     scipy's, on gradients by automatic differentiation.
linear     for normalised φ, with J = ∂φ/∂θ orthogonal to φ, every step solves

               (H̄ − Ē S̄ + μ) δ = −g/2 + μ η δ_last
               H̄ − ĒS̄ = ∫ ½ J'ᵀJ' + (V − Ē) JᵀJ,  g/2 = ∫ ½ J'φ' + (V − Ē) Jφ

           the linear method of variational Monte Carlo (Umrigar et al., PRL 98, 110201) with damping μ and
           momentum η (as in SPRING, arXiv:2401.10190). Where the parameters outnumber the rows of the
           integrals, the same step is found in the space of points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from qwell.studies.variational.trial import Rule, Trial, Wave

Report = Callable[[str, int, float], None]
MOMENTUM, SHRINK, TRIES = 0.99, 0.9, 20
SLACK = 1e-13  # of Ē by which a step may rise: what rounding makes of it


@dataclass(frozen=True)
class Functional:
    """Ē[φ] = ⟨φ|H|φ⟩/⟨φ|φ⟩ of trial functions, orthogonal to the states found before.

    Arguments:
        rule: of integration.
        potential: V at its points, (q,).
        below: normalised states to stay orthogonal to, on the same points.
        form: "gradient", ½∫φ'² + ∫Vφ², or "laplacian", ∫φ(−½φ'' + Vφ), the paper's.
    """

    rule: Rule
    potential: Tensor
    below: tuple[Wave, ...] = ()
    form: str = "gradient"

    def waves(self, trial: Trial, second: bool = False) -> Wave:
        """φ and derivatives, without what lies along the states below; not normalised."""
        wave = trial.waves(self.rule.x, second)
        for state in self.below:
            overlap = (self.rule.w * state.value * wave.value).sum()
            wave = wave.less(overlap, state)
        return wave

    def jacobian(self, trial: Trial) -> tuple[Tensor, Tensor]:
        """∂φ/∂θ, ∂φ'/∂θ of the same, (q, P) each."""
        j, dj = trial.jacobian(self.rule.x)
        for state in self.below:
            overlap = (self.rule.w * state.value) @ j
            j, dj = j - state.value[:, None] * overlap, dj - state.slope[:, None] * overlap
        return j, dj

    def __call__(self, trial: Trial) -> Tensor:
        """Ē, a scalar with a graph."""
        w, v = self.rule.w, self.potential
        if self.form == "gradient":
            phi, slope, _ = self.waves(trial)
            above = (w * (slope**2 / 2 + v * phi**2)).sum()
        else:
            phi, _, bend = self.waves(trial, second=True)
            assert bend is not None
            above = (w * phi * (v * phi - bend / 2)).sum()
        return above / (w * phi**2).sum()


def adam(
    energy: Functional, trial: Trial, steps: int, rate: float, report: Report, constant: bool = False
) -> None:
    """Adam with full batches; the rate rises and falls (one cycle) unless it is to be constant."""
    optimiser = torch.optim.Adam(trial.parameters(), lr=rate)
    cycle = None
    if not constant and steps > 1:
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for step in range(steps):
        optimiser.zero_grad(set_to_none=True)
        value = energy(trial)
        value.backward()
        optimiser.step()
        if cycle is not None:
            cycle.step()
        report("adam", step, value.item())


def lbfgs(energy: Functional, trial: Trial, steps: int, report: Report) -> None:
    """L-BFGS with 100 corrections, until it finds nothing below."""
    parameters = list(trial.parameters())
    dtype = parameters[0].dtype
    count = 0

    def place(theta: np.ndarray) -> None:
        vector_to_parameters(torch.from_numpy(theta.copy()).to(dtype), parameters)

    def value(theta: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal count
        place(theta)
        found = energy(trial)
        gradient = torch.autograd.grad(found, parameters)
        report("lbfgs", count, found.item())
        count += 1
        return found.item(), torch.cat([g.reshape(-1) for g in gradient]).double().numpy()

    start = parameters_to_vector(parameters).detach().double().numpy()
    options = {"maxcor": 100, "maxiter": steps, "maxfun": 2 * steps, "ftol": 0.0, "gtol": 1e-12}
    place(minimize(value, start, jac=True, method="L-BFGS-B", options=options).x)


@torch.no_grad()
def linear(energy: Functional, trial: Trial, steps: int, report: Report) -> None:
    """The linear method, until nothing below is found; no step raises Ē but by rounding."""
    parameters = list(trial.parameters())
    theta = parameters_to_vector(parameters)
    last = torch.zeros_like(theta)
    damping, value = 1e-3, energy(trial)
    for step in range(steps):
        rows, weights, residual = _equations(energy, trial, value)
        for _ in range(TRIES):
            delta = _solve(rows, weights, residual, damping, MOMENTUM * last)
            best, length = value + SLACK, 0.0
            for factor in (1.0, 2.0):
                vector_to_parameters(theta + factor * delta, parameters)
                if (found := energy(trial)) < best:
                    best, length = found, factor
            if length:
                break
            damping, last = 4 * damping, torch.zeros_like(last)
        else:
            vector_to_parameters(theta, parameters)
            return
        damping, last, value = SHRINK * damping, length * delta, best
        theta = theta + last
        vector_to_parameters(theta, parameters)
        report("linear", step, value.item())


def _equations(energy: Functional, trial: Trial, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """B (2q, P), D (2q,), r (2q,) with H̄ − ĒS̄ = BᵀDB and g/2 = BᵀDr."""
    w, v = energy.rule.w, energy.potential
    phi, slope, _ = energy.waves(trial)
    j, dj = energy.jacobian(trial)
    norm = (w * phi**2).sum().sqrt()
    phi, slope, j, dj = phi / norm, slope / norm, j / norm, dj / norm
    along = (w * phi) @ j
    rows = torch.cat([dj - slope[:, None] * along, j - phi[:, None] * along])
    return rows, torch.cat([w / 2, w * (v - value)]), torch.cat([slope, phi])


def _solve(rows: Tensor, weights: Tensor, residual: Tensor, damping: float, momentum: Tensor) -> Tensor:
    """(BᵀDB + μ) δ = −BᵀDr + μ m, for δ: in the smaller of both spaces."""
    if rows.shape[1] <= len(rows):
        matrix = rows.mT @ (weights[:, None] * rows)
        matrix.diagonal().add_(damping)
        return torch.linalg.solve(matrix, damping * momentum - rows.mT @ (weights * residual))
    matrix = weights[:, None] * (rows @ rows.mT)
    matrix.diagonal().add_(damping)
    return momentum - rows.mT @ torch.linalg.solve(matrix, weights * (residual + rows @ momentum))
