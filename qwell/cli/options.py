"""Options that read types and defaults from the library, and groups that load commands when asked to."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwell.cli.common import parse_numbers
from qwell.errors import InvalidInput, unknown

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Decorator = Callable[[Any], Any]
SETUP = "qwell.cli.setup"  # where the contexts of click keep defaults that an option has chosen


class LibraryOption(click.Option):
    """An option whose default is the library's.

    Arguments:
        library_default: what counts where the option is not typed; None if that depends on other things.
    """

    def __init__(self, *args: Any, library_default: Any = None, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.library_default = library_default

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Names and help text, which ends with the default of the chosen set-up where there is one."""
        record = super().get_help_record(ctx)
        words = ctx.meta.get(SETUP, {}).get(self.name)
        if record is None or words is None:
            return record
        return record[0], f"{record[1].partition('  [default: ')[0]}  [default: {words}]"


class SetupCommand(click.Command):
    """A command of which an option chooses the defaults of the others, and `--help` shows those chosen.

    Arguments:
        defaults: options that were typed, by name → the words of other options' defaults, by name.
    """

    def __init__(
        self, *args: Any, defaults: Callable[[Mapping[str, Any]], Mapping[str, str]], **attributes: Any
    ) -> None:
        super().__init__(*args, **attributes)
        self.defaults = defaults

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Look for what chooses defaults, wherever it stands, before `--help` is answered."""
        found, _, _ = self.make_parser(ctx).parse_args(list(args))
        ctx.meta[SETUP] = self.defaults(found)
        return super().parse_args(ctx, args)


class Numbers(click.ParamType):
    """Numbers like 1,2.5,4 or 1:4:0.5, as a tuple of floats or integers."""

    name = "numbers"

    def __init__(self, kind: type = float) -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = param.opts[0] if param else self.name
        return tuple(map(self.kind, parse_numbers(value, text))) if isinstance(value, str) else value


class Points(click.ParamType):
    """Points like 1,0,0;0,1,0, as a tuple of tuples of floats."""

    name = "points"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        one = Numbers()
        return (
            tuple(one.convert(part, param, ctx) for part in value.split(";"))
            if isinstance(value, str)
            else value
        )


class Words(click.ParamType):
    """Words like a,b, as a tuple."""

    name = "words"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return tuple(value.split(",")) if isinstance(value, str) else value


class Names(click.ParamType):
    """A name of a table, which the shell completes; whether there is such a name, the library says.

    Arguments:
        known: gives the names; not called before somebody asks for completion.
    """

    name = "name"

    def __init__(self, known: Callable[[], Iterable[str]]) -> None:
        self.known = known

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that begin so."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(name) for name in self.known() if name.startswith(incomplete)]


def models(task: str) -> Names:
    """Names in the zoo of a task, "spectra" or "dynamics"."""

    def known() -> Iterable[str]:
        from qwell.models.registry import list_models

        return list_models(task)

    return Names(known)


def systems() -> Iterable[str]:
    """Names of states whose potentials are known."""
    from qwell.studies.inverse.systems import SYSTEMS

    return SYSTEMS


TYPES: dict[str, Any] = {
    "int": int,
    "float": float,
    "str": str,
    "tuple[float, ...]": Numbers(),
    "tuple[float, float]": Numbers(),
    "tuple[int, ...]": Numbers(int),
    "tuple[tuple[float, ...], ...]": Points(),
    "tuple[str, ...]": Words(),
}


def option(owner: Callable[..., Any], name: str, *flags: str, help: str, **attributes: Any) -> Decorator:
    """An option for a field of a dataclass or an argument of a function, with its type and default.

    An option that is not typed is None, so that the library's own default counts; `given` leaves it out. The
    help text ends with the default, or with what the field's metadata say under "default". An option without
    one is required.

    Arguments:
        owner, name: the dataclass or function, and its field or argument.
        flags: the option's names, if not --name.
        help: what is asked, in words.
        attributes: others of `click.option`.
    """
    asked = inspect.signature(owner).parameters[name]
    kind = str(asked.annotation).removesuffix(" | None")
    settings: dict[str, Any] = {"default": None} if kind == "bool" else {"type": TYPES[kind]}
    if kind == "bool" and not any("/" in flag for flag in flags):
        settings["is_flag"] = True
    words = _words(owner, asked, flags)
    return click.option(
        *(flags or (f"--{name.replace('_', '-')}",)),
        name,
        cls=LibraryOption,
        library_default=None if asked.default is inspect.Parameter.empty else asked.default,
        required=asked.default is inspect.Parameter.empty,
        help=f"{help}  [default: {words}]" if words else help,
        **{**settings, **attributes},
    )


def _words(owner: Any, asked: inspect.Parameter, flags: tuple[str, ...]) -> str:
    """What is to be said of a default; nothing of switches that are off, and of what is absent by default."""
    if is_dataclass(owner):
        metadata = {f.name: f.metadata for f in fields(owner)}[asked.name]
        if "default" in metadata:
            return str(metadata["default"])
    return default_words(asked.default, flags)


def default_words(value: Any, flags: Sequence[str] = ()) -> str:
    """A default as help texts write it, of an option with these flags."""
    if isinstance(value, bool):
        both = next((flag for flag in flags if "/" in flag), "")
        return both.split("/")[not value].strip(" -") if both else ""
    if value in (None, inspect.Parameter.empty, "", ()):
        return ""
    return ",".join(map(_word, value if isinstance(value, tuple) else (value,)))


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


class Target(click.ParamType):
    """A path on this machine, or an address as it is typed."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | Path:
        return value if isinstance(value, Path) or "://" in value else Path(value)


