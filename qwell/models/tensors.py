"""Tensors to safetensors files and back, whole or not at all, with a checksum in the header.

The header's entry `qwell` is a JSON object: what goes with the tensors, and `sha256`, of that and of every
tensor's name, type, shape and bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Shaped
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from qwell.errors import CheckpointError, warn
from qwell.files import whole_file

ENTRY = "qwell"


def write_tensors(
    path: Path,
    tensors: Mapping[str, Shaped[Tensor, "..."]],
    state: Mapping[str, Any] | None = None,
    previous: Path | None = None,
) -> None:
    """Write tensors, from any device, into the file `path`.

    Arguments:
        path: where; parents are created.
        tensors: by name.
        state: plain JSON that goes with them.
        previous: what is at `path` is kept under this name.

    Raises WriteError if the disk refuses.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    entry = {**(state or {}), "sha256": _checksum(plain, state or {})}
    with whole_file(path, previous=previous) as temporary:
        try:
            save_file(plain, temporary, {ENTRY: json.dumps(entry)})
        except SafetensorError as error:  # says the number of the system's error in words only
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number[1]) if number else None, str(error)) from error


def read_tensors(path: Path) -> tuple[dict[str, Shaped[Tensor, "..."]], dict[str, Any]]:
    """The tensors of a file, and what goes with them, as `write_tensors` was given both.

    A file without a checksum, from before there was one, is read with a warning.

    Raises CheckpointError if it is missing, damaged, or not what its checksum says.
    """
    try:
        with safe_open(path, "pt") as file:
            entry = json.loads((file.metadata() or {}).get(ENTRY, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing") from error
    except (OSError, SafetensorError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if not isinstance(entry, dict):
        raise CheckpointError(f"{path} is damaged: its header holds no object")
    said = entry.pop("sha256", None)
    if said is None:
        warn(f"{path} has no checksum: whether it is damaged cannot be known")
    elif said != _checksum(tensors, entry):
        raise CheckpointError(f"{path} is damaged: it is not what the sha256 in its header says")
    return tensors, entry


def _checksum(tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> str:
    """sha256 of the state as JSON, and of name, type, shape and bytes of tensor after tensor."""
    digest = hashlib.sha256(json.dumps(state, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
