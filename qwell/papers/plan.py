"""The plan of a paper: the very commands that people type, and the statements that they put to the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

Command = tuple[str, ...]
Numbers = dict[str, Any]
Scale = TypeVar("Scale")


@dataclass(frozen=True)
class Stage:
    """A command, and the product that says it is done.

    Arguments:
        command: what to type, the place where it writes last.
        product: a file that is there only when everything is: a manifest, a report, an experiment's numbers.
        begun: is there when the command was interrupted; empty if it then starts anew.
        resume: what to type to continue it.
    """

    command: Command
    product: str
    begun: str = ""
    resume: Command = ()

    @property
    def out(self) -> str:
        """Where the command writes."""
        return self.command[-1]

    @property
    def needs(self) -> set[str]:
        """Where commands write that must be done before: data sets, runs and answers that this one names."""
        return {word for word in self.command[:-1] if word.startswith(("store/", "runs/", "probes/"))}

    def remaining(self, folder: Path) -> Command:
        """What is still to be typed in a folder: the command, what continues it, or nothing if it is done."""
        if (folder / self.product).exists():
            return ()
        return self.resume if self.begun and (folder / self.begun).exists() else self.command


@dataclass(frozen=True)
class Answer:
    """What our numbers say to a statement.

    Arguments:
        sentence: the numbers.
        criteria: what must hold, with its threshold → whether it does; none where nothing was stated.
        enough: whether enough was learned for the question to be put.
        needs: what would be enough.
    """

    sentence: str
    criteria: Mapping[str, bool] = field(default_factory=dict)
    enough: bool = True
    needs: str = "the paper's size"

    @property
    def verdict(self) -> str:
        """ "agrees", "disagrees", "too small to say", or "nothing to judge"."""
        if not self.criteria:
            return "nothing to judge"
        if not self.enough:
            return "too small to say"
        return "agrees" if all(self.criteria.values()) else "disagrees"


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, and what our numbers say to it.

    Arguments:
        stage: the experiment; its product holds the numbers, its table and figures lie beside.
        title: of the section in the report.
        paper: the statement, in our words, with its place in the paper.
        ours: numbers → what they say.
        size: how much was learned for them, and how much in the paper; empty where nothing is learned, or
            where `ours` says it.
        against: an experiment to compare with, whose numbers `ours` finds under "against".
    """

    stage: Stage
    title: str
    paper: str
    ours: Callable[[Numbers], Answer]
    size: str = ""
    against: Stage | None = None

    def answer(self, folder: Path) -> Answer:
        """What the numbers in the folder of a reproduction say."""
        numbers = json.loads((folder / self.stage.product).read_text())
        if self.against is not None:
            numbers["against"] = json.loads((folder / self.against.product).read_text())
        return self.ours(numbers)


@dataclass(frozen=True)
class Picture:
    """What the report shows and judges not: a title, and the stages that draw it."""

    title: str
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Plan:
    """The stages of a paper in an order that can be run, and its statements in the report's order."""

    stages: list[Stage] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)

    def data(self, name: str, *command: str) -> str:
        """Add making a data set, which `--resume` continues. Returns its path, store/<name>.zarr."""
        out = f"store/{name}.zarr"
        typed = (*command, "--out", out)
        self.stages.append(Stage(typed, f"{out}/manifest.json", f"{out}.partial", (*typed, "--resume")))
        return out

    def training(self, out: str, product: str, *command: str) -> Stage:
        """Add a training into the run `out`, of which the file `product` is written last."""
        stage = Stage(
            (*command, "--out", out),
            f"{out}/{product}",
            f"{out}/config.json",
            (*command[:2], "--resume", out),
        )
        self.stages.append(stage)
        return stage

    def experiment(self, folder: str, name: str, *command: str) -> Stage:
        """Add an experiment, which writes its numbers to probes/<folder>/<name>.json."""
        out = f"probes/{folder}"
        stage = Stage((*command, "--out", out), f"{out}/{name}.json")
        self.stages.append(stage)
        return stage

    def picture(self, title: str, commands: Sequence[Command]) -> None:
        """Add commands that draw a picture each, the path of which they end in."""
        drawn = tuple(Stage(command, command[-1]) for command in commands)
        self.stages.extend(drawn)
        self.pictures.append(Picture(title, drawn))

    def claim(
        self,
        stage: Stage,
        title: str,
        paper: str,
        ours: Callable[[Numbers], Answer],
        size: str = "",
        against: Stage | None = None,
    ) -> Stage:
        """Add a statement, and what the numbers of a stage say to it; see `Claim`. Returns the stage."""
        self.claims.append(Claim(stage, title, paper, ours, size, against))
        return stage


@dataclass(frozen=True)
class Paper(Generic[Scale]):
    """A paper to do again.

    Arguments:
        name: short, for commands and folders.
        title: authors and title or number, for people.
        scales: "demo", "cpu" and "paper" → a dataclass that says how large.
        plan: everything to do at a scale.
        introduction: the first paragraphs of the report at a scale: units, measures, sizes.
        costs: scale → how long it takes, measured or estimated.
    """

    name: str
    title: str
    scales: Mapping[str, Scale]
    plan: Callable[[Scale], Plan]
    introduction: Callable[[Scale], Sequence[str]]
    costs: Mapping[str, str]


def repeated(option: str, values: Sequence[str]) -> Command:
    """The values of an option that is given once for each: --data a --data b."""
    return tuple(part for value in values for part in (option, value))


def setting(options: Sequence[str], owner: type, name: str) -> Any:
    """The value of a setting with typed options: the one that is typed, or the default of its dataclass."""
    flag = f"--{name.replace('_', '-')}"
    default: Any = {field.name: field.default for field in fields(owner)}[name]
    return type(default)(options[options.index(flag) + 1]) if flag in options else default