def path_option(*flags: str, help: str, default: str, **attributes: Any) -> Decorator:
    """An option for a path that is made of other things unless it is given; `default` says of which."""
    attributes.setdefault("type", click.Path(path_type=Path))
    return click.option(*flags, help=f"{help}  [default: {default}]", **attributes)


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were typed."""
    return {name: value for name, value in options.items() if value is not None}


def typed(*names: str) -> list[str]:
    """The flags of those parameters of the command that runs which were typed."""
    context = click.get_current_context()
    by_hand = click.core.ParameterSource.COMMANDLINE
    return [
        max(one.opts, key=len)
        for one in context.command.params
        if one.name in names and context.get_parameter_source(one.name) is by_hand
    ]


def refuse(reason: str, *names: str) -> None:
    """Refuse options that would have no effect on what is asked of the command that runs.

    Arguments:
        reason: why, in words, or what they belong to.
        names: of the command's parameters; those that were not typed are no matter.

    Raises InvalidInput for the first that was typed.
    """
    for flag in typed(*names):
        raise InvalidInput(f"{flag} has no effect here: {reason}; leave it out")


def stacked(*options: Decorator) -> Decorator:
    """Several options as one decorator, in the order in which help texts show them."""

    def decorate(command: Any) -> Any:
        for one in reversed(options):
            command = one(command)
        return command

    return decorate


class Group(click.Group):
    """A group that knows which command may be meant by another name."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is named first, and the other arguments; UsageError if there is none."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"{unknown('command', args[0], known)}.")
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """A group that imports a command's module when the command is asked for, and not for its own help.

    Arguments:
        sections: title → name of a command → (module:attribute, what the group's help says of it).
    """

    def __init__(
        self, *args: Any, sections: Mapping[str, Mapping[str, tuple[str, str]]], **attributes: Any
    ) -> None:
        super().__init__(*args, **attributes)
        self.sections = sections
        self.places = {name: place for section in sections.values() for name, place in section.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, section by section."""
        return list(self.places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command, imported now if it was not yet."""
        if cmd_name in self.places and cmd_name not in self.commands:
            module, _, attribute = self.places[cmd_name][0].partition(":")
            self.add_command(getattr(import_module(module), attribute), cmd_name)
        return super().get_command(ctx, cmd_name)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands that begin so, without importing any; then the group's own options."""
        from click.shell_completion import CompletionItem

        named = [
            CompletionItem(name, help=words)
            for name, (_, words) in self.places.items()
            if name.startswith(incomplete)
        ]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections of commands without importing any."""
        for title, section in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, words) for name, (_, words) in section.items()])
