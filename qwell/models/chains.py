"""Chains of layers: `nn.Sequential` of `nn.Linear` and smooth activations; and what no closed form takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.prune import BasePruningMethod

from qwell.errors import InvalidInput
from qwell.models.activations import ACTIVATIONS, Curve, curve_of


class Affine(NamedTuple):
    """z = W y + b."""

    weight: Float[Tensor, "outputs inputs"]
    bias: Float[Tensor, "outputs"] | None


Layers = Sequence[Affine | Curve]


def chain_of(network: nn.Module, parameters: Mapping[str, Tensor] | None) -> Layers | None:
    """The layers of a chain; None if the network is none."""
    found, alien = _walked(network, parameters)
    return None if alien else found


def layers_of(network: nn.Module, parameters: Mapping[str, Tensor] | None = None) -> Layers:
    """The layers of a chain; InvalidInput for a module that has no place in it."""
    found, alien = _walked(network, parameters)
    if alien:
        raise InvalidInput(
            f"{alien[0]} has no place in a chain of layers: nn.Sequential of Linear, {', '.join(ACTIVATIONS)}"
            " and Identity"
        )
    return found


def _walked(
    network: nn.Module, parameters: Mapping[str, Tensor] | None
) -> tuple[list[Affine | Curve], list[str]]:
    """Layers in order, and kinds of modules that have no place in a chain."""
    found: list[Affine | Curve] = []
    alien: list[str] = []

    def walk(module: nn.Module, prefix: str) -> None:
        forward = None if "forward" in vars(module) else type(module).forward
        if isinstance(module, nn.Sequential) and forward is nn.Sequential.forward:
            for name, child in module.named_children():
                walk(child, f"{prefix}{name}.")
        elif isinstance(module, nn.Linear) and forward is nn.Linear.forward:
            if parameters is None:
                found.append(Affine(module.weight, module.bias))
            else:
                bias = None if module.bias is None else parameters[f"{prefix}bias"]
                found.append(Affine(parameters[f"{prefix}weight"], bias))
        elif forward is None or type(module) is not nn.Identity:
            curve = None if forward is None else curve_of(module)
            if curve is None:
                alien.append(type(module).__name__)
            else:
                found.append(curve)

    walk(network, "")
    return found, alien


def check_asked(network: Any, x: Any, parameters: Mapping[str, Tensor] | None) -> None:
    """Raise InvalidInput unless these are a module, real points, and all of its parameters."""
    if not isinstance(network, nn.Module):
        raise InvalidInput(
            f"the network is a {type(network).__name__}; give a torch.nn.Module, e.g. a class whose `forward`"
            " calls your function"
        )
    if not isinstance(x, Tensor):
        raise InvalidInput(f"points are a {type(x).__name__}; give a tensor, e.g. torch.as_tensor(points)")
    if x.dim() == 0 or not x.is_floating_point():
        raise InvalidInput("points have the shape (…, inputs) and are real numbers")
    check_network(network)
    if parameters is not None:
        missing = [name for name, _ in network.named_parameters() if name not in parameters]
        if missing:
            raise InvalidInput(
                f"parameters lack {', '.join(missing[:3])}; give all of dict(network.named_parameters()), or"
                " leave them out"
            )


def check_network(network: nn.Module) -> None:
    """Raise InvalidInput for hooks, which closed forms do not call; `prune` and the like are made of them."""
    for name, module in network.named_modules():
        hooks = [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]
        if not hooks and not module._backward_hooks and not module._backward_pre_hooks:
            continue
        where = name or type(module).__name__
        if any(isinstance(hook, BasePruningMethod) for hook in hooks):
            raise InvalidInput(
                f"{where} is pruned by a hook, whose weights closed forms would not see; make it lasting with"
                " torch.nn.utils.prune.remove"
            )
        raise InvalidInput(
            f"{where} has hooks, which closed forms do not call; remove them, or write a module that does"
            " what they do"
        )
    if torch.nn.modules.module._has_any_global_hook():  # type: ignore[no-untyped-call]
        raise InvalidInput("there are hooks of all modules, which closed forms do not call; remove them")


def check_points(layers: Layers, x: Tensor) -> None:
    """Raise InvalidInput unless points fit a network."""
    first = next((layer for layer in layers if isinstance(layer, Affine)), None)
    if first is None:
        return
    weight = first.weight
    if x.shape[-1] != weight.shape[1]:
        raise InvalidInput(f"points have {x.shape[-1]} coordinates, the network takes {weight.shape[1]}")
    if x.dtype != weight.dtype:
        raise InvalidInput(
            f"points are {x.dtype}, weights {weight.dtype}; convert one, e.g. network.to(x.dtype)"
        )
