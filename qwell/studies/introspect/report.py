"""The introspective learner, stage by stage; every stage is kept in the run and not done again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from qwell.errors import CheckpointError, InvalidInput
from qwell.figures.introspection import kink_figure, law_figure
from qwell.models.introspective import TRANSLATORS, Distiller, TaylorCell, Translator
from qwell.models.tensors import write_tensors
from qwell.physics.cells import HIGHEST, cell_matrices
from qwell.store.dataset import Dataset
from qwell.studies.finding import Cell, Finding
from qwell.studies.introspect.density_form import DensityForm, density_form, intrinsic_dimension
from qwell.studies.introspect.distil import Distilled, Split, distil, verdict
from qwell.studies.introspect.law import GRID, Law, test_law
from qwell.studies.introspect.translate import (
    Report,
    hidden_states,
    metric,
    relative_error,
    train_translator,
)
from qwell.train.runs import Run

SPLITS = ("train", "validation", "test")
UPDATES = ("linear", "free")
STAGES = ("translator", "scan", "law")
HEAD = ("of", "what", "found", "exact")


@dataclass(frozen=True)
class IntrospectConfig:
    """How a data set of densities is learned from, and looked into.

    Arguments:
        data, digest: path and version of the data set.
        translator: of `TRANSLATORS`.
        dimensions: latent dimensions to scan.
        update: of latent numbers: "linear", by matrices, or "free", by a perceptron; a control without a law.
        seeds: distillers of each dimension, one after another.
        starts: beginnings of each; the one ahead is trained to the end.
        translator_steps, distiller_steps: of Adam.
        seed: of all.

    Raises InvalidInput for a value out of range.
    """

    data: str
    digest: str
    translator: str = "taylor"
    dimensions: tuple[int, ...] = (1, 2, 3, 4)
    update: str = "linear"
    seeds: int = 1
    starts: int = 3
    translator_steps: int = 6000
    distiller_steps: int = 2500
    seed: int = 0

    def __post_init__(self) -> None:
        if self.translator not in TRANSLATORS:
            raise InvalidInput(
                f"unknown translator {self.translator!r}; choose one of {', '.join(TRANSLATORS)}"
            )
        if self.update not in UPDATES:
            raise InvalidInput(f"unknown update {self.update!r}; choose one of {', '.join(UPDATES)}")
        if not self.dimensions or min(self.dimensions) < 1 or max(self.dimensions) > 8:
            raise InvalidInput(f"dimensions are {self.dimensions}; write some from 1 to 8, like 1,2,3,4")
        for name in ("seeds", "starts", "translator_steps", "distiller_steps"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}; it must be at least 1")


def check_asked(data: Dataset, until: str) -> None:
    """Raise InvalidInput for an unknown stage, or if a data set lacks training, validation or test rows."""
    if until not in STAGES:
        raise InvalidInput(f"unknown stage {until!r}; choose one of {', '.join(STAGES)}")
    if missing := [s for s in SPLITS if s not in data.splits or not len(data[s])]:
        raise InvalidInput(
            f"{data.path} has no rows of {missing[0]}; they are needed to choose and to report"
        )


def introspect(
    config: IntrospectConfig, data: Dataset, run: Run, report: Report, until: str = "law"
) -> Finding:
    """Learn densities, distil, and test what was distilled. What is in the run already is not done again.

    Arguments:
        config: how.
        data: of densities, with all that `check_asked` asks for.
        run: where it is kept.
        report: called with stage, step and loss on the way.
        until: the last stage: "translator", "scan" or "law".
    """
    potential = {s: _tensor(data, s, "potential") for s in SPLITS}
    density = {s: _tensor(data, s, "density") for s in SPLITS}
    run.model.mkdir(exist_ok=True)
    translator = _translator(config, potential["train"], density["train"], run, report)
    error = relative_error(translator, potential["test"], density["test"])
    if until == "translator":
        rows: list[list[Cell]] = [["translator", "relative error, test", error, ""]]
        title = f"{Path(config.data).name}: a {config.translator} translator"
        return Finding("translator", title, HEAD, rows, {"config": asdict(config), "translator": error})
    factor = metric(translator, potential["train"], seed=config.seed)
    split = {s: _states(translator, factor, potential[s]) for s in SPLITS}
    distilled = {
        d: [_distilled(config, split, d, config.seed + k, run, report) for k in range(config.seeds)]
        for d in config.dimensions
    }
    recipe = data.recipe
    energy, cell = float(recipe["energy"]), float(recipe["cell"])
    plain = {s: _plain(split[s]) for s in SPLITS}
    forms = {
        d: density_form(*plain["train"], plain["test"], d, energy, cell)
        for d in config.dimensions
        if translator.linear and d <= factor.shape[0] and until == "law"
    }
    losses = {d: min(r.validation for r in found) for d, found in distilled.items()}
    kink = verdict(losses)
    test = np.stack([data["test"][name][:] for name in ("psi", "slope")], -1)[:, 1:]  # (rows, t, part, 2)
    laws, exported = [], {}
    tested = config.update == "linear" and until == "law"
    for found in distilled.get(2, []) if tested else []:
        updates, z = _updates(found.model), _latents(found.model, split["test"])
        flat = z.reshape(-1, 2)
        rho = np.array(data["test"]["density"][:], float).ravel()
        laws.append(test_law(updates, flat, test[:, :, 0].reshape(-1, 2), rho, energy, cell))
        exported[f"latents-{found.seed}"], exported[f"updates-{found.seed}"] = z, updates
    np.savez(run.path / "exported.npz", potentials=GRID, **exported)  # type: ignore[arg-type]
    dimension = intrinsic_dimension(plain["test"][1].reshape(-1, factor.shape[1]), seed=config.seed)
    return _finding(config, recipe, error, distilled, forms, kink, laws, dimension, split, test, energy, cell)


def _finding(
    config: IntrospectConfig, recipe: dict[str, Any], error: float, distilled: dict[int, list[Distilled]],
    forms: dict[int, DensityForm], kink: int | None, laws: Sequence[Law], dimension: float,
    split: dict[str, Split], test: np.ndarray, energy: float, cell: float,
) -> Finding:  # fmt: skip
    rows: list[list[Cell]] = [["translator", "relative error, test", error, ""]]
    for d, found in distilled.items():
        rows.append([f"distiller d = {d}", "MSE/var, validation", min(r.validation for r in found), ""])
        rows.append([f"distiller d = {d}", "MSE/var, test", min(r.test for r in found), ""])
    rows.append(["hidden states", "intrinsic dimension (TwoNN)", dimension, ""])
    rows.append(["verdict", "latent numbers needed", kink or "nothing is rebuilt", "from validation data"])
    complex_wave = float(recipe["current"]) != 0
    best = None
    if laws and not complex_wave:
        best = min(range(len(laws)), key=lambda k: distilled[2][k].validation)
        wrong = laws[best].failures(energy)
        exact = {"r2_forward": "1", "r2_backward": "1", "slope": "1", "energy": f"{energy:g}"}
        for name, value in asdict(laws[best]).items():
            shown: Cell = f"{value:.5f}" if name in exact else value
            rows.append(["law, d = 2", name, shown, "FAILS" if name in wrong else exact.get(name, "0")])
        slopes, intercepts = ([getattr(law, k) for law in laws] for k in ("slope", "energy"))
        said = f"ψ'' = ({np.mean(slopes):.4f} V − {np.mean(intercepts):.4f}) ψ"
        if len(laws) > 1:
            said += f", spread {np.std(slopes, ddof=1):.1g} and {np.std(intercepts, ddof=1):.1g}"
        rows.append(["law, d = 2", "read off", said, f"ψ'' = (V − {energy:g}) ψ"])
    for d, form in forms.items():
        rows.append([f"density form, d = {d}", "MSE/var, test", form.loss, ""])
        if d == 3:
            rows.append(["density form, d = 3", "trace, over its range", form.trace, "0"])
            rows.append(["density form, d = 3", "conserved quadratic form", form.invariant, "0"])
    numbers = {
        "config": asdict(config),
        "recipe": recipe,
        "translator": error,
        "distillers": {
            str(d): [{"seed": r.seed, "validation": r.validation, "test": r.test} for r in found]
            for d, found in distilled.items()
        },
        "intrinsic_dimension": dimension,
        "verdict": kink,
        "laws": [asdict(law) for law in laws],
        "failures": None if best is None else laws[best].failures(energy),
        "density_form": {
            str(d): {"loss": f.loss, "trace": f.trace, "invariant": f.invariant} for d, f in forms.items()
        },
    }
    figures = {
        "": kink_figure(
            {d: [r.test for r in found] for d, found in distilled.items()},
            {d: form.loss for d, form in forms.items() if form.loss < 1e3},
            kink,
        )
    }
    if best is not None:
        all_updates = [_updates(r.model) for r in distilled[2]]
        updates = all_updates[best]
        z = _latents(distilled[2][best].model, split["test"])
        states = test[:, :, 0]
        image = np.linalg.lstsq(z.reshape(-1, 2), states.reshape(-1, 2), rcond=None)[0]
        figures["law"] = law_figure(
            GRID,
            np.trace(updates, axis1=1, axis2=2),
            np.trace(cell_matrices(GRID - energy, cell), axis1=1, axis2=2),
            np.linalg.det(updates),
            [-((np.emath.arccos(np.trace(u, axis1=1, axis2=2) / 2).real / cell) ** 2) for u in all_updates],
            GRID - energy,
            states[0],
            z[0] @ image,
        )
    title = (
        f"{Path(config.data).name}: what a {config.translator} translator of potentials to densities knows"
    )
    return Finding("report", title, HEAD, rows, numbers, figures)


def _tensor(data: Dataset, split: str, field: str) -> Tensor:
    return torch.from_numpy(np.array(data[split][field][:], np.float32))


def _plain(split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, states, potential = (x.double().numpy() for x in split)
    return first, states, potential


def _kept(path: Path, model: torch.nn.Module) -> bool:
    """Fill a model from a file of the run, if it is there; CheckpointError if it is damaged."""
    if not path.exists():
        return False
    try:
        model.load_state_dict(load_file(path))
    except Exception as error:
        raise CheckpointError(f"{path} is damaged: {error}; delete it, and it will be made again") from error
    return True


def _translator(
    config: IntrospectConfig, potential: Tensor, density: Tensor, run: Run, report: Report
) -> Translator:
    path = run.model / "translator.safetensors"
    model: Translator = TRANSLATORS[config.translator]()
    if _kept(path, model):
        return model.eval()
    model = train_translator(
        config.translator, potential, density, config.seed, config.translator_steps, report
    )
    write_tensors(path, model.state_dict())
    return model


def _states(model: Translator, factor: Tensor, potential: Tensor) -> Split:
    first, states = hidden_states(model, potential)
    return (first @ factor).detach(), (states @ factor).detach(), potential


def _distilled(
    config: IntrospectConfig, split: dict[str, Split], d: int, seed: int, run: Run, report: Report
) -> Distilled:
    path = run.model / f"distiller-{d}-{seed}.safetensors"
    linear = config.update == "linear"
    model, losses = Distiller(split["train"][1].shape[-1], d, linear=linear), path.with_suffix(".json")
    if losses.exists() and _kept(path, model):
        kept = json.loads(losses.read_text())
        return Distilled(model.eval(), d, seed, kept["validation"], kept["test"])
    found = distil(
        split["train"], split["validation"], split["test"], d, seed, config.distiller_steps, config.starts,
        report, linear,
    )  # fmt: skip
    write_tensors(path, found.model.state_dict())
    run.write(f"model/{losses.name}", json.dumps({"validation": found.validation, "test": found.test}) + "\n")
    return found


@torch.no_grad()
def _updates(model: Distiller) -> np.ndarray:
    """The learned matrices at the potentials `GRID`."""
    assert isinstance(model.cell, TaylorCell)  # asked of linear updates only
    return model.cell.matrix(torch.from_numpy(GRID) / HIGHEST).double().numpy()


@torch.no_grad()
def _latents(model: Distiller, split: Split) -> np.ndarray:
    """z after each cell, (rows, t, d)."""
    start, _, potential = split
    return model.latents(start, potential / HIGHEST).double().numpy()
