"""`qtrain`: train networks on data sets, and see how good they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwell.cli.common import CONTEXT, as_json, echo_json, parse_settings, run, version_option
from qwell.cli.qtrain_dynamics import COMMANDS
from qwell.cli.qtrain_introspect import COMMANDS as INTROSPECT
from qwell.cli.qtrain_potential import COMMANDS as POTENTIAL
from qwell.cli.qtrain_probe import probe
from qwell.cli.qtrain_reproduce import reproduce
from qwell.cli.qtrain_variational import COMMANDS as VARIATIONAL
from qwell.cli.training import (
    absolute,
    check_resume,
    device_option,
    intervals,
    run_training,
    training_options,
)

if TYPE_CHECKING:
    from qwell.train.evaluate import Evaluation


@click.group(context_settings=CONTEXT)
@version_option("qtrain")
def cli() -> None:
    """Train networks on data sets made by qdata, and see how good they are.

    First: `qdata generate --kernel m3 --n 100000`, then `qtrain eigen --data store/m3.zarr`.
    Add --debug to any command for a traceback.
    """


@cli.command()
@click.option("--data", help="Data set of spectra: store/m3.zarr, store/m3.h5, s3://team/m3.zarr …")
@click.option("--model", default="res_sa", show_default=True, help="Name in the zoo; see `qtrain models`.")
@training_options("100,000", "Potentials an update.  [default: 100]")
@click.option("--last-rate", type=float, default=1e-5, show_default=True, help="Learning rate at the end.")
@click.option(
    "--density-weight",
    type=float,
    default=0.0,
    show_default=True,
    help="Of the loss on densities, with data made with --densities; try 1.",
)
@click.option(
    "--precision", default="float32", show_default=True, help="float32, tf32 (GPU), bf16 or float64 (slow)."
)
@click.option(
    "--stream",
    default="auto",
    show_default=True,
    help="auto, resident (in memory), mirror (decoded on disk) or pool (streamed).",
)
@click.option(
    "--watch", multiple=True, metavar="DATA", help="Further data set to measure while training; repeatable."
)
@click.pass_context
def eigen(
    context: click.Context,
    data: str | None,
    model: str,
    settings: tuple[str, ...],
    device: str,
    out: Path | None,
    resume: Path | None,
    first_rate: float | None,
    updates: int | None,
    batch: int | None,
    watch: tuple[str, ...],
    **options: Any,
) -> None:
    """Train an eigenvalue network: potentials in, lowest energies out. Defaults are the paper's recipe."""
    check_resume(context, data, resume, "store/m3.zarr")
    updates = 100_000 if updates is None else updates
    from qwell.models.registry import entry_of
    from qwell.store.reader import open_dataset
    from qwell.studies.problem import solvers
    from qwell.train.config import EigenConfig
    from qwell.train.devices import choose_device
    from qwell.train.eigen import begin, train_eigen
    from qwell.train.evaluate import evaluate, write_report
    from qwell.train.runs import Run, free_run_path
    from qwell.train.team import join_team

    with join_team(choose_device(device)) as (team, where):
        if resume:
            target = Run.open(resume)
        else:
            assert data is not None  # checked above
            opened = open_dataset(data).require("spectra")
            config = EigenConfig(
                data=absolute(data),
                digest=opened.digest,
                model=model,
                options=parse_settings(settings, "--set hidden=512"),
                watch=tuple(absolute(path) for path in watch),
                first_rate=entry_of(model).first_rate if first_rate is None else first_rate,
                updates=updates,
                batch=100 if batch is None else batch,
                **{**options, **intervals(updates, options)},
            )
            path = out or free_run_path(Path("runs"), f"{opened.stem}-{model}")
            target = Run(team.tell(str(begin(config, path).path if team.leads else "")))
        run_training("eigen", target, str(where), team, train_eigen, "validation_nmse")
        if team.leads:
            opened = open_dataset(target.config["data"])
            if len(opened["validation"]):
                evaluation = evaluate(target.path, opened, solvers=solvers(opened))
                write_report(target, evaluation)
                _print_table(evaluation)
                click.echo(f"report: {target.path / 'report.md'}")
            click.echo(f"model:  {target.model}")


