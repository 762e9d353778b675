"""Defaults stand in the library alone: the command line reads them, and loads commands only when asked to."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from qwell.cli import qdata, qtrain
from qwell.cli.options import LazyGroup, given, option
from qwell.studies.inverse.config import FinderConfig
from qwell.studies.inverse.finder import find
from qwell.studies.inverse.systems import System, system_of
from qwell.studies.variational.config import VariationalConfig
from qwell.train.config import EigenConfig

CLI = Path(qdata.__file__).parent
GROUPS: dict[str, LazyGroup] = {"qdata": qdata.cli, "qtrain": qtrain.cli}


def test_no_default_is_typed_by_hand() -> None:
    """The words are put together in one place, `options.py`."""
    for path in CLI.glob("*.py"):
        if path.name != "options.py":
            assert "[default:" not in path.read_text(), path
            for call in ast.walk(ast.parse(path.read_text())):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "click.option":
                    words = {one.arg: ast.unparse(one.value) for one in call.keywords}
                    assert words.get("default", "''") in ("''", "None") or not _is_plain(words["default"]), (
                        words
                    )
                    assert words.get("show_default", "True") == "True" or not _is_plain(words["show_default"])


def _is_plain(text: str) -> bool:
    """Whether an expression is a number or a text by itself, and not a name of the library's."""
    return isinstance(ast.parse(text, mode="eval").body, ast.Constant)


