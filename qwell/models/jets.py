"""First and second derivatives of a network with respect to its inputs, in closed form.

Any module has them carried through its functions (`foreign`). Chains of layers have something faster. For
y = N(x), a chain of affine maps z = W y + b and smooth functions y = σ(z) of every entry:

    first      ∂y/∂x                   forward: ∂z = W ∂y, ∂y = σ'(z) ∂z
    recursion  ∂²y/∂x∂x                ∂²z = W ∂²y, ∂²y = σ'(z) ∂²z + σ''(z) ∂z ∂z      (paper, Eqs. 7, 17)
    factorised H = Σ_l U_lᵀ diag(λ_l σ''(z_l)) U_l, U_l = ∂z_l/∂x forward, λ_l = ∂y/∂y_l backward

The second form never carries a second derivative through the network: a Hessian costs what a gradient of
every direction costs. If the inputs outnumber the first width n₁, only n₁ directions are carried and
H = W₁ᵀ M W₁. Both are exact, made of plain torch operations: parameter gradients, `torch.func`,
`torch.compile`, any dtype and device work as they do elsewhere.

Source: S. Rodini, Analytical derivatives of neural networks, section 2; the factorised form is ours.
Shapes: … batch, a b inputs (N₀), k outputs (N_L), n width.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from qwell.errors import InvalidInput, unknown
from qwell.models.chains import (
    Affine,
    Layers,
    chain_of,
    check_asked,
    check_network,
    check_points,
    layers_of,
)
from qwell.models.foreign import carry
from qwell.models.fused import by_laplacian

ORDERS = ("first", "laplacian", "diagonal", "hessian")
METHODS = ("auto", "recursion", "factorised", "carried")


class Jet(NamedTuple):
    """A network's value and derivatives at points.

    Arguments:
        value: y, (…, k).
        first: ∂y/∂x, (…, k, a).
        second: Σ_a ∂²y/∂x_a² (…, k) of the order "laplacian", ∂²y/∂x_a² (…, k, a) of "diagonal",
            ∂²y/∂x_a∂x_b (…, k, a, b) of "hessian"; None of "first".
    """

    value: Float[Tensor, "*batch k"]
    first: Float[Tensor, "*batch k a"]
    second: Float[Tensor, "..."] | None


Products = list[tuple[Tensor, Tensor]]


def derivatives(
    network: nn.Module,
    x: Float[Tensor, "*batch a"],
    order: str = "hessian",
    method: str = "auto",
    parameters: Mapping[str, Float[Tensor, "..."]] | None = None,
    chunk: int | None = None,
) -> Jet:
    """Value, first and second derivatives of a network with respect to its inputs, batched and exact.

    Differentiable with respect to parameters and inputs; errors are those of rounding. What is kept for the
    gradient of a Laplacian takes about 6 kB a point at 3 inputs and 5 layers of 10 in float64 (nothing where
    the kernel of `fused` does it), and of a Hessian about 65 kB at 64 inputs; `chunk` bounds it.

    Arguments:
        network: any module that treats points one by one and is made of smooth functions. `nn.Sequential` of
            `nn.Linear` and tanh, sigmoid, softplus, SiLU, GELU, `Sin` or identity modules is a chain, and
            fastest; through others (residual blocks, LayerNorm, attention …) derivatives are carried.
        x: (…, N₀), of the dtype and on the device of the weights.
        order: "first", "laplacian", "diagonal" or "hessian": what of the second derivatives is wanted.
        method: "recursion" or "factorised", of chains; "carried"; or "auto", which takes the fastest one for
            the network and shapes at hand.
        parameters: to use instead of the network's own, by the names of `named_parameters`; for
            `torch.func.grad` and `vmap`.
        chunk: points at a time. Where gradients are wanted, what lies between is made again for them.

    Returns:
        `Jet(value, first, second)`.

    Raises:
        InvalidInput: a function with a kink or without a rule, in-place changes, hooks (of `prune`, too),
            which closed forms do not call; a network that mixes points; another dtype or width; parameters
            that are missing; an unknown order or method.
    """
    if order not in ORDERS:
        raise InvalidInput(unknown("order", order, ORDERS))
    if method not in METHODS:
        raise InvalidInput(unknown("method", method, METHODS))
    check_asked(network, x, parameters)
    if chunk is not None:
        return _in_chunks(network, x, order, method, parameters, chunk)
    layers = None if method == "carried" else chain_of(network, parameters)
    if layers is None:
        if method in ("recursion", "factorised"):
            layers_of(network, parameters)  # says what is no layer of a chain
        points = x.reshape(-1, x.shape[-1])
        parts = carry(network, points, order, parameters)
        shaped = (None if t is None else t.reshape(*x.shape[:-1], *t.shape[1:]) for t in parts)
        value, first, second = shaped
        assert value is not None and first is not None
        return Jet(value, first, _nothing(value, x.shape[-1], order) if second is None else second)
    check_points(layers, x)
    if method == "auto":
        if (found := by_laplacian(layers, x, order, partial(_recursion, order="laplacian"))) is not None:
            return Jet(*found)
        method = _faster(layers, x, order)
    return (_recursion if method == "recursion" else _factorised)(layers, x, order)


def _in_chunks(
    network: nn.Module,
    x: Tensor,
    order: str,
    method: str,
    parameters: Mapping[str, Tensor] | None,
    chunk: int,
) -> Jet:
    """The same, so many points at a time; where gradients are wanted, each part is made again for them."""
    if chunk < 1:
        raise InvalidInput(f"chunk is {chunk}; it must be at least 1 point")

    def part(points: Tensor) -> tuple[Tensor | None, ...]:
        return tuple(derivatives(network, points, order, method, parameters))

    points = x.reshape(-1, x.shape[-1])
    parts = [
        checkpoint(part, some, use_reentrant=False) if torch.is_grad_enabled() else part(some)
        for some in torch.split(points, chunk)
    ]
    joined = [None if p[0] is None else torch.cat(p) for p in zip(*parts, strict=True)]
    value, first, second = (None if t is None else t.reshape(*x.shape[:-1], *t.shape[1:]) for t in joined)
    assert value is not None and first is not None
    return Jet(value, first, second)


def hessian_vector(
    network: nn.Module, x: Float[Tensor, "*batch a"], vector: Float[Tensor, "*batch a"]
) -> Float[Tensor, "*batch k a"]:
    """Σ_b ∂²y_k/∂x_a∂x_b v_b, (…, k, a), for v (…, a): one pass forward, one back; no Hessian is made.

    With u_l = U_l v forward, the adjoints λ and their change μ along v go back together:
    μ ← σ'(z) μ + σ''(z) u λ, then both are multiplied by W.

    Raises InvalidInput as `derivatives` does, or if v has another shape than x.
    """
    check_network(network)
    layers = layers_of(network, None)
    check_points(layers, x)
    if vector.shape != x.shape:
        raise InvalidInput(f"the vector has shape {tuple(vector.shape)}, the points {tuple(x.shape)}")
    y, u = x, vector
    tape: list[tuple[Tensor, Tensor]] = []
    for layer in layers:
        if isinstance(layer, Affine):
            y, u = _affine(layer, y), u @ layer.weight.mT
        else:
            y, slope, bend = layer(y)
            tape.append((slope, bend * u))
            u = slope * u
    adjoint = torch.eye(y.shape[-1], dtype=y.dtype, device=y.device)
    change = torch.zeros_like(adjoint)
    for layer in reversed(layers):
        if isinstance(layer, Affine):
            adjoint, change = adjoint @ layer.weight, change @ layer.weight
        else:
            slope, bent = tape.pop()
            change = slope.unsqueeze(-2) * change + bent.unsqueeze(-2) * adjoint
            adjoint = slope.unsqueeze(-2) * adjoint
    return change.expand(*x.shape[:-1], y.shape[-1], x.shape[-1])


def parameter_jacobian(network: nn.Module, x: Float[Tensor, "*batch a"]) -> Float[Tensor, "*batch k p"]:
    """∂y_k/∂θ_p of every point, (…, k, P), parameters in the order of `network.parameters()` (paper, Eq. 3).

    Raises InvalidInput as `derivatives` does.
    """
    check_network(network)
    layers = layers_of(network, None)
    check_points(layers, x)
    y = x
    inputs: list[Tensor] = []
    slopes: list[Tensor] = []
    for layer in layers:
        inputs.append(y)
        if isinstance(layer, Affine):
            y = _affine(layer, y)
        else:
            y, slope, _ = layer(y)
            slopes.append(slope)
    shape = (*x.shape[:-1], y.shape[-1])
    adjoint = torch.eye(y.shape[-1], dtype=y.dtype, device=y.device).expand(*shape, y.shape[-1])
    found: dict[int, Tensor] = {}

    def add(parameter: Tensor, gradient: Tensor) -> None:  # a layer may stand in several places
        found[id(parameter)] = found.get(id(parameter), 0) + gradient

    for layer, fed in zip(reversed(layers), reversed(inputs), strict=True):
        if isinstance(layer, Affine):
            add(layer.weight, (adjoint.unsqueeze(-1) * fed[..., None, None, :]).flatten(-2))
            if layer.bias is not None:
                add(layer.bias, adjoint)
            adjoint = adjoint @ layer.weight
        else:
            adjoint = adjoint * slopes.pop().unsqueeze(-2)
    return torch.cat([found[id(p)] for p in network.parameters()], dim=-1)


def _affine(layer: Affine, y: Tensor) -> Tensor:
    return nn.functional.linear(y, layer.weight, layer.bias)


def _faster(layers: Layers, x: Tensor, order: str) -> str:
    """Which form is faster for these shapes, as measured (docs/benchmarks.md)."""
    affine = [layer for layer in layers if isinstance(layer, Affine)]
    if not affine or order == "first":
        return "recursion"
    inputs, outputs, width = x.shape[-1], affine[-1].weight.shape[0], affine[0].weight.shape[0]
    if order == "laplacian":
        few = inputs <= 2 * width or outputs > width or x.shape[:-1].numel() < 50
    elif order == "diagonal":
        few = outputs > 1 and 2 * outputs * width >= inputs
    else:
        few = outputs > 1 and 2 * outputs >= inputs
    return "recursion" if few else "factorised"


def _recursion(layers: Layers, x: Tensor, order: str) -> Jet:
    """Carry y (…, n), ∂y (…, a, n) and ∂²y forward: (…, n), (…, a, n) or pairs a ≤ b of it (…, ab, n)."""
    inputs = x.shape[-1]
    rows, columns = torch.triu_indices(inputs, inputs, device=x.device).unbind()
    y = x
    first = _eye(inputs, x)
    second: Tensor | None = None  # zero
    for number, layer in enumerate(layers):
        if isinstance(layer, Affine):
            y = _affine(layer, y)
            first = first @ layer.weight.mT if number else layer.weight.mT
            second = None if second is None else second @ layer.weight.mT
            continue
        y, slope, bend = layer(y)
        if order != "first":
            wide = order != "laplacian"
            if order == "laplacian":
                square = (first * first).sum(-2)
            elif order == "diagonal":
                square = first * first
            else:
                square = first[..., rows, :] * first[..., columns, :]
            curved = (bend.unsqueeze(-2) if wide else bend) * square
            tilt = slope.unsqueeze(-2) if wide else slope
            second = curved if second is None else torch.addcmul(curved, tilt, second)
        first = slope.unsqueeze(-2) * first
    batch, outputs = x.shape[:-1], y.shape[-1]
    first = first.mT.expand(*batch, outputs, inputs)
    if second is None:
        return Jet(y, first, _nothing(y, inputs, order))
    if order == "laplacian":
        return Jet(y, first, second)
    second = second.mT
    if order == "hessian":
        place = torch.empty(inputs, inputs, dtype=torch.long, device=x.device)
        place[rows, columns] = place[columns, rows] = torch.arange(len(rows), device=x.device)
        second = second[..., place]
    return Jet(y, first, second)


def _factorised(layers: Layers, x: Tensor, order: str) -> Jet:
    """U_l (…, a, n) forward, λ_l (…, k, n) back, and the sum of their products."""
    inputs = x.shape[-1]
    curved = [i for i, layer in enumerate(layers) if not isinstance(layer, Affine)]
    last = curved[-1] if curved else -1
    head = layers[0] if layers else None
    outer = None  # W₁, if it has fewer rows than columns: then its outputs are the directions
    if last > 0 and isinstance(head, Affine) and head.weight.shape[0] < inputs:
        outer = head.weight
    y, reached = x, _eye(inputs if outer is None else len(outer), x)
    tape: list[tuple[Tensor, Tensor, Tensor]] = []
    for number, layer in enumerate(layers):
        if isinstance(layer, Affine):
            y = _affine(layer, y)
            if number == 0 and outer is None:
                reached = layer.weight.mT
            elif 0 < number < last:
                reached = reached @ layer.weight.mT
        else:
            y, slope, bend = layer(y)
            tape.append((reached, slope, bend))
            if number < last:
                reached = slope.unsqueeze(-2) * reached
    adjoint: Tensor | None = None  # the identity
    products: list[tuple[Tensor, Tensor]] = []
    for layer in layers[:0:-1] if outer is not None else layers[::-1]:
        if isinstance(layer, Affine):
            adjoint = layer.weight if adjoint is None else adjoint @ layer.weight
        else:
            adjoint = _eye(y.shape[-1], x) if adjoint is None else adjoint
            reached, slope, bend = tape.pop()
            products.append((reached, adjoint * bend.unsqueeze(-2)))
            adjoint = adjoint * slope.unsqueeze(-2)
    adjoint = _eye(y.shape[-1], x) if adjoint is None else adjoint
    shape = (*x.shape[:-1], y.shape[-1], inputs)
    first = (adjoint if outer is None else adjoint @ outer).expand(shape)
    if not products or order == "first":
        return Jet(y, first, _nothing(y, inputs, order))
    return Jet(y, first, SUMS[order](products, outer))


def _eye(size: int, like: Tensor) -> Tensor:
    return torch.eye(size, dtype=like.dtype, device=like.device)


def _nothing(y: Tensor, inputs: int, order: str) -> Tensor | None:
    """The second derivatives of an affine network."""
    shapes = {"laplacian": (), "diagonal": (inputs,), "hessian": (inputs, inputs)}
    return None if order == "first" else y.new_zeros(*y.shape, *shapes[order])


def _laplacian(products: Products, outer: Tensor | None) -> Tensor:
    """Σ_l Σ_n λσ''_n (U G Uᵀ)_nn, G = W₁W₁ᵀ if directions start after the first layer, else 1."""
    gram = None if outer is None else outer @ outer.mT
    parts = []
    for u, bent in products:
        square = (u * u if gram is None else u * (gram @ u)).sum(-2)
        parts.append((square.unsqueeze(-2) * bent).sum(-1))
    return _sum(parts)


def _diagonal(products: Products, outer: Tensor | None) -> Tensor:
    """Σ_l Σ_n λσ''_n U_na², or the diagonal of W₁ᵀ M W₁."""
    if outer is not None:
        return (outer * (_inner(products) @ outer)).sum(-2)
    return _sum([bent @ (u * u).mT for u, bent in products])


def _hessian(products: Products, outer: Tensor | None) -> Tensor:
    """M, or W₁ᵀ M W₁."""
    inner = _inner(products)
    if outer is None:
        return inner
    return outer.mT.expand(*inner.shape[:-2], *outer.mT.shape) @ (inner @ outer)


def _inner(products: Products) -> Tensor:
    """M = Σ_l U_lᵀ diag(λσ'') U_l, (…, k, a, a)."""
    directions = products[0][0].shape[-2]
    if directions <= 4:  # tiny matrix products are slow: entry by entry, or all layers at once
        shape = products[0][1].shape[:-2]
        if shape.numel() >= 200:
            return _entries(products, directions)
        u = torch.cat([u.expand(*shape, *u.shape[-2:]) for u, _ in products], -1).unsqueeze(-3)
        bent = torch.cat([bent for _, bent in products], -1)
        return (u * bent.unsqueeze(-2)) @ u.mT
    parts = []
    for u, bent in products:
        u = u if u.dim() == 2 else u.unsqueeze(-3)
        parts.append((u * bent.unsqueeze(-2)) @ u.mT)
    return _sum(parts)


def _entries(products: Products, directions: int) -> Tensor:
    """The same, Σ_l Σ_n U_na λσ''_n U_nb for every pair a ≤ b."""
    found = {}
    rows = [[row.unsqueeze(-2) for row in u.unbind(-2)] for u, _ in products]
    for a in range(directions):
        weighted = [row[a] * bent for row, (_, bent) in zip(rows, products, strict=True)]
        for b in range(a, directions):
            entry = _sum([(w * row[b]).sum(-1) for w, row in zip(weighted, rows, strict=True)])
            found[a, b] = found[b, a] = entry
    span = range(directions)
    return torch.stack([torch.stack([found[a, b] for b in span], -1) for a in span], -2)


def _sum(parts: list[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


SUMS = {"laplacian": _laplacian, "diagonal": _diagonal, "hessian": _hessian}
