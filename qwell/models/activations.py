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


def _mish(z: Tensor, inplace: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    s, t = torch.sigmoid(z), torch.tanh(nn.functional.softplus(z))
    bell = 1 - t * t
    slope = bell * s
    return z * t, t + z * slope, 2 * slope + z * bell * s * (1 - s - 2 * t * s)


def _celu(z: Tensor, alpha: float = 1.0, inplace: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    below = torch.exp(z.clamp(max=0) / alpha)
    left = z <= 0
    return nn.functional.celu(z, alpha), below, torch.where(left, below / alpha, torch.zeros_like(z))


def _elu(z: Tensor, alpha: float = 1.0, inplace: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    below = alpha * torch.exp(z.clamp(max=0))
    left, zero = z <= 0, torch.zeros_like(z)
    return nn.functional.elu(z, alpha), torch.where(left, below, zero + 1), torch.where(left, below, zero)


def _selu(z: Tensor, inplace: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    scale = 1.0507009873554804934193349852946
    _, slope, bend = _elu(z, 1.6732632423543772848170429916717)
    return nn.functional.selu(z), scale * slope, scale * bend


def _softsign(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    inverse = 1 / (1 + z.abs())
    return z * inverse, inverse**2, -2 * z.sign() * inverse**3


def _logsigmoid(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    s = torch.sigmoid(z)
    return nn.functional.logsigmoid(z), 1 - s, -s * (1 - s)


def _tanhshrink(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    y, slope, bend = _tanh(z)
    return z - y, 1 - slope, -bend


def _exp(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    y = torch.exp(z)
    return y, y, y


def _log(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.log(z), 1 / z, -1 / z**2


def _sqrt(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    y = torch.sqrt(z)
    return y, 0.5 / y, -0.25 / (y * z)


def _rsqrt(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    y = torch.rsqrt(z)
    return y, -0.5 * y / z, 0.75 * y / z**2


def _square(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return z * z, 2 * z, torch.full_like(z, 2.0)


def _reciprocal(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    y = 1 / z
    return y, -y * y, 2 * y**3


def _cos(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    y = torch.cos(z)
    return y, -torch.sin(z), -y


def _erf(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    slope = 2 / math.sqrt(math.pi) * torch.exp(-z * z)
    return torch.erf(z), slope, -2 * z * slope


def _softplus_of(z: Tensor, beta: float = 1.0, threshold: float = 20.0) -> tuple[Tensor, Tensor, Tensor]:
    return _softplus(beta, threshold)(z)


def _gelu_of(z: Tensor, approximate: str = "none") -> tuple[Tensor, Tensor, Tensor]:
    return _gelu_tanh(z) if approximate == "tanh" else _gelu(z)


def _silu_of(z: Tensor, inplace: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    return _silu(z)


# Functions of torch by name, of every entry: z and what else they take → (σ, σ', σ'').
CURVES: dict[str, Callable[..., tuple[Tensor, Tensor, Tensor]]] = {
    "tanh": _tanh, "sigmoid": _sigmoid, "silu": _silu_of, "gelu": _gelu_of, "softplus": _softplus_of,
    "sin": _sin, "cos": _cos, "mish": _mish, "elu": _elu, "celu": _celu, "selu": _selu,
    "softsign": _softsign, "logsigmoid": _logsigmoid, "log_sigmoid": _logsigmoid, "tanhshrink": _tanhshrink,
    "exp": _exp, "log": _log, "sqrt": _sqrt, "rsqrt": _rsqrt, "square": _square, "reciprocal": _reciprocal,
    "erf": _erf,
}  # fmt: skip
