"""Matter effects: what a medium makes of an applied potential, V_total = f(V, x, σ) (spectra paper, §3.4).

case1   V + σ sin(πx)          (Eq. 24)
case2   V + V²/(2σ) − σ        (Eq. 25)

or any formula in V, x, sigma, pi, numbers, + − * / **, brackets and the functions below. A formula is
parsed into a tree of which only these nodes are accepted, and the tree is walked with numpy: nothing of
it is ever executed as code, so that formulas may come out of a manifest.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qwell.errors import InvalidInput

CASES = {"case1": "V + sigma * sin(pi * x)", "case2": "V + V ** 2 / (2 * sigma) - sigma"}
NAMES = ("V", "x", "sigma", "pi")
FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(np, name)
    for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "log", "sqrt", "abs", "sign")
}
OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.USub: np.negative,
    ast.UAdd: np.positive,
}
LONGEST = 300


@dataclass(frozen=True)
class Matter:
    """A matter effect: call it with (potential, x, sigma) for the total potential.

    Arguments:
        formula: "case1", "case2" or an expression; kept in one spelling.

    Raises InvalidInput for anything but an expression in the names, functions and operators above.
    """

    formula: str

    def __post_init__(self) -> None:
        formula = CASES.get(self.formula, self.formula)
        if not isinstance(formula, str) or len(formula) > LONGEST:
            raise InvalidInput(f"a matter effect is a formula of at most {LONGEST} characters")
        try:
            tree = ast.parse(formula.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise _refused(formula, f"it cannot be read ({error})") from error
        _check(formula, tree)
        object.__setattr__(self, "formula", ast.unparse(tree))
        object.__setattr__(self, "_tree", tree)

    @property
    def name(self) -> str:
        """ "case1" or "case2" if it is one of them, else "matter"."""
        return next((case for case, formula in CASES.items() if formula == self.formula), "matter")

    def __call__(self, potential: np.ndarray, x: np.ndarray, sigma: float) -> np.ndarray:
        """V_total in float64.

        Arguments:
            potential: V, (n, M+1), energy units.
            x: (M+1,), positions.
            sigma: σ, energy units.

        Raises InvalidInput if the formula gives NaN or infinity somewhere.
        """
        v = potential.astype(np.float64)
        values = {"V": v, "x": x, "sigma": np.float64(sigma), "pi": np.pi}
        with np.errstate(all="ignore"):
            total = np.broadcast_to(_value(self._tree, values), potential.shape)  # type: ignore[attr-defined]
        if not np.isfinite(total).all():
            where = np.argwhere(~np.isfinite(total))[0]
            raise _refused(
                self.formula,
                f"it is not finite at V = {v[tuple(where)]:g}, x = {x[where[1]]:g}",
            )
        return np.ascontiguousarray(total)


def matter_of(recipe: Mapping[str, Any]) -> tuple[Matter, float] | None:
    """The matter effect and σ that a data set was made with, or None; also of subsets and merged sets.

    Raises InvalidInput if parts of a merged set have different ones.
    """
    inner = recipe.get("of")
    if isinstance(inner, Mapping):
        return matter_of(inner)
    if isinstance(inner, list):
        found = {matter_of(part.get("recipe", {})) for part in inner}
        if len(found) > 1:
            raise InvalidInput(
                "parts of this data set have different matter effects; look at them separately"
            )
        return found.pop() if found else None
    formula = recipe.get("matter")
    return None if formula is None else (Matter(formula), float(recipe["sigma"]))


def _check(formula: str, node: ast.AST) -> None:
    """Raise InvalidInput unless a tree holds accepted nodes only."""
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            _check(formula, left)
            _check(formula, right)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
            _check(formula, operand)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
            _check(formula, argument)
        case ast.Name(id=name) if name in NAMES:
            pass
        case ast.Constant(value=value) if type(value) in (int, float):
            pass
        case _:
            raise _refused(formula, f"{ast.unparse(node)!r} is not allowed in it")


def _value(node: ast.AST, values: Mapping[str, Any]) -> Any:
    """The value of a checked tree; numbers are float64, so that no power grows without bound."""
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            return OPERATORS[type(op)](_value(left, values), _value(right, values))
        case ast.UnaryOp(op=op, operand=operand):
            return OPERATORS[type(op)](_value(operand, values))
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            return FUNCTIONS[name](_value(argument, values))
        case ast.Name(id=name):
            return values[name]
        case ast.Constant(value=value):
            return np.float64(value)  # type: ignore[arg-type]
    raise AssertionError(node)  # _check lets nothing else through


def _refused(formula: str, reason: str) -> InvalidInput:
    return InvalidInput(
        f"the matter effect {formula!r}: {reason}; write case1, case2 or a formula of {', '.join(NAMES)},"
        f" numbers, + - * / ** and {', '.join(FUNCTIONS)}, e.g. 'V + 0.5*sigma*cos(pi*x)'"
    )
