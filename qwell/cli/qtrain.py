"""`qtrain`: train networks on data sets, and see how good they are."""

from __future__ import annotations

from pathlib import Path

import click

from qwell.cli.common import CONTEXT, run, version_option
from qwell.cli.options import LazyGroup, path_option

PLACES = {
    "eigen": (
        "qwell.cli.qtrain_eigen:eigen",
        "Train an eigenvalue network: potentials in, lowest energies out.",
    ),
    "evaluate": (
        "qwell.cli.qtrain_eigen:evaluate",
        "Measure a trained model on a data set, beside the ladder of baselines and the direct solvers.",
    ),
    "predict": (
        "qwell.cli.qtrain_eigen:predict",
        "Predict the lowest energies of your own potentials with a trained model.",
    ),
    "models": (
        "qwell.cli.qtrain_eigen:models",
        "List the models of the zoo, their options and numbers of parameters; or trained ones.",
    ),
    "dynamics": ("qwell.cli.qtrain_dynamics:dynamics", "Train an emulator: what was, to what comes next."),
    "rollout": (
        "qwell.cli.qtrain_dynamics:rollout",
        "Feed an emulator with its own predictions, and compare with the truth: all cases, every frame.",
    ),
    "probe": (
        "qwell.cli.qtrain_probe:probe",
        "Ask trained networks what they know: the experiments of the papers, one command each.",
    ),
    "variational": (
        "qwell.cli.qtrain_variational:variational",
        "Ground and excited states by the variational principle, with a network as the trial function.",
    ),
    "derivatives": (
        "qwell.cli.qtrain_variational:derivatives",
        "Time derivatives of networks, ours and by automatic differentiation (Fig.",
    ),
    "potential": (
        "qwell.cli.qtrain_potential:potential",
        "Find V and E with (−½∇² + V)ψ = Eψ, given ψ, and V at one point.",
    ),
    "introspect": (
        "qwell.cli.qtrain_introspect:introspect",
        "Learn densities, distil the hidden states, and test what is left against the Schrödinger equation.",
    ),
}


@click.group(cls=LazyGroup, places=PLACES, context_settings=CONTEXT)
@version_option("qtrain")
def cli() -> None:
    """Train networks on data sets made by qdata, and see how good they are.

    First: `qdata generate --kernel m3 --n 100000`, then `qtrain eigen --data store/m3.zarr`.
    Add --debug to any command for a traceback.
    """


@cli.group()
def reproduce() -> None:
    """Do a paper again: data, trainings, experiments, and a report with its statements beside our numbers."""


scale_option = click.option(
    "--scale",
    default="demo",
    show_default=True,
    help="demo (minutes), cpu (hours on 2 cores) or paper (its sizes; wants a GPU).",
)
folder_option = path_option("--out", help="Folder.", default="reproduction/<paper>-<scale>")


def run_command(command: list[str]) -> None:
    """Run one of our own commands in this process."""
    from qwell.cli import qdata

    group = qdata.cli if command[0] == "qdata" else cli
    group.main(command[1:], prog_name=command[0], standalone_mode=False)


PAPERS = {
    "spectra": "The spectra paper (arXiv:2201.06676).",
    "dynamics": "The dynamics paper (arXiv:2203.10200).",
    "derivatives": "The derivatives paper (S. Rodini, Analytical derivatives of neural networks).",
    "potential": "The potential paper (Hong et al., quantum potentials by Metropolis sampling).",
    "introspective": "The introspective paper (arXiv:1901.11103).",
}


def _paper(name: str, title: str) -> None:
    """Add the command that does a paper again, from its `reproduce_<name>.py` and `report_<name>.py`."""

    @reproduce.command(name, help=f"{title} Repeat the command to continue where it was.")
    @scale_option
    @folder_option
    def command(scale: str, out: Path | None) -> None:
        from importlib import import_module

        from qwell.papers.reproduce import Paper
        from qwell.papers.reproduce import reproduce as do

        plan = import_module(f"qwell.papers.{name}")
        write = getattr(import_module(f"qwell.papers.report_{name}"), f"write_{name}_report")
        folder = out or Path("reproduction") / f"{name}-{scale}"
        path = do(Paper(name, plan.SCALES, plan.stages, write), scale, folder, run_command)
        click.echo(f"report: {path}  {path.with_suffix('.md')}")


for _name, _title in PAPERS.items():
    _paper(_name, _title)


def main() -> None:
    """Entry point of `qtrain`."""
    run(cli, "qtrain")


if __name__ == "__main__":
    main()
