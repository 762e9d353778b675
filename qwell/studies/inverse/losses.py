"""What is minimised, of E(r) = −∇²ψ/2ψ + U_θ(r) at points r_n.

qpnn       mean |∇E(r_n)|² + (U(r₀) − V(r₀))², r_n uniform                       (Eq. 4)
qpnn-ms    the same, r_n from |ψ|²
mpnn       √mean |ψ(E(r_n) − Ē)|² + λ (U(r₀) − V(r₀))², Ē = mean E(r_n), r_n from |ψ|²     (Eqs. 7, 8)
variance   mean (E(r_n) − Ē)², U(r₀) = V(r₀) exactly, r_n from |ψ|² and |ψ|^½: what mpnn weighs by |ψ|⁴,
           and so leaves to chance in the tails, counts in full
"""

from __future__ import annotations

import torch
from torch import Tensor

from qwell.studies.inverse.fields import Field
from qwell.studies.inverse.systems import System


def gradient_loss(field: Field, system: System, x: Tensor) -> Tensor:
    """mean |∇E|² at points (n, d)."""
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad((system.kinetic(x) + field(x)).sum(), x, create_graph=True)
    return (slope**2).sum(-1).mean()


def equation_loss(field: Field, system: System, x: Tensor, root: bool) -> Tensor:
    """mean |ψ(E − Ē)|², or its root, as in the paper's text; its scripts take none."""
    energy = system.kinetic(x) + field(x)
    broken = ((system.wave(x) * (energy - energy.mean())) ** 2).mean()
    return broken.sqrt() if root else broken


def variance_loss(field: Field, kinetic: Tensor, x: Tensor) -> Tensor:
    """mean (E − Ē)², at points whose kinetic part is known."""
    return (kinetic + field(x)).var(correction=0)


def pin_loss(field: Field, pins: Tensor, values: Tensor) -> Tensor:
    """mean (U(r₀) − V(r₀))²."""
    return ((field(pins) - values) ** 2).mean()
