"""`qtrain introspect`: what a network that predicts densities knows of quantum mechanics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qwell.cli.answers import answer_with, as_json, open_kind
from qwell.cli.common import goes_on_with
from qwell.cli.options import Names, given, option
from qwell.cli.progress import logged_run, say
from qwell.cli.training import absolute, check_resume, resume_option, run_option
from qwell.studies.introspect.config import DECODERS, STAGES, UPDATES, IntrospectConfig


@click.command()
@click.option("--data", help="Data set of densities: store/densities.zarr …")
@option(
    IntrospectConfig, "translator", type=Names(lambda: ("taylor", "gru")),
    help="Network that learns densities from potentials: taylor or gru.",
)  # fmt: skip
@option(IntrospectConfig, "dimensions", help="Numbers of latent variables to try.")
@option(
    IntrospectConfig, "update", type=Names(lambda: UPDATES),
    help="Change of latent variables from cell to cell: linear, or free (a control).",
)  # fmt: skip
@option(
    IntrospectConfig, "decoder", type=Names(lambda: DECODERS),
    help="Map from latent variables to hidden states: free, a perceptron, or linear, a control: the encoder"
    " is then linear, too.",
)  # fmt: skip
@click.option(
    "--until",
    type=Names(lambda: STAGES),
    default=STAGES[-1],
    show_default=True,
    help=f"Last stage to do: {', '.join(STAGES)}.",
)
@option(IntrospectConfig, "seeds", help="Distillers for each number of latent variables.")
@option(IntrospectConfig, "starts", help="Beginnings of each distiller, of which the best goes on.")
@option(IntrospectConfig, "translator_steps", help="Number of updates of the translator.")
@option(IntrospectConfig, "distiller_steps", help="Number of updates of each distiller.")
@option(IntrospectConfig, "seed", help="Seed of the first weights and of batches.")
@run_option("runs/<data>-introspect")
@resume_option
@as_json
def introspect(
    data: str | None, out: Path | None, resume: Path | None, until: str,
    **options: Any,
) -> None:  # fmt: skip
    """Learn densities, distil hidden states, and test what is left against the Schrödinger equation.

    Each stage (translator, every distiller) is kept in the run; a run that was interrupted goes on where it
    was. Latents and learned update matrices are written to exported.npz.
    """
    check_resume(data, resume, "store/densities.zarr")
    from qwell.studies.introspect.pipeline import check_asked, resumed
    from qwell.studies.introspect.pipeline import introspect as ask
    from qwell.train.runs import Run, run_path

    if resume:
        run = Run.resumed(resume, "introspect")
        config, opened = resumed(run)
        check_asked(opened, until)
    else:
        assert data is not None  # checked above
        opened = open_kind(data, "densities")
        check_asked(opened, until)
        config = IntrospectConfig(absolute(data), opened.digest, **given(options))
        path = run_path(out, f"{opened.stem}-introspect")
        run = Run.create(path, {"command": "introspect", "introspect": config.to_json()})
        say(f"{run.path}: begun; if interrupted, continue with `qtrain introspect --resume {run.path}`")

    def report(stage: str, step: int, loss: float) -> None:
        run.log({"update": step, "stage": stage, "loss": loss})
        if stage != "translator" or step % 1000 == 0:
            say(f"  {stage}, step {step:,}: {loss:.2e}")

    with logged_run(run), goes_on_with(f"`qtrain introspect --resume {run.path}`", "qtrain"):
        found = ask(config, opened, run, report, until)
        answer_with(found, run.path, {**config.to_json(), "until": until, "run": run.path})
