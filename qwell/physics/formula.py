"""Formulas that people type, e.g. a potential: parsed into a tree, checked, and walked with numpy.

Nothing of a formula is ever executed as code, so that formulas may come out of files: only names, numbers,
+ − * / **, brackets and the functions below are accepted.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qwell.errors import InvalidInput

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
class Formula:
    """An expression in some names: call it with their values.

    Arguments:
        text: the expression; kept in one spelling.
        names: that may stand in it.
        what: it is, for messages, e.g. "potential".
        example: of what may be written.

    Raises InvalidInput for anything but an expression in these names, numbers, operators and functions.
    """

    text: str
    names: tuple[str, ...]
    what: str
    example: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or len(self.text) > LONGEST:
            raise InvalidInput(f"a {self.what} is a formula of at most {LONGEST} characters")
        try:
            tree = ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise self.refused(f"it cannot be read ({error})") from error
        self._check(tree)
        object.__setattr__(self, "text", ast.unparse(tree))
        object.__setattr__(self, "_tree", tree)

    def __call__(self, **values: Any) -> Any:
        """The value, float64; NaN and infinities are the caller's to refuse."""
        with np.errstate(all="ignore"):
            return _value(self._tree, values)  # type: ignore[attr-defined]

    def refused(self, reason: str) -> InvalidInput:
        """The error that says why this formula will not do, and what will."""
        return InvalidInput(
            f"the {self.what} {self.text!r}: {reason}; write a formula of {', '.join(self.names)}, numbers,"
            f" + - * / ** and {', '.join(FUNCTIONS)}, e.g. {self.example!r}"
        )

    def _check(self, node: ast.AST) -> None:
        """Raise InvalidInput unless a tree holds accepted nodes only."""
        match node:
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                self._check(left)
                self._check(right)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
                self._check(operand)
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
                self._check(argument)
            case ast.Name(id=name) if name in self.names:
                pass
            case ast.Constant(value=value) if type(value) in (int, float) and _is_finite(value):
                pass
            case _:
                raise self.refused(f"{ast.unparse(node)!r} is not allowed in it")


def _is_finite(number: Any) -> bool:
    """Whether a number, an integer of any size perhaps, is one of float64's."""
    try:
        return math.isfinite(float(number))
    except OverflowError:
        return False


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
