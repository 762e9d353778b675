"""`qtrain variational` and `derivatives`: networks that solve the Schrödinger equation, and their speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from qwell.cli.answers import answer_with, as_json
from qwell.cli.options import Names, SetupCommand, default_words, given, option, path_option, refuse
from qwell.cli.progress import logged_run
from qwell.cli.training import run_option
from qwell.errors import warn
from qwell.studies.variational.config import (
    DTYPES,
    FORMS,
    OPTIMISERS,
    OSCILLATORS,
    PARITIES,
    RULES,
    SETUPS,
    SampledConfig,
    TimesConfig,
    VariationalConfig,
    is_sampled,
)
from qwell.studies.variational.potentials import WELLS


def _defaults(typed: Mapping[str, Any]) -> dict[str, str]:
    """Defaults of the paper's set-up, if that is chosen, of the named well: option → words."""
    if typed.get("setup") != "paper":
        return {}
    well = typed.get("potential")
    chosen = VariationalConfig.of_setup(well if well in WELLS else "harmonic", "paper")
    usual = VariationalConfig()
    words = {
        f.name: default_words(getattr(chosen, f.name), ("--walls/--free",)) or "none"
        for f in fields(VariationalConfig)
        if f.name != "potential" and getattr(chosen, f.name) != getattr(usual, f.name)
    }
    for optimiser in ("lbfgs", "linear"):
        words[f"{optimiser}_steps"] = f"not used by {chosen.optimizer}"
    if well not in WELLS:
        words |= {"region": "the well's Ω in the paper", "layers": "the well's in the paper"}
    return words


@click.command(cls=SetupCommand, defaults=_defaults)
@click.option(
    "--potential", required=True, type=Names(lambda: (*WELLS, *OSCILLATORS)),
    help=f"Potential: one of {', '.join(WELLS)}; {', '.join(OSCILLATORS)} (Monte Carlo); or a formula"
    " in x [y, z], e.g. 'x**2/2 + 0.1*x**4'.",
)  # fmt: skip
@option(
    VariationalConfig.of_setup,
    "setup",
    type=Names(lambda: SETUPS),
    help="Defaults of the other options: ours, or the paper's region, rectangles and Adam; with --help they"
    " are shown.",
)
@option(VariationalConfig, "layers", help="Hidden widths of the network, e.g. 10,10,10.")
@option(VariationalConfig, "region", help="Region in which the wave function lives, e.g. --region=-6,6.")
@option(VariationalConfig, "kinks", help="Points where the slope of the potential jumps, e.g. 0 for abs(x).")
@option(VariationalConfig, "points", help="Number of points of the integration.")
@option(
    VariationalConfig,
    "rule",
    type=Names(lambda: RULES),
    help="Rule of the integration: legendre or rectangle.",
)
@option(
    VariationalConfig,
    "form",
    type=Names(lambda: FORMS),
    help="Form of the kinetic energy: gradient, ½∫φ'², or laplacian, −½∫φφ''.",
)
@option(
    VariationalConfig,
    "walls",
    "--walls/--free",
    help="Let the wave function vanish at the ends of the region, or leave it free there.",
)
@option(
    VariationalConfig,
    "optimizer",
    type=Names(lambda: OPTIMISERS),
    help="Optimisers, one after another: adam, adam+lbfgs or adam+lbfgs+linear.",
)
@option(VariationalConfig, "adam_steps", help="Number of steps of Adam.")
@option(VariationalConfig, "lbfgs_steps", help="Number of steps of L-BFGS.")
@option(VariationalConfig, "linear_steps", help="Number of steps of the linear method.")
@option(VariationalConfig, "rate", help="Largest learning rate of Adam.")
@option(
    VariationalConfig,
    "dtype",
    type=Names(lambda: DTYPES),
    help="Precision of the computation: float64 or float32.",
)
@option(
    VariationalConfig,
    "parity",
    type=Names(lambda: PARITIES),
    help="Parity of the states about the middle of the region: auto (even and odd in turn where the potential"
    " is the same on both sides), even, odd or none.",
)
@option(VariationalConfig, "levels", help="Number of states, from the lowest on.")
@option(VariationalConfig, "seed", help="Seed of the first weights.")
@option(VariationalConfig, "seeds", help="Number of beginnings, with one seed after another.")
@option(SampledConfig, "dimensions", help="Number of dimensions of a formula: 1, 2 or 3.")
@option(SampledConfig, "walkers", help="Number of walkers of Monte Carlo, in 2 and 3 dimensions.")
@option(SampledConfig, "steps", help="Number of steps of Monte Carlo, in 2 and 3 dimensions.")
@run_option("runs/<potential>")
@as_json
def variational(potential: str, out: Path | None, **options: Any) -> None:
    """Ground and excited states by the variational principle, with a network as the trial function.

    Writes a run: networks, report.md with energies, norms, residuals and an independent solver's answer, and
    figures of the wave function, its error and the energy on the way.
    """
    typed = given(options)
    if potential in (*WELLS, *OSCILLATORS):
        refuse(f"{potential} has its own dimensions", "dimensions")
    if is_sampled(potential, **given({"dimensions": typed.get("dimensions")})):
        own = {f.name for f in fields(SampledConfig)}
        alien = typed.keys() - own
        refuse("it belongs to potentials of one dimension, and others are solved by Monte Carlo", *alien)
        _sampled(SampledConfig(potential, **typed), out)
        return
    refuse("it belongs to Monte Carlo, in 2 or 3 dimensions", "walkers", "steps")
    typed.pop("dimensions", None)
    config = VariationalConfig.of_setup(potential, **typed)
    for optimiser in ("lbfgs", "linear"):
        if optimiser not in config.optimizer:
            refuse(f"{config.optimizer} does not use it", f"{optimiser}_steps")
    _searched(config, out)


