"""qwell: data sets of one-dimensional quantum mechanics, and networks trained on them.

>>> from qwell import open_dataset, load_model
>>> data = open_dataset("store/m3.zarr")
>>> model = load_model("runs/m3-res_sa")
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# The public names and where they live; resolved on first use so that `import qwell` costs nothing.
_PUBLIC = {
    "open_dataset": "qwell.store.reader",
    "generate": "qwell.datagen.pipeline",
    "SpectraRecipe": "qwell.datagen.recipes.spectra",
    "TrajectoriesRecipe": "qwell.datagen.recipes.trajectories",
    "DensitiesRecipe": "qwell.datagen.recipes.densities",
    "preset": "qwell.datagen.presets",
    "Windows": "qwell.store.windows",
    "create_model": "qwell.models.registry",
    "list_models": "qwell.models.registry",
    "load_pretrained": "qwell.models.registry",
    "pretrained": "qwell.models.registry",
    "save_pretrained": "qwell.models.registry",
    "derivatives": "qwell.models.jets",
    "hessian_vector": "qwell.models.jets",
    "load_model": "qwell.train.runs",
    "rollout": "qwell.train.rollout",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'qwell' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
