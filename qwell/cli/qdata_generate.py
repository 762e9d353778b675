"""`qdata generate`, `densities`, `finalise` and `import`: data sets of rows that are drawn, or brought."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qwell.cli.answers import answer, as_json
from qwell.cli.common import goes_on_with
from qwell.cli.making import Making, credit_options, credits_of, make, making_options
from qwell.cli.options import Names, Target, given, option, path_option, refuse, stacked
from qwell.datagen.recipes.densities import SOURCES, DensitiesRecipe
from qwell.datagen.recipes.imported import import_spectra, read_spectra
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.physics.kernels import KERNELS
from qwell.physics.potentials import BLOCK
from qwell.physics.spectrum import SOLVERS
from qwell.progress import stage
from qwell.store.schema import DTYPES
from qwell.store.tables import SUFFIXES


@click.command()
@option(
    SpectraRecipe,
    "kernel",
    type=Names(lambda: KERNELS),
    help="Kernel of the Gaussian process: rbf, m5, m3, exp, matern (with --nu) or a plug-in's.",
)
@option(SpectraRecipe, "n", help="Potentials in the training split.")
@option(SpectraRecipe, "sigma", help="Standard deviation of the potential, ħ²/(m·length²).")
@option(SpectraRecipe, "length", help="Correlation length of the potential, in units of half the box.")
@option(SpectraRecipe, "nu", help="Smoothness ν of --kernel matern.")
@option(SpectraRecipe, "mesh", help="Intervals of the mesh; a potential has one point more.")
@option(SpectraRecipe, "levels", help="Number of energies to keep, the lowest ones.")
@option(SpectraRecipe, "validation", help="Potentials in the validation split.")
@option(SpectraRecipe, "seed", help="Seed of the random potentials.")
@option(
    SpectraRecipe, "solver", type=Names(lambda: SOLVERS),
    help="Solver of the eigenvalue problem: scipy (reference) or lanes (batched, ~50x faster).",
)  # fmt: skip
@option(SpectraRecipe, "densities", help="Keep the squared wave functions, too.")
@option(
    SpectraRecipe, "matter", metavar="FORMULA",
    help="Matter that changes the potential before it is solved: case1, case2 or a formula of V, x, sigma.",
)  # fmt: skip
@option(
    SpectraRecipe, "dtype", type=Names(lambda: DTYPES),
    help="Number format of stored potentials: float32 or float64.",
)  # fmt: skip
@making_options(SpectraRecipe, BLOCK, "store/<kernel>[-<matter>].zarr")
def generate(making: Making, **recipe: Any) -> None:
    """Make random potentials from a Gaussian process, and their lowest energies."""
    make(SpectraRecipe(**given(recipe)), making)


@click.command()
@option(DensitiesRecipe, "n", help="Rows of the training split.")
@option(DensitiesRecipe, "validation", help="Rows of the validation split.")
@option(DensitiesRecipe, "test", help="Rows of the test split.")
@option(
    DensitiesRecipe, "potential", type=Names(lambda: [*SOURCES, *KERNELS.others]),
    help=f"What potentials are drawn from: {', '.join(SOURCES)} (kernels) or a plug-in's kernel.",
)  # fmt: skip
@option(DensitiesRecipe, "length", help="Correlation length of potentials that are drawn from a kernel.")
@option(DensitiesRecipe, "cells", help="Number of cells in which a potential is constant.")
@option(DensitiesRecipe, "cell", help="Length of one cell.")
@option(DensitiesRecipe, "energy", help="Energy of the wave, in units with 2m/ħ² = 1.")
@option(DensitiesRecipe, "slope", help="Real part of ψ' at the left end, where ψ is 1.")
@option(DensitiesRecipe, "current", help="Imaginary part of ψ' at the left end: the current.")
@option(DensitiesRecipe, "noise", help="Relative standard deviation of noise on every density.")
@option(DensitiesRecipe, "seed", help="Seed of the random potentials.")
@making_options(DensitiesRecipe, BLOCK, "store/densities.zarr")
def densities(making: Making, **recipe: Any) -> None:
    """Random potentials in cells, and the density of the wave that starts at their left end."""
    made = DensitiesRecipe(**given(recipe))
    if made.potential == SOURCES[0]:
        refuse(f"it belongs to --potential {', '.join(SOURCES[1:])}", "length")
    make(made, making)


@click.command()
@click.argument("path", type=Target())
@as_json
def finalise(path: str | Path) -> None:
    """Make a data set of the shards that `qdata … --shards` made; exit code 2 if some are missing."""
    from qwell.datagen.pipeline import finalise as finish

    manifest = finish(path)
    rows = {name: layout.rows for name, layout in manifest.plan.splits.items()}
    counts = " + ".join(f"{n:,}" for n in rows.values())
    results = {"path": path, "digest": manifest.digest, "rows": rows}
    answer(results, f"{path}: {counts} rows, version {manifest.digest[:12]}")


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@option(read_spectra, "potential", help="Name of the array of potentials in .npz or HDF5.")
@option(read_spectra, "energy", help="Name of the array of energies in .npz or HDF5, if there is one.")
@option(import_spectra, "levels", help="Number of energies to solve for, where the file has none.")
@option(
    import_spectra, "solver", type=Names(lambda: SOLVERS),
    help="Solver, where the file has no energies: scipy or lanes.",
)  # fmt: skip
@option(import_spectra, "densities", help="Keep the squared wave functions of all levels, too.")
@option(
    import_spectra, "dtype", type=Names(lambda: DTYPES),
    help="Number format of stored potentials: float32 or float64.",
)  # fmt: skip
@option(import_spectra, "validation", help="Rows drawn for validation.")
@option(import_spectra, "seed", help="Seed of the choice of the rows of --validation.")
@click.option("--resume", is_flag=True, help="Continue an interrupted import.")
@click.option("--force", is_flag=True, help="Replace an existing data set (kept until the new one is whole).")
@stacked(*credit_options)
@path_option("--out", help="Path of the new data set.", default="store/<name of the file>.zarr")
@as_json
def import_(
    source: Path, potential: str | None, energy: str | None, out: Path | None, license_: str | None,
    authors: tuple[str, ...], **options: Any,
) -> None:  # fmt: skip
    """Bring your own potentials, one a row, from .npz, .npy, .csv or HDF5.

    They are values on equally spaced points from wall to wall, in ħ²/(m·length²) with length half the box.
    Energies that come with them are kept; else they are solved for.
    """
    if source.suffix in SUFFIXES:
        refuse(
            f"{source.suffix} holds one array without a name; names belong to .npz and HDF5",
            "potential",
            "energy",
        )
    arrays = read_spectra(source, **given({"potential": potential, "energy": energy}))
    if "energy" in arrays:
        refuse(f"{source} has energies, which are kept", "levels", "solver")
    if not options["validation"]:
        refuse("it draws the rows of --validation", "seed")
    path = out or Path("store") / f"{source.stem}.zarr"
    again = goes_on_with("the same command and --resume", "qdata")
    with again, stage("rows", len(arrays["potential"])) as done:
        manifest = import_spectra(
            arrays["potential"],
            path,
            arrays.get("energy"),
            source=source.name,
            progress=done,
            credits=credits_of(license_, authors),
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
