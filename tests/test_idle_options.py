"""No option is silently ignored: it has an effect on what is asked, or it is refused with the reason.

Two tables name every option of every command: those that have an effect whatever else is typed, and those
that depend on something, with a command line in which they have none. An option in neither fails a test.
"""

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from support import run

from qwell.cli import qdata, qtrain

PAPERS_DONE = ("derivatives", "dynamics", "introspective", "potential", "spectra")
MAKING = "--shard-size --scheduler --cluster --dry-run --shards --format --out --json"
TRAINING = "--data --model --set --updates --device --log-every --evaluate-every --out --resume"
WRITTEN = "--out --json"
# Command → options that have an effect whatever else is typed. (What `--resume` leaves of the options of a
# training is tested below; with --dry-run the options of what would be made may stand.)
ALWAYS = {
    "qdata generate": "--kernel --n --sigma --length --mesh --levels --validation --seed --solver --densities"
    f" --matter --dtype {MAKING}",
    "qdata densities": "--n --validation --test --potential --cells --cell --energy --slope --current --noise"
    f" --seed {MAKING}",
    "qdata simulate": "--preset --box --points --dt --frames --propagator --hamiltonian --precision --dtype"
    f" --validation --history --window --times --edges {MAKING}",
    "qdata import": f"--densities --dtype --validation --resume --force --license --author {WRITTEN}",
    "qdata finalise": "--json",
    "qdata info": "--json",
    "qdata list": "--recursive --json",
    "qdata versions": "--json",
    "qdata prune": "--keep --unfinished --yes --json",
    "qdata stats": "--json",
    "qdata plot": "--split --rows --out",
    "qdata explore": "--port --browser",
    "qdata animate": "--split --row --every --fps --out",
    "qdata windows": "--split --history --window --times --edges --weight --materialize --figure --json",
    "qdata verify": "--full --recipe --json",
    "qdata repair": "--from --json",
    "qdata cache": "--clear --json",
    "qdata convert": f"--force {WRITTEN}",
    "qdata subset": f"--n --seed --resume --force {WRITTEN}",
    "qdata merge": f"--resume --force {WRITTEN}",
    "qdata push": "--force --json",
    "qdata pull": "--force --json",
    "qdata card": "--url --license --author --json",
    "qtrain eigen": f"{TRAINING} --optimizer --precision --watch",
    "qtrain dynamics": f"{TRAINING} --batch --first-rate --last-rate --schedule --warm-up --ema --threads"
    " --seed --compile --logger --tensorboard --checkpoint-every --clip --rollout --stream --start-from",
    "qtrain introspect": "--data --translator --dimensions --update --decoder --until --seeds --starts"
    f" --translator-steps --distiller-steps --seed --resume {WRITTEN}",
    "qtrain evaluate": "--data --split --figure --device --json",
    "qtrain predict": f"--potential --array --coverage --certify --device {WRITTEN}",
    "qtrain league": "--task --n --out --resume --figure --json",
    "qtrain calibrate": "--data --device --out --json",
    "qtrain models": "--pretrained --json",
    "qtrain push": "--force --json",
    "qtrain pull": "--force --json",
    "qtrain list": "--json",
    "qtrain explore": "--port --browser",
    "qtrain runs": "--sort --figure --json",
    "qtrain rollout": f"--data --split --frames --row --device --anyway {WRITTEN}",
    "qtrain probe ablation": f"--data --split {WRITTEN}",
    "qtrain probe attention": f"--data --split --index --layers {WRITTEN}",
    "qtrain probe cross-kernel": f"--data --split --index {WRITTEN}",
    "qtrain probe crossing": f"--data --split --candidates {WRITTEN}",
    "qtrain probe densities": f"--data --split --index --samples {WRITTEN}",
    "qtrain probe emulators": f"--data --split --frames --anyway {WRITTEN}",
    "qtrain probe gradients": f"--data --split --samples --seed --anyway {WRITTEN}",
    "qtrain probe hyper": f"--data --split --frames --anyway {WRITTEN}",
    "qtrain probe learning-curves": f"--index {WRITTEN}",
    "qtrain probe potentials": WRITTEN,
    "qtrain probe matter": f"--data --split --index {WRITTEN}",
    "qtrain probe packets": f"--data --split --frames --anyway {WRITTEN}",
    "qtrain probe similarity": f"--train --data --device {WRITTEN}",
    "qtrain probe sweep": f"--hamiltonian --frames --anyway {WRITTEN}",
    "qtrain variational": f"--potential --layers --seed --seeds {WRITTEN}",
    "qtrain potential": "--system --data --file --noise --method --field --recipe --r0 --samples --seed"
    f" --seeds {WRITTEN}",
    "qtrain control": f"--task --duration --bound --modes --iterations --goal --seed --on {WRITTEN}",
    "qtrain derivatives": f"--sizes --orders --batch --patience --threads {WRITTEN}",
    **{f"qtrain reproduce {name}": "--scale --out --dry-run" for name in PAPERS_DONE},
}  # fmt: skip

