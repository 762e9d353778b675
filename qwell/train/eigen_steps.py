"""One update of the weights of an eigenvalue network: eager, compiled, or recorded as a CUDA graph.

Each returns the loss MSE = ⟨((f − E)/ε)²⟩ with ε the energy scale (spectra paper, appendix A: energies
enter the loss multiplied by 0.01), as a detached scalar on the device. With densities, the weights also
descend along w ⟨∫(ρ_f − ρ)² dx⟩, ρ_f = (∂f_i/∂v)/dx (Hellmann and Feynman; spectra paper, Eq. 22).
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from qwell.physics.grid import Grid
from qwell.train.loop import Step
from qwell.train.recording import recorded, records_on, training_state
from qwell.train.soap import SOAP
from qwell.train.team import Team

ENERGY_SCALE = 100.0


def loss_of(prediction: Tensor, energy: Tensor) -> Tensor:
    """⟨((f − E)/100)²⟩ over batch and levels."""
    if prediction.dtype == torch.bfloat16:
        prediction = prediction.float()
    return nn.functional.mse_loss(prediction / ENERGY_SCALE, energy / ENERGY_SCALE)


def density_loss(prediction: Tensor, potential: Tensor, density: Tensor, grid: Grid) -> Tensor:
    """⟨∫(ρ_f − ρ)² dx⟩ over batch and levels, estimated without bias from one random mixture of the levels.

    With normal u_i independent of each other, ⟨Σ_m (Σ_i u_i (∂f_i/∂v_m − ψ_i²(m)))²⟩_u is the sum of the
    squares over levels and points: one derivative instead of one a level.

    Arguments:
        prediction: f(v), (b, levels), with its graph.
        potential: v, (b, points), requiring gradients.
        density: ψ², (b, levels, points), Σ_m ψ²(m) = 1.
        grid: of the points.
    """
    mixture = torch.randn_like(prediction)
    (slope,) = torch.autograd.grad((prediction * mixture).sum(), potential, create_graph=True)
    deviation = slope - (mixture.unsqueeze(2) * density).sum(1)
    return deviation.square().sum() / (grid.dx * prediction.numel())


def make_optimizer(model: nn.Module, rate: float, name: str = "adam") -> torch.optim.Optimizer:
    """Adam with torch's defaults (β = .9, .999; ε = 1e-8), as one fused kernel; or `soap.SOAP` for "soap".

    On a GPU Adam's learning rate is a tensor, so that a recorded graph reads its current value.
    """
    if name == "soap":
        return SOAP(model.parameters(), rate)
    device = next(model.parameters()).device
    if records_on(device):
        return torch.optim.Adam(
            model.parameters(), lr=torch.tensor(rate, device=device), fused=True, capturable=True
        )
    return torch.optim.Adam(model.parameters(), lr=rate, fused=True)


def make_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    precision: str = "float32",
    compile: bool = False,
    team: Team | None = None,
    densities: tuple[float, Grid] | None = None,
    mirror: bool = False,
) -> Step:
    """An update as a function (potential, energy[, density]) → loss.

    Arguments:
        model, optimizer: changed in place by every call.
        precision: "float32"; "tf32" (float32 with 10-bit mantissa products, GPU only); "bf16" (autocast);
            "float64" (for checks; the model must be in double precision).
        compile: pass the model through torch.compile.
        team: the processes that share the batch; gradients are averaged over them.
        densities: w and the grid of the potentials, see `density_loss`; None leaves densities out.
        mirror: turn round the first half of every batch, potentials and densities.

    On a GPU the whole update is recorded as a CUDA graph at the first call and replayed afterwards, see
    `recording.recorded`.
    """
    device = next(model.parameters()).device
    team = team or Team()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
    forward = torch.compile(model) if compile else model

    def step(potential: Tensor, energy: Tensor, density: Tensor | None = None) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        if precision == "float64":
            potential, energy = potential.double(), energy.double()
        if mirror:
            potential = _half_mirrored(potential)
            density = density if density is None else _half_mirrored(density)
        if density is not None:
            potential = potential.detach().requires_grad_()
        with torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext():
            prediction = forward(potential)
        loss = loss_of(prediction, energy)
        if density is None or densities is None:
            loss.backward()
        else:
            weight, grid = densities
            (loss + weight * density_loss(prediction, potential, density, grid)).backward()
        team.average_gradients(model)
        optimizer.step()
        return loss.detach()

    state = partial(training_state, model, optimizer)
    return recorded(step, "an update", device, model, optimizer, state=state)


def _half_mirrored(rows: Tensor) -> Tensor:
    """The rows (b, …, points), the first b // 2 of them turned round: v(−x)."""
    half = len(rows) // 2
    return torch.cat([rows[:half].flip(-1), rows[half:]])
