"""Smooth activations with their first and second derivatives in closed form.

tanh t: σ' = 1 − t², σ'' = −2tσ'            sigmoid s: σ' = s(1 − s), σ'' = σ'(1 − 2s)
softplus ln(1 + e^{βz})/β: σ' = s, σ'' = βs(1 − s)      sin: σ' = cos, σ'' = −sin
SiLU zs: σ' = s + zs(1 − s), σ'' = s(1 − s)(2 + z(1 − 2s))
GELU zΦ: σ' = Φ + zφ, σ'' = φ(2 − z²), or its approximation by tanh
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

Curve = Callable[
    [Float[Tensor, "*shape"]],
    tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"], Float[Tensor, "*shape"]],
]


class Sin(nn.Module):
    """sin z, of every entry."""

    def forward(self, z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return torch.sin(z)


def _tanh(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    y = torch.tanh(z)
    slope = 1 - y * y
    return y, slope, (-2 * y) * slope


def _sigmoid(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    y = torch.sigmoid(z)
    slope = y * (1 - y)
    return y, slope, slope * (1 - 2 * y)


def _silu(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    s = torch.sigmoid(z)
    bell = s * (1 - s)
    return z * s, s + z * bell, bell * (2 + z * (1 - 2 * s))


def _sin(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    y = torch.sin(z)
    return y, torch.cos(z), -y


def _gelu(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    share = 0.5 * (1 + torch.erf(z / math.sqrt(2)))
    density = torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return z * share, share + z * density, density * (2 - z * z)


def _gelu_tanh(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    a, c = math.sqrt(2 / math.pi), 0.044715
    t = torch.tanh(a * (z + c * z**3))
    bell, rate = 1 - t * t, a * (1 + 3 * c * z * z)
    slope, bend = bell * rate, bell * (6 * a * c * z - 2 * t * rate * rate)
    return 0.5 * z * (1 + t), 0.5 * (1 + t + z * slope), slope + 0.5 * z * bend


def _softplus(beta: float, threshold: float) -> Curve:
    """torch's own: linear where βz exceeds a threshold."""

    def curve(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        s = torch.sigmoid(beta * z)
        linear = beta * z > threshold
        slope = torch.where(linear, torch.ones_like(s), s)
        bend = torch.where(linear, torch.zeros_like(s), beta * s * (1 - s))
        return nn.functional.softplus(z, beta, threshold), slope, bend

    return curve


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "Tanh": nn.Tanh,
    "Sigmoid": nn.Sigmoid,
    "Softplus": nn.Softplus,
    "SiLU": nn.SiLU,
    "GELU": nn.GELU,
    "Sin": Sin,
}


def curve_of(module: nn.Module) -> Curve | None:
    """z → (σ, σ', σ'') of an activation; None if it is not one of `ACTIVATIONS`."""
    kind = type(module)
    if kind is nn.GELU:
        return _gelu_tanh if module.approximate == "tanh" else _gelu
    if kind is nn.Softplus:
        return _softplus(float(module.beta), float(module.threshold))  # type: ignore[arg-type]
    return PLAIN.get(kind)


PLAIN: dict[type[nn.Module], Curve] = {nn.Tanh: _tanh, nn.Sigmoid: _sigmoid, nn.SiLU: _silu, Sin: _sin}
