"""`qtrain control`: the drive that takes a wave packet where it is wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qwell.cli.answers import answer_with, as_json
from qwell.cli.options import Names, given, option
from qwell.cli.progress import logged_run
from qwell.cli.training import run_option
from qwell.studies.control.config import TASKS, ControlConfig


@click.command()
@option(
    ControlConfig,
    "task",
    type=Names(lambda: TASKS),
    help="What is to happen: transport (a trap is moved), split (a barrier rises), excite (a field, to the"
    " first excited state) or tunnel (a field, from one well to the other).",
)
@option(ControlConfig, "duration", help="Time T that it may take, in ħ/hartree.")
@option(ControlConfig, "bound", help="Most that the control may leave its plain course.")
@option(ControlConfig, "modes", help="Number of sines of the control: its frequencies end at π·modes/T.")
@option(ControlConfig, "iterations", help="Number of iterations of L-BFGS, at most.")
@option(ControlConfig, "goal", help="Infidelity 1 − |⟨target|ψ⟩|² at which the search ends.")
@option(ControlConfig, "seed", help="Seed of the first control.")
@option(
    ControlConfig,
    "on",
    metavar="RUN",
    help="Emulator on the ring to search with, e.g. runs/pulses-emulator_unitary; exact motion judges it.",
)
@run_option("runs/<task>")
@as_json
def control(out: Path | None, **options: Any) -> None:
    """Find the drive that takes a wave packet to a target state, by gradients through its motion.

    Writes a run: signal.csv with the control u(t), report.md, and a figure of the control, of the motion
    under it and of the search. Exact motion is the judge, whatever the search went by.
    """
    from qwell.studies.control.report import control_of
    from qwell.train.runs import Run, run_path

    config = ControlConfig(**given(options)).resolved()
    settings = {"control": config.to_json()}
    run = Run.create(run_path(out, config.task), {"command": "control", **settings})
    with run.locked(), logged_run(run):
        _, finding = control_of(config, run)
        answer_with(finding, run.path, settings | {"run": run.path})
