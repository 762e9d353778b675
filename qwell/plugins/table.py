"""The table of plug-ins, and how they get into it: imported, named, or installed with an entry point."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache, partial
from importlib import import_module, metadata
from importlib.abc import SourceLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any, TypeVar

from qwell.errors import InvalidInput, QwellError

GROUPS = {"models": "model", "kernels": "kernel", "shapes": "shape", "packets": "packet",
          "propagators": "propagator"}  # fmt: skip
VARIABLE = "QWELL_PLUGINS"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]{0,63}")
T = TypeVar("T")


@dataclass(frozen=True)
class Registered:
    """Something that a plug-in brings.

    Arguments:
        value: the function, or for a model its class and what belongs to it.
        module: name of the module that it is defined in.
    """

    value: Any
    module: str


@dataclass(frozen=True)
class File:
    """A plug-in in a file: the name of the file, and what it held when it was loaded."""

    name: str
    source: bytes


TABLE: dict[str, dict[str, Registered]] = {group: {} for group in GROUPS}
FILES: dict[str, File] = {}  # module → the file that it is
NAMED: dict[str, str] = {}  # VARIABLE → its value when what it names was loaded


class Family(Mapping[str, T]):
    """The members of a group by name: qwell's own, and those of plug-ins.

    Arguments:
        group: of GROUPS.
        own: qwell's.
        adapt: makes a member of what a plug-in registered.
    """

    def __init__(
        self, group: str, own: Mapping[str, T], adapt: Callable[[Any], T] = lambda value: value
    ) -> None:
        self.group, self.own, self._adapt = group, dict(own), adapt

    def __getitem__(self, name: str) -> T:
        if name in self:
            found = None if name in self.own else find(self.group, name)
            return self.own[name] if found is None else self._adapt(found.value)
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        if name in self.own:
            if taken := TABLE[self.group].get(name):
                raise InvalidInput(
                    f"{plugin_of(taken.module)} registers the {GROUPS[self.group]} {name!r}, which is"
                    " qwell's own; give it another name"
                )
            return True
        return find(self.group, name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter([*self.own, *self.others])

    def __len__(self) -> int:
        return len(list(iter(self)))

    @property
    def others(self) -> list[str]:
        """Names of those of plug-ins, which are named or installed; none is loaded for that."""
        load_named()
        known = {**TABLE[self.group], **_entry_points(self.group)}
        return [name for name in known if name not in self.own]


def register_model(
    name: str, config: type[Any], *, summary: str = "", first_rate: float = 1e-3, **recipe: Any
) -> Callable[[type[T]], type[T]]:
    """Register a class of networks, a `qwell.Network`, under a name: `--model NAME` takes it from then on.

    Arguments:
        name: of the model.
        config: frozen dataclass of its options, plain JSON with defaults; the class is called with one. For
            a model that predicts energies it has `points` and `levels`, which the data set decides.
        summary: the model in a line.
        first_rate: the learning rate that its training starts from by default.
        recipe: other defaults of its training, by their names in `EigenConfig`, e.g. `batch=250`.

    Raises InvalidInput for a name that another plug-in has, or an option without a default.
    """
    if not (isinstance(config, type) and is_dataclass(config)):
        raise InvalidInput(f"the options of model {name!r} are {config!r}; give a dataclass")
    for one in fields(config):
        if one.default is MISSING and one.default_factory is MISSING:
            raise InvalidInput(f"option {one.name} of model {name!r} has no default; give it one")
    about = {"config": config, "summary": summary, "first_rate": first_rate, "recipe": recipe}
    return _registering("models", name, lambda build: {"build": build, "own": False, **about})


def register_kernel(name: str) -> Callable[[T], T]:
    """Register a covariance ``k(r, sigma, length)``, r = abs(x − x′) an array, under a name of `--kernel`.

    It returns an array of r's shape, positive definite as a function of x and x′, and σ² at r = 0.
    """
    return _registering("kernels", name)


def register_shape(name: str) -> Callable[[T], T]:
    """Register a potential ``V(ring, u, **numbers)`` under a name of `--potential`; see `physics.barriers`.

    u are the distances of the points of the ring from the potential's centre; the arguments after it are
    the shape's numbers, `--potential NAME:number=value`. It returns an array of u's shape, in Hartree.
    """
    return _registering("shapes", name)


def register_packet(name: str) -> Callable[[T], T]:
    """Register an envelope g(u, s0) of packets under a name of `--packet`; see `qwell.physics.packets`.

    u are the distances from X0, an array; S0 is to be the standard deviation of g². Packets are normalised.
    """
    return _registering("packets", name)


def register_propagator(name: str) -> Callable[[T], T]:
    """Register a method(psi, potential, ring, how) under a name of `--propagator`.

    psi (n, N) complex, potential (n, N), `how` a `Propagation`. It returns the frames
    (n, how.frames + 1, N, 2), real and imaginary part last; norm and energy are checked as those of our own.
    """
    return _registering("propagators", name)


def _registering(group: str, name: str, described: Callable[[Any], Any] = lambda value: value) -> Any:
    """A decorator that puts what it decorates into the table."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} is no name of a {GROUPS[group]}; use letters, digits, - and _")

    def decorate(value: Any) -> Any:
        if not callable(value):
            raise InvalidInput(f"{GROUPS[group]} {name!r} is {value!r}; it must be a function or class")
        module = getattr(value, "__module__", None) or "__main__"
        before = TABLE[group].get(name)
        if before and plugin_of(before.module) != plugin_of(module):
            raise InvalidInput(
                f"{plugin_of(module)} and {plugin_of(before.module)} both register the {GROUPS[group]}"
                f" {name!r}; name one of them only"
            )
        TABLE[group][name] = Registered(described(value), module)
        return value

    return decorate


