"""Networks of the stages, kept in a run as they are made, so that none is trained twice."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from qwell.errors import CheckpointError
from qwell.models.introspective import TRANSLATORS, Distiller, Translator
from qwell.models.tensors import write_tensors
from qwell.studies.introspect.config import IntrospectConfig
from qwell.studies.introspect.distil import Distilled, Split, distil
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
    if _kept(path, model):
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
    linear = config.update == "linear"
    model, losses = Distiller(split["train"][1].shape[-1], latent, linear=linear), path.with_suffix(".json")
    if losses.exists() and _kept(path, model):
        kept = json.loads(losses.read_text())
        return Distilled(model.eval(), latent, seed, kept["validation"], kept["test"])
    found = distil(
        split["train"], split["validation"], split["test"], latent, seed, config.distiller_steps,
        config.starts, report, linear,
    )  # fmt: skip
    write_tensors(path, found.model.state_dict())
    run.write(f"model/{losses.name}", json.dumps({"validation": found.validation, "test": found.test}) + "\n")
    return found


def _kept(path: Path, model: nn.Module) -> bool:
    """Fill a model from a file of the run, if it is there; CheckpointError if it is damaged."""
    if not path.exists():
        return False
    try:
        model.load_state_dict(load_file(path))
    except Exception as error:
        raise CheckpointError(f"{path} is damaged: {error}; delete it, and it will be made again") from error
    return True
