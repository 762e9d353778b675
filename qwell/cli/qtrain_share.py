"""`qtrain push`, `pull` and `list`: trained models at other places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from qwell.cli.answers import answer, as_json
from qwell.cli.common import goes_on_with
from qwell.progress import in_bytes, stage

force_option = click.option("--force", is_flag=True, help="Replace another model that is at the target.")
point_option = click.option(
    "--force", is_flag=True, help="Let the name mean this model although it means another one."
)
MODELS = "models"  # where models are pulled to


@click.command()
@click.argument("run")
@click.argument("place")
@point_option
@as_json
def push(run: str, place: str, force: bool) -> None:
    """Copy a trained model with its card to s3://, gs://, az://, hf://, ssh:// or file://.

    RUN is a run, a model folder or the name of a pretrained model. A PLACE that ends in / gets it under its
    own name. The place keeps all versions beside each other; if the name means another one, --force lets it
    mean this one. Repeated after an interruption, it sends what is missing.
    """
    from qwell.models.registry import WEIGHTS
    from qwell.train.runs import model_folder
    from qwell.train.sharing import push as send

    size = (model_folder(run) / WEIGHTS).stat().st_size
    _transfer(size, lambda bar: send(run, place, force=force, progress=bar))


@click.command()
@click.argument("url")
@click.argument("path", type=click.Path(path_type=Path), default=MODELS)
@force_option
@as_json
def pull(url: str, path: Path, force: bool) -> None:
    """Copy a trained model from a place to PATH, or into models/.

    name@digest takes that version.
    """
    from qwell.train.sharing import pull as bring

    if str(path) == MODELS:
        path.mkdir(exist_ok=True)
    _transfer(None, lambda bar: bring(url, path, force=force, progress=bar))


def _transfer(size: int | None, action: Callable[[Any], Any]) -> None:
    with goes_on_with("the same command", "qtrain"), stage("bytes", size, resumed=True) as done:
        moved = action(done)
    kept = f", {in_bytes(moved.kept)} were there already" if moved.kept else ""
    text = f"{moved.target}: version {moved.digest[:12]}, {in_bytes(moved.sent)} moved{kept}"
    answer(asdict(moved), text)


@click.command("list")
@click.argument("place", default=MODELS)
@as_json
def list_(place: str) -> None:
    """List the trained models in a directory or at an address, without reading weights.

    These are models that were pushed or pulled; `qtrain runs` lists the trainings on this machine.
    """
    from qwell.train.calibration import in_short
    from qwell.train.sharing import models_at

    entries = [
        {
            "name": name,
            "digest": config["digest"],
            "model": config["model"],
            "metadata": in_short(config.get("metadata") or {}),
        }
        for name, config in models_at(place)
    ]
    none = f"{place}: no models; `qtrain push RUN {place}/` puts one there"
    answer(entries, "\n".join(map(_line, entries)) or none)


def _line(entry: dict[str, Any]) -> str:
    about = entry["metadata"]
    data = f"{about.get('data', 'data not recorded')} ({str(about.get('digest', '?'))[:12]})"
    return f"{entry['name']:<24}{entry['digest'][:12]}  {entry['model']:<18}on {data}"
