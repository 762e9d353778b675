"""The zoo: names, configurations, and folders of `config.json` + `model.safetensors`.

Models of the task "spectra" map potentials (b, points) to energies (b, levels) in the same units, whatever
they do inside; those of the task "dynamics" advance wave functions (`emulators.py`, `propagating.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import nn

from qwell import plugins
from qwell.errors import CheckpointError, InvalidInput, UnknownModel, unknown, warn
from qwell.files import atomic_write, file_sha256, read_sealed, seal
from qwell.models.baselines import MLP, LadderConfig, Linear, Mean, MLPConfig
from qwell.models.emulators import (
    ConvEmulator,
    DenseEmulator,
    GRUEmulator,
    LinearEmulator,
    WindowConfig,
)
from qwell.models.hamiltonian import Hamiltonian, HamiltonianConfig
from qwell.models.layers import Network
from qwell.models.propagating import SpectralEmulator, UnitaryConfig, UnitaryEmulator
from qwell.models.res_sa import ResSA, ResSAConfig
from qwell.models.spectral import Spectral, SpectralConfig
from qwell.models.tensors import write_tensors
from qwell.models.transformer import Transformer, TransformerConfig
from qwell.plugins import Family

CONFIG, WEIGHTS = "config.json", "model.safetensors"
KEYS = {"model", "config", "metadata", "plugins", "weights_sha256", "sha256"}  # of the configuration
TASKS = ("spectra", "dynamics")
PRETRAINED = Path(__file__).parent / "pretrained"


@dataclass(frozen=True)
class Entry:
    """A model of the zoo.

    Arguments:
        build, config: its class, and that of its options.
        summary: in a line.
        closed_form: whether it is fitted instead of trained.
        first_rate: the learning rate that training starts from by default.
        recipe: further defaults of its training where they are not the paper's, by their names in
            `EigenConfig`.
        own: whether it is qwell's, and no plug-in's.
    """

    build: type[Network] | Callable[[Any], Network]
    config: type[Any]
    summary: str
    closed_form: bool = False
    first_rate: float = 1e-3
    recipe: Mapping[str, Any] = field(default_factory=dict)
    own: bool = True

    @property
    def task(self) -> str:
        """ "spectra" or "dynamics"."""
        return getattr(self.build, "task", "spectra")


_OWN: dict[str, Entry] = {
    "res_sa": Entry(ResSA, ResSAConfig, "residual blocks with self-attention (the spectra paper's network)"),
    "hamiltonian": Entry(
        Hamiltonian, HamiltonianConfig, "eigenvalues of a learned matrix (lowest error)", first_rate=1e-2
    ),
    "spectral": Entry(Spectral, SpectralConfig, "neural operator in cosine modes (FNO)"),
    "transformer": Entry(Transformer, TransformerConfig, "transformer encoder over patches"),
    "mlp": Entry(
        MLP,
        MLPConfig,
        "multilayer perceptron that knows shift, mirror and mean spectrum",
        first_rate=3e-3,
        recipe={"batch": 250, "last_rate": 1e-6, "schedule": "cosine", "warm_up": 0.05},
    ),
    "linear": Entry(Linear, LadderConfig, "linear regression, closed form", closed_form=True),
    "mean": Entry(Mean, LadderConfig, "predicts the mean, closed form", closed_form=True),
    "emulator_gru": Entry(
        GRUEmulator, WindowConfig, "recurrent, sees windows of trajectories (the dynamics paper's)"
    ),
    "emulator_dense": Entry(DenseEmulator, WindowConfig, "dense, sees windows"),
    "emulator_conv": Entry(ConvEmulator, WindowConfig, "filters over time, sees windows"),
    "emulator_linear": Entry(LinearEmulator, WindowConfig, "linear in the last frame of a window"),
    "emulator_unitary": Entry(
        UnitaryEmulator,
        UnitaryConfig,
        "learned phases on the ring, keeps the norm",
        first_rate=2e-2,
    ),
    "emulator_spectral": Entry(
        SpectralEmulator,
        UnitaryConfig,
        "the same, but may lose norm (linear FNO; lowest error)",
        first_rate=2e-2,
    ),
}
ZOO: Family[Entry] = Family("models", _OWN, lambda described: Entry(**described))


def list_models(
    pattern: str | None = None, *, task: str | None = None, pretrained: bool = False
) -> dict[str, str]:
    """Names and one-line summaries of the models there are.

    Arguments:
        pattern: of their names, e.g. "emul*"; or a task.
        task: "spectra" or "dynamics"; both by default.
        pretrained: list the trained models that come with the package instead, for `load_pretrained`.
    """
    if pattern in TASKS:
        pattern, task = None, pattern
    if pretrained:
        described = {name: read_config(folder) for name, folder in _shipped().items()}
        found = {
            name: (config["model"], f"{config['model']} that learned from {config['metadata']['data']}")
            for name, config in described.items()
        }
    else:
        found = {name: (name, entry.summary) for name, entry in ZOO.items()}
    return {
        name: summary
        for name, (model, summary) in found.items()
        if task in (None, ZOO[model].task) and fnmatchcase(name, pattern or "*")
    }


def entry_of(name: str, task: str | None = None) -> Entry:
    """Look a model up; UnknownModel lists the names there are, of a task if there is one."""
    if name not in ZOO:
        raise UnknownModel(unknown("model", name, list_models(task=task)))
    return ZOO[name]


def create_model(name: str, *, pretrained: str | bool | None = None, **config: Any) -> Network:
    """Build a model with fresh weights (drawn from torch's generator), or a trained one.

    Arguments:
        name: of the zoo, see `list_models`.
        pretrained: what a model that comes with the package learned from, e.g. "m3" for `hamiltonian-m3`, or
            True for one whose name says no more; such a model is ready to predict, and has its own options.
        config: fields of its configuration, e.g. `levels=5`; lists stand for tuples, as JSON gives them.

    Raises:
        UnknownModel: no such name.
        InvalidInput: no such field, or a value out of range; no such trained model, or options beside it.
    """
    entry = entry_of(name)
    if pretrained:
        return _trained(name, pretrained, config)
    known = {f.name: f for f in fields(entry.config)}
    if alien := sorted(set(config) - set(known)):
        raise InvalidInput(unknown(f"option of model {name!r},", alien[0], known))
    values = {}
    for key, value in config.items():
        default, factory = known[key].default, known[key].default_factory
        if factory is not MISSING:
            default = factory()
        if isinstance(value, list) and not isinstance(default, list):
            value = tuple(value) if entry.own else _tuples(value)
        like = _like(value, default) if entry.own else _like_json(value, default, str(known[key].type))
        if default is not MISSING and not like:
            raise InvalidInput(
                f"option {key} of model {name!r} is {value!r}; expected something like {default!r}"
            )
        values[key] = value
    try:
        model = entry.build(entry.config(**values))
    except TypeError as error:
        if entry.own:
            raise
        raise InvalidInput(f"model {name!r} cannot be built: {error}") from error
    if not isinstance(model, Network):
        raise InvalidInput(
            f"model {name!r} is no network of qwell; let its class be a child of qwell.Network"
        )
    model.registry_name = name
    if not hasattr(model, "config"):
        model.config = entry.config(**values)
    return model


def _trained(name: str, what: str | bool, config: Mapping[str, Any]) -> Network:
    """The model of the package that learned from something, see `create_model`."""
    if config:
        raise InvalidInput(
            f"a trained {name} has its own options; leave out {', '.join(sorted(config))}, or pretrained"
        )
    known, prefix = _shipped(), name.replace("_", "-")
    wanted = prefix if what is True else f"{prefix}-{what}"
    if wanted not in known:
        raise InvalidInput(unknown("trained model", wanted, known))
    return load_model(known[wanted])


def saved_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a model that was saved, or of a run that was begun, with those that came later.

    An option that there was not yet has the value that it then had silently: metadata `absent` of its field.
    """
    absent = {f.name: f.metadata["absent"] for f in fields(entry_of(name).config) if "absent" in f.metadata}
    return absent | dict(options)


def _tuples(value: Any) -> Any:
    """The same with tuples for the lists that JSON makes of them."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def _like_json(value: object, default: object, annotation: str) -> bool:
    """Whether an option of a plug-in's model has the type of its default; where that is None any does."""
    if default is None or value is None:
        return default is None or "None" in annotation
    if isinstance(default, bool) or isinstance(value, bool):
        return type(value) is type(default)
    if isinstance(default, float) or (isinstance(default, int) and "float" in annotation):
        return isinstance(value, int | float)
    return isinstance(value, type(default))


def _like(value: object, default: object) -> bool:
    """Whether an option has the type of its default; tuples hold positive integers."""
    if isinstance(default, tuple):
        sizes = isinstance(value, tuple) and all(type(v) is int and v > 0 for v in value)
        return sizes and len(value) <= 1000  # type: ignore[arg-type]
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, float):
        return type(value) in (int, float) and value > 0  # type: ignore[operator]
    if isinstance(default, int):
        return type(value) is int and 0 <= value <= 10**6
    return isinstance(value, type(default))


