"""`qtrain probe …`: what a trained network is asked, one command an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwell.cli.common import as_json, echo_json

if TYPE_CHECKING:
    from qwell.studies.finding import Finding


@click.group()
def probe() -> None:
    """Ask trained networks what they know: the experiments of the papers, one command each.

    emulators, gradients, sweep, packets, hyper are for emulators of dynamics. Each writes a figure (PNG and
    SVG), a table (CSV and Markdown) and numbers (JSON) into the run directory of the first network, and
    prints the table. Networks are runs, model folders or pretrained names.
    """


one_run = click.argument("model", metavar="RUN")
runs = click.argument("models", metavar="RUN…", nargs=-1, required=True)
one_set = click.option("--data", required=True, help="Data set of spectra, of any kernel.")
sets = click.option("--data", multiple=True, required=True, help="Data set to measure on; repeat for more.")
split_option = click.option("--split", default="validation", show_default=True)
index_option = click.option("--index", type=int, default=0, show_default=True, help="Of the potential drawn.")


def common(command: Any) -> Any:
    """The options that every experiment has."""
    out = click.option(
        "--out", type=click.Path(path_type=Path), help="Folder to write into.  [default: RUN/probes]"
    )
    return out(as_json(command))


def open_kind(path: str, kind: str) -> Any:
    """A data set of this kind."""
    from qwell.store.reader import open_dataset

    return open_dataset(path).require(kind)


def _open(path: str) -> Any:
    return open_kind(path, "spectra")


def finish(finding: Finding, run: str, out: Path | None, json: bool) -> None:
    """Write what was found, and print it."""
    from qwell.train.runs import model_folder

    if out is None:
        folder = model_folder(run)
        out = (folder.parent if folder.name == "model" else Path("runs") / folder.name) / "probes"
    last = finding.write(out)
    if json:
        echo_json({"experiment": finding.name, **finding.numbers, "written": str(last)})
        return
    click.echo(finding.title)
    click.echo(finding.markdown())
    click.echo(f"figures: {'  '.join(str(out / f'{name}.png') for name in finding.figure_names())}")


@probe.command("learning-curves")
@runs
@index_option
@common
def learning_curves(models: tuple[str, ...], index: int, out: Path | None, as_json: bool) -> None:
    """Errors against updates and training potentials, of one run or many (Fig. 3)."""
    from qwell.studies.probes.learning_curves import learning_curves as ask
    from qwell.train.runs import Run

    finish(ask([Run.open(path) for path in models], index), models[0], out, as_json)


@probe.command("cross-kernel")
@runs
@sets
@split_option
@index_option
@common
def cross_kernel(
    models: tuple[str, ...], data: tuple[str, ...], split: str, index: int, out: Path | None, as_json: bool
) -> None:
    """Networks on kernels, σ and data sets they have not seen: a matrix of errors (Figs. 4, 5)."""
    from qwell.studies.probes.cross_kernel import cross_kernel as ask

    finish(ask(models, [_open(d) for d in data], split, index), models[0], out, as_json)


@probe.command()
@click.argument("models", metavar="[RUN…]", nargs=-1)
@click.option("--train", "training", multiple=True, required=True, help="Training set to search; repeatable.")
@sets
@click.option("--device", default="cpu", show_default=True, help="Where products are made, in float64.")
@common
def similarity(
    models: tuple[str, ...],
    training: tuple[str, ...],
    data: tuple[str, ...],
    device: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """The nearest training potential of each validation potential; with runs, errors too (Figs. 6, 7)."""
    from qwell.errors import InvalidInput
    from qwell.studies.probes.similarity import similarity as ask
    from qwell.train.devices import choose_device

    if not models and out is None:
        raise InvalidInput("without a run there is no place for the answer; name a folder with --out")
    where = str(choose_device(device))
    finding = ask([_open(d) for d in training], [_open(d) for d in data], models, where)
    finish(finding, models[0] if models else "", out, as_json)


@probe.command()
@runs
@sets
@split_option
@common
def ablation(
    models: tuple[str, ...], data: tuple[str, ...], split: str, out: Path | None, as_json: bool
) -> None:
    """What depth and self-attention are worth: R_D and R_SA from runs of res_sa (Fig. 8)."""
    from qwell.studies.probes.ablation import ablation as ask

    finish(ask(models, [_open(d) for d in data], split), models[0], out, as_json)


@probe.command()
@one_run
@one_set
@split_option
@index_option
@click.option("--layers", type=int, default=2, show_default=True, help="Attention layers to show.")
@common
def attention(
    model: str, data: str, split: str, index: int, layers: int, out: Path | None, as_json: bool
) -> None:
    """Where self-attention looks, with the potential along both margins (Fig. 9)."""
    from qwell.studies.probes.attention import attention as ask

    finish(ask(model, _open(data), split, index, layers), model, out, as_json)


@probe.command()
@one_run
@one_set
@split_option
@index_option
@click.option(
    "--samples", type=int, default=200, show_default=True, help="Potentials the table averages over."
)
@common
def densities(
    model: str, data: str, split: str, index: int, samples: int, out: Path | None, as_json: bool
) -> None:
    """Probability densities from gradients, ∂f/∂v against ψ² (Fig. 10)."""
    from qwell.studies.probes.densities import densities as ask

    finish(ask(model, _open(data), split, index, samples), model, out, as_json)


@probe.command()
@one_run
@one_set
@split_option
@click.option(
    "--candidates", type=int, default=24, show_default=True, help="Potentials tried with each other."
)
@common
def crossing(model: str, data: str, split: str, candidates: int, out: Path | None, as_json: bool) -> None:
    """Find an avoided crossing between two potentials, and the exchange of densities (Figs. 11, 12)."""
    from qwell.studies.probes.crossing import crossing as ask

    finish(ask(model, _open(data), split, candidates), model, out, as_json)


@probe.command()
@runs
@sets
@split_option
@index_option
@common
def matter(
    models: tuple[str, ...], data: tuple[str, ...], split: str, index: int, out: Path | None, as_json: bool
) -> None:
    """Networks trained on energies in a medium: levels, effect, and a matrix of errors (Figs. 13, 14)."""
    from qwell.studies.probes.matter import matter as ask

    finish(ask(models, [_open(d) for d in data], split, index), models[0], out, as_json)


@probe.command()
@runs
@click.option("--data", multiple=True, required=True, help="Trajectories to be predicted; repeat for more.")
@click.option("--split", default="test", show_default=True)
@click.option("--frames", type=int, default=400, show_default=True, help="To predict.")
@common
def emulators(
    models: tuple[str, ...], data: tuple[str, ...], split: str, frames: int, out: Path | None, as_json: bool
) -> None:
    """Several emulators on the same cases: the dynamics paper's Tables I and III (and Fig. 3c, d)."""
    from qwell.studies.probes.rollouts import emulators as ask

    finish(ask(models, [open_kind(d, "trajectories") for d in data], split, frames), models[0], out, as_json)


