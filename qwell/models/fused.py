"""Value, gradient and Laplacian of plain perceptrons by a compiled kernel, as a differentiable function.

`qwell.physics.perceptrons` does the work, forward and back, for many points on a processor. What it cannot
do, derivatives of the gradient, maps and tangents of `torch.func`, is left to closed forms in torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from qwell.models.activations import PLAIN
from qwell.models.chains import Affine, Layers

FEWEST = 32  # points
WIDEST = 64  # neurons of a layer; matrix products of wider ones are better left to BLAS
MOST_INPUTS = 4  # for every neuron of the first layer; of more the factorised form carries fewer directions
NAMES = {curve: kind.__name__ for kind, curve in PLAIN.items()}

Plain = Callable[[Layers, Float[Tensor, "b a"]], Any]


def fusable(layers: Layers, x: Float[Tensor, "*batch a"]) -> bool:
    """Whether a chain and points are what the compiled kernel is made for, and faster with."""
    affine = [layer for layer in layers if isinstance(layer, Affine)]
    tensors = [x, *(part for layer in affine for part in layer if part is not None)]
    if x.shape[:-1].numel() < FEWEST or not affine or not isinstance(layers[0], Affine):
        return False
    pairs = itertools.pairwise(layers)
    return (
        all(isinstance(layer, Affine) or layer in NAMES for layer in layers)
        and all(isinstance(a, Affine) or isinstance(b, Affine) for a, b in pairs)
        and max(layer.weight.shape[0] for layer in affine) <= WIDEST
        and x.shape[-1] <= MOST_INPUTS * affine[0].weight.shape[0]
        and all(type(t) in (Tensor, torch.nn.Parameter) and t.device.type == "cpu" for t in tensors)
        and all(t.dtype == torch.float64 for t in tensors)
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[no-untyped-call]
    )


def by_laplacian(
    layers: Layers, x: Float[Tensor, "*batch a"], order: str, plain: Plain
) -> tuple[Float[Tensor, "*batch k"], Float[Tensor, "*batch k a"], Float[Tensor, "..."]] | None:
    """y, ∂y/∂x and second derivatives, by the compiled kernel or of a single input; else None.

    With a single input all second derivatives are the Laplacian.

    Arguments:
        layers: of the chain.
        x: points, (…, a).
        order: as of `derivatives`.
        plain: y, ∂y/∂x and Laplacian of layers and points in torch's operations.
    """
    single = x.shape[-1] == 1 and order != "first"
    if (single or order == "laplacian") and fusable(layers, x):
        value, first, second = fused(layers, x, plain)
    elif single:
        value, first, second = plain(layers, x)
    else:
        return None
    extra = {"diagonal": (1,), "hessian": (1, 1)}.get(order, ())
    return value, first, second.view(*value.shape, *extra)


def fused(
    layers: Layers, x: Float[Tensor, "*batch a"], plain: Plain
) -> tuple[Float[Tensor, "*batch k"], Float[Tensor, "*batch k a"], Float[Tensor, "*batch k"]]:
    """y, ∂y/∂x and Δy of a `fusable` chain at points x (…, a).

    Arguments:
        layers: of the chain.
        x: the points.
        plain: the same of layers and points in torch's operations.
    """
    kinds: list[str] = []
    parts: list[Tensor] = []
    for layer in layers:
        if isinstance(layer, Affine):
            weight, bias = layer
            parts += [weight, weight.new_zeros(len(weight)) if bias is None else bias]
            kinds.append("")
        else:
            kinds[-1] = NAMES[layer]
    points = x.reshape(-1, x.shape[-1])
    found = _Jet.apply(plain, tuple(kinds), points, *parts)  # type: ignore[no-untyped-call]
    value, first, laplacian = (part.view(*x.shape[:-1], *part.shape[1:]) for part in found)
    return value, first, laplacian


def _again(plain: Plain, kinds: tuple[str, ...], x: Tensor, *parts: Tensor) -> Any:
    """The same in torch's operations."""
    curves = {name: curve for curve, name in NAMES.items()}
    layers: list[Any] = []
    for weight, bias, kind in zip(parts[::2], parts[1::2], kinds, strict=True):
        layers += [Affine(weight, bias), curves[kind]] if kind else [Affine(weight, bias)]
    return tuple(plain(layers, x))


def _arrays(kinds: tuple[str, ...], x: Tensor, *parts: Tensor) -> tuple[Any, ...]:
    """What `perceptrons.jet` takes."""
    from qwell.physics.perceptrons import shape_of  # numba is loaded only where it is used

    theta = torch.cat([part.detach().reshape(-1) for part in parts]).numpy()
    sizes = (x.shape[1], *(len(bias) for bias in parts[1::2]))
    return theta, *shape_of(sizes, kinds), x.detach().contiguous().numpy()


class _Jet(torch.autograd.Function):
    """(y, ∂y, Δy) at points (b, a), of weights and biases in turn."""

    @staticmethod
    def forward(plain: Plain, kinds: tuple[str, ...], x: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        from qwell.physics.perceptrons import jet

        return tuple(map(torch.from_numpy, jet(*_arrays(kinds, x, *parts))))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.plain, ctx.kinds = inputs[:2]
        ctx.save_for_backward(*inputs[2:])
        ctx.save_for_forward(*inputs[2:])

    @staticmethod
    def backward(ctx: Any, *bars: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient is to be differentiated
            return None, None, *torch.func.vjp(partial(_again, ctx.plain, ctx.kinds), *inputs)[1](bars)
        from qwell.physics.perceptrons import jet_back

        found = jet_back(*_arrays(ctx.kinds, *inputs), *(bar.contiguous().numpy() for bar in bars))
        gradient, pull = map(torch.from_numpy, found)
        pieces = torch.split(gradient, [part.numel() for part in inputs[1:]])
        shaped = (g.view_as(part) for g, part in zip(pieces, inputs[1:], strict=True))
        return None, None, pull, *shaped

    @staticmethod
    def jvp(ctx: Any, *dots: Tensor | None) -> tuple[Tensor, ...]:
        inputs = ctx.saved_tensors
        full = [torch.zeros_like(t) if d is None else d for t, d in zip(inputs, dots[2:], strict=True)]
        found: tuple[Tensor, ...] = torch.func.jvp(
            partial(_again, ctx.plain, ctx.kinds), tuple(inputs), tuple(full)
        )[1]
        return found

    @staticmethod
    def vmap(_: Any, in_dims: Any, plain: Plain, kinds: tuple[str, ...], *inputs: Tensor) -> tuple[Any, Any]:
        return torch.vmap(partial(_again, plain, kinds), in_dims=in_dims[2:])(*inputs), (0, 0, 0)
