"""`qtrain potential`: the potential of which a wave function is an eigenstate, and its energy."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from qwell.cli.common import as_json, parse_numbers
from qwell.cli.qtrain_variational import print_finding


@click.command()
@click.option("--system", help="hydrogen-1s, -2s, -2p, oscillator-0 … -5, oscillator-2d, -3d, morse.")
@click.option("--data", help="Data set of spectra: a state of one of its potentials, instead of --system.")
@click.option("--file", "file", type=click.Path(path_type=Path), help="x, ψ [, V] in columns, text or .npy.")
@click.option("--row", type=int, default=0, show_default=True, help="Of the data set.")
@click.option("--level", type=int, default=0, show_default=True, help="Of the data set.")
@click.option("--split", default="validation", show_default=True)
@click.option(
    "--derivative", default="difference", show_default=True,
    help="ψ'' on grids: difference (the data set's own), spline or spectral.",
)  # fmt: skip
@click.option(
    "--method", default="variance", show_default=True, help="variance (ours), mpnn, qpnn or qpnn-ms."
)
@click.option("--recipe", default="text", show_default=True, help="Of the paper's methods: text or scripts.")
@click.option(
    "--field", help="paper, plain, radius or coulomb.  [default: plain; the paper's methods: paper]"
)
@click.option("--layers", help="Hidden widths of smooth fields.  [default: 24,24; 32,32 in 3-D]")
@click.option("--activation", default="SiLU", show_default=True, help="Of smooth fields.")
@click.option("--lambda", "penalty", help="λ; several, e.g. 0,1e-3,1, for a sweep.  [default: the scripts']")
@click.option("--shrink", type=float, default=0.01, show_default=True, help="δ: the first weights' factor.")
@click.option(
    "--r0", help="Where V is known, e.g. --r0 1,0,0; several with semicolons.  [default: the system's]"
)
@click.option("--v0", help="V at --r0, for files that do not have it.")
@click.option("--samples", type=int, default=2500, show_default=True)
@click.option("--temper", type=float, default=0.5, show_default=True, help="Share of points from |ψ|^½.")
@click.option("--epochs", type=int, help="Of the paper's methods.  [default: 2000; 1000 in 1-D]")
@click.option("--adam-steps", type=int, default=1500, show_default=True)
@click.option("--newton-steps", type=int, help="[default: 60; 150 in 1-D]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the first weights and points.")
@click.option("--seeds", type=int, default=1, show_default=True, help="How many beginnings.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Run directory.  [default: runs/<system>-<method>]"
)
@as_json
def potential(
    system: str | None, data: str | None, file: Path | None, row: int, level: int, split: str,
    derivative: str, layers: str | None, penalty: str | None, r0: str | None, v0: str | None,
    seeds: int, out: Path | None, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Find V and E with (−½∇² + V)ψ = Eψ, given ψ, and V at one point.

    Writes a run: the network, report.md with errors three ways, energies, and what needs no training, and
    figures of the potential on a line and a plane, loss and energy.
    """
    from qwell.errors import InvalidInput
    from qwell.studies.inverse.finder import FinderConfig
    from qwell.studies.inverse.report import penalty_sweep, search
    from qwell.train.runs import Run, free_run_path

    if seeds < 1:
        raise InvalidInput(f"seeds is {seeds}; it must be at least 1")
    state = _state(system, data, file, row, level, split, derivative, r0, v0)
    flat = state.dimensions == 1
    ours = options["method"] == "variance"
    penalties: tuple[float, ...] = (0.001 if state.name == "hydrogen-1s" else 1.0,)
    if penalty is not None:
        penalties = parse_numbers(penalty, "--lambda")
    defaults = {
        "field": "plain" if ours else "paper",
        "epochs": 1000 if flat else 2000,
        "newton_steps": 150 if flat else 60,
    }
    chosen: dict[str, Any] = {k: defaults.get(k) if v is None else v for k, v in options.items()}
    widths: tuple[int, ...] = (24, 24) if flat else (32, 32)
    if layers:
        widths = tuple(int(v) for v in parse_numbers(layers, "--layers"))
    config = FinderConfig(system=state.name, layers=widths, penalty=penalties[0], pins=_points(r0), **chosen)
    path = out or free_run_path(Path("runs"), f"{state.name}-{config.method}")
    run = Run.create(path, {"command": "potential", "potential": asdict(config), "seeds": seeds})
    if len(penalties) > 1:
        print_finding(penalty_sweep(config, state, penalties, seeds, run.log), run.path, as_json)
        return
    found, finding = search(config, state, seeds, run.log)
    found[0].potential.save(run)
    print_finding(finding, run.path, as_json)


def _points(text: str | None) -> tuple[tuple[float, ...], ...]:
    return () if text is None else tuple(parse_numbers(part, "--r0") for part in text.split(";"))


def _state(
    system: str | None, data: str | None, file: Path | None, row: int, level: int, split: str,
    derivative: str, r0: str | None, v0: str | None,
) -> Any:  # fmt: skip
    """The state that was asked for."""
    import numpy as np

    from qwell.errors import InvalidInput
    from qwell.studies.inverse.grids import GridSystem, read_state
    from qwell.studies.inverse.systems import system_of
    from qwell.studies.problem import state_of

    if sum(given is not None for given in (system, data, file)) != 1:
        raise InvalidInput("name one of --system, --data and --file, e.g. --system hydrogen-1s")
    if system is not None:
        return system_of(system)
    if data is not None:
        return GridSystem.of(
            f"{Path(data).stem}-{row}-{level}", *state_of(data, split, row, level), derivative
        )
    assert file is not None
    x, wave, v = read_state(file)
    if v is None:
        if r0 is None or v0 is None:
            raise InvalidInput(f"{file} does not hold V; say where it is known: --r0 0.1 --v0 -3.2")
        v = np.full_like(x, np.nan)
        for at, value in zip(_points(r0), parse_numbers(v0, "--v0"), strict=False):
            v[int(np.abs(x - at[0]).argmin())] = value
    return GridSystem.of(file.stem, x, wave, v, float("nan"), derivative)


COMMANDS = (potential,)