@probe.command()
@one_run
@click.option("--data", required=True, help="Trajectories that windows are cut from.")
@click.option("--split", default="test", show_default=True)
@click.option("--samples", type=int, default=200, show_default=True, help="Windows of each kind.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of their choice.")
@common
def gradients(
    model: str, data: str, split: str, samples: int, seed: int, out: Path | None, as_json: bool
) -> None:
    """What predictions depend on: direct gradients, and how far from Cauchy and Riemann (Figs. 5, S8)."""
    from qwell.studies.probes.gradients import gradients as ask

    finish(ask(model, open_kind(data, "trajectories"), split, samples, seed), model, out, as_json)


frames_option = click.option("--frames", type=int, default=400, show_default=True, help="To predict.")


@probe.command()
@runs
@click.option(
    "--hamiltonian", default="lattice", show_default=True, help="Of the truth, which is made on the spot."
)
@frames_option
@common
def sweep(models: tuple[str, ...], hamiltonian: str, frames: int, out: Path | None, as_json: bool) -> None:
    """Emulators against S0, E0, and the barrier's width and height; a band over runs (Fig. 4)."""
    from qwell.studies.probes.generalisation import sweep as ask

    finish(ask(models, hamiltonian, frames), models[0], out, as_json)


@probe.command()
@one_run
@click.option("--data", required=True, help="Trajectories whose numbers are taken.")
@click.option("--split", default="test", show_default=True)
@frames_option
@common
def packets(model: str, data: str, split: str, frames: int, out: Path | None, as_json: bool) -> None:
    """Emulators on packets of other shapes: triangle, square (Fig. S5)."""
    from qwell.studies.probes.generalisation import packets as ask

    finish(ask(model, open_kind(data, "trajectories"), frames, split), model, out, as_json)


@probe.command()
@runs
@click.option("--data", required=True, help="Trajectories to be predicted.")
@click.option("--split", default="test", show_default=True)
@frames_option
@common
def hyper(
    models: tuple[str, ...], data: str, split: str, frames: int, out: Path | None, as_json: bool
) -> None:
    """Emulators with other history, window and hidden size (Fig. S7)."""
    from qwell.studies.probes.generalisation import hyper as ask

    finish(ask(models, open_kind(data, "trajectories"), frames, split), models[0], out, as_json)
