"""`qtrain introspect`: what a network that predicts densities knows of quantum mechanics."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from qwell.cli.common import as_json, parse_numbers
from qwell.cli.training import absolute, check_resume


@click.command()
@click.option("--data", help="Data set of densities: store/densities.zarr …")
@click.option("--translator", default="taylor", show_default=True, help="taylor or gru.")
@click.option("--dimensions", default="1,2,3,4", show_default=True, help="Latent numbers to scan.")
@click.option(
    "--update", default="linear", show_default=True, help="Of latents: linear, or free (a control)."
)
@click.option("--until", default="law", show_default=True, help="The last stage: translator, scan or law.")
@click.option("--seeds", type=int, default=1, show_default=True, help="Distillers of each.")
@click.option("--starts", type=int, default=3, show_default=True, help="Beginnings of each distiller.")
@click.option("--translator-steps", type=int, default=6000, show_default=True)
@click.option("--distiller-steps", type=int, default=2500, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Run directory.  [default: runs/<data>-introspect]"
)
@click.option("--resume", type=click.Path(path_type=Path), metavar="RUN", help="Go on with a run.")
@as_json
@click.pass_context
def introspect(
    context: click.Context, data: str | None, dimensions: str, out: Path | None, resume: Path | None,
    until: str, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Learn densities, distil the hidden states, and test what is left against the Schrödinger equation.

    Each stage (translator, every distiller) is kept in the run; a run that was interrupted goes on where it
    was. Latents and learned update matrices are written to exported.npz.
    """
    check_resume(context, data, resume, "store/densities.zarr")
    from qwell.cli.qtrain_variational import print_finding
    from qwell.errors import CheckpointError, InvalidInput
    from qwell.store.reader import open_dataset
    from qwell.studies.introspect.report import IntrospectConfig, check_asked
    from qwell.studies.introspect.report import introspect as ask
    from qwell.train.runs import Run, free_run_path

    if resume:
        run = Run.open(resume)
        try:
            kept: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in run.config["introspect"].items()
            }
            config = IntrospectConfig(**kept)
        except (KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{resume} is no run of `qtrain introspect`") from error
        opened = open_dataset(config.data).require("densities")
        if opened.digest != config.digest:
            raise InvalidInput(f"{config.data} is not what {resume} began with; give it its own run")
        check_asked(opened, until)
    else:
        assert data is not None  # checked above
        opened = open_dataset(data).require("densities")
        check_asked(opened, until)
        sizes = tuple(int(v) for v in parse_numbers(dimensions, "--dimensions"))
        config = IntrospectConfig(absolute(data), opened.digest, dimensions=sizes, **options)
        path = out or free_run_path(Path("runs"), f"{opened.stem}-introspect")
        run = Run.create(path, {"command": "introspect", "introspect": asdict(config)})
        click.echo(
            f"{run.path}: begun; if interrupted, continue with `qtrain introspect --resume {run.path}`",
            err=True,
        )

    def report(stage: str, step: int, loss: float) -> None:
        run.log({"update": step, "stage": stage, "loss": loss})
        if stage != "translator" or step % 1000 == 0:
            click.echo(f"  {stage}, step {step:,}: {loss:.2e}", err=True)

    print_finding(ask(config, opened, run, report, until), run.path, as_json)


COMMANDS = (introspect,)
