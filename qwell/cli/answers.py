"""How the commands that ask networks something open data, and print what was found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qwell.cli.common import echo_json

if TYPE_CHECKING:
    from qwell.store.dataset import Dataset
    from qwell.studies.finding import Finding


def open_kind(path: str, kind: str) -> Dataset:
    """A data set of this kind."""
    from qwell.store.reader import open_dataset

    return open_dataset(path).require(kind)


def print_finding(finding: Finding, folder: Path, as_json: bool) -> None:
    """Write what was found into a folder, and print its table, or its numbers."""
    finding.write(folder)
    if as_json:
        echo_json(finding.numbers)
        return
    _print(finding, folder)


def finish(finding: Finding, run: str, out: Path | None, as_json: bool) -> None:
    """Write what a network was asked into a folder, by default of its run, and print it."""
    from qwell.train.runs import model_folder

    if out is None:
        folder = model_folder(run)
        out = (folder.parent if folder.name == "model" else Path("runs") / folder.name) / "probes"
    last = finding.write(out)
    if as_json:
        echo_json({"experiment": finding.name, **finding.numbers, "written": str(last)})
        return
    _print(finding, out)


def _print(finding: Finding, folder: Path) -> None:
    click.echo(finding.title)
    click.echo(finding.markdown())
    click.echo(f"figures: {'  '.join(str(folder / f'{name}.png') for name in finding.figure_names())}")
