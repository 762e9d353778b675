"""`qtrain potential`: the potential of which a wave function is an eigenstate, and its energy."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click

from qwell.cli.answers import answer_with, as_json
from qwell.cli.options import Numbers, given, option
from qwell.cli.progress import logged_run
from qwell.cli.training import run_option
from qwell.studies.inverse.config import FinderConfig, StateConfig


@click.command()
@option(StateConfig, "system", help="hydrogen-1s, -2s, -2p, oscillator-0 … -5, oscillator-2d, -3d, morse.")
@option(StateConfig, "data", help="Data set of spectra: a state of one of its potentials, not --system.")
@option(StateConfig, "file", help="x, ψ [, V] in columns, text or .npy.")
@option(StateConfig, "row", help="Of the data set.")
@option(StateConfig, "level", help="Of the data set.")
@option(StateConfig, "split", help="Of the data set.")
@option(StateConfig, "derivative", help="ψ'' on grids: difference (the data set's own), spline or spectral.")
@option(FinderConfig, "method", help="variance (ours), mpnn, qpnn or qpnn-ms.")
@option(FinderConfig, "recipe", help="Of the paper's methods: text or scripts.")
@option(FinderConfig, "field", help="paper, plain, radius or coulomb.")
@option(FinderConfig, "layers", help="Hidden widths of smooth fields.")
@option(FinderConfig, "activation", help="Of smooth fields.")
@option(FinderConfig, "penalty", "--lambda", type=Numbers(), help="λ; several, e.g. 0,1e-3,1, for a sweep.")
@option(FinderConfig, "shrink", help="δ: the first weights' factor.")
@option(FinderConfig, "pins", "--r0", help="Where V is known, e.g. --r0 1,0,0; several with semicolons.")
@option(StateConfig, "values", "--v0", help="V at --r0, for files that do not have it.")
@option(FinderConfig, "samples", help="Points to learn from.")
@option(FinderConfig, "temper", help="Share of points from |ψ|^½.")
@option(FinderConfig, "epochs", help="Of the paper's methods.")
@option(FinderConfig, "adam_steps", help="Of Adam, by variance.")
@option(FinderConfig, "newton_steps", help="Of Gauss–Newton, by variance.")
@option(FinderConfig, "seed", help="Of the first weights and points.")
@option(FinderConfig, "seeds", help="How many beginnings.")
@run_option("runs/<system>-<method>")
@as_json
def potential(penalty: tuple[float, ...] | None, out: Path | None, **options: Any) -> None:
    """Find V and E with (−½∇² + V)ψ = Eψ, given ψ, and V at one point.

    Writes a run: the network, report.md with errors three ways, energies, and what needs no training, and
    figures of the potential on a line and a plane, loss and energy.
    """
    from qwell.studies.inverse.report import penalty_sweep, search
    from qwell.studies.inverse.states import state_asked_for
    from qwell.train.runs import Run, run_path

    typed = given(options)
    which = {f.name: typed.pop(f.name) for f in fields(StateConfig) if f.name in typed}
    asked = StateConfig(**which)
    state = state_asked_for(asked, typed.get("pins", ()))
    config = FinderConfig(state.name, **typed)
    if penalty:
        config = replace(config, penalty=penalty[0])
    config = config.resolved(state)
    path = run_path(out, f"{state.name}-{config.method}")
    settings = {"state": asked.to_json(), "potential": config.to_json()}
    run = Run.create(path, {"command": "potential", **settings})
    inputs = {**settings, "penalties": penalty, "run": run.path}
    with logged_run(run):
        if penalty and len(penalty) > 1:
            answer_with(penalty_sweep(config, state, penalty, run.log), run.path, inputs)
            return
        found, finding = search(config, state, run.log)
        found[0].potential.save(run)
        answer_with(finding, run.path, inputs)
