"""Tensors to safetensors files, whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from qwell.files import whole_file


def write_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
    previous: Path | None = None,
) -> None:
    """Write tensors, from any device, into the file `path`.

    Arguments:
        path: where; parents are created.
        tensors: by name.
        metadata: kept in the file's header.
        previous: what is at `path` is kept under this name.

    Raises WriteError if the disk refuses.
    """
    with whole_file(path, previous=previous) as temporary:
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        try:
            save_file(plain, temporary, None if metadata is None else dict(metadata))
        except SafetensorError as error:  # says the number of the system's error in words only
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number[1]) if number else None, str(error)) from error
