"""Derivatives of modules that are no chain of layers: a value and its derivatives are carried through them.

A function of torch that is in no table here is refused by its name: nothing is guessed. So is a kink.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as f

from qwell.errors import InvalidInput
from qwell.models import carried_rules as rules
from qwell.models.activations import CURVES
from qwell.models.carried import Carried, Frame, whole
from qwell.models.carried_layers import LAYERS
from qwell.models.carried_rules import KINKS, refuse, refuse_kink

# Linear in their first argument, every other one plain.
LINEAR = {
    "reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "transpose", "permute", "swapaxes",
    "t", "movedim", "sum", "mean", "cumsum", "select", "narrow", "index_select", "gather", "roll", "flip",
    "expand", "expand_as", "repeat", "repeat_interleave", "tile", "diagonal", "getitem", "contiguous",
    "clone", "neg", "to", "double", "float", "type_as", "pad", "adaptive_avg_pool1d", "avg_pool1d",
    "view_as", "reshape_as", "unfold", "tril", "triu", "ravel",
}  # fmt: skip
SHAPED = {"expand_as", "view_as", "reshape_as", "type_as"}
SEVERAL = {"chunk", "split", "unbind", "tensor_split"}
# Answered by the value alone.
PLAIN = {
    "dim", "size", "numel", "len", "is_floating_point", "is_complex", "ndimension", "stride", "is_contiguous",
    "gt", "lt", "ge", "le", "eq", "ne", "isfinite", "isnan", "zeros_like", "ones_like", "randn_like",
    "full_like", "empty_like", "new_zeros", "new_ones", "new_empty", "new_full", "new_tensor", "detach",
    "is_same_size", "element_size",
}  # fmt: skip
SEEN = {
    "shape", "dtype", "device", "ndim", "requires_grad", "is_nested", "is_cuda", "is_cpu", "layout",
    "is_leaf", "is_sparse", "is_quantized", "is_mps", "is_meta", "names",
}  # fmt: skip
AXES = {"T", "mT"}


def apply(func: Any, args: Any, kwargs: Any) -> Any:
    """A function of torch, of arguments of which one is carried at least."""
    name = getattr(func, "__name__", str(func))
    if name == "__get__":
        return _attribute(func.__self__.__name__, args[0])
    if name.endswith("_") and not name.endswith("__") and name[:-1] not in KINKS:
        return refuse(f"{name} changes a tensor in place")
    name = name.strip("_")
    if name in SHAPED:  # like another tensor, of which the shape counts alone
        args = (args[0], *(a.value if isinstance(a, Carried) else a for a in args[1:]))
        if not isinstance(args[0], Carried):
            return func(*args, **kwargs)
    if rule := RULES.get(name):
        return rule(*args, **kwargs)
    if name in LINEAR:
        return args[0].linear(
            lambda d: func(d, *args[1:], **kwargs), func(args[0].value, *args[1:], **kwargs)
        )
    if name in CURVES:
        return args[0].curve(CURVES[name](args[0].value, *args[1:], **kwargs))
    if name in SEVERAL:
        return _several(func, args, kwargs)
    if name in PLAIN:
        return func(*(a.value if isinstance(a, Carried) else a for a in args), **kwargs)
    refuse_kink(name)
    return refuse(f"{name} has no closed second derivative here")


def _attribute(name: str, x: Carried) -> Any:
    if name in AXES:
        axes: Any = (lambda d: d.mT) if name == "mT" else (lambda d: d.t())
        return x.linear(axes, axes(x.value))
    if name in SEEN:
        return getattr(x.value, name)
    return refuse(f"the attribute {name} of a tensor has no derivatives")


def _several(func: Any, args: Any, kwargs: Any) -> tuple[Carried, ...]:
    """Parts of a tensor."""
    x, rest = args[0], args[1:]
    values = func(x.value, *rest, **kwargs)
    return tuple(
        x.linear(lambda d, k=k: func(d, *rest, **kwargs)[k], value) for k, value in enumerate(values)
    )


RULES: dict[str, Any] = {
    "add": rules.sum_of, "iadd": rules.sum_of, "radd": rules.sum_of, "sub": rules.difference,
    "subtract": rules.difference, "isub": rules.difference, "rsub": rules.rsub, "mul": rules.product,
    "multiply": rules.product, "rmul": rules.product, "imul": rules.product, "div": rules.quotient,
    "divide": rules.quotient, "truediv": rules.quotient, "true_divide": rules.quotient,
    "rtruediv": rules.rdiv,
    "rdiv": rules.rdiv, "itruediv": rules.quotient, "pow": rules.power, "rpow": rules.rpow,
    "matmul": rules.matmul, "rmatmul": lambda x, y: rules.matmul(y, x), "bmm": rules.matmul,
    "mm": rules.matmul,
    "mv": rules.matmul, "linear": rules.linear_of, "einsum": rules.einsum, "cat": rules.joined(torch.cat),
    "concat": rules.joined(torch.cat), "stack": rules.joined(torch.stack), "where": rules.where,
    "conv1d": rules.convolution(f.conv1d), "conv2d": rules.convolution(f.conv2d),
    "conv_transpose1d": rules.convolution(f.conv_transpose1d), **LAYERS,
}  # fmt: skip


def transformed() -> bool:
    """Whether a transform of torch.func is at work, which sees no numbers."""
    return torch._C._functorch.maybe_current_level() is not None


def carry(
    network: nn.Module, x: Tensor, order: str, parameters: Mapping[str, Tensor] | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """y (n, k), ∂y (n, k, a) and second derivatives of a network at points (n, a).

    Raises InvalidInput for functions without a rule, outputs of another shape, or points that are mixed.
    """
    inputs = x.shape[-1]
    rows, columns = torch.triu_indices(inputs, inputs, device=x.device).unbind()
    frame = Frame(apply, order)
    start = torch.eye(inputs, dtype=x.dtype, device=x.device)[:, None, :]
    y = _called(network, Carried.of(x, start, None, frame), parameters)
    if not isinstance(y, Tensor) or y.dim() != 2 or len(y) != len(x):
        shape = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise InvalidInput(
            f"of {len(x)} points the network makes {shape}; its outputs must stand in one last axis:"
            f" ({len(x)}, outputs)"
        )
    if not isinstance(y, Carried):  # constant
        zero = y.new_zeros(len(y), y.shape[1], inputs)
        return y, zero, None
    if len(x) > 1 and not transformed():
        with torch.no_grad():
            _check_points(x, y.value, _called(network, x[-1:], parameters))
    second = y.second
    first = whole(y.first, y).permute(1, 2, 0)
    if second is None or order == "first":
        return y.value, first, None
    second = whole(second, y).permute(1, 2, 0)
    if order == "laplacian":
        return y.value, first, second[..., 0]
    if order == "hessian":
        place = torch.empty(inputs, inputs, dtype=torch.long, device=x.device)
        place[rows, columns] = place[columns, rows] = torch.arange(len(rows), device=x.device)
        second = second[..., place]
    return y.value, first, second


def _called(network: nn.Module, x: Tensor, parameters: Mapping[str, Tensor] | None) -> Any:
    """The network at points, plain or carried, with other parameters if there are some."""
    try:
        if parameters is None:
            return network(x)
        return torch.func.functional_call(network, dict(parameters), (x,))
    except (RuntimeError, TypeError, AttributeError, IndexError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(
            f"the network fails at points of shape {tuple(x.shape)} ({x.dtype}): {error}"
        ) from error


def _check_points(x: Tensor, y: Tensor, alone: Tensor) -> None:
    """Raise InvalidInput if the value at the last point, alone (1, k), depends on the other points."""
    off = float((alone[0] - y[-1]).detach().abs().max())
    size = max(float(y[-1].detach().abs().max()), 1e-3)
    if off > (1e-3 if x.dtype == torch.float32 else 1e-8) * size:
        raise InvalidInput(
            f"the network mixes points: the value at a point changes by {off:.1e} when it stands alone;"
            " derivatives are those of one point (put BatchNorm and Dropout into eval())"
        )