def _searched(config: VariationalConfig, out: Path | None) -> None:
    from qwell.studies.variational.report import search, warnings_of
    from qwell.train.runs import Run, run_path

    path = run_path(out, config.well.name)
    settings = {"variational": config.to_json()}
    run = Run.create(path, {"command": "variational", **settings})
    with run.locked(), logged_run(run):
        states, finding = search(config, run.log)
        states.save(run)
        errors = [level.energy - e for level, e in zip(states.levels, finding.numbers["exact"], strict=True)]
        for line in warnings_of(states, errors, finding.numbers["next"]):
            warn(line)
        answer_with(finding, run.path, {**settings, "run": run.path})


def _sampled(config: SampledConfig, out: Path | None) -> None:
    from qwell.studies.variational.report import search_sampled
    from qwell.studies.variational.sampled import problem_of
    from qwell.train.runs import Run, run_path

    path = run_path(out, problem_of(config.potential, config.dimensions).name)
    settings = {"sampled": config.to_json()}
    run = Run.create(path, {"command": "variational", **settings})
    with run.locked(), logged_run(run):
        state, finding = search_sampled(config, run.log)
        state.save(run)
        answer_with(finding, run.path, {**settings, "run": run.path})


@click.command()
@option(TimesConfig, "sizes", help="Numbers of inputs, and of outputs, to time.")
@option(TimesConfig, "orders", help="Derivatives to time, of hessian, diagonal, first and laplacian.")
@option(TimesConfig, "batch", help="Number of points in one evaluation.")
@option(TimesConfig, "patience", help="Seconds to spend on each measured number.")
@option(TimesConfig, "threads", help="Threads of the processor that torch uses.")
@path_option("--out", help="Folder to write figures, tables and numbers into.", default="runs/derivatives")
@as_json
def derivatives(out: Path | None, **options: Any) -> None:
    """Time derivatives of networks, ours and by automatic differentiation.

    These are Fig. 7 and Eq. 43 of the derivatives paper.
    """
    from qwell.studies.derivative_times import derivative_times

    finding = derivative_times(TimesConfig(**given(options)))
    answer_with(finding, out or Path("runs") / finding.name)
