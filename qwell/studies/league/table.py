"""The table of a league: which test sets are still to be played, and the file that keeps what was."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

from qwell.errors import InvalidInput, WriteError
from qwell.files import atomic_write


class Entry(Protocol):
    """A network, or a classical method, on a test set: one line of the table."""

    @property
    def key(self) -> Hashable:
        """Of the test set, its size included."""

    @property
    def model(self) -> str: ...
    @property
    def parameters(self) -> int: ...
    @property
    def us(self) -> float: ...
    @property
    def error(self) -> float: ...


class Set(Protocol):
    """A test set; its key is that of its entries."""

    @property
    def key(self) -> Hashable: ...


E = TypeVar("E", bound=Entry)
S = TypeVar("S", bound=Set)


class League(Protocol[S, E]):
    """Test sets, who plays on each, and how."""

    def sets(self) -> Sequence[S]: ...
    def players(self, one: S) -> list[str]: ...
    def play(self, one: S) -> list[E]: ...


def season(
    league: League[S, E],
    known: Sequence[E] = (),
    keep: Callable[[list[E]], object] = lambda entries: None,
    progress: Callable[[int], object] = lambda sets: None,
) -> list[E]:
    """Entries of all test sets, in their order.

    Arguments:
        known: entries from before. A set on which everybody has one already is not played again; where it
            is, all who are asked for play, so that times of one set are of one run, and entries of others
            stay as they are.
        keep: called with all entries that there are after each set that was played.
        progress: called with 1 for each set done.
    """
    table = {(entry.key, entry.model): entry for entry in known}
    place = {one.key: number for number, one in enumerate(league.sets())}
    for one in league.sets():
        if not all((one.key, name) in table for name in league.players(one)):
            table |= {(entry.key, entry.model): entry for entry in league.play(one)}
            keep(_ordered(table.values(), place))
        progress(1)
    return _ordered(table.values(), place)


def _ordered(entries: Iterable[E], place: dict[Hashable, int]) -> list[E]:
    """By test set, classical methods first in their order, networks by name; sets of other sizes last."""

    def order(entry: E) -> tuple[int, bool, str]:
        network = entry.parameters > 0
        return place.get(entry.key, len(place)), network, entry.model if network else ""

    return sorted(entries, key=order)


def fastest(known: Iterable[E], error: float) -> tuple[str, float]:
    """Name and time of the fastest method that errs no more; "" and 0 if there is none."""
    best = min((one for one in known if one.error <= error), key=lambda one: one.us, default=None)
    return (best.model, best.us) if best else ("", 0.0)


def names_of(models: Sequence[str | Path]) -> dict[str, str | Path]:
    """Name in the table → model; InvalidInput if two have the same name."""
    names: dict[str, str | Path] = {}
    for model in models:
        name = Path(model).name
        if name in names:
            raise InvalidInput(f"{names[name]} and {model} are both called {name}; rename one of them")
        names[name] = model
    return names


def write_csv(entries: Sequence[Any], path: Path) -> None:
    """The table as CSV, numbers in four digits.

    Raises WriteError if the disk refuses.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(entries[0])])
    for entry in entries:
        values = asdict(entry).values()
        writer.writerow([f"{v:.4g}" if isinstance(v, float) else "" if v is None else v for v in values])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, text.getvalue().encode())
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror}; choose another --out") from error


def read_csv(kind: type[E], path: Path) -> list[E]:
    """What `write_csv` wrote of entries of a kind; nothing if the file is not there.

    Raises InvalidInput for a file of another table.
    """
    if not path.exists():
        return []
    columns = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]
    read: dict[str, Callable[[str], Any]] = {
        "str": str, "int": int, "float": float, "float | None": lambda v: float(v) if v else None,
    }  # fmt: skip
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if rows.fieldnames != list(columns):
                raise ValueError(f"its columns are not {','.join(columns)}")
            return [kind(**{name: read[columns[name]](row[name]) for name in columns}) for row in rows]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise InvalidInput(
            f"{path} cannot be gone on with: {error}; choose another --out, or leave --resume out"
        ) from error
