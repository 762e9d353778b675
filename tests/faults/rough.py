"""Rough places: what people type, press and run on, that once ended in a traceback or in silence.

Scenarios as in `scenarios.py`, of no back end in particular; each ends in an answer or in one line.
"""

from __future__ import annotations

import itertools
import os
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from faults.trying import SMALL, Outcome, Raw, Scenario, Tally, WrongNumbers, make, one_line
from support import Done, call

from qwell.errors import InvalidInput
from qwell.files import seal
from qwell.physics.formula import FUNCTIONS, Formula
from qwell.store import writer
from qwell.store.reader import open_dataset
from qwell.store.verify import verify_files
from qwell.train.config import EigenConfig
from qwell.train.eigen import begin, train_eigen
from qwell.train.runs import Run

TRAINING = ("--model", "mlp", "--set", "hidden=[8]", "--batch", 100, "--device", "cpu")


def checked(code: int, stderr: str) -> None:
    """Check how a command ended: well, or in one line for people, whose program is named."""
    if "Traceback" in stderr or "is a bug" in stderr or code not in (0, 1, 2, 129, 130, 143):
        raise Raw(f"exit code {code}: {stderr[-800:]}")
    lines = stderr.strip().splitlines()
    ours = bool(lines) and all(not line or line.startswith(("qdata: ", "qtrain: ")) for line in lines)
    assert ours or (code == 0 and not lines), f"exit code {code}: {stderr[-800:]}"


def typed(*arguments: object, cwd: Path, **environment: str) -> Done:
    """A command as typed, in this process; however it ends, it ends in order."""
    done = call(*arguments, cwd=cwd, **environment)
    checked(done.code, done.stderr)
    return done


EDGES = ("1e200", "-1e200", "1e308", "1e-308", "0", "-1", "inf", "nan", "1e400", str(10**20), "1" * 400)


def too_many_rows(folder: Path, suffix: str, tries: int) -> Outcome:
    """`--n 10**20 --dry-run` and its like, of every command that makes data sets."""
    tally = Tally()
    makes: list[tuple[object, ...]] = [("qdata", "generate", "--kernel", "m3"), ("qdata", "densities")]
    numbers = [10**20, 10**12, 10**10, 2**63, 2**40, 2**31 - 1, 10**400]
    for command, n, size in itertools.product(makes, numbers, ((), ("--shard-size", 10**9))):
        with tally.one(f"{command} {str(n)[:20]} {size}"):
            done = typed(*command, "--n", n, *size, "--dry-run", cwd=folder)
            assert done.code == 2 or "Nothing was written" in done.stdout, done
            assert not list(folder.iterdir())
    return tally.outcome("an answer or one line, at once")


def high_barriers(folder: Path, suffix: str, tries: int) -> Outcome:
    """`simulate --hb 1e6`, `--dt 5` on 256 … 131,072 points: estimated; made where it is small."""
    tally = Tally()
    common = ("qdata", "simulate", "--x0", 20, "--s0", 3, "--e0", 1, "--frames", 6)
    for points, hb, dt in itertools.product(
        (256, 4096, 131_072), ("1", "1e6", "1e12", "1e300"), (0.1, 5, 1e9)
    ):
        options = (*common, "--points", points, "--hb", hb, "--dt", dt)
        with tally.one(f"{points} points, hb {hb}, dt {dt}"):
            typed(*options, "--dry-run", cwd=folder)
            if points == 256:
                out = folder / f"{tally.tries}.zarr"
                done = typed(*options, "--workers", 0, "--out", out, cwd=folder)
                assert done.code or not list(verify_files(out, out, open_dataset(out).manifest))
    return tally.outcome("an estimate, or a refusal in one line; made in bounded memory")


