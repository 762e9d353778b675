"""`qtrain league`: networks beside the best classical method at equal error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwell.cli.answers import answer, as_json
from qwell.cli.options import given, option, path_option, refuse
from qwell.progress import stage
from qwell.studies.league.asked import POTENTIALS, TASKS, LeagueSize

if TYPE_CHECKING:
    from qwell.studies.league.emulators import Cases, EmulatorLeague
    from qwell.studies.league.spectra import SpectraLeague

SHOWN = {"sigma": 100.0, "length": 0.2, "mesh": 100, "matter": ""}  # of the sets that the table has
FILES = {"spectra": "league.csv", "dynamics": "emulators.csv"}


@click.command()
@click.argument("models", metavar="[RUN]…", nargs=-1)
@option(
    LeagueSize, "task", type=click.Choice(TASKS), help="What they predict: energies, or frames of dynamics."
)
@option(LeagueSize, "n", help="Size of each test set.")
@option(LeagueSize, "frames", help="Number of frames that emulators predict.")
@path_option("--out", help="File of all entries, CSV.", default=" or ".join(FILES.values()))
@click.option("--resume", is_flag=True, help="Keep the entries that the file has, and play what is missing.")
@click.option(
    "--figure",
    type=click.Path(path_type=Path),
    help="File for a figure of error against time, PNG, SVG or PDF.",
)
@as_json
def league(
    models: tuple[str, ...], out: Path | None, resume: bool, figure: Path | None, **options: Any
) -> None:
    """Measure networks on fixed test sets, beside the best classical method at equal error.

    RUN is a run, a model folder, an address or a pretrained name; all shipped networks by default. Networks
    of energies meet four kernels, two standard deviations and three correlation lengths, on two meshes and
    with two matter effects; emulators the 37 test cases of the dynamics paper, others beyond what was taught,
    and another time step. The file is written after every test set.
    """
    from qwell.figures.canvas import check_format, save
    from qwell.figures.league import work_precision
    from qwell.models.registry import list_models
    from qwell.studies.league.seeds import compared
    from qwell.studies.league.table import read_csv, season, write_csv

    if figure:
        check_format(figure)
    size = LeagueSize(**given(options))
    if size.task == "spectra":
        refuse("it belongs to --task dynamics", "frames")
    out = out or Path(FILES[size.task])
    players = models or tuple(list_models(task=size.task, pretrained=True))
    one: Any = _league(players, size)
    known = read_csv(one.entry, out) if resume else []
    sets = one.sets()
    with stage("test sets", len(sets)) as bar:
        entries: list[Any] = season(one, known, partial(write_csv, path=out), bar)
    keys = [part.key for part in sets]
    shown = [e for e in entries if e.key in keys and _shown(e)]
    seeds = compared(shown)
    results: dict[str, Any] = {
        "written": out,
        "entries": [asdict(entry) for entry in entries],
        "compared": [asdict(pair) for pair in seeds],
    }
    text = "\n\n".join([_table(shown, size), *_over_seeds(seeds), f"all {len(entries):,} entries: {out}"])
    if figure:
        axes = ("µs a potential", "NMSE") if size.task == "spectra" else ("µs a frame", "mean 1 − C")
        save(work_precision(_panels(shown), *axes), figure)
        results, text = {**results, "figure": figure}, f"{text}\nfigure: {figure}"
    answer(results, text)


def _league(players: Sequence[str], size: LeagueSize) -> SpectraLeague | EmulatorLeague:
    if size.task == "spectra":
        from qwell.studies.league.spectra import SpectraLeague

        return SpectraLeague(players, POTENTIALS if size.n is None else size.n)
    from qwell.studies.league.emulators import EmulatorLeague

    return EmulatorLeague(players, _cases(size))


def _cases(size: LeagueSize) -> list[Cases]:
    """The test sets of emulators: simulations of presets, and some with twice the time between frames."""
    from qwell.datagen.presets import preset
    from qwell.studies.league.emulators import Cases

    sets = {"rect": 1, "shaped": 1, "free": 1, "beyond": 1, "rect, 2 dt": 2}
    presets = {"beyond": "beyond", "rect, 2 dt": "paper-tests-rect"}
    made = []
    for name, times in sets.items():
        recipe = preset(presets.get(name, f"paper-tests-{name}"))
        psi, potential, numbers = recipe.beginnings("test", size.n)
        how = replace(recipe.propagation, dt=times * recipe.propagation.dt, frames=size.frames)
        made.append(Cases(name, psi, potential, numbers[:, 1:], recipe.ring, how))
    return made


def _shown(entry: Any) -> bool:
    return all(getattr(entry, name, value) == value for name, value in SHOWN.items())


def _panels(entries: Sequence[Any]) -> dict[str, list[Any]]:
    panels: dict[str, list[Any]] = {}
    for entry in entries:
        panels.setdefault(_set(entry), []).append(entry)
    return panels


def _set(entry: Any) -> str:
    return str(entry.key[0])


def _table(entries: Sequence[Any], size: LeagueSize) -> str:
    """Networks on the sets that are shown, with their opponents."""
    from qwell.train.tables import aligned

    spectra = size.task == "spectra"
    head = ["kernel" if spectra else "cases", "model", "NMSE" if spectra else "1 − C", "µs"]
    head += ["fastest classical that errs no more", "µs", "ratio"]
    cells = []
    for e in (entry for entry in entries if entry.parameters):
        spread = e.nmse_se if spectra else e.error_se
        known = (
            [e.opponent, f"{e.opponent_us:.3g}", f"{e.us / e.opponent_us:.2g}"] if e.opponent else ["–"] * 3
        )
        cells.append([_set(e), e.model, f"{e.error:.2e} ± {spread:.0e}", f"{e.us:.3g}", *known])
    if spectra:
        count = (
            f"{POTENTIALS if size.n is None else size.n:,} potentials a set; ± standard error over them; µs"
        )
        count += " a potential"
    else:
        many = ", ".join(dict.fromkeys(f"{e.simulations} of {_set(e)}" for e in entries))
        count = f"simulations: {many}; {size.frames:,} frames; ± standard error over simulations; µs a frame"
        count += " and simulation"
    return f"{count}, one thread; each network is one training\n{aligned([head, *cells])}"


def _over_seeds(seeds: Sequence[Any]) -> list[str]:
    """Kinds of trainings that have at least three seeds, compared."""
    from qwell.train.tables import aligned

    if not seeds:
        return []
    head = ["set", "kind", "seeds", "beside", "seeds", "ratio of errors", "95 %", "p"]
    cells = [
        [
            str(s.key[0]), s.kinds[0], f"{s.seeds[0]}", s.kinds[1], f"{s.seeds[1]}", f"{s.ratio:.3g}",
            f"{s.low:.2g} to {s.high:.2g}", f"{s.p:.2g}",
        ]
        for s in seeds
    ]  # fmt: skip
    return [f"over seeds, Welch's t-test of log errors, p times {len(seeds)}\n{aligned([head, *cells])}"]