KERNEL = "--kernel m3 --n 10 --workers 0"
IDLE_MAKING = {
    "--workers": "--workers 2 --scheduler tcp://127.0.0.1:1",
    "--max-memory": "--max-memory 2GB --scheduler tcp://127.0.0.1:1",
    "--cluster-option": "--cluster-option queue=short",
    "--resume": "--resume --shards 0:1",
    "--force": "--force --shards 0:1",
    "--license": "--license MIT --shards 0:1",
    "--author": "--author Me --shards 0:1",
}
FITTED = {
    flag: f"--data none.zarr --model mean {flag} {value}".strip()
    for flag, value in {
        "--batch": 5, "--first-rate": 0.1, "--last-rate": 0.1, "--schedule": "linear", "--warm-up": 0.1,
        "--ema": 0.9, "--threads": 1, "--seed": 1, "--compile": "", "--tensorboard": "", "--logger": "csv",
        "--checkpoint-every": 5, "--density-weight": 1, "--stream": "pool", "--mirror": "",
    }.items()
}  # fmt: skip
LINE = "--potential harmonic"
SPACE = "--potential coupled-2d"
STATE = "--system oscillator-0"
PAPERS = f"{STATE} --method mpnn"
# Command → option → what is typed with it where it has no effect.
IDLE = {
    "qdata generate": {
        "--nu": f"{KERNEL} --nu 2.5",
        **{flag: f"--kernel m3 --n 10 {words}" for flag, words in IDLE_MAKING.items()},
    },
    "qdata densities": {"--length": "--length 2", **IDLE_MAKING},
    "qdata simulate": {
        **{flag: f"--preset demo {flag} {value}" for flag, value in {
            "--x0": 20, "--s0": 2, "--e0": 4, "--packet": "square", "--hb": 3, "--potential": "free",
            "--split": "test",
        }.items()},
        "--wb": "--wb 5",
        "--tolerance": "--propagator eigen --tolerance 1e-9",
        "--drive": "--preset pulses --drive dipole:amplitude=1:frequency=1",
        "--drawn": "--preset pulses --drawn 5",
        "--absorb": "--preset demo --absorb width=15:strength=3.3",
        "--keep": "--preset demo --keep psi",
        "--levels": "--preset demo --levels 2",
        "--weight": "--x0 10 --weight 5",
        "--v-scale": "--preset paper-free --v-scale 5",
        "--substep": "--substep 0.01",
        "--device": "--device cuda",
        "--seed": "--seed 3",
        **IDLE_MAKING,
    },
    "qdata import": {
        "--potential": "wells.npy --potential v", "--energy": "wells.npy --energy e",
        "--levels": "solved.npz --levels 3", "--solver": "solved.npz --solver lanes",
        "--seed": "wells.npy --seed 3",
    },
    "qdata windows": {
        "--n": "none.zarr --n 5", "--out": "none.zarr --out w.zarr", "--force": "none.zarr --force",
    },
    "qdata verify": {
        "--samples": "none.zarr --samples 5", "--seed": "none.zarr --recipe --seed 5",
        "--sample": "none.zarr --sample 5", "--workers": "none.zarr --workers 2",
    },
    "qdata cache": {
        "--older-than": "--older-than 3d", "--larger-than": "--larger-than 5GB", "--name": "--name m3*",
        "--yes": "--yes",
    },
    "qdata convert": {
        "--single": "m3.zarr --single --out a.zarr",
        "--resume": "none.zarr --single --resume --out a.h5",
    },
    "qdata card": {"--out": "none.zarr --out cards --json", "--quick": "none.zarr --quick --json"},
    "qtrain eigen": FITTED,
    "qtrain dynamics": {
        "--decay": "--data none.zarr --model emulator_unitary --decay 0.1",
        "--noise": "--data none.zarr --model emulator_unitary --noise 0.01",
        "--unroll": "--data none.zarr --unroll 2",
    },
    "qtrain rollout": {"--keep-norm": "emulator-unitary --data none.zarr --keep-norm"},
    "qtrain probe emulators": {"--keep-norm": "emulator-gru emulator-unitary --data none.zarr --keep-norm"},
    "qtrain variational": {
        **{flag: f"{SPACE} {flag} {value}".strip() for flag, value in {
            "--setup": "nonsense", "--region": "-1,1", "--kinks": 0, "--points": 99, "--rule": "rectangle",
            "--form": "laplacian", "--walls": "", "--optimizer": "adam", "--adam-steps": 3,
            "--rate": 0.1, "--dtype": "float32", "--levels": 2, "--parity": "none",
        }.items()},
        "--lbfgs-steps": f"{LINE} --optimizer adam --lbfgs-steps 3",
        "--linear-steps": f"{LINE} --setup paper --linear-steps 3",
        "--dimensions": f"{LINE} --dimensions 1",
        "--walkers": f"{LINE} --walkers 7",
        "--steps": f"{LINE} --steps 3",
    },
    "qtrain potential": {
        "--row": f"{STATE} --row 77", "--level": f"{STATE} --level 1",
        "--split": "--file wave.npy --split train",
        "--derivative": f"{STATE} --derivative nonsense", "--v0": "--file wave.npy --v0 1 --r0 0",
        "--lambda": f"{STATE} --lambda 0.1", "--shrink": f"{STATE} --shrink 1",
        "--epochs": f"{STATE} --epochs 3",
        "--layers": f"{PAPERS} --layers 3", "--activation": f"{PAPERS} --activation Tanh",
        "--temper": f"{PAPERS} --temper 0", "--adam-steps": f"{PAPERS} --adam-steps 1",
        "--newton-steps": f"{PAPERS} --newton-steps 1",
    },
    "qtrain league": {"--frames": "hamiltonian-m3 --n 2 --frames 10"},
    **{f"qtrain reproduce {name}": {"--jobs": "--jobs 2 --dry-run"} for name in PAPERS_DONE},
}  # fmt: skip
# What the library itself says, where it knows; everywhere else the option "has no effect here".
SAID = {
    "--nu": "--nu belongs to --kernel matern", "--substep": "leave --substep out",
    "--device": "eigen runs on cuda", "--single": "a single file is HDF5", "--v0": "leave out --v0",
}  # fmt: skip
# Further combinations of options that are in the tables.
MORE = [
    ("qtrain variational --potential harmonic --walkers 7 --steps 3", "--walkers"),
    ("qtrain variational --potential coupled-2d --dimensions 2", "--dimensions"),
    ("qtrain variational --potential x**2+y**2 --dimensions 2 --walls", "--walls"),
    ("qtrain potential --system oscillator-0 --recipe text", "--recipe"),
    ("qtrain potential --system oscillator-0 --method qpnn --lambda 1", "--lambda"),
    ("qtrain potential --system oscillator-0 --method qpnn --recipe text", "--recipe"),
    ("qtrain potential --system oscillator-0 --row 77 --derivative nonsense", "--row"),
    ("qdata simulate --preset paper-tests-free --seed 1", "--seed"),
    ("qdata simulate --potential free --wb 3", "--wb"),
    ("qdata simulate --packet ground --x0 20 --drive dipole:amplitude=1:frequency=1", "--x0"),
    ("qdata simulate --propagator magnus --substep 0.05 --tolerance 1e-6", "--tolerance"),
]


