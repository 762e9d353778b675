"""The explorer's page without a server, for the documentation: `python docs/make_explorer.py FOLDER`.

The modules are those that `qdata explore` serves; the numbers of the pretrained networks `hamiltonian-…`, and
those that make their intervals, are written into one file, networks.json.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

import qwell

STATIC = Path(qwell.__file__).parent / "explore" / "static"
PRETRAINED = Path(qwell.__file__).parent / "models" / "pretrained"
SERVED = {"samples.js", "packet.js", "runs.js", "served.js", "wire.js", "player.js"}  # what needs the server
DIGITS = 9  # that tell any two float32 apart


def networks() -> dict[str, Any]:
    """Name → sizes, what it was trained on, and numbers of every shipped network `hamiltonian`."""
    found = {}
    for folder in sorted(PRETRAINED.glob("hamiltonian-*")):
        config = json.loads((folder / "config.json").read_text())
        recipe = config["metadata"]["recipe"]
        weights = {
            name: [float(f"{value:.{DIGITS}g}") for value in array.astype(float).ravel()]
            for name, array in load_file(folder / "model.safetensors").items()
        }
        about = {key: recipe[key] for key in ("kernel", "sigma", "length", "n", "mesh")}
        about |= {"model": config["model"], "updates": config["metadata"]["updates"]}
        calibration = config["metadata"]["calibration"]
        found[folder.name] = {**config["config"], "about": about, "calibration": calibration, **weights}
    return found


def write(folder: Path) -> None:
    """Write the page into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in STATIC.iterdir():
        if path.name not in SERVED:
            shutil.copy(path, folder / path.name)
    (folder / "networks.json").write_text(json.dumps(networks(), separators=(",", ":")))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
