"""`qdata generate`, `densities`, `finalise` and `import`: data sets of rows that are drawn, or brought."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qwell.cli.answers import answer, as_json
from qwell.cli.common import goes_on_with
from qwell.cli.making import Making, make, making_options
from qwell.cli.options import given, option, path_option
from qwell.datagen.recipes.densities import SOURCES, DensitiesRecipe
from qwell.datagen.recipes.imported import import_spectra, read_spectra
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.physics.potentials import BLOCK
from qwell.progress import stage


@click.command()
@option(SpectraRecipe, "kernel", metavar="NAME", help="rbf, m5, m3, exp or matern (with --nu).")
@option(SpectraRecipe, "n", help="Potentials in the training split.")
@option(SpectraRecipe, "sigma", help="Standard deviation of V, ħ²/(m·length²).")
@option(SpectraRecipe, "length", help="Correlation length, half box = 1.")
@option(SpectraRecipe, "nu", help="Smoothness of the matern kernel.")
@option(SpectraRecipe, "mesh", help="Intervals M; M + 1 points.")
@option(SpectraRecipe, "levels", help="Lowest energies kept.")
@option(SpectraRecipe, "validation", help="Potentials in the validation split.")
@option(SpectraRecipe, "seed", help="Of the random streams.")
@option(SpectraRecipe, "solver", help="scipy (reference) or lanes (batched, ~50x faster).")
@option(SpectraRecipe, "densities", help="Also keep the squared wave functions.")
@option(
    SpectraRecipe, "matter", metavar="FORMULA",
    help="Energies of a total potential: case1, case2 or a formula of V, x, sigma.",
)  # fmt: skip
@option(SpectraRecipe, "dtype", help="Of stored potentials: float32 or float64.")
@making_options(SpectraRecipe, BLOCK, "store/<kernel>[-<matter>].zarr")
def generate(making: Making, **recipe: Any) -> None:
    """Make random potentials from a Gaussian process, and their lowest energies."""
    make(SpectraRecipe(**given(recipe)), making)


@click.command()
@option(DensitiesRecipe, "n", help="Rows to train on.")
@option(DensitiesRecipe, "validation", help="Rows to validate on.")
@option(DensitiesRecipe, "test", help="Rows to test on.")
@option(DensitiesRecipe, "potential", help=f"{', '.join(SOURCES[:-1])} or {SOURCES[-1]}.")
@option(DensitiesRecipe, "length", help="Correlation length of kernels.")
@option(DensitiesRecipe, "cells", help="Cells of a potential.")
@option(DensitiesRecipe, "cell", help="Length of a cell.")
@option(DensitiesRecipe, "energy", help="E, units 2m/ħ² = 1.")
@option(DensitiesRecipe, "slope", help="ψ'(0); ψ(0) is 1.")
@option(DensitiesRecipe, "current", help="Its imaginary part.")
@option(DensitiesRecipe, "noise", help="Relative, on every density.")
@option(DensitiesRecipe, "seed", help="Of the random streams.")
@making_options(DensitiesRecipe, BLOCK, "store/densities.zarr")
def densities(making: Making, **recipe: Any) -> None:
    """Random potentials in cells, and the density of the wave that starts at their left end."""
    make(DensitiesRecipe(**given(recipe)), making)


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@as_json
def finalise(path: Path) -> None:
    """Make a data set of the shards that `qdata generate --shards` made; exit code 2 if some are missing."""
    from qwell.datagen.pipeline import finalise as finish

    manifest = finish(path)
    rows = {name: layout.rows for name, layout in manifest.plan.splits.items()}
    counts = " + ".join(f"{n:,}" for n in rows.values())
    results = {"path": path, "digest": manifest.digest, "rows": rows}
    answer(results, f"{path}: {counts} rows, version {manifest.digest[:12]}")


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@option(read_spectra, "potential", help="Name of the potentials in the file.")
@option(read_spectra, "energy", help="Name of the energies, if there are any.")
@option(import_spectra, "levels", help="Energies to solve for.")
@option(import_spectra, "solver", help="scipy or lanes.")
@option(import_spectra, "dtype", help="Of stored potentials: float32 or float64.")
@option(import_spectra, "validation", help="Rows drawn for validation.")
@option(import_spectra, "seed", help="Of the choice of rows for validation.")
@click.option("--resume", is_flag=True, help="Continue an interrupted import.")
@click.option("--force", is_flag=True, help="Replace an existing data set (kept until the new one is whole).")
@path_option("--out", help="Where.", default="store/<name of the file>.zarr")
@as_json
def import_(
    source: Path, potential: str | None, energy: str | None, out: Path | None, **options: Any
) -> None:
    """Bring your own potentials, one a row, from .npz, .npy, .csv or HDF5.

    They are values on equally spaced points from wall to wall, in ħ²/(m·length²) with length half the box.
    Energies that come with them are kept; else they are solved for.
    """
    arrays = read_spectra(source, **given({"potential": potential, "energy": energy}))
    path = out or Path("store") / f"{source.stem}.zarr"
    again = goes_on_with("the same command and --resume", "qdata")
    with again, stage("rows", len(arrays["potential"])) as done:
        manifest = import_spectra(
            arrays["potential"],
            path,
            arrays.get("energy"),
            source=source.name,
            progress=done,
            **given(options),
        )
    rows = {name: layout.rows for name, layout in manifest.plan.splits.items()}
    counts = " + ".join(f"{n:,}" for n in rows.values())
    energies = "as given" if "energy" in arrays else f"by {manifest.plan.recipe['solver']}"
    answer(
        {"path": path, "digest": manifest.digest, "rows": rows},
        f"{path}: {counts} rows, energies {energies}, version {manifest.digest[:12]}",
        {"source": source, "path": path, "recipe": manifest.plan.recipe},
    )
