"""What the tests of several rooms share."""

import contextlib
import io
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

from qwell.errors import QwellError
from qwell.store.backends import SHARDED, storage_of
from qwell.store.manifest import FileRecord, dump_json, read_manifest


def root_of(path: Path) -> Path:
    """The directory with the files of a data set."""
    return SHARDED[storage_of(path)].root_of(path)


def copy_of(source: Path, target: Path) -> Path:
    shutil.copytree(root_of(source), root_of(target))
    if source.is_file():
        shutil.copy(source, target)
    return target


def shard_file(path: Path, split: str = "train", field: str = "energy", shard: int = 1) -> Path:
    """The file with one shard of a field of a finished data set."""
    plan = read_manifest(root_of(path)).plan
    array = next(f for f in plan.fields if f.name == field)
    return root_of(path) / SHARDED[plan.storage].shard_path(split, array, shard)


def content(path: Path) -> dict[str, bytes]:
    """Every file of a data set but the circumstances."""
    root = root_of(path)
    return {
        p.relative_to(root).as_posix(): p.read_bytes()
        for p in root.rglob("*")
        if p.is_file() and p.name != "provenance.json"
    }


def forge_manifest(path: Path, **changes: object) -> None:
    """Change the manifest as somebody would who means harm: what vouches for it is changed too."""
    root = root_of(path)
    manifest = root / "manifest.json"
    manifest.write_bytes(dump_json(json.loads(manifest.read_text()) | changes))
    (root / "provenance.json").unlink(missing_ok=True)


def forge_file(path: Path, file: Path) -> None:
    """Let the manifest say that a file is as it should be."""
    record = FileRecord.of(file.read_bytes())
    files = json.loads((root_of(path) / "manifest.json").read_text())["files"]
    name = file.relative_to(root_of(path)).as_posix()
    forge_manifest(path, files=files | {name: [record.size, record.sha256]})


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit code, and what it said."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The results in the answer of a command with `--json`, whose shape is always the same."""
        answer = json.loads(self.stdout)
        assert list(answer) == ["command", "version", "inputs", "results", "warnings"], answer
        return answer["results"]


def run(*arguments: object, cwd: Path, code: int | None = 0, **environment: str) -> Done:
    """`qdata …` or `qtrain …` as typed in a directory, through its own entry point, but in this process.

    Checks the exit code (None: 1 or 2), that there is no traceback, that bad input is answered with one line,
    and that signals are handled as before. Children that the command starts speak for themselves.
    """
    return _checked(call(*arguments, cwd=cwd, **environment), code)


def run_process(*arguments: object, cwd: Path, code: int | None = 0) -> Done:
    """The same in a process of its own, for what this process cannot show."""
    process = begin(*arguments, cwd=cwd)
    said, complained = process.communicate()
    return _checked(Done(process.returncode, said, complained), code)


def begin(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """Begin a command in a process group of its own."""
    program, *rest = map(str, arguments)
    command = [sys.executable, "-m", f"qwell.cli.{program}", *rest]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=cwd, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def wait_until(happened: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something; AssertionError if it does not happen in time."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"it has not happened in {seconds} s"
        time.sleep(0.02)


def _checked(done: Done, code: int | None) -> Done:
    assert done.code == code or (code is None and done.code in (1, 2)), done
    assert "Traceback" not in done.stderr, done.stderr
    if code in (2, None):
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done


def call(*arguments: object, cwd: Path, **environment: str) -> Done:
    """The same without a look at how it ended."""
    program, *rest = map(str, arguments)
    said, complained = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    before = [signal.getsignal(number) for number in SIGNALS]
    with (
        contextlib.chdir(cwd),
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "argv", [program, *rest]),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(complained),
        _logs_to(complained),
    ):
        try:
            import_module(f"qwell.cli.{program}").main()
        except SystemExit as end:
            code = end.code
        else:
            code = 0
    assert before == [signal.getsignal(number) for number in SIGNALS], "a signal is handled differently now"
    assert isinstance(code, int), code
    return Done(code, *(stream.buffer.getvalue().decode() for stream in (said, complained)))  # type: ignore[attr-defined]


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)


@contextlib.contextmanager
def _logs_to(stream: io.TextIOWrapper) -> Iterator[None]:
    """Let every logger that writes to a stream write to this one, whichever it was made with."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    handlers = {
        handler
        for logger in loggers
        if isinstance(logger, logging.Logger)
        for handler in logger.handlers
        if type(handler) is logging.StreamHandler
    }
    streams = {handler: handler.setStream(stream) for handler in handlers}
    try:
        yield
    finally:
        for handler, before in streams.items():
            handler.setStream(before or sys.stderr)


def end_of(action: Callable[[], object], before: Callable[[], None] = lambda: None, seconds: int = 60) -> str:
    """How an action ends, after `before`, in a process of its own: its error in a line, or "no error".

    If that takes longer than so many seconds, it is an "unexpected hang".
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        text = "no error"
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)
        try:
            before()
            action()
        except QwellError as error:
            text = f"{type(error).__name__}: {error}"
        except BaseException as error:
            text = f"unexpected {type(error).__name__}: {error}"
        os.write(writer, text.encode()[:4000])
        os._exit(0)
    os.close(writer)
    status = os.waitpid(pid, 0)[1]
    late = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
    with os.fdopen(reader) as pipe:
        return pipe.read() or ("unexpected hang" if late else "unexpected death")
