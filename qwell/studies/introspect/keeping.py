"""Networks of the stages, kept in a run as they are made, so that none is trained twice."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from qwell.errors import CheckpointError
from qwell.models.introspective import TRANSLATORS, Distiller, Translator
from qwell.models.tensors import read_tensors, write_tensors
from qwell.studies.introspect.config import IntrospectConfig
from qwell.studies.introspect.distil import DIVERGED, Distilled, Split, distil
from qwell.studies.introspect.translate import Report, train_translator
from qwell.train.runs import Run


def translator_of(
    config: IntrospectConfig, potential: Tensor, density: Tensor, run: Run, report: Report
) -> Translator:
    """The translator of a run: the one that is kept there, or one trained on these potentials and densities.

    Raises CheckpointError if the one that is kept is damaged.
    """
    path = run.model / "translator.safetensors"
    model: Translator = TRANSLATORS[config.translator]()
    if _kept(path, model) is not None:
        return model.eval()
    model = train_translator(
        config.translator, potential, density, config.seed, config.translator_steps, report
    )
    write_tensors(path, model.state_dict())
    return model


def distilled_of(
    config: IntrospectConfig, split: dict[str, Split], latent: int, seed: int, run: Run, report: Report
) -> Distilled:
    """A distiller of a run: the one that is kept there, or one trained on the hidden states of the splits.

    Raises CheckpointError if the one that is kept is damaged.
    """
    path = run.model / f"distiller-{latent}-{seed}.safetensors"
    linear, plain = config.update == "linear", config.decoder == "linear"
    model = Distiller(split["train"][1].shape[-1], latent, linear=linear, plain=plain)
    losses = path.with_suffix(".json")
    if (kept := _kept(path, model)) is not None and (kept or losses.exists()):
        kept = kept or json.loads(losses.read_text())  # of version 0.1.0
        return Distilled(model.eval(), latent, seed, _loss(kept["validation"]), _loss(kept["test"]))
    found = distil(
        split["train"], split["validation"], split["test"], latent, seed, config.distiller_steps,
        config.starts, report, linear, plain,
    )  # fmt: skip
    about = {
        name: loss if math.isfinite(loss) else None
        for name, loss in (("validation", found.validation), ("test", found.test))
    }
    write_tensors(path, found.model.state_dict(), about)
    run.write(f"model/{losses.name}", json.dumps(about) + "\n")
    return found


def _loss(kept: float | None) -> float:
    """A loss that was kept: null, and a million before version 0.2, where sequences diverged."""
    return math.inf if kept is None or kept >= DIVERGED else kept


def _kept(path: Path, model: nn.Module) -> dict[str, Any] | None:
    """Fill a model from a file of the run, if it is there, and return what goes with it.

    Raises CheckpointError if it is damaged.
    """
    if not path.exists():
        return None
    try:
        weights, about = read_tensors(path)
        model.load_state_dict(weights)
    except (CheckpointError, RuntimeError) as error:
        raise CheckpointError(f"{error}; delete {path}, and it will be made again") from error
    return about
