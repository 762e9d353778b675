"""Derivatives of any module: a value with its derivatives is carried through `__torch_function__`.

For y = f(x) of every entry, z = B(x, y) linear in both, and a linear L:

    y = f(x)     ∂y = f' ∂x                ∂²y = f' ∂²x + f'' ∂x ∂x
    z = B(x, y)  ∂z = B(∂x, y) + B(x, ∂y)  ∂²z = B(∂²x, y) + B(x, ∂²y) + B(∂x, ∂y) twice, in both orders
    z = L(x)     ∂z = L(∂x)                ∂²z = L(∂²x)

What each function of torch does to them stands in `carried_rules`.
Shapes: d directions (inputs), s second derivatives: 1 of a Laplacian, d of a diagonal, pairs a ≤ b of a
Hessian; the value has any shape, ∂ has (d, *shape), ∂² (s, *shape), with 1 where nothing depends on an axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from qwell.errors import InvalidInput

Triple = tuple[Tensor, Tensor, Tensor]


class Frame(NamedTuple):
    """What is carried, by which rules; of a Hessian pairs a ≤ b, by slices, which are faster than indices."""

    rules: Callable[[Any, Any, Any], Any]
    order: str

    def square(self, d: Tensor) -> Tensor | None:
        """∂x ∂x, (s, …)."""
        if self.order == "first":
            return None
        if self.order == "hessian":
            return torch.cat([d[a : a + 1] * d[a:] for a in range(len(d))])
        return d * d if self.order == "diagonal" else (d * d).sum(0, keepdim=True)

    def cross(self, product: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor) -> Tensor | None:
        """B(∂x, ∂y) + B(∂y, ∂x), (s, …); `product` takes (d, …) and (d, …)."""
        if self.order == "first":
            return None
        if self.order == "hessian":
            rows = range(len(a))
            return torch.cat([product(a[k : k + 1], b[k:]) + product(a[k:], b[k : k + 1]) for k in rows])
        twice = 2 * product(a, b)
        return twice if self.order == "diagonal" else twice.sum(0, keepdim=True)


class Carried(Tensor):
    """A tensor with its derivatives with respect to the inputs of a network.

    Attributes:
        value: a plain tensor.
        first: ∂, (d, *shape) or with 1 where nothing depends on an axis.
        second: ∂², (s, *shape) likewise; None where it is zero, and of the order "first".
        frame: which second derivatives these are.
    """

    value: Tensor
    first: Tensor
    second: Tensor | None
    frame: Frame

    @staticmethod
    def of(value: Tensor, first: Tensor, second: Tensor | None, frame: Frame) -> Carried:
        """Put together; the tensor itself has shape and kind of the value, and no storage."""
        made: Carried = Tensor._make_wrapper_subclass(
            Carried, value.shape, dtype=value.dtype, device=value.device
        )
        made.value, made.first, made.second, made.frame = value, first, second, frame
        return made

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        found = first_carried((*args, *kwargs.values()))
        if found is None:  # of a class method
            return super().__torch_function__(func, types, args, kwargs)  # type: ignore[no-untyped-call]
        with torch._C.DisableTorchFunctionSubclass():
            return found.frame.rules(func, args, kwargs)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        raise InvalidInput(f"derivatives cannot be carried through {func}")

    def curve(self, triple: Triple) -> Carried:
        """f(x) of every entry, from f, f' and f'' at the value."""
        y, slope, bend = triple
        square = self.frame.square(self.first)
        second = None if square is None else bend * square
        if second is not None and self.second is not None:
            second = torch.addcmul(second, slope, self.second)
        return Carried.of(y, slope * self.first, second, self.frame)

    def linear(self, function: Callable[[Tensor], Tensor], value: Tensor) -> Carried:
        """L(x), its value given; `function` is applied to every derivative by itself."""
        every: Any = torch.vmap(function)
        second = None if self.second is None else every(whole(self.second, self))
        return Carried.of(value, every(whole(self.first, self)), second, self.frame)

    def lifted(self, dimensions: int) -> Carried:
        """The same with axes of length 1 in front of all others but that of directions."""
        missing = dimensions - self.value.dim()
        if missing <= 0:
            return self
        shape = (1,) * missing
        first = self.first.reshape(len(self.first), *shape, *self.first.shape[1:])
        second = self.second
        if second is not None:
            second = second.reshape(len(second), *shape, *second.shape[1:])
        return Carried.of(self.value, first, second, self.frame)


def first_carried(values: Iterable[Any]) -> Carried | None:
    """The first of some arguments, in lists and tuples too, that is carried."""
    for one in values:
        if isinstance(one, Carried):
            return one
        if isinstance(one, list | tuple) and (found := first_carried(one)) is not None:
            return found
    return None


def whole(derivative: Tensor, of: Carried) -> Tensor:
    """A derivative in the full shape of the value."""
    return derivative.expand(len(derivative), *of.value.shape)


def bilinear(
    product: Callable[[Tensor, Tensor], Tensor],
    many: Callable[[Tensor, Tensor], Tensor],
    x: Any,
    y: Any,
) -> Carried:
    """B(x, y), of which one or both are carried.

    Arguments:
        product: of two values.
        many: the same with an axis of directions in front of either, of length 1 of what has none.
    """
    if not (isinstance(x, Carried) and isinstance(y, Carried)):
        one = x if isinstance(x, Carried) else y
        plain = (y if one is x else x)[None]
        second = one.second
        ordered: Any = (lambda d: many(d, plain)) if one is x else (lambda d: many(plain, d))
        value = product(x.value, y) if one is x else product(x, y.value)
        return Carried.of(value, ordered(one.first), None if second is None else ordered(second), one.frame)
    first = many(x.first, y.value[None]) + many(x.value[None], y.first)
    second = x.frame.cross(many, x.first, y.first)
    if second is not None:
        if x.second is not None:
            second = second + many(x.second, y.value[None])
        if y.second is not None:
            second = second + many(x.value[None], y.second)
    return Carried.of(product(x.value, y.value), first, second, x.frame)
