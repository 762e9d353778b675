"""Error against time of networks and classical methods: who is below and to the left is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from matplotlib.figure import Figure

from qwell.figures.canvas import canvas


class Placed(Protocol):
    """What is drawn of an entry of the league."""

    @property
    def model(self) -> str: ...
    @property
    def parameters(self) -> int: ...
    @property
    def us(self) -> float: ...
    @property
    def error(self) -> float: ...


def work_precision(sets: Mapping[str, Sequence[Placed]], time: str, error: str) -> Figure:
    """Draw error against time, a panel a test set.

    Arguments:
        sets: name of a test set → networks, and classical methods, which have no parameters; those of one
            family, which is what their names begin with, are joined.
        time, error: what the axes say.
    """
    figure, axes = canvas(1, len(sets), width=3.4 * len(sets) + 1.5, height=3.6)
    networks = sorted({entry.model for mine in sets.values() for entry in mine if entry.parameters})
    shown: dict[str, Any] = {}
    for panel, (name, mine) in zip(axes, sets.items(), strict=True):
        families: dict[str, list[Placed]] = {}
        for entry in mine:
            family = entry.model if entry.parameters else entry.model.rpartition(",")[0] or entry.model
            families.setdefault(family, []).append(entry)
        grey = [family for family, members in families.items() if not members[0].parameters]
        for family, members in families.items():
            style: dict[str, Any] = {"marker": "o", "ls": "none"}
            if family in networks:  # of one colour in all panels
                style["color"] = f"C{networks.index(family)}"
            else:
                number = grey.index(family)
                style = {"marker": "s^vDPX"[number % 6], "color": "0.4", "ls": ":"}
                style["mfc"] = "none" if number else "0.4"
            (line,) = panel.loglog([e.us for e in members], [e.error for e in members], ms=5, **style)
            shown.setdefault(family, line)
        panel.set(xlabel=time, title=name)
    axes[0].set_ylabel(error)
    axes[-1].legend(
        shown.values(), shown, frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5)
    )
    return figure
