"""Everything needed to continue a training bit for bit, in one safetensors file.

Tensors are the weights, their running average if there is one, the optimizer's moments and torch's random
state, also of the GPU that trains; the rest (update, place in the stream, running loss) is JSON in the file's
header, with a checksum of all. Written to a temporary name and renamed; the one before is kept.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from qwell.errors import CheckpointError, WriteError, warn
from qwell.models.tensors import read_tensors, write_tensors
from qwell.train.averaging import Average
from qwell.train.soap import SOAP

LAST, PREVIOUS = "last.safetensors", "previous.safetensors"


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    average: Average | None = None,
) -> None:
    """Write `folder/last.safetensors`, keeping the one before as `previous.safetensors`.

    Raises WriteError if the disk refuses.
    """
    names: dict[Tensor, str] = {p: name for name, p in model.named_parameters()}
    tensors: dict[str, Tensor] = {f"model.{k}": v for k, v in model.state_dict().items()}
    for parameter, moments in optimizer.state.items():
        tensors |= {f"adam.{names[parameter]}.{key}": value for key, value in moments.items()}
    if average:
        tensors |= {f"average.{name}": value for name, value in average.weights.items()}
    tensors["random"] = torch.get_rng_state()
    if (device := next(model.parameters()).device).type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(device)
    try:
        write_tensors(folder / LAST, tensors, state, previous=folder / PREVIOUS)
    except WriteError as error:
        raise WriteError(f"{error}; then continue with --resume {folder.parent}") from error


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: Average | None = None
) -> dict[str, Any] | None:
    """Restore weights, their average, moments and random state in place.

    Returns the JSON state, or None if there is no checkpoint.

    A damaged last checkpoint gives way to the previous one.

    Raises CheckpointError if none can be read, or if it belongs to another model.
    """
    candidates = [p for p in (folder / LAST, folder / PREVIOUS) if p.exists()]
    damage: CheckpointError | None = None
    for path in candidates:
        try:
            tensors, state = read_tensors(path)
            _check_state(path, state)
        except CheckpointError as error:
            damage = damage or error
            continue
        _restore(path, tensors, model, optimizer, average)
        if damage:
            warn(f"{damage}; the training goes on from the one before")
            (folder / LAST).unlink(missing_ok=True)  # or the next would put it in place of the one before
        return state
    if damage:
        raise CheckpointError(
            f"the checkpoints in {folder} are damaged ({damage}); start a new run"
        ) from damage
    return None


def _check_state(path: Path, state: Any) -> None:
    """Raise CheckpointError unless the JSON state is what `save_checkpoint` is given by the loop."""
    try:
        counts = [state["update"], state["stream"]["epoch"], state["stream"]["index"]]
        numbers = [state["seconds"], state["loss_sum"]]
        good = state.keys() == {"update", "stream", "seconds", "loss_sum"}
        good &= all(type(c) is int and c >= 0 for c in counts)
        good &= all(type(n) in (int, float) and math.isfinite(n) for n in numbers)
    except (TypeError, LookupError):
        good = False
    if not good:
        raise CheckpointError(f"{path} holds no state of a training; start a new run")


def _of_adam(parameter: Tensor) -> dict[str, torch.Size]:
    """Names and shapes of what Adam keeps of a parameter."""
    return {"step": torch.Size(), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}


def _restore(
    path: Path,
    tensors: dict[str, Tensor],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Average | None,
) -> None:
    weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    expected = {k: v.shape for k, v in model.state_dict().items()}
    if {k: v.shape for k, v in weights.items()} != expected:
        raise CheckpointError(f"{path} belongs to another model; give the run it was made by")
    model.load_state_dict(weights)
    for name, parameter in model.named_parameters():
        shapes = optimizer.shapes(parameter) if isinstance(optimizer, SOAP) else _of_adam(parameter)
        moments = {key: tensors.get(f"adam.{name}.{key}") for key in shapes}
        if {key: None if m is None else m.shape for key, m in moments.items()} != shapes:
            raise CheckpointError(f"{path} lacks the optimizer's state of {name}; start a new run")
        optimizer.state[parameter] = {
            key: value.to(parameter.device) if key != "step" or parameter.is_cuda else value
            for key, value in moments.items()
            if value is not None
        }
    for name, kept in average.weights.items() if average else ():
        if (found := tensors.get(f"average.{name}")) is None or found.shape != kept.shape:
            raise CheckpointError(f"{path} lacks the averaged weights of {name}; start a new run")
        kept.copy_(found)
    try:
        torch.set_rng_state(tensors["random"])
        if (device := next(model.parameters()).device).type == "cuda" and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], device)
    except (KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{path} holds no random state; start a new run") from error
