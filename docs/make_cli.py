"""Write docs/cli.md from the help texts: `python docs/make_cli.py`; with --check only compare."""

import difflib
import sys
from pathlib import Path

import click

from qwell.cli import qdata, qtrain

PAGE = Path(__file__).parent / "cli.md"


def sections(command: click.Command, name: str) -> list[str]:
    """Heading and help text of a command, 100 columns wide; then those of its commands, if it is a group."""
    context = click.Context(command, info_name=name, terminal_width=100, max_content_width=100)
    parts = [f"## `{name}`\n\n```text\n{command.get_help(context)}\n```\n"]
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            one = command.get_command(context, sub)
            assert one is not None
            parts += sections(one, f"{name} {sub}")
    return parts


def page() -> str:
    """The whole page."""
    parts = ["# Commands\n", "Made from the help texts by `python docs/make_cli.py`.\n"]
    return "\n".join([*parts, *sections(qdata.cli, "qdata"), *sections(qtrain.cli, "qtrain")])


if __name__ == "__main__":
    new = page()
    if "--check" not in sys.argv:
        PAGE.write_text(new)
    elif not PAGE.exists() or PAGE.read_text() != new:
        old = PAGE.read_text() if PAGE.exists() else ""
        sys.stdout.writelines(
            difflib.unified_diff(old.splitlines(True), new.splitlines(True), "docs/cli.md", "--help")
        )
        sys.exit("docs/cli.md is out of date; run `python docs/make_cli.py`")
