"""What is minimised, of E(r) = −∇²ψ/2ψ + U_θ(r) at points r_n.

qpnn       mean |∇E(r_n)|² + (U(r₀) − V(r₀))², r_n uniform                       (Eq. 4)
qpnn-ms    the same, r_n from |ψ|²
mpnn       √mean |ψ(E(r_n) − Ē)|² + λ (U(r₀) − V(r₀))², Ē = mean E(r_n), r_n from |ψ|²     (Eqs. 7, 8)
variance   mean (E(r_n) − Ē)², U(r₀) = V(r₀) exactly, r_n from |ψ|² and |ψ|^½: what mpnn weighs by |ψ|⁴,
           and so leaves to chance in the tails, counts in full. Gauss–Newton's points are drawn in
           proportion to g = 1 + ((T − median)/height)², T = −∇²ψ/2ψ, with w = 1/g: many where T is far from
           its median, as at a cusp, and the mean is the same
"""

from __future__ import annotations

import torch
from torch import Tensor

from qwell.studies.inverse.fields import Field


def gradient_loss(field: Field, slope: Tensor, x: Tensor) -> Tensor:
    """mean |∇E|² at points (n, d) where the slope of the kinetic part is known."""
    x = x.detach().requires_grad_()
    (push,) = torch.autograd.grad(field(x).sum(), x, create_graph=True)
    return ((slope + push) ** 2).sum(-1).mean()


def equation_loss(energy: Tensor, wave: Tensor, root: bool) -> Tensor:
    """mean |ψ(E − Ē)|² of E and ψ at points, or its root, as in the paper's text; its scripts take none."""
    broken = ((wave * (energy - energy.mean())) ** 2).mean()
    return broken.sqrt() if root else broken


def variance_loss(field: Field, kinetic: Tensor, x: Tensor, weight: Tensor | None = None) -> Tensor:
    """mean w (E − Ē)², Ē = mean w E, at points whose kinetic part is known; weights of mean 1, or none."""
    energy = kinetic + field(x)
    if weight is None:
        return energy.var(correction=0)
    return (weight * (energy - (weight * energy).mean()) ** 2).mean()


def pin_loss(guess: Tensor, values: Tensor) -> Tensor:
    """mean (U(r₀) − V(r₀))²."""
    return ((guess - values) ** 2).mean()
