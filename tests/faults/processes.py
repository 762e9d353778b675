"""Rough places that take processes: signals, little memory, closed streams, full and read-only disks.

Scenarios as in `scenarios.py`, of no back end in particular.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from faults.kills import descendants, is_worker
from faults.rough import TRAINING, checked
from faults.trying import (
    OPTIONS,
    RECIPE,
    SMALL,
    Command,
    Outcome,
    Scenario,
    Tally,
    WrongNumbers,
    command,
    make,
    same,
)
from support import content, wait_until

import qwell

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
GENERATE = ("generate", *OPTIONS)


def ended(process: Command) -> str:
    """What a command says in the end on stderr; it ends in order."""
    said = process.communicate()[1] or ""
    checked(process.returncode, said)
    return said


def begun(process: Command, sign: Callable[[], bool]) -> bool:
    """Wait until a command has done something; False if it has ended by then."""
    wait_until(lambda: sign() or process.poll() is not None, 600)  # sooner, the try is a hang
    return process.poll() is None


def _some(folder: Path) -> Callable[[], bool]:
    return lambda: folder.is_dir() and any(folder.iterdir())


def generate_signals(folder: Path, suffix: str, tries: int) -> Outcome:
    """SIGTERM, SIGHUP and Ctrl-C to `qdata generate`, or to all of its processes: says --resume."""
    tally, reference = Tally(), content(make(folder / "reference.zarr"))
    for i in range(tries):
        number, path = SIGNALS[i % 3], folder / f"{i}.zarr"
        with tally.one(f"{number.name} {i}", commands=2):
            process = command(*GENERATE, "--workers", 2, "--out", path)
            if begun(process, _some(folder / f"{i}.zarr.partial/progress/done")):
                (os.killpg if i // 3 % 2 else os.kill)(process.pid, number)
                said = ended(process)
                assert process.returncode == 128 + number, (process.returncode, said)
                assert "--resume" in said.strip().splitlines()[-1], said
                process = command(*GENERATE, "--workers", 2, "--out", path, "--resume")
            ended(process)
            assert same(path, reference)
    return tally.outcome("one line that names --resume; identical after it")


def training(data: Path, out: Path, *options: object) -> Command:
    kept = ("--checkpoint-every", 50, "--log-every", 10, "--evaluate-every", 50)
    return command("eigen", "--data", data, *TRAINING, *kept, "--out", out, *options, program="qtrain")


def training_signals(folder: Path, suffix: str, tries: int) -> Outcome:
    """SIGTERM, SIGHUP and Ctrl-C to a training: a checkpoint, and --resume gives the same weights."""
    tally, data = Tally(), make(folder / "x.zarr", SMALL)
    long = ("--updates", 800)
    ended(training(data, folder / "whole", *long))
    for i in range(tries):
        number, out = SIGNALS[i % 3], folder / f"{i}"
        with tally.one(f"{number.name} {i}", commands=2):
            process = training(data, out, *long)
            if begun(process, (out / "metrics.jsonl").exists):
                process.send_signal(number)
                said = ended(process)
                if process.returncode:
                    assert process.returncode == 128 + number, (process.returncode, said)
                    assert f"--resume {out}" in said and (out / "checkpoints/last.safetensors").is_file(), (
                        said
                    )
                    process = command("eigen", "--resume", out, program="qtrain")
            ended(process)
            _same_weights(folder / "whole", out)
    return tally.outcome("a checkpoint and one line that names --resume; the same weights after it")


def _same_weights(one: Path, other: Path) -> None:
    if len({(run / "model/model.safetensors").read_bytes() for run in (one, other)}) != 1:
        raise WrongNumbers("other weights than the undisturbed training's")


def pressed_twice(folder: Path, suffix: str, tries: int) -> Outcome:
    """Ctrl-C twice, at once or a moment later, to a generation or a training: no traceback."""
    tally, data = Tally(), make(folder / "x.zarr", SMALL)
    for i in range(tries):
        with tally.one(i):
            if i % 2:
                process = command(*GENERATE, "--workers", 2, "--out", folder / f"{i}.zarr")
                sign = _some(folder / f"{i}.zarr.partial/progress/done")
            else:
                process = training(data, folder / f"{i}", "--updates", 10**6)
                sign = (folder / f"{i}/metrics.jsonl").exists
            if begun(process, sign):
                for _ in range(2):
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGINT)
                    time.sleep((0, 0.02, 0.2)[i // 2 % 3])
            said = process.communicate()[1]
            code = 130 if process.returncode == -signal.SIGINT else process.returncode  # as a shell says it
            checked(code, said)
            assert code in (0, 130), code
    return tally.outcome("ended at once, without a traceback")


def fork_server(folder: Path, suffix: str, tries: int) -> Outcome:
    """The server that workers are forked from is killed, alone or with its workers."""
    tally, reference = Tally(), content(make(folder / "reference.zarr"))
    for i in range(tries):
        path = folder / f"{i}.zarr"
        with tally.one(i, commands=2):
            process = command(*GENERATE, "--workers", 2, "--out", path)
            victims: list[int] = []
            while not victims and process.poll() is None:
                victims = [pid for pid in descendants(process.pid) if _is_server(pid)]
            time.sleep((0, 0.2, 0.6, 1.2)[i % 4])
            victims += [pid for pid in descendants(process.pid) if is_worker(pid)] * (i % 2)
            for pid in victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            said = ended(process)
            if process.returncode:
                assert "--resume" in said and "disk" not in said, said
                ended(command(*GENERATE, "--workers", 2, "--out", path, "--resume"))
            assert same(path, reference)
    return tally.outcome("identical, or one line and identical after --resume")


def _is_server(pid: int) -> bool:
    """The fork server itself."""
    with contextlib.suppress(OSError):
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
        return b"forkserver" in line and not is_worker(pid)
    return False


def short_memory(folder: Path, suffix: str, tries: int) -> Outcome:
    """`ulimit -v` from 250 MB to 3 GB: the command works, or says in a line that memory is short."""
    tally, data = Tally(), make(folder / "x.zarr", SMALL)
    for i in range(tries):
        megabytes = 250 + 2750 * i // max(tries - 1, 1)
        size = megabytes * 2**20
        for name in ("generate", "eigen", "verify"):
            with tally.one(f"{name}, {megabytes} MB"):
                limits = {
                    "preexec_fn": lambda size=size: resource.setrlimit(resource.RLIMIT_AS, (size, size))
                }
                out = folder / f"{name}{i}.zarr"
                if name == "generate":
                    process = command(*GENERATE, "--workers", i % 3, "--out", out, **limits)
                elif name == "verify":
                    process = command("verify", "--full", data, **limits)
                else:
                    typed = ("eigen", "--data", data, *TRAINING, "--updates", 20, "--out", out)
                    process = command(*typed, program="qtrain", **limits)
                said = ended(process)
                assert process.returncode in (0, 1), said
                assert process.returncode == 0 or any(
                    word in said for word in ("memory", "--workers 0", "--resume")
                ), said
    return tally.outcome("works, or says that memory is short, or how to go on")


def closed_streams(folder: Path, suffix: str, tries: int) -> Outcome:
    """stdin, stdout or stderr closed, a pipe without a reader, or /dev/full: nothing raw is said."""
    tally, data = Tally(), make(folder / "x.zarr", SMALL)
    commands = {
        "info": ("qdata", "info", data),
        "nothing": ("qdata", "info", folder / "nothing.zarr"),
        "generate": (
            "qdata",
            *GENERATE[:2],
            "--n=100",
            "--validation=0",
            "--workers=0",
            "--force",
            "--out=y.zarr",
        ),
        "eigen": ("qtrain", "eigen", "--data", data, *TRAINING, "--updates", 5),
    }
    closings = ("2>&-", ">&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", "| true")
    for name, (program, *rest) in commands.items():
        for closing in closings:
            with tally.one(f"{name} {closing}"):
                typed = " ".join([sys.executable, "-m", f"qwell.cli.{program}", *map(str, rest)])
                shell = ["bash", "-c", f"{typed} {closing}"]
                pipe = subprocess.PIPE
                done = Command(shell, cwd=folder, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
                said = done.communicate()[1]
                full = closing == ">/dev/full"
                assert done.returncode in ((1, 2) if full else (0, 1, 2)), (done.returncode, said)
                checked(done.returncode if said else 0, said)
                if name == "generate":
                    assert (folder / "y.zarr/manifest.json").is_file()
                    shutil.rmtree(folder / "y.zarr")
                for measured in folder.glob("runs/*/metrics.jsonl"):
                    assert all(line.startswith('{"') for line in measured.read_text().splitlines())
    return tally.outcome("the work is done; no message goes astray")


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path | None]:
    """A file system of this size; None where one may not mount."""
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False
    ).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def full_disk_in_training(folder: Path, suffix: str, tries: int) -> Outcome:
    """A training whose disk fills up: names the file and --resume, which gives the same weights with room."""
    tally, data = Tally(), make(folder / "x.zarr", SMALL)
    long = ("--updates", 400)
    ended(training(data, folder / "whole", *long))
    for i in range(tries):
        with small_disk(folder / f"disk{i}", f"{16 + 8 * i}k") as disk:
            if disk is None:
                return 0, "not tried: it takes the right to mount"
            with tally.one(i, commands=2):
                process = training(data, disk / "run", *long)
                said = ended(process)
                if process.returncode:
                    assert "is full" in said and str(disk) in said, said
                    subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
                    if (disk / "run/config.json").exists():
                        ended(command("eigen", "--resume", disk / "run", program="qtrain"))
                    else:
                        shutil.rmtree(disk / "run", ignore_errors=True)
                        ended(training(data, disk / "run", *long))
                _same_weights(folder / "whole", disk / "run")
    return tally.outcome("one line that names the file; the same weights after --resume with room")


def read_only_installation(folder: Path, suffix: str, tries: int) -> Outcome:
    """A package that may not be written, for a user without a home: compiled anew, and the same data."""
    tally, reference = Tally(), content(make(folder / "reference.zarr", RECIPE))
    with small_disk(folder / "disk", "40m") as disk:
        if disk is None:
            return 0, "not tried: it takes the right to mount"
        shutil.copytree(
            Path(qwell.__file__).parent, disk / "qwell", ignore=shutil.ignore_patterns("__pycache__")
        )
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        environment = {**os.environ, "PYTHONPATH": str(disk), "HOME": "/proc/nobody"}
        for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "QWELL_CACHE"):
            environment.pop(name, None)
        for workers in range(tries):
            with tally.one(f"{workers} workers"):
                path = folder / f"{workers}.zarr"
                typed = (*GENERATE, "--workers", workers, "--out", path)
                ended(command(*typed, env=environment, cwd=folder))
                assert same(path, reference)
    return tally.outcome("identical")


# name, scenario, tries in full, tries in the tests
PROCESSES: list[tuple[str, Scenario, int, int]] = [
    ("SIGTERM, SIGHUP, Ctrl-C to `qdata generate`", generate_signals, 12, 1),
    ("SIGTERM, SIGHUP, Ctrl-C to a training", training_signals, 12, 1),
    ("Ctrl-C twice", pressed_twice, 12, 1),
    ("the fork server is killed", fork_server, 8, 1),
    ("`ulimit -v`", short_memory, 6, 1),
    ("closed stdin, stdout, stderr, or /dev/full", closed_streams, 1, 1),
    ("no room in training", full_disk_in_training, 10, 1),
    ("a read-only installation without a home", read_only_installation, 2, 1),
]
