"""The introspective learner, stage by stage; every stage is kept in the run and not done again."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from qwell.errors import CheckpointError, InvalidInput, unknown
from qwell.models.introspective import Distiller, TaylorCell, Translator
from qwell.physics.cells import HIGHEST
from qwell.store.dataset import Dataset
from qwell.store.reader import open_dataset
from qwell.studies.finding import Finding
from qwell.studies.introspect.config import STAGES, IntrospectConfig
from qwell.studies.introspect.density_form import DensityForm, density_form, intrinsic_dimension
from qwell.studies.introspect.distil import Distilled, Split, verdict
from qwell.studies.introspect.keeping import distilled_of, translator_of
from qwell.studies.introspect.law import GRID, examine
from qwell.studies.introspect.report import Introspection, Tested, finding_of, translator_finding
from qwell.studies.introspect.translate import Report, hidden_states, metric, relative_error
from qwell.train.runs import Run, alone

SPLITS = ("train", "validation", "test")


def resumed(run: Run) -> tuple[IntrospectConfig, Dataset]:
    """How a run was begun, and its data set.

    Raises:
        CheckpointError: it is no run of `qtrain introspect`.
        InvalidInput: the data set is no longer the one the run was begun with.
    """
    try:
        config = IntrospectConfig.from_json(run.config.get("introspect"))
    except CheckpointError as error:
        raise CheckpointError(f"{run.path} is no run of `qtrain introspect`") from error
    data = open_dataset(config.data).require("densities")
    if data.digest != config.digest:
        raise InvalidInput(f"{config.data} is not what {run.path} began with; give it its own run")
    return config, data


def check_asked(data: Dataset, until: str) -> None:
    """Raise InvalidInput for an unknown stage, or if a data set lacks training, validation or test rows."""
    if until not in STAGES:
        raise InvalidInput(unknown("stage", until, STAGES))
    if missing := [s for s in SPLITS if s not in data.splits or not len(data[s])]:
        raise InvalidInput(
            f"{data.path} has no rows of {missing[0]}; they are needed to choose and to report"
        )


@alone
def introspect(
    config: IntrospectConfig, data: Dataset, run: Run, report: Report, until: str = STAGES[-1]
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
    translator = translator_of(config, potential["train"], density["train"], run, report)
    error = relative_error(translator, potential["test"], density["test"])
    if until == "translator":
        return translator_finding(config, error)
    factor = metric(translator, potential["train"], seed=config.seed)
    split = {s: _states(translator, factor, potential[s]) for s in SPLITS}
    distilled = {
        d: [distilled_of(config, split, d, config.seed + k, run, report) for k in range(config.seeds)]
        for d in config.dimensions
    }
    plain = {s: tuple(x.double().numpy() for x in split[s]) for s in SPLITS}
    to_the_law = until == "law"
    matrices = config.update == "linear" and config.decoder == "free"
    asked = distilled.get(2, []) if matrices and to_the_law else []
    forms = _forms(config, plain, data) if translator.linear else {}
    tested = _tested(asked, split["test"], data)
    exported = {f"latents-{one.seed}": one.latents for one in tested}
    exported |= {f"updates-{one.seed}": one.updates for one in tested}
    np.savez(run.path / "exported.npz", potentials=GRID, **exported)  # type: ignore[arg-type]
    return finding_of(
        Introspection(
            config=config,
            recipe=data.recipe,
            error=error,
            distilled=distilled,
            forms=forms,
            verdict=verdict(_best(config, distilled, forms)),
            tested=tested,
            dimension=intrinsic_dimension(plain["test"][1].reshape(-1, factor.shape[1]), seed=config.seed),
            states=_true_states(data),
        )
    )


def _best(
    config: IntrospectConfig, distilled: dict[int, list[Distilled]], forms: dict[int, DensityForm]
) -> dict[int, float]:
    """The least validation loss of each d: of distillers, and of the closed form, a special case of theirs.

    With a linear decoder it is not counted: there the distillers are what is asked about.
    """
    found = {d: [one.validation for one in runs] for d, runs in distilled.items()}
    if config.update == "linear" and config.decoder == "free":
        for d, form in forms.items():
            found[d].append(form.validation)
    return {d: min(losses) for d, losses in found.items()}


def _tensor(data: Dataset, split: str, field: str) -> Tensor:
    return torch.from_numpy(np.array(data[split][field][:], np.float32))


def _states(model: Translator, factor: Tensor, potential: Tensor) -> Split:
    first, states = hidden_states(model, potential)
    return (first @ factor).detach(), (states @ factor).detach(), potential


def _true_states(data: Dataset) -> np.ndarray:
    """Re (ψ, ψ') at the ends of the cells of the test rows, (rows, t, 2)."""
    return np.stack([data["test"][name][:] for name in ("psi", "slope")], -1)[:, 1:, 0]


def _forms(
    config: IntrospectConfig, plain: dict[str, tuple[np.ndarray, ...]], data: Dataset
) -> dict[int, DensityForm]:
    """The closed form of every dimension that hidden states have."""
    energy, cell = float(data.origin["energy"]), float(data.origin["cell"])
    first, states, potential = plain["train"]
    validation, test = ((plain[s][0], plain[s][1], plain[s][2]) for s in ("validation", "test"))
    return {
        d: density_form(first, states, potential, validation, test, d, energy, cell)
        for d in config.dimensions
        if d <= states.shape[-1]
    }


def _tested(found: list[Distilled], split: Split, data: Dataset) -> list[Tested]:
    """What distillers of two numbers are, against the Schrödinger equation."""
    energy, cell = float(data.origin["energy"]), float(data.origin["cell"])
    states = _true_states(data).reshape(-1, 2)
    density = np.array(data["test"]["density"][:], float).ravel()
    tested = []
    for one in found:
        updates, latents = _updates(one.model), _latents(one.model, split)
        law = examine(updates, latents.reshape(-1, 2), states, density, energy, cell)
        tested.append(Tested(one.seed, one.validation, updates, latents, law))
    return tested


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
