"""Public functions of `physics` and `models` say the shapes of their arrays, and tests check them."""

import ast
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, get_args, get_type_hints

import jaxtyping
import numpy as np
import pytest
import torch
from jaxtyping import Float
from shapes import PACKAGES, has_shape, public
from torch import Tensor, nn

from qwell.errors import InvalidInput
from qwell.models.registry import create_model
from qwell.physics.grid import Grid
from qwell.physics.spectrum import eigenvalues

# What takes anything at all, by design: JSON that nobody vouches for, options of others, points of any kind,
# and what looks at shapes itself and refuses others in words.
OPEN = {
    "qwell.models.layers.Network.__call__",
    "qwell.models.registry.create_model", "qwell.physics.compiled.compiled",
    "qwell.physics.barriers.Potential.from_json", "qwell.physics.formula.Formula.__call__",
    "qwell.physics.absorbers.Absorber.from_json", "qwell.physics.drives.Term.from_json",
    "qwell.physics.drives.Drive.from_json",
    "qwell.physics.propagators.settings.Propagation.from_json", "qwell.physics.ring.Ring.from_json",
}  # fmt: skip

# What stands in for torch's own operations on the arrays of any module has arrays of any shape.
OPEN_MODULES = tuple(f"qwell.models.{name}." for name in ("carried", "carried_rules", "chains", "foreign"))

MODULES = [
    import_module(found.name)
    for package in map(import_module, PACKAGES)
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]
FUNCTIONS = {
    f"{function.__module__}.{function.__qualname__}": function
    for module in MODULES
    for _, _, function in public(module)
}


def bare(hint: object) -> bool:
    """Whether an array without a shape stands somewhere in an annotation."""
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return False
    array = inspect.isclass(hint) and issubclass(hint, np.ndarray | Tensor)
    return array or any(map(bare, hint if isinstance(hint, list) else get_args(hint)))


def without_shape(function: Callable[..., Any]) -> set[str]:
    """The parameters of a function, and "return", that are or hold arrays of any shape."""
    hints = get_type_hints(inspect.unwrap(function), include_extras=True)
    return {name for name, hint in hints.items() if bare(hint) or hint is Any}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_says_the_shapes_of_its_arrays(name: str) -> None:
    assert name in OPEN or name.startswith(OPEN_MODULES) or not without_shape(FUNCTIONS[name])


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_walk_leaves_out_no_function(module: ModuleType) -> None:
    def written(body: list[ast.stmt]) -> set[str]:
        names = {one.name for one in body if isinstance(one, ast.FunctionDef)}
        return {name for name in names if not name.startswith("_") or name in ("__init__", "__call__")}

    body = ast.parse(inspect.getsource(module)).body
    classes = [one for one in body if isinstance(one, ast.ClassDef) and not one.name.startswith("_")]
    expected = written(body) | {f"{one.name}.{name}" for one in classes for name in written(one.body)}
    ours = {name.removeprefix(f"{module.__name__}.") for name in FUNCTIONS}
    assert expected <= ours


def test_every_function_with_shapes_is_checked() -> None:
    said = {
        name: any(map(has_shape, get_type_hints(inspect.unwrap(function), include_extras=True).values()))
        for name, function in FUNCTIONS.items()
    }
    assert {name for name, function in FUNCTIONS.items() if hasattr(function, "__wrapped__")} == {
        name for name, shapes in said.items() if shapes
    }
    assert sum(said.values()) > 80


def test_a_shape_that_is_missing_is_noticed() -> None:
    def plain(potential: np.ndarray, x: Float[np.ndarray, "n"]) -> tuple[int, Tensor | None]:  # noqa: F821
        raise NotImplementedError

    def hidden(make: Callable[[np.ndarray], float], weights: dict[str, nn.Parameter]) -> Any:
        raise NotImplementedError

    assert without_shape(plain) == {"potential", "return"}
    assert without_shape(hidden) == {"make", "weights", "return"}


def test_a_wrong_shape_or_kind_is_refused_here() -> None:
    model = create_model("mean")
    for wrong in (
        lambda: eigenvalues(np.zeros(101), Grid(), 2),
        lambda: eigenvalues(np.zeros((2, 101), complex), Grid(), 2),
        lambda: model.put_in(torch.zeros(3, 101), torch.zeros(4, 10)),
        lambda: create_model("res_sa").forward(torch.zeros(101)),
    ):
        with pytest.raises(jaxtyping.TypeCheckError, match="Type-check error"):
            wrong()


def test_a_wrong_answer_is_refused_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwell.physics.spectrum.eigh_tridiagonal", lambda *_, **__: np.zeros(3))
    monkeypatch.setattr("qwell.physics.spectrum.np.empty", lambda shape: np.zeros((3, *shape)))
    with pytest.raises(jaxtyping.TypeCheckError, match="return value"):
        eigenvalues(np.zeros((3, 101)), Grid(), 3)


@pytest.mark.usefixtures("unchecked")
def test_a_test_may_leave_the_checking_out() -> None:
    with pytest.raises(InvalidInput, match=r"expected \(n, 101\)"):
        eigenvalues(np.zeros(101), Grid(), 2)


def test_outside_of_tests_nothing_is_checked() -> None:
    """No function is wrapped, beartype is not loaded, and the library's own words are heard."""
    code = (
        "import sys, inspect, numpy as np; from qwell.physics.grid import Grid;"
        "from qwell.physics.spectrum import eigenvalues; from qwell.models.registry import ResSA;"
        "assert not hasattr(eigenvalues, '__wrapped__') and not hasattr(ResSA.forward, '__wrapped__');"
        "assert 'beartype' not in sys.modules;"
        "eigenvalues(np.zeros(101), Grid(), 2)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith("qwell.errors.InvalidInput: potential has shape (101,)")
