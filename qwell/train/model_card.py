"""The card of a trained model: what it learned from, how good it is, and where it must not be trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qwell.errors import RunNotFound
from qwell.models.registry import create_model, entry_of, read_config, saved_options
from qwell.train.runs import Run, model_folder

LIMITS = {
    "spectra": (
        "It takes potentials on the mesh of its training data, between two walls, in units ħ²/(m·length²),"
        " and gives the lowest levels only. Errors are those of potentials like the training's; of other"
        " kernels, σ or correlation lengths they may be larger without a sign, so measure them: `qtrain"
        " evaluate`."
    ),
    "dynamics": (
        "It advances wave functions on the mesh, with the time step and the Hamiltonian of its training data."
        " Errors grow with the number of frames; wave packets and potentials unlike the training's may have"
        " much larger ones, so measure them: `qtrain rollout`."
    ),
}
SETTINGS = (
    "updates",
    "batch",
    "optimizer",
    "mirror",
    "first_rate",
    "last_rate",
    "schedule",
    "warm_up",
    "ema",
    "seed",
    "precision",
)


def model_card(run: str | Path, url: str = "") -> str:
    """A page in Markdown, with the header that the Hugging Face Hub reads.

    Long because a page should be seen whole in one place.

    Arguments:
        run: a run, a model folder, or the name of a pretrained model.
        url: where others find it.

    Raises RunNotFound or CheckpointError.
    """
    described = read_config(model_folder(run))
    name, about = described["model"], described.get("metadata") or {}
    entry = entry_of(name)
    model = create_model(name, **saved_options(name, described["config"]))
    numbers = sum(p.numel() for p in model.parameters())
    config, metrics = _of_run(run)
    metrics = metrics or about.get("measured") or {}
    title = url.rstrip("/").rpartition("/")[2] or Path(run).name
    recipe = json.dumps(about.get("recipe"), indent=1, sort_keys=True, ensure_ascii=False)
    settings = "\n".join(f"- {key}: {config[key]}" for key in SETTINGS if config.get(key) is not None)
    commands = "\n".join(about.get("commands") or ())
    return f"""---
library_name: qwell
tags:
- physics
- quantum-mechanics
- {entry.task}
---

# {title}

The network `{name}` ({entry.summary}) of {numbers:,} numbers, for the task "{entry.task}".

## Data

`{about.get("data", "not recorded")}`, version `{about.get("digest", "not recorded")}`, made by this recipe:

```json
{recipe}
```

## Training

{"Fitted in closed form." if entry.closed_form else settings or _updates(about)}
{f"{chr(10)}```text{chr(10)}{commands}{chr(10)}```{chr(10)}" if commands else ""}
Options of the network: `{json.dumps(described["config"])}`

## How good it is

{_table(metrics)}

## Limits

{LIMITS[entry.task]}

## How to use it

```python
from qwell import load_model

model = load_model("{url or title}")
```
"""


def _updates(about: dict[str, Any]) -> str:
    return f"- updates: {about['updates']:,}" if "updates" in about else "Not recorded."


def _of_run(run: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a run was asked for, and what it measured last; nothing for what is no run."""
    try:
        opened = Run.open(run)
    except RunNotFound:
        return {}, {}
    config = opened.config
    if "command" not in config:
        return {}, {}
    measured: dict[str, Any] = {}
    for row in opened.metrics():
        measured |= {key: value for key, value in row.items() if key not in ("update", "seconds")}
    return config, {key: value for key, value in measured.items() if value is not None}


def _table(metrics: dict[str, Any]) -> str:
    """Measured numbers, one a line of a table."""
    numbers = {key: value for key, value in metrics.items() if isinstance(value, int | float)}
    if not numbers:
        return "Nothing is recorded; measure it with `qtrain evaluate` or `qtrain rollout`."
    lines = [f"| {_escaped(key)} | {value:.5g} |" for key, value in numbers.items()]
    return "\n".join(["| measured | value |", "|---|---|", *lines])


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