def options_of(command: click.Command, name: str) -> Iterator[tuple[str, list[click.Option]]]:
    """The commands of a program, each with its options."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for sub in command.list_commands(context):
            one = command.get_command(context, sub)
            assert one is not None
            yield from options_of(one, f"{name} {sub}")
    else:
        yield name, [one for one in command.params if isinstance(one, click.Option)]


COMMANDS = {**dict(options_of(qdata.cli, "qdata")), **dict(options_of(qtrain.cli, "qtrain"))}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    np.save(home / "wells.npy", np.zeros((3, 33)))
    energy = np.arange(1.0, 4.0) * np.ones((3, 1))
    np.savez(home / "solved.npz", potential=np.zeros((3, 33)), energy=energy)
    x = np.linspace(-5, 5, 201)
    np.save(home / "wave.npy", np.stack([x, np.exp(-(x**2) / 2), x**2 / 2], axis=1))
    run("qdata", "generate", *KERNEL.split(), "--validation", 0, "--out", "m3.zarr", cwd=home)
    return home


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_in_one_of_the_tables(command: str) -> None:
    there = {max(one.opts, key=len) for one in COMMANDS[command]}
    always, idle = set(ALWAYS[command].split()), set(IDLE.get(command, {}))
    assert there == always | idle and not always & idle


def test_the_tables_name_no_command_that_is_not_there() -> None:
    assert set(ALWAYS) == set(COMMANDS) and set(IDLE) <= set(COMMANDS)


LINES = [(f"{name} {words}", flag) for name, idle in IDLE.items() for flag, words in idle.items()]


@pytest.mark.parametrize(("typed", "flag"), [*LINES, *MORE])
def test_an_option_without_effect_is_refused(typed: str, flag: str, home: Path) -> None:
    before = set(home.rglob("*"))
    said = run(*typed.split(), cwd=home, code=2).stderr
    preset = f"has its own packets and potentials; leave out {flag}"
    assert any(words in said for words in (SAID.get(flag, preset), preset, f"{flag} has no effect here: ")), (
        said
    )
    assert set(home.rglob("*")) == before


RESUMED = [
    (command, max(one.opts, key=len), one)
    for command in ("qtrain eigen", "qtrain dynamics", "qtrain introspect")
    for one in COMMANDS[command]
    if one.name not in ("resume", "device", "until", "json")
]


@pytest.mark.parametrize(("command", "flag", "one"), RESUMED, ids=[f"{c} {f}" for c, f, _ in RESUMED])
def test_a_run_that_goes_on_takes_no_other_settings(
    command: str, flag: str, one: click.Option, tmp_path: Path
) -> None:
    value = () if one.is_flag else ("1",)
    said = run(*command.split(), "--resume", "runs/one", flag, *value, cwd=tmp_path, code=2).stderr
    assert f"{flag} has no effect here: --resume takes the settings of runs/one from the run" in said


def test_what_a_fitted_model_leaves_aside_is_said(home: Path) -> None:
    asked = ("qtrain", "eigen", "--data", "m3.zarr", "--model", "mean", "--updates", 5, "--log-every", 1)
    said = run(*asked, "--out", "fitted", cwd=home).stderr
    assert "mean is fitted in closed form, in no updates: --updates, --log-every have no effect" in said
