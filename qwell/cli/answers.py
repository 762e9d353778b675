"""How commands answer: a text for people, or with --json one object for scripts, always of the same shape."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import qwell
from qwell.errors import DatasetNotFound, shown
from qwell.files import json_text

if TYPE_CHECKING:
    from qwell.store.dataset import Dataset
    from qwell.studies.finding import Finding

AS_JSON = "qwell.cli.as_json"  # where the contexts of click keep whether --json was typed


def _keep(context: click.Context, option: click.Parameter, typed: bool) -> None:
    context.meta[AS_JSON] = typed


as_json = click.option(
    "--json", is_flag=True, expose_value=False, callback=_keep,
    help="Print one JSON object for scripts: command, version, inputs, results, warnings.",
)  # fmt: skip


def wants_json() -> bool:
    """Whether the command that runs was typed with --json."""
    return bool(click.get_current_context().meta.get(AS_JSON))


def answer(results: Any, text: str, inputs: Mapping[str, Any] | None = None) -> None:
    """Print the answer of the command that runs.

    With --json it is one object: `command`, the `version` of qwell, `inputs`, `results`, and the `warnings`
    that were said while the command ran. Numbers that JSON does not have (NaN, infinity) are null. Passwords
    in addresses are left out.

    Arguments:
        results: plain values.
        text: the same for people.
        inputs: settings and paths that the answer belongs to; by default `asked()`.
    """
    if not wants_json():
        click.echo(shown(text))
        return
    context = click.get_current_context()
    whole = {
        "command": context.command_path,
        "version": qwell.__version__,
        "inputs": asked() if inputs is None else inputs,
        "results": results,
        "warnings": list(context.find_root().obj or ()),
    }
    click.echo(shown(json_text(whole)))


def asked() -> dict[str, Any]:
    """Every argument and option of the command that runs, by name, with what was typed or is its default.

    Those with neither are left out.
    """
    context = click.get_current_context()
    values = {}
    for one in context.command.params:
        value = context.params.get(one.name or "")
        if value is None:
            value = getattr(one, "library_default", None)
        if value is not None:
            values[_name(one)] = value
    return values


def _name(parameter: click.Parameter) -> str:
    """--shard-size → shard_size; the name of an argument as it is."""
    if isinstance(parameter, click.Argument):
        return str(parameter.name)
    return max(parameter.opts, key=len).lstrip("-").replace("-", "_")


def open_kind(path: str, kind: str) -> Dataset:
    """A data set of this kind; DatasetNotFound says how such a one is made."""
    from qwell.store.reader import MAKING, open_dataset

    try:
        return open_dataset(path).require(kind)
    except DatasetNotFound as error:
        raise DatasetNotFound(str(error).replace(MAKING["spectra"], MAKING[kind])) from error


def answer_with(finding: Finding, folder: Path, inputs: Mapping[str, Any] | None = None) -> None:
    """Write what was found into a folder, and print it: its table, or its numbers."""
    last = finding.write(folder)
    figures = "  ".join(str(folder / f"{name}.png") for name in finding.figure_names())
    answer(
        {"experiment": finding.name, **finding.numbers, "written": str(last)},
        f"{finding.title}\n{finding.markdown()}\nfigures: {figures}",
        inputs,
    )


def probes_folder(run: str, out: Path | None) -> Path:
    """Where answers of a network go: as asked for, or beside the network, in `probes` of its run."""
    from qwell.train.runs import model_folder

    if out is not None:
        return out
    folder = model_folder(run)
    return (folder.parent if folder.name == "model" else Path("runs") / folder.name) / "probes"
