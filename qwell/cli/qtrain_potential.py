"""`qtrain potential`: the potential of which a wave function is an eigenstate, and its energy."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click

from qwell.cli.answers import answer_with, as_json
from qwell.cli.options import Names, Numbers, given, option, refuse, systems
from qwell.cli.progress import logged_run
from qwell.cli.training import run_option
from qwell.errors import InvalidInput
from qwell.studies.inverse.config import DERIVATIVES, FIELDS, METHODS, RECIPES, FinderConfig, StateConfig
from qwell.train.config import known


@click.command()
@option(
    StateConfig,
    "system",
    type=Names(systems),
    help="State of a known system: hydrogen-1s, -2s, -2p, oscillator-0 … -5, oscillator-2d, -3d, morse.",
)
@option(StateConfig, "data", help="Data set of spectra, for a state of one of its potentials.")
@option(StateConfig, "file", help="File with the columns x, ψ and, if it is known, V, text or .npy.")
@option(StateConfig, "row", help="Row of the potential in the data set.")
@option(StateConfig, "level", help="Level of the state, of a data set.")
@option(StateConfig, "split", help="Split of the data set.")
@option(
    StateConfig,
    "derivative",
    type=Names(lambda: DERIVATIVES),
    help="Formula for ψ'' on grids: difference (the data set's own), spline or spectral.",
)
@option(
    StateConfig,
    "noise",
    type=Numbers(),
    help="Relative noise of every |ψ|² of a grid; several, e.g. 0,1e-4,1e-2, for a study beside pointwise"
    " inversion.",
)
@option(
    FinderConfig,
    "method",
    type=Names(lambda: METHODS),
    help="Method: variance (ours), mpnn, qpnn or qpnn-ms (the paper's).",
)
@option(
    FinderConfig,
    "recipe",
    type=Names(lambda: RECIPES),
    help="Recipe of the paper's methods: of its text or of its scripts.",
)
@option(
    FinderConfig,
    "field",
    type=Names(lambda: FIELDS),
    help="Network for the potential: paper, plain, radius or coulomb.",
)
@option(FinderConfig, "layers", help="Hidden widths of the network.")
@option(FinderConfig, "activation", help="Activation of the network.")
@option(
    FinderConfig,
    "penalty",
    "--lambda",
    type=Numbers(),
    help="Weight λ of the penalty in the paper's methods; several, e.g. 0,1e-3,1, for a sweep.",
)
@option(FinderConfig, "shrink", help="Factor δ on the first weights of the paper's network.")
@option(
    FinderConfig, "pins", "--r0", help="Points where V is known, e.g. --r0 1,0,0; several with semicolons."
)
@option(StateConfig, "values", "--v0", help="V at the points --r0, for a file without V.")
@option(FinderConfig, "samples", help="Number of points to learn from.")
@option(FinderConfig, "temper", help="Share of the points that are drawn from |ψ|^½, by variance.")
@option(FinderConfig, "epochs", help="Number of epochs of the paper's methods.")
@option(FinderConfig, "adam_steps", help="Number of steps of Adam, by variance.")
@option(FinderConfig, "newton_steps", help="Number of steps of Gauss–Newton, by variance.")
@option(FinderConfig, "seed", help="Seed of the first weights and of the points.")
@option(FinderConfig, "seeds", help="Number of beginnings, with one seed after another.")
@run_option("runs/<system>-<method>")
@as_json
def potential(
    penalty: tuple[float, ...] | None, noise: tuple[float, ...] | None, out: Path | None, **options: Any
) -> None:
    """Find V and E with (−½∇² + V)ψ = Eψ, given ψ, and V at one point.

    Writes a run: the network, report.md with errors three ways, energies, and what needs no training, and
    figures of the potential on a line and a plane, loss and energy.
    """
    from qwell.studies.inverse.noise import noise_study
    from qwell.studies.inverse.report import penalty_sweep, search
    from qwell.studies.inverse.states import state_asked_for
    from qwell.studies.inverse.systems import check
    from qwell.train.runs import Run, run_path

    typed = given(options)
    which = {f.name: typed.pop(f.name) for f in fields(StateConfig) if f.name in typed}
    _refuse_idle(which, typed.get("method", FinderConfig.method))
    if noise:
        which |= {"noise": max(noise), "noise_seed": typed.get("seed", FinderConfig.seed)}
    if noise and len(noise) > 1 and penalty and len(penalty) > 1:
        raise InvalidInput("--noise and --lambda both have several values; sweep one of them")
    asked = StateConfig(**which)
    state = state_asked_for(asked, typed.get("pins", ()))
    config = FinderConfig(state.name, **typed)
    if penalty:
        config = replace(config, penalty=penalty[0])
    config = config.resolved(state)
    check(state, known(config.pins))
    path = run_path(out, f"{state.name}-{config.method}")
    settings = {"state": asked.to_json(), "potential": config.to_json()}
    updates = config.steps * config.seeds * max(len(penalty or ()), len(noise or ()), 1)
    run = Run.create(path, {"command": "potential", **settings, "updates": updates})
    inputs = {**settings, "penalties": penalty, "run": run.path}
    with run.locked(), logged_run(run):
        if penalty and len(penalty) > 1:
            answer_with(penalty_sweep(config, state, penalty, run.log), run.path, inputs)
            return
        if noise and len(noise) > 1:
            answer_with(noise_study(config, asked, noise, run.log), run.path, inputs | {"noises": noise})
            return
        found, finding = search(config, state, run.log)
        found[0].potential.save(run)
        answer_with(finding, run.path, inputs)


def _refuse_idle(state: dict[str, Any], method: str) -> None:
    """Raise InvalidInput for options that belong to other states and methods."""
    if "data" not in state:
        refuse("it belongs to --data", "row", "level", "split")
    if "file" not in state:
        refuse("it belongs to a --file that does not hold V", "values")
    if "system" in state:
        refuse(f"ψ'' of {state['system']} is known", "derivative")
    if method == METHODS[0]:
        refuse("it belongs to the paper's methods", "recipe", "penalty", "shrink", "epochs")
    else:
        if method == "qpnn":
            refuse("the text and the scripts have one recipe of qpnn", "recipe")
        ours = ("layers", "activation", "temper", "adam_steps", "newton_steps")
        refuse(f"it belongs to --method {METHODS[0]}", *ours)
        if method != "mpnn":
            refuse("it belongs to --method mpnn", "penalty")
