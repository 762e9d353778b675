"""`qtrain probe …`: what a trained network is asked, one command an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qwell.cli.answers import answer_with, as_json, open_kind, probes_folder
from qwell.cli.options import Group, Names, given, option, path_option, stacked
from qwell.cli.training import anyway_option, check_keep_norm, keep_norm_option
from qwell.errors import InvalidInput
from qwell.physics.propagators.settings import HAMILTONIANS
from qwell.studies.probes.asked import OfSpectra, OfTrajectories


@click.group(cls=Group)
def probe() -> None:
    """Ask trained networks what they know: the experiments of the papers, one command each.

    emulators, gradients, sweep, packets, hyper are for emulators of dynamics, potentials for what
    `qtrain potential` found. Each writes a figure (PNG and
    SVG), a table (CSV and Markdown) and numbers (JSON) into the run directory of the first network, and
    prints the table. Networks are runs, model folders or pretrained names.
    """


one_run = click.argument("model", metavar="RUN")
runs = click.argument("models", metavar="RUN…", nargs=-1, required=True)
one_set = click.option("--data", required=True, help="Data set of spectra, of any kernel.")
sets = click.option("--data", multiple=True, required=True, help="Data set to measure on; repeat for more.")
split_option = option(OfSpectra, "split", help="Split of the data sets.")
index_option = option(OfSpectra, "index", help="Row of the potential that is drawn.")
test_split_option = option(OfTrajectories, "split", help="Split of the data sets.")
frames_option = option(OfTrajectories, "frames", help="Number of frames to predict.")
common = stacked(
    path_option("--out", help="Folder to write figures, tables and numbers into.", default="RUN/probes"),
    as_json,
)


def _open(path: str) -> Any:
    return open_kind(path, "spectra")


@probe.command("learning-curves")
@runs
@index_option
@common
def learning_curves(models: tuple[str, ...], out: Path | None, **asked: Any) -> None:
    """Errors against updates and training potentials, of one run or many.

    Figure 3 of the paper.
    """
    from qwell.studies.probes.learning_curves import learning_curves as ask
    from qwell.train.runs import Run

    answer_with(ask([Run.open(path) for path in models], **given(asked)), probes_folder(models[0], out))


@probe.command("cross-kernel")
@runs
@sets
@split_option
@index_option
@common
def cross_kernel(models: tuple[str, ...], data: tuple[str, ...], out: Path | None, **asked: Any) -> None:
    """Networks on kernels, σ and data sets they have not seen: a matrix of errors.

    Figures 4 and 5 of the paper.
    """
    from qwell.studies.probes.cross_kernel import cross_kernel as ask

    answer_with(ask(models, [_open(d) for d in data], **given(asked)), probes_folder(models[0], out))


@probe.command()
@click.argument("models", metavar="[RUN…]", nargs=-1)
@click.option(
    "--train",
    "training",
    multiple=True,
    required=True,
    help="Data set whose training split is searched; repeatable.",
)
@sets
@option(OfSpectra, "device", help="Device that computes the products of potentials, in float64.")
@common
def similarity(
    models: tuple[str, ...],
    training: tuple[str, ...],
    data: tuple[str, ...],
    device: str | None,
    out: Path | None,
) -> None:
    """The nearest training potential of each validation potential; with runs, errors too.

    Figures 6 and 7 of the paper.
    """
    from qwell.studies.probes.similarity import similarity as ask
    from qwell.train.devices import choose_device

    if not models and out is None:
        raise InvalidInput("without a run there is no place for the answer; name a folder with --out")
    where = given({"device": device and str(choose_device(device))})
    finding = ask([_open(d) for d in training], [_open(d) for d in data], models, **where)
    answer_with(finding, probes_folder(models[0] if models else "", out))


@probe.command()
@runs
@sets
@split_option
@common
def ablation(models: tuple[str, ...], data: tuple[str, ...], out: Path | None, **asked: Any) -> None:
    """What depth and self-attention are worth: R_D and R_SA from runs of res_sa.

    Figure 8 of the paper.
    """
    from qwell.studies.probes.ablation import ablation as ask

    answer_with(ask(models, [_open(d) for d in data], **given(asked)), probes_folder(models[0], out))


@probe.command()
@one_run
@one_set
@split_option
@index_option
@option(OfSpectra, "layers", help="Number of attention layers to show.")
@common
def attention(model: str, data: str, out: Path | None, **asked: Any) -> None:
    """Where self-attention looks, with the potential along both margins.

    Figure 9 of the paper.
    """
    from qwell.studies.probes.attention import attention as ask

    answer_with(ask(model, _open(data), **given(asked)), probes_folder(model, out))


@probe.command()
@one_run
@one_set
@split_option
@index_option
@option(OfSpectra, "samples", help="Number of potentials that the table averages over.")
@common
def densities(model: str, data: str, out: Path | None, **asked: Any) -> None:
    """Probability densities from gradients, ∂f/∂v against ψ².

    Figure 10 of the paper.
    """
    from qwell.studies.probes.densities import densities as ask

    answer_with(ask(model, _open(data), **given(asked)), probes_folder(model, out))


@probe.command()
@one_run
@one_set
@split_option
@option(OfSpectra, "candidates", help="Number of potentials that are tried with each other.")
@common
def crossing(model: str, data: str, out: Path | None, **asked: Any) -> None:
    """Find an avoided crossing between two potentials, and the exchange of densities.

    Figures 11 and 12 of the paper.
    """
    from qwell.studies.probes.crossing import crossing as ask

    answer_with(ask(model, _open(data), **given(asked)), probes_folder(model, out))


@probe.command()
@runs
@sets
@split_option
@index_option
@common
def matter(models: tuple[str, ...], data: tuple[str, ...], out: Path | None, **asked: Any) -> None:
    """Networks trained on energies in a medium: levels, effect, and a matrix of errors.

    Figures 13 and 14 of the paper.
    """
    from qwell.studies.probes.matter import matter as ask

    answer_with(ask(models, [_open(d) for d in data], **given(asked)), probes_folder(models[0], out))


@probe.command()
@runs
@click.option("--data", multiple=True, required=True, help="Trajectories to be predicted; repeat for more.")
@test_split_option
@frames_option
@anyway_option
@keep_norm_option
@common
def emulators(models: tuple[str, ...], data: tuple[str, ...], out: Path | None, **asked: Any) -> None:
    """Several emulators on the same cases: the dynamics paper's Tables I and III (and Fig. 3c, d)."""
    from qwell.studies.probes.rollouts import emulators as ask

    check_keep_norm(models)
    answer_with(
        ask(models, [open_kind(d, "trajectories") for d in data], **given(asked)),
        probes_folder(models[0], out),
    )