def _print_table(evaluation: Evaluation) -> None:
    click.echo(f"{evaluation.split} of {evaluation.data.path} (version {evaluation.data.digest[:12]})")
    click.echo(evaluation.markdown())


@cli.command()
@click.argument("run_path", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--data", required=True, help="Data set of spectra, of any kernel.")
@click.option("--split", default="validation", show_default=True)
@device_option
@as_json
def evaluate(run_path: Path, data: str, split: str, device: str, as_json: bool) -> None:
    """Measure a trained model on a data set, beside the ladder of baselines and the direct solvers."""
    from qwell.store.reader import open_dataset
    from qwell.studies.problem import solvers
    from qwell.train.devices import choose_device
    from qwell.train.evaluate import evaluate as measure
    from qwell.train.evaluate import per_level_table

    opened = open_dataset(data).require("spectra")
    answer = measure(run_path, opened, split=split, device=choose_device(device), solvers=solvers(opened))
    if as_json:
        echo_json(answer.to_json())
        return
    _print_table(answer)
    click.echo("\n" + per_level_table(answer.rows[-1]))


@cli.command()
@click.argument("run_path", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--potential", type=click.Path(path_type=Path), required=True, help="One a row: .npy, or .csv by commas."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write the energies there, .npy or .csv, instead of printing.",
)
@device_option
@as_json
def predict(run_path: Path, potential: Path, out: Path | None, device: str, as_json: bool) -> None:
    """Predict the lowest energies of your own potentials with a trained model."""
    from qwell.store.tables import read_table, write_table
    from qwell.train.devices import choose_device
    from qwell.train.eigen import predict as infer
    from qwell.train.runs import load_model

    model = load_model(run_path, choose_device(device), task="spectra")
    energies = infer(model, read_table(potential))
    if out:
        write_table(out, energies)
        click.echo(f"{out}: energies of {len(energies):,} potentials")
    elif as_json:
        echo_json({"energy": energies.tolist(), "units": "hbar^2/(m length^2)"})
    else:
        for row in energies:
            click.echo("  ".join(f"{e:.4f}" for e in row))


@cli.command()
@click.option("--pretrained", "trained", is_flag=True, help="List the trained models that come with qwell.")
@as_json
def models(trained: bool, as_json: bool) -> None:
    """List the models of the zoo, their options and numbers of parameters; or trained ones."""
    from dataclasses import asdict

    from qwell.models.registry import ZOO, create_model

    if trained:
        _list_pretrained(as_json)
        return
    table: dict[str, dict[str, Any]] = {}
    for name, entry in ZOO.items():
        model = create_model(name)
        count = sum(p.numel() for p in model.parameters())
        table[name] = {"summary": entry.summary, "parameters": count, "options": asdict(entry.config())}
    if as_json:
        echo_json(table)
        return
    for name, row in table.items():
        click.echo(f"{name:<8}{row['parameters']:>11,} parameters  {row['summary']}")
        click.echo("        " + ", ".join(f"{k}={v}" for k, v in row["options"].items()))


def _list_pretrained(as_json: bool) -> None:
    from qwell.models.registry import pretrained, read_config

    table = {name: read_config(folder) for name, folder in pretrained().items()}
    if as_json:
        echo_json(table)
        return
    for name, described in table.items():
        about = described["metadata"]
        click.echo(f"{name}: {described['model']}, {about['updates']:,} updates on {about['digest'][:12]}")
        click.echo("  " + "  ".join(f"{name} {value:.5g}" for name, value in about["measured"].items()))
        for command in about["commands"]:
            click.echo(f"  $ {command}")


cli.add_command(probe)
cli.add_command(reproduce)
for _command in (*COMMANDS, *VARIATIONAL, *POTENTIAL, *INTROSPECT):
    cli.add_command(_command)


def main() -> None:
    """Entry point of `qtrain`."""
    run(cli, "qtrain")


if __name__ == "__main__":
    main()
