"""`qtrain eigen`, `evaluate` and `models`: networks that predict energies, and the zoo."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwell.cli.answers import answer, as_json
from qwell.cli.common import parse_settings
from qwell.cli.options import Names, given, option, refuse, typed
from qwell.cli.progress import say
from qwell.cli.training import absolute, check_resume, device_option, run_training, training_options
from qwell.train.config import MEASURED, OPTIMIZERS, PRECISIONS, TIERS, EigenConfig

if TYPE_CHECKING:
    from qwell.train.evaluate import Evaluation


@click.command()
@click.option("--data", help="Data set of spectra: store/m3.zarr, store/m3.h5, s3://team/m3.zarr …")
@training_options(EigenConfig, "spectra", "Potentials")
@option(
    EigenConfig,
    "density_weight",
    help="Weight of the loss on densities, for data made with --densities; 1 helps mlp, spoils hamiltonian.",
)
@option(
    EigenConfig, "optimizer", type=Names(lambda: OPTIMIZERS),
    help="Optimizer: adam; or soap, slower an update and far fewer of them; --batch 1000 suits it.",
)  # fmt: skip
@option(EigenConfig, "mirror", help="Mirror half of every batch: the energies of v(−x) are those of v(x).")
@option(
    EigenConfig, "precision", type=Names(lambda: PRECISIONS),
    help="Precision of the training: float32, tf32 (GPU), bf16 or float64 (slow).",
)  # fmt: skip
@option(
    EigenConfig,
    "stream",
    type=Names(lambda: TIERS),
    help="Source of rows: auto, resident (in memory), mirror (decoded on disk) or pool (streamed).",
)
@click.option(
    "--watch",
    multiple=True,
    metavar="DATA",
    help="Further data set to measure the network on while it is trained; repeatable.",
)
def eigen(
    data: str | None, settings: tuple[str, ...], device: str, out: Path | None,
    resume: Path | None, watch: tuple[str, ...], **options: Any,
) -> None:  # fmt: skip
    """Train an eigenvalue network: potentials in, lowest energies out. Defaults are the paper's recipe."""
    check_resume(data, resume, "store/m3.zarr")
    from qwell.store.reader import open_dataset
    from qwell.studies.problem import solvers
    from qwell.train.beginning import data_of, settings_of
    from qwell.train.devices import choose_device
    from qwell.train.eigen import begin, train_eigen
    from qwell.train.evaluate import evaluate, write_report
    from qwell.train.runs import Run, run_path
    from qwell.train.team import join_team

    _refuse_idle(options["model"])
    with join_team(choose_device(device)) as (team, where):
        if resume:
            target = Run.resumed(resume, "eigen")
            opened = data_of(EigenConfig.from_json(settings_of(target)), "spectra")
        else:
            assert data is not None  # checked above
            opened = open_dataset(data).require("spectra")
            config = EigenConfig(
                data=absolute(data),
                digest=opened.digest,
                options=parse_settings(settings, "--set hidden=512"),
                watch=tuple(absolute(path) for path in watch),
                **given(options),
            )
            path = run_path(out, f"{opened.stem}-{config.model}")
            target = Run(team.tell(str(begin(config, path, opened).path if team.leads else "")))
        train = partial(train_eigen, data=opened)
        run_training("eigen", target, str(where), team, train, "validation_nmse")
        if team.leads:
            if len(opened["validation"]):
                evaluation = evaluate(target.path, opened, solvers=solvers(opened))
                write_report(target, evaluation)
                click.echo(_table(evaluation))
                click.echo(f"report: {target.path / 'report.md'}")
            click.echo(f"model:  {target.model}")