@probe.command()
@one_run
@click.option("--data", required=True, help="Trajectories that windows are cut from.")
@test_split_option
@option(OfTrajectories, "samples", help="Number of windows of each kind.")
@option(OfTrajectories, "seed", help="Seed of the choice of windows.")
@anyway_option
@common
def gradients(model: str, data: str, out: Path | None, **asked: Any) -> None:
    """What predictions depend on: direct gradients, and how far from Cauchy and Riemann.

    Figures 5 and S8 of the paper.
    """
    from qwell.studies.probes.gradients import gradients as ask

    answer_with(ask(model, open_kind(data, "trajectories"), **given(asked)), probes_folder(model, out))


@probe.command()
@runs
@option(
    OfTrajectories,
    "hamiltonian",
    type=Names(lambda: HAMILTONIANS),
    help="Kinetic energy of the truth, which is made on the spot: lattice or spectral.",
)
@frames_option
@anyway_option
@common
def sweep(models: tuple[str, ...], out: Path | None, **asked: Any) -> None:
    """Emulators against S0, E0, and the barrier's width and height; a band over runs.

    Figure 4 of the paper.
    """
    from qwell.studies.probes.generalisation import sweep as ask

    answer_with(ask(models, **given(asked)), probes_folder(models[0], out))


@probe.command()
@one_run
@click.option("--data", required=True, help="Trajectories whose numbers are taken.")
@test_split_option
@frames_option
@anyway_option
@common
def packets(model: str, data: str, out: Path | None, **asked: Any) -> None:
    """Emulators on packets of other shapes: triangle, square.

    Figure S5 of the paper.
    """
    from qwell.studies.probes.generalisation import packets as ask

    answer_with(ask(model, open_kind(data, "trajectories"), **given(asked)), probes_folder(model, out))


@probe.command()
@runs
@click.option("--data", required=True, help="Trajectories to be predicted.")
@test_split_option
@frames_option
@anyway_option
@common
def hyper(models: tuple[str, ...], data: str, out: Path | None, **asked: Any) -> None:
    """Emulators with other history, window and hidden size.

    Figure S7 of the paper.
    """
    from qwell.studies.probes.generalisation import hyper as ask

    answer_with(ask(models, open_kind(data, "trajectories"), **given(asked)), probes_folder(models[0], out))


@probe.command()
@runs
@common
def potentials(models: tuple[str, ...], out: Path | None) -> None:
    """Potentials that runs of `qtrain potential` found, on a plane, beside ψ and V.

    Figure 2 of the paper on potentials; the runs are of one system in two or three dimensions.
    """
    from qwell.studies.inverse.maps import potentials as ask

    answer_with(ask(models), out or Path(models[0]) / "probes")
