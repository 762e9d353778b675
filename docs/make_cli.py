"""Write docs/cli.md and docs/commands/ from the help texts: `python docs/make_cli.py`; --check compares."""

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from qwell.cli import qdata, qtrain

DOCS = Path(__file__).parent
PROGRAMS = (("qdata", qdata.cli, qdata.SECTIONS), ("qtrain", qtrain.cli, qtrain.SECTIONS))
MADE = "Made from the help texts by `python docs/make_cli.py`.\n"
WIDTH = 80  # what a column of the pages holds


def sections(command: click.Command, name: str) -> str:
    """Heading and help text of a command; then those of its commands, if it is a group."""
    subs = [sections(one, f"{name} {sub}") for sub, one in commands(command)]
    return "\n".join([help_of(command, name), *subs])


def help_of(command: click.Command, name: str) -> str:
    """Heading and help text of a command."""
    context = click.Context(command, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH)
    return f"## `{name}`\n\n```text\n{command.get_help(context)}\n```\n"


def commands(group: click.Command) -> Iterator[tuple[str, click.Command]]:
    """The commands of a group; none of a command."""
    context = click.Context(group)
    for sub in group.list_commands(context) if isinstance(group, click.Group) else ():
        one = group.get_command(context, sub)
        assert one is not None
        yield sub, one


def pages() -> Iterator[tuple[str, str]]:
    """Paths below docs/ and texts: an overview, and a page for each section of `qdata` and `qtrain`."""
    overview, names = ["# Commands\n", MADE], []
    for program, cli, table in PROGRAMS:
        known = dict(commands(cli))
        overview.append(help_of(cli, program))
        for title, members in table.items():
            names.append(f"commands/{program}-{title.lower().replace(' ', '-')}")
            parts = [sections(known[name], f"{program} {name}") for name in members]
            yield f"{names[-1]}.md", "\n".join([f"# {program}: {title}\n", MADE, *parts])
    overview.append("\n".join(["```{toctree}", ":maxdepth: 2", "", *names, "```", ""]))
    yield "cli.md", "\n".join(overview)


if __name__ == "__main__":
    new = dict(pages())
    there = [DOCS / "cli.md", *DOCS.glob("commands/*.md")]
    old = {path.relative_to(DOCS).as_posix(): path.read_text() for path in there if path.exists()}
    if "--check" not in sys.argv:
        (DOCS / "commands").mkdir(exist_ok=True)
        for name in old.keys() - new.keys():
            (DOCS / name).unlink()
        for name, text in new.items():
            (DOCS / name).write_text(text)
    elif new != old:
        for name in sorted(new.keys() | old.keys()):
            before, after = (which.get(name, "").splitlines(True) for which in (old, new))
            sys.stdout.writelines(difflib.unified_diff(before, after, f"docs/{name}", "--help"))
        sys.exit("docs/cli.md or docs/commands is out of date; run `python docs/make_cli.py`")
