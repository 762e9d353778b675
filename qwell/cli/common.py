"""What both commands share: one place where errors become messages and exit codes."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import Any

import click

import qwell
from qwell.cli.progress import LOG, Display, logged_to, say
from qwell.cli.signals import number_of, signals_end_work
from qwell.errors import InvalidInput, QwellError, QwellWarning, extras_needed, shown

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


def parse_settings(settings: tuple[str, ...], example: str) -> dict[str, Any]:
    """KEY=VALUE pairs as a dictionary; values are JSON, or text if they are not."""
    import json  # costs milliseconds, and --help needs none of it

    options: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise InvalidInput(f"{setting!r} has no value; write KEY=VALUE, e.g. {example}")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options


def parse_range(text: str, length: int) -> slice:
    """A:B as a slice of something of this length, 0 <= A < B <= length."""
    start, _, stop = text.partition(":")
    if not start.isdecimal() or not stop.isdecimal() or not int(start) < int(stop) <= length:
        raise InvalidInput(f"the range is {text!r}; expected A:B with 0 <= A < B <= {length}")
    return slice(int(start), int(stop))


def parse_numbers(text: str, name: str) -> tuple[float, ...]:
    """Numbers as typed: "1,2.5,4", or "1:4:0.5" for 1, 1.5 … 4."""
    try:
        if ":" in text:
            start, stop, step = (float(part) for part in text.split(":"))
            count = round((stop - start) / step)
            if not (
                step != 0 and 0 <= count <= 10**6 and abs(start + count * step - stop) < 1e-9 * abs(step)
            ):
                raise ValueError
            return tuple(start + i * step for i in range(count + 1))
        return tuple(float(part) for part in text.split(","))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise InvalidInput(
            f"{name} is {text!r}; write numbers like 1,2.5,4 or 1:4:0.5 (from:to:step)"
        ) from None


class Failed(Exception):
    """A command has said all there is to say and wants this exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


log_option = click.option(
    "--log-file", metavar="FILE", expose_value=False,
    help="Also write progress, warnings and errors to FILE, with the time. May stand anywhere.",
)  # fmt: skip


