"""`qtrain`: train networks on data sets, and see how good they are."""

from __future__ import annotations

import click

from qwell.cli.common import CONTEXT, log_option, plugin_option, run, version_option
from qwell.cli.options import LazyGroup

SECTIONS = {
    "Train": {
        "eigen": (
            "qwell.cli.qtrain_eigen:eigen",
            "Train an eigenvalue network: potentials in, lowest energies out.",
        ),
        "dynamics": (
            "qwell.cli.qtrain_dynamics:dynamics",
            "Train an emulator: what was, to what comes next.",
        ),
        "introspect": (
            "qwell.cli.qtrain_introspect:introspect",
            "Learn densities, distil hidden states, and test what is left against the Schrödinger equation.",
        ),
    },
    "Ask": {
        "runs": (
            "qwell.cli.qtrain_runs:runs",
            "List and compare runs: what is trained, how far, how good.",
        ),
        "explore": (
            "qwell.cli.qtrain_explore:explore",
            "Follow trainings in the browser, and ask networks about potentials and packets that you draw.",
        ),
        "evaluate": (
            "qwell.cli.qtrain_eigen:evaluate",
            "Measure trained models on a data set, beside the ladder of baselines and the direct solvers.",
        ),
        "predict": (
            "qwell.cli.qtrain_predict:predict",
            "Predict the lowest energies of your own potentials with a trained model.",
        ),
        "calibrate": (
            "qwell.cli.qtrain_predict:calibrate",
            "Give a trained model intervals for data of one law, by the validation split of a data set.",
        ),
        "rollout": (
            "qwell.cli.qtrain_dynamics:rollout",
            "Feed an emulator with its own predictions, and compare with the truth: all cases, every frame.",
        ),
        "probe": (
            "qwell.cli.qtrain_probe:probe",
            "Ask trained networks what they know: the experiments of the papers, one command each.",
        ),
        "league": (
            "qwell.cli.qtrain_league:league",
            "Measure networks on fixed test sets, beside the best classical method at equal error.",
        ),
        "models": (
            "qwell.cli.qtrain_eigen:models",
            "List the models of the zoo, their options and numbers of parameters; or trained ones.",
        ),
    },
    "Solve": {
        "variational": (
            "qwell.cli.qtrain_variational:variational",
            "Ground and excited states by the variational principle, with a network as the trial function.",
        ),
        "potential": (
            "qwell.cli.qtrain_potential:potential",
            "Find V and E with (−½∇² + V)ψ = Eψ, given ψ, and V at one point.",
        ),
        "control": (
            "qwell.cli.qtrain_control:control",
            "Find the drive that takes a wave packet to a target state, by gradients through its motion.",
        ),
        "derivatives": (
            "qwell.cli.qtrain_variational:derivatives",
            "Time derivatives of networks, ours and by automatic differentiation.",
        ),
    },
    "Share": {
        "push": (
            "qwell.cli.qtrain_share:push",
            "Copy a trained model with its card to s3://, gs://, az://, hf://, ssh:// or file://.",
        ),
        "pull": (
            "qwell.cli.qtrain_share:pull",
            "Copy a trained model from a place to PATH, or into models/.",
        ),
        "list": (
            "qwell.cli.qtrain_share:list_",
            "List the trained models in a directory or at an address, without reading weights.",
        ),
    },
    "Papers": {
        "reproduce": (
            "qwell.cli.qtrain_reproduce:reproduce",
            "Do a paper again: data, trainings, experiments, and a report with its statements.",
        ),
    },
}


@click.group(cls=LazyGroup, sections=SECTIONS, context_settings=CONTEXT)
@version_option("qtrain")
@log_option
@plugin_option
def cli() -> None:
    """Train networks on data sets made by qdata, and see how good they are.

    First: `qdata generate --kernel m3 --n 100000`, then `qtrain eigen --data store/m3.zarr`.
    Add --debug to any command for a traceback.
    """


def main() -> None:
    """Entry point of `qtrain`."""
    run(cli, "qtrain")


if __name__ == "__main__":
    main()
