"""Error against time of networks and classical methods: who is below and to the left is better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from matplotlib.figure import Figure

from qwell.figures.canvas import canvas


class Placed(Protocol):
    """What is drawn of an entry of the league."""

    @property
    def kernel(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def parameters(self) -> int: ...
    @property
    def us(self) -> float: ...
    @property
    def nmse(self) -> float: ...


def work_precision(entries: Sequence[Placed]) -> Figure:
    """Draw NMSE against µs a potential, a panel a kernel.

    Arguments:
        entries: networks, and classical methods, which have no parameters; those of one family are joined.
    """
    kernels = list(dict.fromkeys(entry.kernel for entry in entries))
    figure, axes = canvas(1, len(kernels), width=3.4 * len(kernels) + 1.5, height=3.6)
    for panel, kernel in zip(axes, kernels, strict=True):
        mine = [entry for entry in entries if entry.kernel == kernel]
        families: dict[str, list[Placed]] = {}
        for entry in mine:
            family = entry.model if entry.parameters else entry.model.partition(",")[0]
            families.setdefault(family, []).append(entry)
        for number, (family, members) in enumerate(families.items()):
            network = any(entry.parameters for entry in members)
            style = {"marker": "o", "ls": "none"} if network else {"marker": "s", "color": "0.4", "ls": ":"}
            if not network:
                style["mfc"] = "none" if number else "0.4"
            panel.loglog([e.us for e in members], [e.nmse for e in members], ms=5, label=family, **style)
        panel.set(xlabel="µs a potential", title=kernel)
    axes[0].set_ylabel("NMSE")
    axes[-1].legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