def _name_plugins(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> None:
    """Load what --plugin and QWELL_PLUGINS name, so that what is wrong with it is said first."""
    if names or os.environ.get("QWELL_PLUGINS"):
        from qwell.plugins import name_plugins

        name_plugins(*names)


plugin_option = click.option(
    "--plugin", metavar="FILE|MODULE", multiple=True, expose_value=False, callback=_name_plugins,
    help="Python file or module with models, kernels, shapes … of your own to use; stands before the command."
    " Repeatable; the environment variable QWELL_PLUGINS names some for every command.",
)  # fmt: skip


def run(group: click.Group, name: str) -> None:
    """Run a command group; one line and exit code 2 (bad input) or 1 (failed work) instead of a traceback.

    `--debug` anywhere on the command line keeps the traceback, `--log-file FILE` anywhere keeps a log.
    """
    _open_missing_streams()
    try:
        code = _displayed(group, name)
    except KeyboardInterrupt as error:  # while it was clearing up
        with suppress(OSError):
            os.write(2, f"\n{name}: interrupted, and ended at once\n".encode())
        os._exit(128 + number_of(error))
    sys.exit(code)


def _displayed(group: click.Group, name: str) -> int:
    display = Display(name)
    with (
        _warnings_in_a_line(name) as said,
        signals_end_work(name) as ending,
        display.shown(),
        ExitStack() as held,
    ):
        try:
            arguments, debug, log = _taken_out(sys.argv[1:])
            held.enter_context(logged_to(log))
        except QwellError as error:
            say(f"{name}: {error}")
            code = error.exit_code
        else:
            LOG.info("$ %s", shlex.join(map(shown, [name, *arguments])))
            code = _run(group, name, arguments, debug, said)
            display.rest()
            LOG.info("exit code %d", code)
            ending.near = code > 128
    return code


def _taken_out(arguments: list[str]) -> tuple[list[str], bool, Path | None]:
    """What is left of a command line without --debug and --log-file; whether the first was there; FILE."""
    rest: list[str] = []
    debug, log, words = False, None, iter(arguments)
    for word in words:
        if word == "--debug":
            debug = True
        elif word.partition("=")[0] == "--log-file":
            file = word.partition("=")[2] or next(words, "")
            if not file:
                raise InvalidInput("--log-file needs a name, e.g. --log-file today.log")
            log = Path(file)
        else:
            rest.append(word)
    return rest, debug, log


def _run(group: click.Group, name: str, arguments: list[str], debug: bool, said: list[str]) -> int:
    try:
        with extras_needed(to_learn=name == "qtrain"):
            code = group.main(arguments, prog_name=name, standalone_mode=False, obj=said)
    except Failed as failed:
        return failed.code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        text, code = interrupted(error)
        say(f"\n{name}: {text}")
    except Exception as error:
        if debug and not isinstance(error, click.ClickException):
            raise
        text, code = _explained(error, name)
        say(f"{name}: {text}")
    return code if isinstance(code, int) else 0


def interrupted(error: BaseException) -> tuple[str, int]:
    """What to say of an end by Ctrl-C or another signal, and its exit code."""
    number = number_of(error.__cause__ if isinstance(error, click.Abort) else error)
    by = "" if number == signal.SIGINT else f" by {signal.Signals(number).name}"
    return f"interrupted{by}", 128 + number


@contextmanager
def goes_on_with(remedy: str, name: str) -> Iterator[None]:
    """When the work inside is interrupted, say how it is continued."""
    try:
        yield
    except (click.Abort, KeyboardInterrupt) as error:
        text, code = interrupted(error)
        say(f"\n{name}: {text}; continue with {remedy}")
        raise Failed(code) from None


def _explained(error: Exception, name: str) -> tuple[str, int]:
    """An error in a line, and its exit code."""
    if isinstance(error, click.ClickException):
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else name
        return f"{error.format_message()} See `{where} --help`.", error.exit_code
    if isinstance(error, QwellError):
        return str(error), error.exit_code
    if any(_is_want_of_memory(one) for one in _causes(error)):
        sys.unraisablehook = lambda failed: None  # what libraries then fail to clean up is no news
        warnings.simplefilter("ignore")
        return f"{OUT_OF_MEMORY} ({str(error) or type(error).__name__})", 1
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        remedy = "; free some space, or write elsewhere" if error.errno in (ENOSPC, EDQUOT) else ""
        return f"{where}{error.strerror or error or type(error).__name__}{remedy}", 1
    kind = type(error).__name__
    return f"unexpected {kind}: {error}; this is a bug, run again with --debug", 1


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_want_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY)


# What libraries say instead of raising MemoryError, each in words of its own.
NO_MEMORY = (
    "can't allocate memory", "Cannot allocate memory", "out of memory", "can't start new thread",
    "failed to map segment",
)  # fmt: skip
OUT_OF_MEMORY = (
    "there is not enough memory: ask for less at a time (--workers, --shard-size, --batch, --stream pool), or"
    " let this process have more (ulimit -v)"
)


def _open_missing_streams() -> None:
    """Give a process that was started without stdin, stdout or stderr (`2>&-`) the null device in its place.

    Else the next file opened would be taken for stderr, and have messages written into it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))  # the lowest number free


@contextmanager
def _warnings_in_a_line(name: str) -> Iterator[list[str]]:
    """Our own warnings are said as errors are, in a line, and kept; those of others stay as they are.

    Yields the list of those that were said, which grows.
    """
    with warnings.catch_warnings():
        said: list[str] = []
        show = warnings.showwarning

        def ours(message: Warning | str, category: type[Warning], *where: Any) -> None:
            if issubclass(category, QwellWarning):
                said.append(str(message))
                say(f"{name}: {message}")
            else:
                show(message, category, *where)

        warnings.filterwarnings("default", category=QwellWarning)  # said once, whatever -W asks for
        warnings.showwarning = ours  # type: ignore[assignment]
        yield said


def version_option(name: str) -> Callable[[Any], Any]:
    """The --version option of a command."""
    return click.version_option(qwell.__version__, "-V", "--version", prog_name=name)
