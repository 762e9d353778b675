"""Arithmetic of values with derivatives (`carried.Carried`): sums, products, powers, matrices, choices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.nn import functional as f

from qwell.errors import InvalidInput
from qwell.models.carried import Carried, bilinear, first_carried, whole

KINKS = {
    "relu": "ReLU", "leaky_relu": "LeakyReLU", "prelu": "PReLU", "rrelu": "RReLU", "hardtanh": "Hardtanh",
    "relu6": "ReLU6", "hardswish": "Hardswish", "hardsigmoid": "Hardsigmoid", "threshold": "Threshold",
    "softshrink": "Softshrink", "hardshrink": "Hardshrink", "max_pool1d": "MaxPool1d",
    **{name: name for name in ("abs", "clamp", "clip", "maximum", "minimum", "max", "min", "amax", "amin",
                               "round", "floor", "ceil", "sign")},
}  # fmt: skip


def refuse_kink(name: str) -> None:
    """Raise InvalidInput if a function of torch, or what its name begins with, has a kink."""
    for kink in KINKS:
        if name.startswith(kink):
            refuse(f"{KINKS[kink]} has no closed second derivative: its slope jumps")


def refuse(reason: str) -> NoReturn:
    """Raise InvalidInput with the reason, and what can be done."""
    raise InvalidInput(
        f"{reason}; derivatives are carried through smooth activations, Linear, LayerNorm, attention,"
        " convolutions and what else is linear or a product; torch.func.hessian takes what it can"
    )


def constant(x: Any, of: Carried) -> Carried:
    """A constant as something carried."""
    if isinstance(x, Carried):
        return x
    zero = torch.zeros((1,) * x.dim(), dtype=x.dtype, device=x.device)
    return Carried.of(x, zero.expand(len(of.first), *zero.shape), None, of.frame)


def sum_of(x: Any, y: Any, alpha: float = 1, sign: float = 1) -> Carried:
    """x + α y."""
    scale = sign * alpha
    both = isinstance(x, Carried) and isinstance(y, Carried)
    if not both:
        one, value = (x, x.value + scale * y) if isinstance(x, Carried) else (y, x + scale * y.value)
        one = one.lifted(value.dim())
        if isinstance(x, Carried) or scale == 1:
            return Carried.of(value, one.first, one.second, one.frame)
        second = None if one.second is None else scale * one.second
        return Carried.of(value, scale * one.first, second, one.frame)
    value = x.value + scale * y.value
    x, y = x.lifted(value.dim()), y.lifted(value.dim())
    seconds = [s for s in (x.second, None if y.second is None else scale * y.second) if s is not None]
    second = None if not seconds else seconds[0] if len(seconds) == 1 else seconds[0] + seconds[1]
    return Carried.of(value, x.first + scale * y.first, second, x.frame)


def difference(x: Any, y: Any, alpha: float = 1) -> Carried:
    return sum_of(x, y, alpha, -1)


def rsub(x: Any, y: Any, alpha: float = 1) -> Carried:
    return sum_of(y, x, alpha, -1)


def scaled(x: Carried, number: Any) -> Carried:
    second = None if x.second is None else number * x.second
    return Carried.of(number * x.value, number * x.first, second, x.frame)


def product(x: Any, y: Any) -> Carried:
    """x y, entry by entry."""
    for one, other in ((x, y), (y, x)):
        if not isinstance(other, Tensor):
            return scaled(one, other)
    dimensions = max(x.dim(), y.dim())
    x, y = (lifted_of(t, dimensions) for t in (x, y))
    return bilinear(torch.mul, torch.mul, x, y)


def lifted_of(x: Any, dimensions: int) -> Any:
    """The same with axes of length 1 in front."""
    if isinstance(x, Carried):
        value = x.value.reshape((1,) * (dimensions - x.value.dim()) + tuple(x.value.shape))
        lifted = x.lifted(dimensions)
        return Carried.of(value, lifted.first, lifted.second, x.frame)
    return x.reshape((1,) * (dimensions - x.dim()) + tuple(x.shape))


def quotient(x: Any, y: Any, rounding_mode: str | None = None) -> Carried:
    if rounding_mode is not None:
        return refuse("division with rounding has no derivatives")
    if not isinstance(y, Carried):
        return product(x, 1 / y)
    inverse = 1 / y.value
    return product(x, y.curve((inverse, -(inverse**2), 2 * inverse**3)))


def rdiv(x: Any, y: Any) -> Carried:
    return quotient(y, x)


def power(x: Any, n: Any) -> Carried:
    """x^n of a number n, or c^x of a number c."""
    if isinstance(n, Tensor) or not isinstance(x, Carried):
        if isinstance(n, Carried) and not isinstance(x, Carried):
            rate = torch.log(torch.as_tensor(x, dtype=n.value.dtype, device=n.value.device))
            value = torch.pow(x, n.value)
            return n.curve((value, rate * value, rate * rate * value))
        return refuse("a power whose exponent is a tensor has no closed second derivative here")
    z = x.value
    if n == 2:
        return x.curve((z * z, 2 * z, torch.full_like(z, 2.0)))
    bend = torch.zeros_like(z) if n == 1 else n * (n - 1) * z ** (n - 2)
    return x.curve((z**n, n * z ** (n - 1) if n != 0 else torch.zeros_like(z), bend))


def rpow(x: Carried, c: Any) -> Carried:
    return power(c, x)


def matmul(x: Any, y: Any) -> Carried:
    """Products of matrices, and of vectors."""
    if x.dim() == 1:
        return squeezed(matmul(unsqueezed(x, 0), y), -2)
    if y.dim() == 1:
        return squeezed(matmul(x, unsqueezed(y, 1)), -1)
    dimensions = max(x.dim(), y.dim())
    x, y = (full_of(lifted_of(t, dimensions)) for t in (x, y))
    return bilinear(torch.matmul, torch.matmul, x, y)


def full_of(x: Any) -> Any:
    """The same with derivatives in the full shape of the value."""
    if not isinstance(x, Carried):
        return x
    second = None if x.second is None else whole(x.second, x)
    return Carried.of(x.value, whole(x.first, x), second, x.frame)


def unsqueezed(x: Any, axis: int) -> Any:
    if isinstance(x, Carried):
        return x.linear(lambda d: d.unsqueeze(axis), x.value.unsqueeze(axis))
    return x.unsqueeze(axis)


def squeezed(x: Carried, axis: int) -> Carried:
    return x.linear(lambda d: d.squeeze(axis), x.value.squeeze(axis))


def linear_of(x: Any, weight: Any, bias: Any = None) -> Carried:
    """x Wᵀ + b of a plain W."""
    if isinstance(weight, Carried) or isinstance(bias, Carried):
        out = matmul(
            x, weight.linear(lambda d: d.t(), weight.value.t()) if isinstance(weight, Carried) else weight.t()
        )
        return out if bias is None else sum_of(out, bias)
    second = None if x.second is None else f.linear(x.second, weight)
    return Carried.of(f.linear(x.value, weight, bias), f.linear(x.first, weight), second, x.frame)


def convolution(func: Callable[..., Tensor]) -> Callable[..., Carried]:
    def rule(x: Any, weight: Any, bias: Any = None, *rest: Any, **named: Any) -> Carried:
        if not isinstance(x, Carried) or isinstance(weight, Carried):
            return refuse(
                "a convolution with weights made of the inputs has no closed second derivative here"
            )
        return x.linear(
            lambda d: func(d, weight, None, *rest, **named), func(x.value, weight, bias, *rest, **named)
        )

    return rule


def einsum(equation: str, *operands: Any) -> Carried:
    """Of one operand, linear; of two, by the product rule."""
    parts = operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    if len(parts) == 1:
        x: Carried = parts[0]
        return x.linear(lambda d: torch.einsum(equation, d), torch.einsum(equation, x.value))
    if len(parts) != 2:
        return refuse("einsum of three operands has no rule; write it as two")

    def product(a: Tensor, b: Tensor) -> Tensor:
        return torch.einsum(equation, a, b)

    def many(a: Tensor, b: Tensor) -> Tensor:
        size = max(len(a), len(b))
        return torch.vmap(product)(a.expand(size, *a.shape[1:]), b.expand(size, *b.shape[1:]))

    return bilinear(product, many, *map(full_of, parts))


def joined(func: Callable[..., Tensor]) -> Callable[..., Carried]:
    """cat and stack."""

    def rule(tensors: Any, dim: int = 0, **named: Any) -> Carried:
        like = first_carried(tensors)
        assert like is not None  # or there were no rule to be asked for
        axis = named.get("axis", dim)
        parts = [constant(t, like) for t in tensors]
        value = func([p.value for p in parts], axis)
        size = len(like.first)
        every = torch.vmap(lambda *d: func(d, axis))
        first = every(*(whole(p.first, p) for p in parts))
        if all(p.second is None for p in parts):
            return Carried.of(value, first, None, like.frame)
        size = next(len(p.second) for p in parts if p.second is not None)
        second = every(
            *(
                p.value.new_zeros(()).expand(size, *p.value.shape) if p.second is None else whole(p.second, p)
                for p in parts
            )
        )
        return Carried.of(value, first, second, like.frame)

    return rule


def where(condition: Tensor, x: Any, y: Any) -> Carried:
    """Derivatives are chosen as values are; the condition is held fixed."""
    like = first_carried((x, y))
    if like is None:
        return refuse("a condition that is itself differentiated has no derivatives")
    kind: dict[str, Any] = {"dtype": like.value.dtype, "device": like.value.device}
    x, y = (constant(t if isinstance(t, Tensor) else torch.tensor(t, **kind), like) for t in (x, y))
    value = torch.where(condition, x.value, y.value)
    x, y = x.lifted(value.dim()), y.lifted(value.dim())
    seconds = [p.second for p in (x, y)]
    second = None
    if any(s is not None for s in seconds):
        zero = torch.zeros((), **kind)
        left, right = (zero if s is None else s for s in seconds)
        second = torch.where(condition, left, right)
    return Carried.of(value, torch.where(condition, x.first, y.first), second, x.frame)