def save_pretrained(
    model: Network, folder: str | Path, metadata: Mapping[str, Any] | None = None, *, half: bool = False
) -> None:
    """Write `config.json` and `model.safetensors` into a folder, each whole or not at all.

    The configuration has the sha256 of the weights (`weights_sha256`) and of its own rest (`sha256`), so that
    every bit of the folder is vouched for.

    Arguments:
        model: made by `create_model`.
        folder: created if missing.
        metadata: plain JSON kept with the model, e.g. the digest of its training data.
        half: keep the weights in 16 bits; they are loaded in 32 all the same.

    Raises WriteError if the disk refuses.
    """
    folder = Path(folder)
    state = model.state_dict()
    write_tensors(folder / WEIGHTS, {k: v.half() for k, v in state.items()} if half else state)
    config = {
        "model": model.registry_name,
        "config": asdict(model.config),
        "metadata": dict(metadata or {}),
        **plugins.recorded([("models", model.registry_name)]),
        "weights_sha256": file_sha256(folder / WEIGHTS),
    }
    atomic_write(folder / CONFIG, seal(config))


def save_described(folder: str | Path, out: str | Path, metadata: Mapping[str, Any]) -> None:
    """Write the model of a folder into another one, with other metadata and the very same weights.

    Raises CheckpointError if there is none, WriteError if the disk refuses.
    """
    config = {**read_config(folder), "metadata": dict(metadata)}
    config.pop("sha256", None)
    atomic_write(Path(out) / WEIGHTS, (Path(folder) / WEIGHTS).read_bytes())
    atomic_write(Path(out) / CONFIG, seal(config))


