"""`qtrain league`: networks of energies beside the best classical method at equal error."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qwell.cli.answers import answer, as_json
from qwell.cli.options import given, path_option
from qwell.progress import stage

if TYPE_CHECKING:
    from qwell.studies.league import Entry

SHOWN = 0.2, 100.0  # length and σ of the sets that the table has


@click.command()
@click.argument("models", metavar="[RUN]…", nargs=-1)
@click.option("--n", type=int, help="Potentials of each test set; by default 2,000.")
@path_option("--out", help="File of all entries, CSV.", default="league.csv")
@click.option(
    "--figure",
    type=click.Path(path_type=Path),
    help="File for a figure of error against time, PNG, SVG or PDF.",
)
@as_json
def league(models: tuple[str, ...], n: int | None, out: Path | None, figure: Path | None) -> None:
    """Measure networks on fixed test sets, beside the best classical method at equal error.

    They predict energies. RUN is a run, a model folder, an address or a pretrained name; all shipped networks
    by default. The sets are four kernels, two standard deviations and three correlation lengths; potentials
    are the same for all.
    """
    from qwell.figures.canvas import check_format, save
    from qwell.figures.league import work_precision
    from qwell.models.registry import list_models
    from qwell.studies.league import laws, write_csv
    from qwell.studies.league import league as measure

    if figure:
        check_format(figure)
    out = out or Path("league.csv")
    with stage("test sets", len(laws())) as bar:
        players = models or list(list_models(task="spectra", pretrained=True))
        entries = list(measure(players, **given({"n": n}), progress=bar))
    write_csv(entries, out)
    results = {"written": out, "entries": [asdict(entry) for entry in entries]}
    text = f"{_table(entries)}\n\nall {len(entries)} entries: {out}"
    if figure:
        save(work_precision([e for e in entries if (e.length, e.sigma) == SHOWN]), figure)
        results, text = {**results, "figure": figure}, f"{text}\nfigure: {figure}"
    answer(results, text)


def _table(entries: list[Entry]) -> str:
    """Networks on the sets of the usual σ and length, with their opponents."""
    from qwell.train.tables import aligned

    head = ["kernel", "model", "NMSE", "µs", "fastest classical that errs no more", "µs", "ratio"]
    shown = [e for e in entries if e.parameters and (e.length, e.sigma) == SHOWN]
    cells = [
        [
            e.kernel, e.model, f"{e.nmse:.2e} ± {e.nmse_se:.0e}", f"{e.us:.3g}", e.opponent,
            f"{e.opponent_us:.3g}", f"{e.us / e.opponent_us:.2g}",
        ]
        for e in shown
    ]  # fmt: skip
    return f"{shown[0].potentials:,} potentials a set, one thread\n{aligned([head, *cells])}"