def numbers_at_the_edge(folder: Path, suffix: str, tries: int) -> Outcome:
    """`--sigma 1e200` and its like: a data set of finite numbers, or one line and no data set."""
    tally = Tally()
    small = ("qdata", "generate", "--kernel", "m3", "--n", 3, "--validation", 0, "--workers", 0)
    packets = ("qdata", "simulate", "--x0", 20, "--s0", 3, "--e0", 1, "--hb", 1, "--points", 64)
    packets = (*packets, "--frames", 6, "--workers", 0)
    cells = ("qdata", "densities", "--n", 3, "--validation", 0, "--test", 0, "--workers", 0)
    options: dict[tuple[object, ...], tuple[str, ...]] = {
        small: ("sigma", "length", "mesh", "levels", "seed"),
        packets: ("box", "dt", "s0", "x0", "e0", "hb", "wb"),
        cells: ("cells", "cell", "energy", "slope", "current", "noise"),
    }
    asked = [(c, name, edge) for c, names in options.items() for name in names for edge in EDGES]
    for command, name, edge in random.Random(12).sample(asked, min(tries, len(asked))):
        out = folder / f"{tally.tries}.zarr"
        with tally.one(f"{command[1]} --{name} {edge[:20]}"):
            done = typed(*command, f"--{name}={edge}", "--out", out, cwd=folder)
            if done.code == 0:
                problems = list(verify_files(out, out, open_dataset(out).manifest))
                assert not problems, problems
                for rows in open_dataset(out)["train"]:
                    if not all(np.isfinite(values).all() for values in rows.values()):
                        raise WrongNumbers("not finite")
            else:
                assert not out.exists()
    return tally.outcome("finite numbers, or one line")


NASTY = (
    "0x" + "f" * 290, "9" * 290, "1e999", "-" * 290 + "x", "(" * 140 + "x" + ")" * 140, "x" + "**x" * 90,
    "9**9**9**9**9", "x if x else x", "[x]*9**9", "lambda: x", "x.__class__", "__import__('os')", "f'{x}'",
    "'a'*10**9", "x\0", "\ud800", "", " ", "x;x", "x=1", "x:=1", "1j*x", "True", "...", "x@x", "x//0", "x<<9",
    "sin", "sin()", "sin(x, x)", "sin(x=1)", "sin(*x)", "0/0", "1e308*10", "log(0*x)", "exp(exp(exp(x)))",
)  # fmt: skip
PIECES = ("x", "pi", "0xfff", "1e200", "**", "*", "+", "-", "/", "(", ")", "2", ".5", ",", *FUNCTIONS)


def formulas(folder: Path, suffix: str, tries: int) -> Outcome:
    """`0xfff…` and other things typed for formulas: numbers, or one line; nothing is computed for long."""
    tally, dice, x = Tally(), random.Random(13), np.linspace(-1, 1, 101)
    drawn = ["".join(dice.choices(PIECES, k=dice.randrange(1, 12))) for _ in range(tries)]
    for text in (*NASTY, *drawn):
        with tally.one(repr(text[:60])), warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                value = Formula(text, ("x", "pi"), "potential", "x**2")(x=x, pi=np.pi)
                assert np.shape(value) in ((), x.shape)
            except InvalidInput as error:
                one_line(error)
    for text in (*NASTY[:3], "9**9**9**9**9", "x.__class__", "lambda: x", "1e308*10", "log(0*x)"):
        for command in (("qtrain", "variational", "--adam-steps", 1), _MATTER):
            with tally.one(f"{command[1]} {text[:40]}"):
                name = "--matter" if command is _MATTER else "--potential"
                assert typed(*command, f"{name}={text}", cwd=folder).code == 2
    return tally.outcome("numbers, or one line")


_MATTER = ("qdata", "generate", "--kernel", "m3", "--n", 3, "--validation", 0, "--workers", 0)


def modes(folder: Path, suffix: str, tries: int) -> Outcome:
    """Every file of a data set, a run and a model has the mode that the umask gives."""
    tally, data = Tally(), make(folder / "x.zarr", SMALL)
    for mask in (0o022, 0o027, 0o077, 0o002):
        before = os.umask(mask)
        try:
            with tally.one(oct(mask)):
                place = folder / oct(mask)
                make(place / "x.zarr", SMALL)
                make(place / "x.h5", SMALL)
                train = ("qtrain", "eigen", "--data", data, *TRAINING, "--updates", 4)
                assert typed(*train, "--out", "run", cwd=place).code == 0
                found = {p: p.stat().st_mode & 0o777 for p in place.rglob("*") if p.is_file()}
                odd = {str(p): oct(mode) for p, mode in found.items() if mode != 0o666 & ~mask}
                assert any(p.suffix == ".safetensors" for p in found) and not odd, odd
        finally:
            os.umask(before)
    return tally.outcome("as the umask says")


