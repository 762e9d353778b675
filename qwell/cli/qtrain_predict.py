"""`qtrain predict` and `calibrate`: energies of one's own potentials, and how far to trust them."""

from __future__ import annotations

import math
from decimal import ROUND_UP, Context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwell.cli.answers import answer, as_json, wants_json
from qwell.cli.options import given, option, path_option, refuse
from qwell.cli.training import device_option
from qwell.errors import InvalidInput, warn
from qwell.store.tables import SUFFIXES, read_potentials, write_table
from qwell.train.calibration import COVERAGE, COVERAGES, FOREIGN, UNLIKE, Calibration, check_coverage

if TYPE_CHECKING:
    import numpy as np

    from qwell.studies.certify import Certificates, Certifier

UNITS = "hbar^2/(m length^2)"


@click.command()
@click.argument("model", metavar="RUN")
@click.option(
    "--potential",
    type=click.Path(path_type=Path),
    required=True,
    help="File of potentials, one in each row: .npy, .npz, HDF5, or .csv by commas.",
)
@option(read_potentials, "array", help="Name of the array of potentials in .npz or HDF5.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File to write the energies into, .npy or .csv, instead of printing them.",
)
@option(
    Calibration.half_widths,
    "coverage",
    help=f"Share of levels that intervals cover: {', '.join(f'{c:g}' for c in COVERAGES)}.",
)
@click.option(
    "--certify",
    type=float,
    metavar="DELTA",
    help="Distance that is to be proven: which energies lie within it of their levels on the model's mesh.",
)
@device_option
@as_json
def predict(
    model: str,
    potential: Path,
    array: str | None,
    out: Path | None,
    coverage: float | None,
    certify: float | None,
    device: str,
) -> None:
    """Predict the lowest energies of your own potentials with a trained model.

    Each has an interval if the model was calibrated, as trainings do, and the potential is like those of its
    training. With --certify energies are proven, or not: the levels are those of the matrix that the model's
    data were solved with, not of the continuum. Proving costs about what solving costs.
    """
    from qwell.train.calibration import calibration_in
    from qwell.train.devices import choose_device
    from qwell.train.eigen import beyond_taught
    from qwell.train.eigen import predict as infer
    from qwell.train.runs import load_model, trained_on

    if potential.suffix in SUFFIXES:
        refuse(f"{potential.suffix} holds one array without a name", "array")
    network, about = load_model(model, choose_device(device), task="spectra"), trained_on(model)
    calibration = calibration_in(about, network.config.points, network.config.levels)
    if certify is not None and not wants_json():
        refuse("with --certify only --json says intervals", "coverage")
    if calibration is None:
        refuse(f"{model} was not calibrated; `qtrain calibrate` does that", "coverage")
    wanted = COVERAGE if coverage is None else coverage
    check_coverage(wanted)
    values = read_potentials(potential, **given({"array": array}))
    certifier = None
    if certify is not None:
        from qwell.studies.certify import Certifier  # numba is loaded only where it is used

        certifier = Certifier(about, network.config.points, certify)
    energies = infer(network, values)
    if said := beyond_taught(values, about.get("recipe", {})):
        warn(said)
    results: dict[str, Any] = {"units": UNITS}
    rows = [[f"{e:.4f}" for e in row] for row in energies]
    if out:
        write_table(out, energies)
        results = {"written": out, "rows": len(energies), **results}
    else:
        results = {"energy": energies.tolist(), **results}
    notes = [f"{out}: energies of {len(energies):,} potentials"] if out else []
    if calibration:
        widths, rare = calibration.half_widths(values, energies, wanted), calibration.p_values(values)
        results |= {"set_p_value": calibration.set_p_value(values), **_intervals(widths, rare, wanted)}
        if not certifier:
            notes.append(_share_marked(rare, wanted, results["set_p_value"]))
            rows = _with_intervals(rows, widths, rare)
    if certifier:
        proven = certifier(values, energies)
        results |= {"certified": proven.certified.tolist(), "certified_within": proven.within.tolist()}
        notes.append(_share_certified(proven, certifier))
        rows = _with_certificates(energies, proven)
    answer(results, "\n".join([*(() if out else map("  ".join, rows)), *notes]))


def _intervals(widths: np.ndarray, rare: np.ndarray, coverage: float) -> dict[str, Any]:
    """What --json says of intervals; null where there is none."""
    pairs = zip(widths.tolist(), (rare >= UNLIKE).tolist(), strict=True)
    halves = [row if like else None for row, like in pairs]
    return {"coverage": coverage, "half_width": halves, "p_value": rare.tolist()}