def _refuse_idle(model: str | None) -> None:
    """Raise InvalidInput for options of trainings, if a model is fitted without one.

    How long it is trained and how often it is measured may be typed for all of the zoo, and then is said to
    have no effect.
    """
    from qwell.models.registry import entry_of

    if model is None or not entry_of(model, "spectra").closed_form:
        return
    fitted = f"{model} is fitted in closed form, in no updates"
    refuse(fitted, "batch", "first_rate", "last_rate", "schedule", "warm_up", "ema", "threads", "seed")
    refuse(fitted, "compile", "logger", "tensorboard", "checkpoint_every", "density_weight")
    refuse(fitted, "stream", "mirror", "optimizer")
    if idle := typed("updates", "log_every", "evaluate_every"):
        say(f"qtrain: {fitted}: {', '.join(idle)} {'have' if len(idle) > 1 else 'has'} no effect")


def _table(evaluation: Evaluation) -> str:
    head = f"{evaluation.split} of {evaluation.data.path} (version {evaluation.data.digest[:12]})"
    return f"{head}\n{evaluation.markdown()}"


@click.command()
@click.argument("models", metavar="RUN…", nargs=-1, required=True)
@click.option("--data", required=True, help="Data set of spectra, of any kernel.")
@click.option("--split", default=MEASURED, show_default=True, help="Split of the data set to measure on.")
@click.option(
    "--figure", type=click.Path(path_type=Path), help="File for a figure of a typical potential's levels."
)
@device_option
@as_json
def evaluate(models: tuple[str, ...], data: str, split: str, figure: Path | None, device: str) -> None:
    """Measure trained models on a data set, beside the ladder of baselines and the direct solvers.

    RUN is a run, a model folder or a pretrained name; several are measured side by side.
    """
    from qwell.figures.canvas import check_format
    from qwell.store.reader import open_dataset
    from qwell.studies.pages import save_figure
    from qwell.studies.problem import solvers
    from qwell.train.devices import choose_device
    from qwell.train.evaluate import evaluate as measure
    from qwell.train.evaluate import per_level_table

    opened = open_dataset(data).require("spectra")
    if figure:
        check_format(figure)
    found = measure(models, opened, split=split, device=choose_device(device), solvers=solvers(opened))
    results, text = found.to_json(), f"{_table(found)}\n\n{per_level_table(found.asked)}"
    try:
        if figure:
            save_figure(found.figure(), figure)
            results, text = {**results, "figure": figure}, f"{text}\n\nfigure: {figure}"
    finally:  # what was measured is said, too, if the disk refuses the figure
        answer(results, text)


@click.command()
@click.argument("pattern", default="*")
@click.option("--pretrained", "trained", is_flag=True, help="List the trained models that come with qwell.")
@as_json
def models(pattern: str, trained: bool) -> None:
    """List the models of the zoo, their options and numbers of parameters; or trained ones.

    PATTERN chooses some of their names, e.g. 'emul*'.
    """
    from dataclasses import asdict

    from qwell.models.registry import create_model, entry_of, list_models

    if trained:
        _list_pretrained(list(list_models(pattern, pretrained=True)))
        return
    table: dict[str, dict[str, Any]] = {}
    for name in list_models(pattern):
        entry = entry_of(name)
        model = create_model(name)
        count = sum(p.numel() for p in model.parameters())
        table[name] = {"summary": entry.summary, "parameters": count, "options": asdict(entry.config())}
    lines = []
    for name, row in table.items():
        lines.append(f"{name:<8}{row['parameters']:>11,} parameters  {row['summary']}")
        lines.append("        " + ", ".join(f"{k}={v}" for k, v in row["options"].items()))
    answer(table, "\n".join(lines) or f"no model is named like {pattern}; `qtrain models` lists all")


def _list_pretrained(names: list[str]) -> None:
    from qwell.models.registry import pretrained, read_config
    from qwell.train.calibration import in_short

    table = {name: read_config(pretrained()[name]) for name in names}
    table = {name: {**one, "metadata": in_short(one["metadata"])} for name, one in table.items()}
    lines = []
    for name, described in table.items():
        about = described["metadata"]
        lines.append(f"{name}: {described['model']}, {about['updates']:,} updates on {about['digest'][:12]}")
        lines.append("  " + "  ".join(f"{name} {value:.5g}" for name, value in about["measured"].items()))
        lines += [f"  $ {command}" for command in about["commands"]]
    answer(table, "\n".join(lines) or "no trained model has such a name")