@pytest.mark.parametrize("name", ["oscillator-0", "oscillator-2d", "hydrogen-1s"])
@pytest.mark.parametrize("method", ["variance", "mpnn"])
def test_python_and_the_command_line_look_for_potentials_alike(
    name: str, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`FinderConfig` as Python makes it, filled in for the system, is what a run of the command records."""

    def stop(config: FinderConfig, state: System, log: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("qwell.studies.inverse.report.search", stop)
    monkeypatch.chdir(tmp_path)
    CliRunner().invoke(qtrain.cli, ["potential", "--system", name, "--method", method, "--out", "run"])
    recorded = json.loads(Path("run/config.json").read_text())["potential"]
    ours = FinderConfig(name, method).resolved(system_of(name))
    assert FinderConfig.from_json(recorded) == ours
    assert (ours.activation, ours.layers) == ("SiLU", (24, 24) if name == "oscillator-0" else (32, 32))
    assert ours.epochs == (1000 if name == "oscillator-0" else 2000)


def test_finding_fills_in_what_is_left_open() -> None:
    system = system_of("oscillator-0")
    config = FinderConfig(system.name, adam_steps=2, newton_steps=0, samples=100)
    assert find(config, system).potential.config == config.resolved(system)


def test_an_option_says_what_its_field_says() -> None:
    @dataclass
    class Settings:
        count: int
        rate: float = 1e-3
        sizes: tuple[int, ...] = (2, 3)
        fast: bool = False
        walls: bool = True
        share: float | None = field(default=None, metadata={"default": "the data's"})

    @click.command()
    @option(Settings, "count", help="How many.")
    @option(Settings, "rate", help="Rate.")
    @option(Settings, "sizes", help="Sizes.")
    @option(Settings, "fast", help="Fast.")
    @option(Settings, "walls", "--walls/--free", help="Walls.")
    @option(Settings, "share", help="Share.")
    def command(**options: object) -> None:
        click.echo(repr(Settings(**given(options))))  # type: ignore[arg-type]

    said = CliRunner().invoke(command, ["--help"]).output
    for words in (
        "[default: 0.001]",
        "[default: 2,3]",
        "[default: walls]",
        "[default: the data's]",
        "[required]",
    ):
        assert words in said, said
    assert CliRunner().invoke(command, ["--count", "1"]).output.strip().endswith(repr(Settings(1)))
    typed = CliRunner().invoke(command, ["--count", "1", "--sizes", "5,6", "--free", "--fast"]).output
    assert typed.strip().endswith(repr(Settings(1, sizes=(5, 6), walls=False, fast=True)))
    assert CliRunner().invoke(command, []).exit_code == 2


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """A command, or all commands of a group, with what is typed for each."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for sub in command.list_commands(context):
            one = command.get_command(context, sub)
            assert one is not None
            yield from commands(one, f"{name} {sub}")
    else:
        yield name, command


ALL = dict(one for program in GROUPS for one in commands(GROUPS[program], program))
# Words that begin a help text which only makes sense after another one, or says nothing.
LEANING = {
    "also", "and", "but", "instead", "it", "its", "likewise", "of", "or", "same", "such", "that", "the",
    "their", "them", "these", "they", "this", "those", "where", "whether", "which", "with",
}  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_help_texts_stand_alone(name: str) -> None:
    """Every command and option says what it is, in a sentence that needs no other one."""
    assert len((ALL[name].help or "").split()) >= 4, name
    for one in ALL[name].params:
        if isinstance(one, click.Option):
            said = (one.help or "").split("  [")[0]
            words = said.split()
            assert len(words) >= 3, (one.opts, said)
            assert said[0].isupper() and said.endswith((".", "…")), (one.opts, said)
            assert words[0].strip(".,:;").lower() not in LEANING, (one.opts, said)


@pytest.mark.parametrize("program", GROUPS)
def test_every_command_stands_in_one_section_of_the_help(program: str) -> None:
    titles = {
        "qdata": ["Make", "Look", "Keep", "Change", "Share"],
        "qtrain": ["Train", "Ask", "Solve", "Share", "Papers"],
    }
    group = GROUPS[program]
    named = [name for section in group.sections.values() for name in section]
    assert list(group.sections) == titles[program] and all(group.sections.values())
    reached = {id(one) for one in _with_groups(group)}
    for path in CLI.glob(f"{program}_*.py"):
        for name, one in vars(import_module(f"qwell.cli.{path.stem}")).items():
            assert not isinstance(one, click.Command) or id(one) in reached, f"{path}: {name}"
    assert len(named) == len(set(named))
    said = CliRunner().invoke(group, ["--help"]).output
    places = [said.index(f"\n{title}:\n") for title in titles[program]]
    assert places == sorted(places) and all(f"  {name} " in said for name in named)


def _with_groups(command: click.Command) -> Iterator[click.Command]:
    """A command, and all that are in it."""
    yield command
    if isinstance(command, click.Group):
        for name in command.list_commands(context := click.Context(command)):
            one = command.get_command(context, name)
            assert one is not None
            yield from _with_groups(one)


@pytest.mark.parametrize("program", GROUPS)
def test_a_groups_help_says_what_its_commands_say(program: str) -> None:
    group = GROUPS[program]
    assert isinstance(group, LazyGroup)
    context = click.Context(group)
    for name, (_, words) in group.places.items():
        command = group.get_command(context, name)
        assert command is not None and command.get_short_help_str(1000) == words, name


@pytest.mark.parametrize(
    "command",
    [
        "eigen",
        "dynamics",
        "rollout",
        "potential",
        "variational",
        "derivatives",
        "introspect",
        "probe densities",
    ],
)
def test_help_of_a_command_loads_no_torch(command: str) -> None:
    code = (
        "import sys; from qwell.cli.qtrain import cli;"
        f"cli.main([*{command.split()!r}, '--help'], standalone_mode=False);"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_configurations_round_trip_through_json() -> None:
    config = FinderConfig(pins=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), layers=(8, 8))
    assert FinderConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    well = VariationalConfig("x**2", region=(-3.0, 3.0), kinks=(0.0,))
    assert VariationalConfig.from_json(json.loads(json.dumps(well.to_json()))) == well
    training = EigenConfig("a", "b", watch=("c",), options={"hidden": [3]}).resolved(first_rate=1e-2)
    assert EigenConfig.from_json(json.loads(json.dumps(training.to_json()))) == training
    assert (training.log_every, training.evaluate_every, training.checkpoint_every) == (100, 5000, 1000)