def find(group: str, name: str) -> Registered | None:
    """What a plug-in registered under a name; None if there is none.

    Raises InvalidInput if a plug-in that the user named, or the installed one of this name, cannot be loaded.
    """
    load_named()
    if name not in TABLE[group] and name in (entries := _entry_points(group)):
        value = guarded(entries[name].load, f"installed plug-in {entries[name].value}")
        if name not in TABLE[group]:
            if group == "models":
                raise InvalidInput(
                    f"{entries[name].value} registers no model {name!r}; use qwell.register_model"
                )
            _registering(group, name)(value)
    return TABLE[group].get(name)


@cache
def _entry_points(group: str) -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=f"qwell.{group}")}


def name_plugins(*names: str) -> None:
    """Load files and modules, in this process and in all that it starts: they are added to QWELL_PLUGINS.

    Raises InvalidInput for what cannot be loaded.
    """
    before = os.environ.get(VARIABLE, "")
    known = [one for one in before.split(",") if one]
    for one in names:
        if "," in one:
            raise InvalidInput(f"the plug-in {one!r} has a comma in its name; rename it")
        full = str(Path(one).absolute()) if one.endswith(".py") else one
        known += [full] if full not in known else []
    os.environ[VARIABLE] = ",".join(known)
    NAMED.clear()
    try:
        load_named()
    except QwellError:
        os.environ[VARIABLE] = before
        raise


def load_named() -> None:
    """Load what QWELL_PLUGINS names, files and modules, unless that is done."""
    value = os.environ.get(VARIABLE, "")
    if NAMED.get(VARIABLE, "") == value:
        return
    NAMED[VARIABLE] = value  # first: a plug-in may ask for the table while it is loaded
    try:
        for one in filter(None, map(str.strip, value.split(","))):
            if one.endswith(".py"):
                _load_file(one)
            else:
                guarded(partial(import_module, one), f"plug-in {one}")
    except QwellError:
        del NAMED[VARIABLE]
        raise


def guarded(action: Callable[[], Any], what: str) -> Any:
    """Do it; whatever a plug-in raises is said in a line."""
    try:
        return action()
    except QwellError:
        raise
    except Exception as error:
        raise InvalidInput(
            f"the {what} cannot be loaded: {type(error).__name__}: {error}; mend it, or do not name it"
        ) from error


def _load_file(path: str) -> None:
    try:
        source = Path(path).read_bytes()
    except OSError as error:
        raise InvalidInput(f"the plug-in {path} cannot be read: {error.strerror}") from error
    load_source(File(Path(path).name, source), path)


class _SourceAtHand(SourceLoader):
    """Imports a module from source that was read already, so that what runs is what was recorded."""

    def __init__(self, name: str, path: str, source: bytes) -> None:
        self.name, self.path, self.source = name, path, source

    def get_filename(self, fullname: str) -> str:
        return self.path

    def get_data(self, path: str | bytes) -> bytes:
        if path != self.path:
            raise OSError("only the source is at hand")
        return self.source


def load_source(file: File, path: str) -> None:
    """Run a plug-in's source as a module of its own, unless that was done."""
    digest = hashlib.sha256(file.source).hexdigest()
    name = f"qwell_plugin_{re.sub('[^A-Za-z0-9_]', '_', file.name[:-3])}_{digest[:12]}"
    if name in sys.modules:
        return
    loader = _SourceAtHand(name, path, file.source)
    spec = spec_from_loader(name, loader, origin=path)
    assert spec is not None  # the loader is there
    module = module_from_spec(spec)
    module.__file__ = path
    sys.modules[name], FILES[name] = module, file
    try:
        guarded(lambda: loader.exec_module(module), f"plug-in {path}")
    except QwellError:
        del sys.modules[name], FILES[name]
        raise


def plugin_of(module: str) -> str:
    """The name of a plug-in: its file, the package that it is installed as, or its module."""
    if module in FILES:
        return FILES[module].name
    top = module.partition(".")[0]
    return next(iter(distributions().get(top, [top])))


@cache
def distributions() -> Mapping[str, list[str]]:
    """Top-level modules, and the packages that they are installed as."""
    return metadata.packages_distributions()
