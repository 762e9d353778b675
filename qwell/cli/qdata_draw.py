"""`qdata plot` and `animate`: pages and films of samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qwell.cli.common import parse_range
from qwell.cli.options import given, option, path_option
from qwell.store.reader import open_dataset
from qwell.studies.pages import MOST, film_of, page, save_figure, shown_split

split_option = click.option("--split", help="Split to draw from; by default the first that has rows.")


@click.command()
@click.argument("path")
@split_option
@click.option(
    "--rows", metavar="A:B",
    help="Rows to draw, by default the first ones; at most"
    f" {MOST['spectra']} are drawn, {MOST['trajectories']} of trajectories.",
)  # fmt: skip
@path_option("--out", help="File of the picture, PNG, SVG or PDF.", default="<name>-samples.png")
def plot(path: str, split: str | None, rows: str | None, out: Path | None) -> None:
    """Draw a page of samples: potentials with levels or densities, or wave packets in space and time."""
    data = open_dataset(path)
    split = split or shown_split(data)
    count = len(data[split])
    figure = page(data, split, parse_range(rows, count) if rows else slice(0, count))
    out = out or Path(f"{data.stem}-samples.png")
    save_figure(figure, out)
    click.echo(f"{out}")


@click.command()
@click.argument("path")
@split_option
@option(film_of, "row", help="Row of the simulation in its split.")
@option(film_of, "every", help="Frames of the data from one picture to the next.")
@option(film_of, "fps", help="Pictures in a second of the film.")
@path_option("--out", help="File of the film, GIF or MP4.", default="<name>-<row>.gif")
def animate(path: str, split: str | None, out: Path | None, **options: Any) -> None:
    """Film one simulation: |ψ|, Re ψ, and the potential. MP4 needs ffmpeg."""
    data = open_dataset(path).require("trajectories")
    click.echo(f"{film_of(data, split or shown_split(data), out, **given(options))}")
