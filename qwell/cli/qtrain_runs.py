"""`qtrain runs`: trainings on this machine, side by side."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from qwell.cli.answers import answer, as_json
from qwell.cli.options import Names, option
from qwell.errors import InvalidInput
from qwell.train.directory import EXAMPLES
from qwell.train.listing import SORTS, RunSummary, runs_below

HEAD = ["run", "command", "model", "data", "updates", "seed", "measure", "last", "best", "seconds", "state"]


@click.command()
@click.argument("dirs", nargs=-1, metavar="[DIR]...")
@option(
    runs_below, "sort", type=Names(lambda: SORTS), help="Order of the runs: newest, or measure (smallest)."
)
@click.option(
    "--figure",
    type=click.Path(path_type=Path),
    help="File to draw the learning curves of all these runs into, PNG, SVG or PDF.",
)
@as_json
def runs(dirs: tuple[str, ...], sort: str | None, figure: Path | None) -> None:
    """List and compare runs: what is trained, how far, how good.

    DIR is a directory with runs at any depth, or a run; runs/ by default. The measure is the NMSE or MAE of
    the validation, or the loss of runs without one. `qtrain list` lists models that were pushed to a place.
    """
    if figure:
        from qwell.figures.canvas import check_format

        check_format(figure)
    rows = runs_below(dirs or ("runs",), **({"sort": sort} if sort else {}))
    if figure:
        _draw(rows, figure)
    listed = [{k: v for k, v in asdict(row).items() if k != "history"} for row in rows]
    drawn = {"figure": figure} if figure else {}
    answer({"runs": listed, **drawn}, _table(rows) + (f"\nfigure: {figure}" if figure else ""))


def _table(rows: list[RunSummary]) -> str:
    from qwell.train.tables import aligned

    if not rows:
        return f"no runs here; make one, e.g. with `{EXAMPLES['eigen']}`"
    cells = [
        [
            row.run, row.command, row.model or "–", row.data or "–",
            f"{row.updates:,}" + (f" of {row.of:,}" if row.of is not None else ""), _number(row.seed),
            row.measure or "–", _number(row.last), _number(row.best), _number(row.seconds), row.state,
        ]
        for row in rows
    ]  # fmt: skip
    return aligned([HEAD, *cells])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _draw(rows: list[RunSummary], path: Path) -> None:
    from qwell.figures.learning import runs_figure
    from qwell.studies.pages import save_figure

    panels: dict[str, list[tuple[str, list[dict[str, float]]]]] = {}
    for row in rows:
        if row.measure:
            panels.setdefault(row.measure, []).append((row.run, list(row.history)))
    if not panels:
        raise InvalidInput("none of these runs has been measured yet; nothing can be drawn")
    save_figure(runs_figure(panels), path)
