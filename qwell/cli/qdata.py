"""`qdata`: make, look at and check data sets."""

from __future__ import annotations

import click

from qwell.cli.common import CONTEXT, log_option, plugin_option, run, version_option
from qwell.cli.options import LazyGroup

SECTIONS = {
    "Make": {
        "generate": (
            "qwell.cli.qdata_generate:generate",
            "Make random potentials from a Gaussian process, and their lowest energies.",
        ),
        "densities": (
            "qwell.cli.qdata_generate:densities",
            "Random potentials in cells, and the density of the wave that starts at their left end.",
        ),
        "simulate": (
            "qwell.cli.qdata_simulate:simulate",
            "Propagate wave packets on a ring, every packet in every potential; or a ready-made set of them.",
        ),
        "import": (
            "qwell.cli.qdata_generate:import_",
            "Bring your own potentials, one a row, from .npz, .npy, .csv or HDF5.",
        ),
        "finalise": (
            "qwell.cli.qdata_generate:finalise",
            "Make a data set of the shards that `qdata … --shards` made; exit code 2 if some are missing.",
        ),
    },
    "Look": {
        "info": (
            "qwell.cli.qdata_store:info",
            "Say what a data set holds, how it was made, and its version.",
        ),
        "list": (
            "qwell.cli.qdata_store:list_",
            "List the data sets in a directory or at an address, without reading arrays.",
        ),
        "stats": (
            "qwell.cli.qdata_store:stats",
            "Mean, standard deviation and range of every field; with --json also of every element of a row.",
        ),
        "plot": (
            "qwell.cli.qdata_draw:plot",
            "Draw a page of samples: potentials with levels or densities, or wave packets in space and time.",
        ),
        "animate": (
            "qwell.cli.qdata_draw:animate",
            "Film one simulation: |ψ|, Re ψ, and the potential.",
        ),
        "explore": (
            "qwell.cli.qdata_explore:explore",
            "Look at data sets in the browser, draw potentials and solve them, and play wave packets.",
        ),
        "windows": (
            "qwell.cli.qdata_simulate:windows",
            "What networks learn from: windows of trajectories, how many, and how many touch the potential.",
        ),
    },
    "Keep": {
        "verify": (
            "qwell.cli.qdata_keep:verify",
            "Check a data set: manifest, names, sizes and sha256 of every file.",
        ),
        "repair": (
            "qwell.cli.qdata_keep:repair",
            "Put damaged or missing files right: made again from the recipe, or brought from a copy.",
        ),
        "cache": (
            "qwell.cli.qdata_keep:cache",
            "Say what is in the cache: copies of data and models that can be made or brought again.",
        ),
    },
    "Change": {
        "convert": (
            "qwell.cli.qdata_store:convert",
            "Write the same rows in another format: Zarr to HDF5, HDF5 to Zarr, or into a single HDF5 file.",
        ),
        "subset": (
            "qwell.cli.qdata_store:subset",
            "Keep a random part of the training rows.",
        ),
        "merge": (
            "qwell.cli.qdata_store:merge",
            "Put data sets with the same fields one after the other, split by split.",
        ),
    },
    "Share": {
        "push": (
            "qwell.cli.qdata_share:push",
            "Copy a data set to s3://, gs://, az://, hf://, ssh:// or a directory (file://).",
        ),
        "pull": (
            "qwell.cli.qdata_share:pull",
            "Copy a data set from s3://, gs://, az://, hf://, ssh:// or https:// to PATH, or into store/.",
        ),
        "versions": (
            "qwell.cli.qdata_share:versions",
            "List the versions of a data set at a place; * marks the one that its name means.",
        ),
        "prune": (
            "qwell.cli.qdata_share:prune",
            "Take old versions of a data set away from a place; first look what would go, then add --yes.",
        ),
        "card": (
            "qwell.cli.qdata_store:card",
            "Write a data card: NAME.md for people, NAME.croissant.json (Croissant 1.1) for catalogs.",
        ),
    },
}


@click.group(cls=LazyGroup, sections=SECTIONS, context_settings=CONTEXT)
@version_option("qdata")
@log_option
@plugin_option
def cli() -> None:
    """Make, look at and check data sets of one-dimensional quantum mechanics.

    First: `qdata generate --kernel m3 --n 100000`, then `qtrain eigen --data store/m3.zarr`.
    Add --debug to any command for a traceback.
    """


def main() -> None:
    """Entry point of `qdata`."""
    run(cli, "qdata")


if __name__ == "__main__":
    main()
