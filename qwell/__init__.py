"""qwell: data sets of one-dimensional quantum mechanics, and networks trained on them.

>>> from qwell import open_dataset, load_model
>>> data = open_dataset("store/m3.zarr")
>>> model = load_model("runs/m3-res_sa")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qwell.errors import extras_needed

if TYPE_CHECKING:  # what type checkers and editors see; at run time names come by `__getattr__`
    from qwell.datagen.pipeline import generate as generate
    from qwell.datagen.presets import preset as preset
    from qwell.datagen.recipes.densities import DensitiesRecipe as DensitiesRecipe
    from qwell.datagen.recipes.driven import DrivenRecipe as DrivenRecipe
    from qwell.datagen.recipes.spectra import SpectraRecipe as SpectraRecipe
    from qwell.datagen.recipes.trajectories import TrajectoriesRecipe as TrajectoriesRecipe
    from qwell.models.jets import derivatives as derivatives
    from qwell.models.jets import hessian_vector as hessian_vector
    from qwell.models.layers import Network as Network
    from qwell.models.propagate import propagate as propagate
    from qwell.models.registry import create_model as create_model
    from qwell.models.registry import list_models as list_models
    from qwell.models.registry import load_pretrained as load_pretrained
    from qwell.models.registry import pretrained as pretrained
    from qwell.models.registry import save_pretrained as save_pretrained
    from qwell.plugins import register_kernel as register_kernel
    from qwell.plugins import register_model as register_model
    from qwell.plugins import register_packet as register_packet
    from qwell.plugins import register_propagator as register_propagator
    from qwell.plugins import register_shape as register_shape
    from qwell.store.reader import open_dataset as open_dataset
    from qwell.store.windows import Windows as Windows
    from qwell.train.loader import loader as loader
    from qwell.train.rollout import rollout as rollout
    from qwell.train.runs import load_model as load_model

__version__ = "0.2.0"

# The public names and where they live; resolved on first use so that `import qwell` costs nothing.
_PUBLIC = {
    "open_dataset": "qwell.store.reader",
    "generate": "qwell.datagen.pipeline",
    "SpectraRecipe": "qwell.datagen.recipes.spectra",
    "TrajectoriesRecipe": "qwell.datagen.recipes.trajectories",
    "DensitiesRecipe": "qwell.datagen.recipes.densities",
    "DrivenRecipe": "qwell.datagen.recipes.driven",
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
    "loader": "qwell.train.loader",
    "rollout": "qwell.train.rollout",
    "Network": "qwell.models.layers",
    "propagate": "qwell.models.propagate",
    "register_kernel": "qwell.plugins",
    "register_model": "qwell.plugins",
    "register_packet": "qwell.plugins",
    "register_propagator": "qwell.plugins",
    "register_shape": "qwell.plugins",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'qwell' has no attribute {name!r}")
    with extras_needed():
        return getattr(import_module(_PUBLIC[name]), name)
