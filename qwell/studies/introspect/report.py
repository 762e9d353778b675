"""What an introspective learner found, as a table, numbers and figures."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qwell.figures.introspection import kink_figure, law_figure
from qwell.physics.cells import cell_matrices
from qwell.studies.finding import Cell, Finding
from qwell.studies.introspect.config import IntrospectConfig
from qwell.studies.introspect.density_form import DensityForm
from qwell.studies.introspect.distil import Distilled
from qwell.studies.introspect.law import GRID, Law, blind_law

HEAD = ("of", "what", "found", "exact")


@dataclass(frozen=True)
class Tested:
    """Two latent numbers, and what they are.

    Arguments:
        seed, validation: of the distiller, and its loss.
        updates: its matrices at the potentials `GRID`, (49, 2, 2).
        latents: z of the test rows after each cell, (rows, t, 2).
        law: the tests.
    """

    seed: int
    validation: float
    updates: np.ndarray
    latents: np.ndarray
    law: Law


@dataclass(frozen=True)
class Introspection:
    """All that the stages gave.

    Arguments:
        config: how.
        recipe: of the data set.
        error: MSE/var of the translator on the test rows.
        distilled: d → distillers, one a seed.
        forms: d → density form.
        verdict: the number of latent numbers that are needed, None if nothing is rebuilt.
        tested: the distillers of two numbers; none where no law was asked for.
        dimension: intrinsic dimension of the hidden states.
        states: true (ψ, ψ') of the test rows, real parts, (rows, t, 2).
    """

    config: IntrospectConfig
    recipe: dict[str, Any]
    error: float
    distilled: dict[int, list[Distilled]]
    forms: dict[int, DensityForm]
    verdict: int | None
    tested: list[Tested]
    dimension: float
    states: np.ndarray

    @property
    def energy(self) -> float:
        """E of the physics that made the densities."""
        return float(self.recipe["energy"])

    @property
    def best(self) -> Tested | None:
        """The tested distiller of least validation loss; None of complex waves, which are not two numbers."""
        complex_wave = float(self.recipe["current"]) != 0
        return None if complex_wave else min(self.tested, key=lambda one: one.validation, default=None)


def translator_finding(config: IntrospectConfig, error: float) -> Finding:
    """What is known after the first stage."""
    rows: list[list[Cell]] = [["translator", "relative error, test", error, ""]]
    title = f"{Path(config.data).name}: a {config.translator} translator"
    return Finding("translator", title, HEAD, rows, {"config": config.to_json(), "translator": error})


def finding_of(of: Introspection) -> Finding:
    """What is known after all stages."""
    config, best = of.config, of.best
    rows: list[list[Cell]] = [["translator", "relative error, test", of.error, ""]]
    for d, found in of.distilled.items():
        best_of_d = min(found, key=lambda r: r.validation)
        rows.append([f"distiller d = {d}", "MSE/var, validation", _loss(best_of_d.validation), ""])
        rows.append([f"distiller d = {d}", "MSE/var, test", _loss(best_of_d.test), ""])
    rows.append(["hidden states", "intrinsic dimension (TwoNN)", of.dimension, ""])
    rows.append(
        ["verdict", "latent numbers needed", of.verdict or "nothing is rebuilt", "from validation data"]
    )
    rows += [] if best is None else _law_rows(of, best)
    for d, form in of.forms.items():
        rows.append([f"density form, d = {d}", "MSE/var, validation", _loss(form.validation), ""])
        rows.append([f"density form, d = {d}", "MSE/var, test", _loss(form.loss), ""])
        if d == 3:
            rows.append(["density form, d = 3", "trace, over its range", form.trace, "0"])
            rows.append(["density form, d = 3", "conserved quadratic form", form.invariant, "0"])
    figures = {
        "": kink_figure(
            {d: [r.test for r in found] for d, found in of.distilled.items()},
            {d: form.loss for d, form in of.forms.items() if form.loss < 1e3},
            of.verdict,
        )
    }
    if best is not None:
        figures["law"] = _law_figure(of, best)
    title = (
        f"{Path(config.data).name}: what a {config.translator} translator of potentials to densities knows"
    )
    return Finding("report", title, HEAD, rows, _numbers(of), figures)


def _law_rows(of: Introspection, best: Tested) -> list[list[Cell]]:
    """Each test of the best law beside what is exact; then every distiller's law with its own failures."""
    wrong, energy = best.law.failures(of.energy), of.energy
    exact = {"r2_forward": "1", "r2_backward": "1", "slope": "1", "energy": f"{energy:g}"}
    label = f"law, d = 2, seed {best.seed}"
    rows: list[list[Cell]] = []
    for name, value in asdict(best.law).items():
        shown: Cell = f"{value:.5f}" if name in exact else value
        rows.append([label, name, shown, "FAILS" if name in wrong else exact.get(name, "0")])
    for one in of.tested:
        failed = ", ".join(one.law.failures(energy))
        said = f"ψ'' = ({one.law.slope:.4f} V − {one.law.energy:.4f}) ψ" + (
            f"; fails {failed}" * bool(failed)
        )
        rows.append([f"law, d = 2, seed {one.seed}", "read off", said, f"ψ'' = (V − {energy:g}) ψ"])
    if len(of.tested) > 1:
        spread = [np.std([getattr(one.law, k) for one in of.tested], ddof=1) for k in ("slope", "energy")]
        said = f"slope {spread[0]:.1g}, energy {spread[1]:.1g}"
        rows.append(["law, d = 2", f"spread over {len(of.tested)} seeds", said, "0"])
    return rows


def _loss(value: float) -> Cell:
    return value if math.isfinite(value) else "diverged"


def _about(one: Tested, energy: float) -> dict[str, Any]:
    """A law with its own failures, and the seed of its distiller."""
    return {"seed": one.seed, **asdict(one.law), "failures": one.law.failures(energy)}


def _numbers(of: Introspection) -> dict[str, Any]:
    return {
        "config": of.config.to_json(),
        "recipe": of.recipe,
        "translator": of.error,
        "distillers": {
            str(d): [{"seed": r.seed, "validation": r.validation, "test": r.test} for r in found]
            for d, found in of.distilled.items()
        },
        "intrinsic_dimension": of.dimension,
        "verdict": of.verdict,
        "laws": [_about(one, of.energy) for one in of.tested],
        "best": None if of.best is None else _about(of.best, of.energy),
        "density_form": {
            str(d): {"loss": f.loss, "validation": f.validation, "trace": f.trace, "invariant": f.invariant}
            for d, f in of.forms.items()
        },
    }


def _law_figure(of: Introspection, best: Tested) -> Figure:
    cell = float(of.recipe["cell"])
    image = np.linalg.lstsq(best.latents.reshape(-1, 2), of.states.reshape(-1, 2), rcond=None)[0]
    return law_figure(
        GRID,
        np.trace(best.updates, axis1=1, axis2=2),
        np.trace(cell_matrices(GRID - of.energy, cell), axis1=1, axis2=2),
        np.linalg.det(best.updates),
        [blind_law(one.updates, cell) for one in of.tested],
        GRID - of.energy,
        of.states[0],
        best.latents[0] @ image,
    )
