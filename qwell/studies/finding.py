"""What an experiment found: a table, numbers and figures, and how they are kept."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from qwell.errors import InvalidInput
from qwell.figures import canvas
from qwell.files import atomic_write, json_text, write_error
from qwell.store.dataset import Dataset
from qwell.train.tables import aligned

if TYPE_CHECKING:
    from qwell.models.layers import Network  # which needs torch, and pages of samples do not

Cell = str | int | float


@dataclass(frozen=True)
class Finding:
    """The answer of one experiment.

    Arguments:
        name: of the experiment, and of its files.
        title: what was asked, in a line.
        head, rows: the table.
        numbers: everything, as plain JSON.
        figures: by name; the main one is "".
    """

    name: str
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    numbers: Mapping[str, Any]
    figures: Mapping[str, Figure] = field(default_factory=dict)

    def markdown(self) -> str:
        """The table as aligned Markdown."""
        return aligned([list(self.head), *([text(cell) for cell in row] for row in self.rows)])

    def csv(self) -> str:
        """The table as CSV, numbers with all their digits."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.head)
        writer.writerows(self.rows)
        return out.getvalue()

    def figure_names(self) -> list[str]:
        """Names of the figures' files without suffix."""
        return [f"{self.name}-{key}" if key else self.name for key in self.figures]

    def write(self, folder: Path) -> Path:
        """Write `<name>.csv`, `.md`, figures as `.png` and `.svg`, and last `<name>.json`. Returns the last.

        Raises WriteError if the disk refuses.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, figure in zip(self.figure_names(), self.figures.values(), strict=True):
                canvas.save(figure, *(folder / f"{name}.{suffix}" for suffix in canvas.FORMATS))
            images = "\n".join(f"![{name}]({name}.png)" for name in self.figure_names())
            (folder / f"{self.name}.md").write_text(f"# {self.title}\n\n{self.markdown()}\n\n{images}\n")
            (folder / f"{self.name}.csv").write_text(self.csv())
        except OSError as error:
            raise write_error(error, folder) from error
        answer = {"experiment": self.name, "title": self.title, **self.numbers}
        last = folder / f"{self.name}.json"
        atomic_write(last, (json_text(answer) + "\n").encode())
        return last


def text(cell: Cell) -> str:
    """A cell as people read it; a dash where there is no number."""
    if isinstance(cell, float) and math.isnan(cell):
        return "–"
    return f"{cell:.3g}" if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else cell


def check_fits(model: Network, data: Dataset) -> None:
    """Raise InvalidInput unless a data set has as many points and levels as a model."""
    shapes = data.require("spectra")["train"].fields
    theirs = shapes["potential"].shape[0], shapes["energy"].shape[0]
    ours = model.config.points, model.config.levels
    if ours != theirs:
        raise InvalidInput(
            f"the model was made for {ours[0]} points and {ours[1]} levels, {data.path} has {theirs[0]} and"
            f" {theirs[1]}"
        )


def check_index(index: int, data: Dataset, split: str) -> int:
    """The index of a row; InvalidInput if there is none."""
    if not 0 <= index < len(data[split]):
        raise InvalidInput(f"index is {index}; {data.path} has rows 0 to {len(data[split]) - 1} of {split}")
    return index


def label(recipe: Mapping[str, Any], fallback: str) -> str:
    """How figures and tables name a data set: its kernel, and σ where it is not 100."""
    if "kernel" not in recipe:
        return fallback
    names = [str(recipe["kernel"])]
    if recipe.get("nu"):
        names.append(f"ν={recipe['nu']:g}")
    if recipe.get("sigma", 100) != 100:
        names.append(f"σ={recipe['sigma']:g}")
    return " ".join(names)
