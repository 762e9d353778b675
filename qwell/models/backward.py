"""Full Hessians of modules with one output by two passes back, which torch's own differentiation does.

Where a module is no chain, carrying all a(a + 1)/2 second derivatives forward takes longer than a pass back
for each of the a slopes. What `foreign` refuses by name is refused here by the graph of y: a kink between the
points and y has a second derivative of zero, silently.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as f
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from qwell.models.carried_rules import refuse_kink

# torch's third derivatives of these are wrong (2.13: of a layer_norm by a factor of two), and with them the
# parameter gradients of a Hessian.
WRONG = re.compile("native_.*_norm")


def _normalised(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred * torch.rsqrt((centred * centred).mean(axes, keepdim=True) + eps)


def _layer_norm(
    x: Tensor, shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    y = _normalised(x, tuple(range(-len(shape), 0)), eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _group_norm(
    x: Tensor, groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    y = _normalised(x.reshape(len(x), groups, -1), (-1,), eps).reshape(x.shape)
    shape = (1, -1) + (1,) * (x.dim() - 2)
    y = y if weight is None else y * weight.view(shape)
    return y if bias is None else y + bias.view(shape)


class Composed(TorchFunctionMode):
    """Normalisations made of plain operations, which torch differentiates rightly as often as is wanted."""

    RULES: ClassVar = {f.layer_norm: _layer_norm, f.group_norm: _group_norm}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.RULES.get(func, func)(*args, **(kwargs or {}))


def hessian(
    network: Callable[[Float[Tensor, "n a"]], Float[Tensor, "n 1"]], x: Float[Tensor, "n a"]
) -> tuple[Float[Tensor, "n 1"], Float[Tensor, "n 1 a"], Float[Tensor, "n 1 a a"]] | None:
    """y (n, 1), ∂y (n, 1, a) and ∂²y (n, 1, a, a) of a network of one output at points (n, a).

    None if there is a function of which torch's third derivatives are wrong.

    Raises InvalidInput if a function with a kink is between the points and y.
    """
    wanted = torch.is_grad_enabled()
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):  # of attention, which has second derivatives
        points = x if x.requires_grad else x.detach().requires_grad_()
        with Composed():
            y = network(points)
        names = _between(y, points)
        if any(map(WRONG.search, names)):
            return None
        for name in names:
            refuse_kink(name)
        first = _slopes(y.sum(), points, True)
        columns = [_slopes(first[:, i].sum(), points, wanted) for i in range(x.shape[1])]
        second = torch.stack(columns, 1)
    found = y, first[:, None], second[:, None]
    return found if wanted else (y.detach(), found[1].detach(), found[2].detach())


def _slopes(y: Tensor, x: Tensor, again: bool) -> Tensor:
    """∂y/∂x, zero where y is constant."""
    if not y.requires_grad:
        return torch.zeros_like(x)
    return torch.autograd.grad(y, x, create_graph=again, retain_graph=True, materialize_grads=True)[0]


def _between(y: Tensor, x: Tensor) -> set[str]:
    """Names of the functions between x and y, e.g. leaky_relu_backward0; not what makes parameters."""
    depends: dict[Any, bool] = {}
    found: set[str] = set()
    stack = [(y.grad_fn, False)]
    while stack:
        node, back = stack.pop()
        if node is None or (node in depends and not back):
            continue
        below = [one for one, _ in node.next_functions if one is not None]
        if not back:
            depends[node] = getattr(node, "variable", None) is x
            stack += [(node, True), *((one, False) for one in below)]
        elif any(depends.get(one, False) for one in below):
            depends[node] = True
            found.add(re.sub(r"(?<!^)(?=[A-Z])", "_", node.name()).lower())
    return found
