"""How the shapes in signatures are checked while tests run; `conftest.py` switches it on.

jaxtyping's own import hook wraps every function there is, those inside functions each time they are made, and
those that numba compiles. This one wraps the public ones whose annotations say shapes, and no others.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any, get_args, get_type_hints

from beartype import beartype
from jaxtyping import AbstractArray, jaxtyped

PACKAGES = ("qwell.physics", "qwell.models")


def public(module: ModuleType) -> Iterator[tuple[ModuleType | type, str, Callable[..., Any]]]:
    """The functions of a module and the methods and properties of its classes: owner, name, function."""
    here = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
    classes = [one for one in here if inspect.isclass(one) and not one.__name__.startswith("_")]
    for owner in (module, *classes):
        for name, value in vars(owner).items():
            value = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
            ours = inspect.isfunction(value) and value.__module__ == module.__name__
            if ours and (not name.startswith("_") or name in ("__init__", "__call__")):
                yield owner, name, value


def has_shape(hint: object) -> bool:
    """Whether an annotation says a shape, perhaps inside a tuple, list or union."""
    return (inspect.isclass(hint) and issubclass(hint, AbstractArray)) or any(map(has_shape, get_args(hint)))


def shapes_alone(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check the annotations of a function that say shapes: of all else the library has its own to say."""
    hints = function.__annotations__
    function.__annotations__ = {name: hint for name, hint in hints.items() if has_shape(hint)}
    return beartype(function)


class Checking(SourceFileLoader):
    """Loads a module, and has its public functions refuse arrays that are not as their annotations say."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        for owner, name, function in list(public(module)):
            if any(map(has_shape, get_type_hints(function, include_extras=True).values())):
                setattr(owner, name, jaxtyped(vars(owner)[name], typechecker=shapes_alone))


class Finder(MetaPathFinder):
    """Finds the modules of `PACKAGES`, to be loaded by `Checking`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not f"{fullname}.".startswith(tuple(f"{package}." for package in PACKAGES)):
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = Checking(spec.loader.name, spec.loader.path)
        return spec


def check_shapes() -> None:
    """Check them in all modules of `PACKAGES` that are imported from now on."""
    assert not any(name.startswith(PACKAGES) for name in sys.modules)
    sys.meta_path.insert(0, Finder())