def _with_intervals(rows: list[list[str]], widths: np.ndarray, rare: np.ndarray) -> list[list[str]]:
    """Cells with half of each interval, or a mark behind a row that has none."""
    return [
        [f"{cell} ±{width:.2g}" for cell, width in zip(row, half, strict=True)]
        if p >= UNLIKE
        else [*row, f"unlike the training (p {p:.1g})"]
        for row, half, p in zip(rows, widths.tolist(), rare.tolist(), strict=True)
    ]


def _share_marked(rare: np.ndarray, coverage: float, whole: float) -> str:
    """What intervals mean, and how many potentials have none; or that they mean nothing of such a set."""
    unlike = int((rare < UNLIKE).sum())
    if whole < FOREIGN:
        return (
            f"{unlike:,} of {len(rare):,} potentials are unlike those of the training, too many for a set of"
            f" its law (p {max(whole, 1e-16):.1g} at most): intervals promise nothing here, those of the"
            " others included; `qtrain calibrate` gives intervals for another law"
        )
    meant = f"intervals cover {100 * coverage:g} % of the levels of potentials like those of the training"
    return f"{meant}; {unlike:,} of {len(rare):,} potentials are unlike these and have none"


def _with_certificates(energies: np.ndarray, proven: Certificates) -> list[list[str]]:
    """Cells with the distance proven of each level, and whether that is enough."""
    up = Context(prec=2, rounding=ROUND_UP)  # a bound that is rounded down is none

    def cell(energy: float, within: float, enough: bool) -> str:
        places = max(4, 2 - math.floor(math.log10(within))) if 0 < within < math.inf else 4
        distance = within + 10.0**-places  # the printed energy is rounded
        return f"{energy:.{places}f} ±{up.create_decimal_from_float(distance):g} {'yes' if enough else 'no'}"

    cells = zip(energies.tolist(), proven.within.tolist(), proven.certified.tolist(), strict=True)
    return [list(map(cell, *row)) for row in cells]


def _share_certified(proven: Certificates, certifier: Certifier) -> str:
    """How many levels are certified, and what that means."""
    return (
        f"certified within {certifier.delta:g} of their levels: {proven.certified.sum():,} of"
        f" {proven.certified.size:,}; ± is the smallest distance proven, rounded up; levels are those of the"
        f" matrix on {certifier.grid.mesh} mesh intervals"
    )


@click.command()
@click.argument("model", metavar="RUN")
@click.option(
    "--data",
    required=True,
    help="Data set of the law that intervals are meant for: spectra, or trajectories for an emulator.",
)
@path_option("--out", help="Folder of the calibrated model.", default="models/<name>")
@device_option
@as_json
def calibrate(model: str, data: str, out: Path | None, device: str) -> None:
    """Give a trained model intervals for data of one law, by the validation split of a data set.

    Networks of energies get intervals of every level, emulators a bound on the relative error of ψ for every
    frame of a rollout. Trainings calibrate by their own data at their end; this is for models from before,
    and for other laws.
    """
    from qwell.models.registry import CONFIG, save_described
    from qwell.physics.propagators.settings import setting_of
    from qwell.store.reader import open_dataset
    from qwell.studies.probes.emulator import load_emulator
    from qwell.train.devices import choose_device
    from qwell.train.eigen import calibrated
    from qwell.train.horizon import horizon_of
    from qwell.train.runs import load_model, model_folder, trained_on

    opened, network, about = open_dataset(data), load_model(model, choose_device(device)), trained_on(model)
    out = out or Path("models") / Path(model).name
    if out.exists():
        raise InvalidInput(f"{out} exists; choose another --out")
    record = {"data": opened.name, "digest": opened.digest}
    if network.task == "dynamics":
        setting = setting_of(opened.require("trajectories").origin)
        emulator, v_scale = load_emulator(model, *setting, str(choose_device(device)))
        bounds = horizon_of(emulator.eval(), v_scale, opened)
        count, unit, command = bounds.count, "simulations", "rollout"
        if bounds.unbounded:
            said = "; ".join(f"{c:.0%} takes {n}" for c, n in bounds.unbounded.items())
            warn(f"{count} simulations are too few for bounds of all coverages: {said} or more")
        about["horizon"] = {**bounds.to_json(), **record}
    else:
        made = calibrated(network, opened.require("spectra"))
        count, unit, command = made.count, "potentials", "predict"
        about["calibration"] = {**made.to_json(), **record, "recipe": opened.recipe}
    save_described(model_folder(model), out, about)
    answer(
        {"model": out, unit: count, "data": opened.name, "config": out / CONFIG},
        f"{out}: calibrated by {count:,} {unit} of {opened.name}; `qtrain {command} {out} …` gives intervals",
    )