def pretrained() -> dict[str, Path]:
    """Names and folders of the models that come with the package."""
    return _shipped()


def _shipped() -> dict[str, Path]:
    return {path.parent.name: path.parent for path in sorted(PRETRAINED.glob(f"*/{CONFIG}"))}


def read_config(folder: str | Path) -> dict[str, Any]:
    """The `config.json` of a model folder: keys `model`, `config`, `metadata`, `weights_sha256`, `sha256`.

    Raises CheckpointError if there is none or it is damaged.
    """
    path = Path(folder) / CONFIG
    try:
        config = read_sealed(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} holds no model: {CONFIG} is missing") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if not isinstance(config.get("config"), dict) or not set(config) <= KEYS or "model" not in config:
        raise CheckpointError(f"{path} is not the description of a qwell model, or is damaged")
    return config


def load_pretrained(folder: str | Path, device: str | torch.device = "cpu") -> Network:
    """Load a model that comes with the package by its name, see `pretrained`, or one from a folder.

    Arguments and errors as of `load_model` below.
    """
    return load_model(pretrained().get(str(folder), Path(folder)), device)


def load_model(folder: Path, device: str | torch.device = "cpu") -> Network:
    """Load a model saved by `save_pretrained`, ready to predict (eval mode, no gradients needed to call).

    Nothing in the folder is executed: the configuration is JSON, the weights are safetensors. A folder from
    before there were checksums is loaded with a warning.

    Arguments:
        folder: of config.json and model.safetensors.
        device: where to.

    Raises:
        CheckpointError: missing or damaged files, or weights that do not fit the configuration.
        MissingPlugin: a plug-in's model, and the plug-in is not here.
    """
    config, weights = read_config(folder), folder / WEIGHTS
    plugins.check(config.get("plugins"))
    try:
        with torch.device("meta"):  # takes no memory, whatever sizes the configuration claims
            options = saved_options(config["model"], config["config"])
            outline = create_model(config["model"], **options)
    except (TypeError, RuntimeError, OverflowError) as error:
        raise CheckpointError(f"{folder}: {CONFIG} describes no model that can be built: {error}") from error
    _check_shapes(weights, outline)
    content = weights.read_bytes()
    said = config.get("weights_sha256")
    if said is not None and said != hashlib.sha256(content).hexdigest():
        raise CheckpointError(
            f"{weights} is damaged, or of another model: its sha256 is not the one in {CONFIG}; bring the"
            " folder again from where it came"
        )
    if said is None or "sha256" not in config:
        warn(f"the model {folder} has no checksum: whether it is damaged cannot be known; save it again")
    model = create_model(config["model"], **options)
    try:
        model.load_state_dict(load(content))
    except (
        SafetensorError,
        ValueError,
        KeyError,
    ) as error:  # types that safetensors knows and torch does not
        raise CheckpointError(f"{weights} is damaged: {error}") from error
    return model.to(device).eval()


def _check_shapes(path: Path, model: nn.Module) -> None:
    """Compare the header of a safetensors file with a model; CheckpointError unless they agree."""
    try:
        with safe_open(path, "pt") as file:
            state = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing") from error
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name in sorted(expected.keys() | state.keys()):
        if (ours := expected.get(name)) != (theirs := state.get(name)):
            raise CheckpointError(
                f"{path} belongs to another model: {name} has shape {theirs}, this model needs {ours}"
            )
