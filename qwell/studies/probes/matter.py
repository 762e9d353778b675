"""Energies in a medium, learned from the applied potential alone (spectra paper, §3.4; Figs. 13, 14)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qwell.errors import InvalidInput
from qwell.figures.matter import matter_figure
from qwell.store.dataset import Dataset
from qwell.studies.finding import Cell, Finding, check_index, label
from qwell.studies.probes.asked import OfSpectra
from qwell.studies.probes.cross_kernel import error_matrix, model_label
from qwell.studies.problem import exact
from qwell.train.eigen import predict
from qwell.train.runs import load_model, trained_on


def matter(
    models: Sequence[str | Path],
    data: Sequence[Dataset],
    split: str = OfSpectra.split,
    index: int = OfSpectra.index,
) -> Finding:
    """NMSE of every network on every data set of the same medium, and one potential's levels.

    Arguments:
        models: runs trained on data made with --matter.
        data: sets of that medium to measure on; the first gives the potential drawn.
        index: of the potential.

    Raises InvalidInput if a data set or model is of no medium, or of another.
    """
    formulas = {str(d.path): d.recipe.get("matter") for d in data}
    formulas |= {str(path): trained_on(path).get("recipe", {}).get("matter") for path in models}
    formula = data[0].recipe.get("matter")
    for name, other in formulas.items():
        if other is None or other != formula:
            raise InvalidInput(
                f"{name} has the matter effect {other or 'none'!r}, {data[0].path} {formula or 'none'!r};"
                " compare data and networks of one medium, made with `qdata generate --matter …`"
            )
    matrix = error_matrix(models, data, split)
    names, against = [model_label(p) for p in models], [label(d.recipe, d.stem) for d in data]
    potential = data[0][split]["potential"][check_index(index, data[0], split)][None]
    levels = {n: predict(load_model(p), potential)[0] for n, p in zip(names, models, strict=True)}
    total = exact(data[0]).total(potential)
    figure = matter_figure(
        data[0].coordinates["x"], potential[0], total[0], data[0][split]["energy"][index],
        levels, matrix, names, against, str(formula), f"{against[0]}, {split} potential {index}",
    )  # fmt: skip
    rows: list[list[Cell]] = [[n, *map(float, row)] for n, row in zip(names, matrix, strict=True)]
    numbers = {
        "formula": formula, "models": [str(p) for p in models], "names": names, "data": against,
        "digests": [d.digest for d in data], "split": split, "index": index, "nmse": matrix.tolist(),
    }  # fmt: skip
    head = ["network, trained on", *(f"NMSE, {a}" for a in against)]
    return Finding("matter", f"Energies in a medium, V_total = {formula}", head, rows, numbers, {"": figure})