def other_versions(folder: Path, suffix: str, tries: int) -> Outcome:
    """`--resume` of a data set by another numpy, and of a run by another torch or thread count: said."""
    tally, config = Tally(), _config(make(folder / "x.zarr", SMALL))
    with tally.one("data set"):
        plan = SMALL.plan(1000)
        begun = writer.DatasetWriter(folder / "y.zarr", plan)
        with mock.patch.object(writer, "made_with", lambda: {"qwell": "0.0.9", "numpy": "1.0"}):
            writer.write_shard(begun.root, plan, "train", 0, SMALL.rows("train", 0, 1000))
        begun.close()
        said = _warned(lambda: make(folder / "y.zarr", SMALL, resume=True))
        assert any("1 of its shards by qwell 0.0.9, numpy 1.0" in line for line in said), said
        makers = open_dataset(folder / "y.zarr").provenance["shards_made_with"]
        assert len(makers) == 2, makers
    for key, value in (("threads", 7), ("torch", "1.0"), ("qwell", "0.0.9")):
        with tally.one(key):
            run = begin(config, folder / key)
            train_eigen(run, "cpu", _stop)
            content = run.config
            (run.path / "config.json").write_bytes(
                seal({**content, "about": content["about"] | {key: value}})
            )
            said = _warned(lambda run=run: train_eigen(Run.open(run.path), "cpu"))  # type: ignore[misc]
            assert any(f"{key} {value}, now" in line for line in said), (key, said)
    with tally.one("nothing changed"):
        run = begin(config, folder / "same")
        train_eigen(run, "cpu", _stop)
        assert not (said := _warned(lambda: train_eigen(Run.open(run.path), "cpu"))), said
    return tally.outcome("said in a line, and named in the provenance")


def _config(data: Path) -> EigenConfig:
    settings = {"model": "mlp", "options": {"hidden": [8]}, "updates": 8, "batch": 300, "checkpoint_every": 2}
    return EigenConfig(data=str(data), digest=open_dataset(data).digest, log_every=2, **settings)  # type: ignore[arg-type]


def _stop(update: int, row: object) -> None:
    """Ask a training to end after a few updates, as Ctrl-C does."""
    if update == 4:
        os.kill(os.getpid(), 2)


def _warned(work: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        work()
    return [str(one.message) for one in said]


def two_on_a_run(folder: Path, suffix: str, tries: int) -> Outcome:
    """A second process on a run directory: refused while the first lives, and free when it is gone."""
    tally, config = Tally(), _config(make(folder / "x.zarr", SMALL))
    begun = begin(config, folder / "run")
    train_eigen(begun, "cpu", _stop)
    with tally.one("while it is trained"), begun.locked():
        done = typed("qtrain", "eigen", "--resume", "run", cwd=folder)
        assert done.code == 2 and "another process" in done.stderr, done
    with tally.one("while it is begun"):
        (folder / "new").mkdir()
        with Run(folder / "new").locked():
            again = ("qtrain", "eigen", "--data", "x.zarr", *TRAINING, "--updates", 4, "--out", "new")
            done = typed(*again, cwd=folder)
            assert done.code == 2 and "another process" in done.stderr, done
    with tally.one("when it is gone"):
        assert typed("qtrain", "eigen", "--resume", "run", cwd=folder).code == 0
        torch.set_num_threads(1)
    return tally.outcome("refused while it lives, free when it is gone")


# name, scenario, tries in full, tries in the tests
ROUGH: list[tuple[str, Scenario, int, int]] = [
    ("`--n 10**20 --dry-run`", too_many_rows, 1, 1),
    ("`simulate --hb 1e6`, `--dt 5`", high_barriers, 1, 1),
    ("`--sigma 1e200` and other numbers at the edge", numbers_at_the_edge, 200, 20),
    ("`0xfff…` and other formulas", formulas, 2000, 100),
    ("modes of files under a umask", modes, 1, 1),
    ("`--resume` by other versions and thread counts", other_versions, 1, 1),
    ("two processes on one run directory", two_on_a_run, 1, 1),
]
