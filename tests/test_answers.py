"""Every command that has --json prints one object of one shape, and nothing besides."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from support import Done, run

import qwell
from qwell.cli import qdata, qtrain
from qwell.errors import warn
from qwell.studies.finding import Finding

SMALL = ("--workers", 0, "--dry-run")
GRADIENTS = ("hamiltonian-m3", "--data", "m3.zarr")
EMULATOR = ("emulator-unitary", "--data", "tests.zarr")
# Command → arguments of a short example.
EXAMPLES: dict[str, tuple[object, ...]] = {
    "qdata generate": ("--kernel", "rbf", "--n", 10, *SMALL),
    "qdata densities": ("--n", 10, *SMALL),
    "qdata simulate": ("--frames", 30, *SMALL),
    "qdata finalise": ("parts.zarr",),
    "qdata import": ("wells.npy",),
    "qdata windows": ("tests.zarr", "--split", "test"),
    "qdata info": ("m3.zarr",),
    "qdata verify": ("m3.zarr",),
    "qdata repair": ("m3.zarr",),
    "qdata cache": (),
    "qdata stats": ("m3.zarr",),
    "qdata list": (".",),
    "qdata convert": ("m3.zarr", "--out", "m3.h5"),
    "qdata subset": ("m3.zarr", "--n", 5, "--out", "part.zarr"),
    "qdata merge": ("m3.zarr", "exp.zarr", "--out", "both.zarr"),
    "qdata push": ("m3.zarr", "file://{home}/there.zarr"),
    "qdata pull": ("file://{home}/m3.zarr", "here.zarr"),
    "qdata versions": ("file://{home}/m3.zarr",),
    "qdata prune": ("file://{home}/m3.zarr", "--keep", 1),
    "qdata card": ("m3.zarr",),
    "qtrain evaluate": GRADIENTS,
    "qtrain predict": ("hamiltonian-m3", "--potential", "wells.npy", "--certify", 0.05),
    "qtrain league": ("hamiltonian-m3", "--n", 2),
    "qtrain calibrate": ("hamiltonian-m3", "--data", "many.zarr"),
    "qtrain models": ("--pretrained",),
    "qtrain push": ("hamiltonian-m3", "file://{home}/pushed"),
    "qtrain pull": ("file://{home}/shared", "pulled"),
    "qtrain list": ("file://{home}",),
    "qtrain runs": (".",),
    "qtrain rollout": EMULATOR,
    "qtrain variational": ("--potential", "harmonic", "--adam-steps", 3, "--optimizer", "adam"),
    "qtrain derivatives": (),
    "qtrain control": ("--iterations", 1),
    "qtrain potential": ("--system", "oscillator-0", "--adam-steps", 3, "--newton-steps", 0),
    "qtrain introspect": ("--data", "densities.zarr"),
    "qtrain probe learning-curves": ("run",),
    "qtrain probe similarity": ("--train", "m3.zarr", "--data", "exp.zarr", "--out", "similar"),
    "qtrain probe potentials": ("found",),
    "qtrain probe sweep": ("emulator-unitary",),
    **{f"qtrain probe {name}": GRADIENTS for name in
       ("cross-kernel", "ablation", "attention", "densities", "crossing", "matter")},
    **{f"qtrain probe {name}": EMULATOR for name in ("emulators", "gradients", "packets", "hyper")},
}  # fmt: skip
# What takes long or wants a training, and answers with a finding: replaced by one at hand.
REPLACED = [
    *(f"probes.{name}.{name}" for name in
      ("learning_curves", "cross_kernel", "similarity", "ablation", "attention", "densities", "crossing",
       "matter", "gradients")),
    "probes.rollouts.rollouts", "probes.rollouts.emulators", "probes.generalisation.sweep",
    "probes.generalisation.packets", "probes.generalisation.hyper", "derivative_times.derivative_times",
    "inverse.maps.potentials", "introspect.pipeline.introspect",
]  # fmt: skip


def answering(command: click.Command, name: str) -> Iterator[str]:
    """The commands that have --json."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for sub in command.list_commands(context):
            one = command.get_command(context, sub)
            assert one is not None
            yield from answering(one, f"{name} {sub}")
    elif any("--json" in option.opts for option in command.params):
        yield name


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    spectra = ("--n", 30, "--validation", 10, "--workers", 0)
    for kernel in ("m3", "exp"):
        run("qdata", "generate", "--kernel", kernel, *spectra, "--out", f"{kernel}.zarr", cwd=home)
    run("qdata", "generate", "--kernel", "m5", *spectra, "--out", "parts.zarr", "--shards", "0:2", cwd=home)
    run(
        "qdata",
        "simulate",
        "--frames",
        30,
        "--split",
        "test",
        "--workers",
        0,
        "--out",
        "tests.zarr",
        cwd=home,
    )
    run("qdata", "densities", "--n", 30, "--workers", 0, "--out", "densities.zarr", cwd=home)
    run("qtrain", "eigen", "--data", "m3.zarr", "--model", "mean", "--out", "run", cwd=home)
    many = ("--n", 1000, "--validation", 1000, "--solver", "lanes", "--workers", 0, "--out", "many.zarr")
    run("qdata", "generate", "--kernel", "m3", *many, cwd=home)
    run("qtrain", "push", "hamiltonian-m3", f"file://{home}/shared", cwd=home)
    np.save(home / "wells.npy", np.zeros((2, 101)))
    return home


def whole(done: Done) -> dict[str, object]:
    """The object that a command printed, after a look at its shape."""
    assert done.json is not None
    answer = json.loads(done.stdout)
    assert isinstance(answer["inputs"], dict) and answer["version"] == qwell.__version__
    return answer  # type: ignore[no-any-return]


def test_every_command_with_json_has_an_example() -> None:
    groups = {"qdata": qdata.cli, "qtrain": qtrain.cli}
    assert {name for program in groups for name in answering(groups[program], program)} == set(EXAMPLES)


@pytest.mark.parametrize("command", EXAMPLES)
def test_an_answer_is_one_object(command: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ready(*arguments: object, **settings: object) -> Finding:
        warn("it was not asked")
        return Finding("asked", "What was asked", ("a",), ((1.0,),), {"value": math.nan})

    for name in REPLACED:
        monkeypatch.setattr(f"qwell.studies.{name}", ready)
    typed = [str(argument).format(home=home) for argument in EXAMPLES[command]]
    done = run(*command.split(), *typed, "--json", cwd=home)
    answer = whole(done)
    assert answer["command"] == command
    if isinstance(answer["results"], dict) and answer["results"].get("experiment") == "asked":
        assert answer["results"]["value"] is None
        assert answer["warnings"] == ["it was not asked"] and "it was not asked" in done.stderr


def test_inputs_are_what_was_typed_and_the_defaults(home: Path) -> None:
    done = run("qtrain", "evaluate", *GRADIENTS, "--json", cwd=home)
    defaults = {"split": "validation", "device": "auto"}
    assert whole(done)["inputs"] == {"models": ["hamiltonian-m3"], "data": "m3.zarr", **defaults}
    subset = run("qdata", "subset", "m3.zarr", "--n", 5, "--out", "five.zarr", "--json", cwd=home)
    switches = {"resume": False, "force": False}
    assert whole(subset)["inputs"] == {"path": "m3.zarr", "n": 5, "seed": 0, "out": "five.zarr", **switches}


def test_warnings_are_in_the_answer(home: Path) -> None:
    done = run("qdata", "merge", "m3.zarr", "exp.zarr", "--out", "again.zarr", "--json", cwd=home)
    said = whole(done)["warnings"]
    assert isinstance(said, list) and "drawn with the same seed 0" in said[0]
    assert done.stderr.splitlines() == [f"qdata: {line}" for line in said]


def test_what_is_written_is_said_as_json_too(home: Path) -> None:
    asked = ("qtrain", "predict", "hamiltonian-m3", "--potential", "wells.npy", "--out", "energies.npy")
    assert run(*asked, "--json", cwd=home).json["written"] == "energies.npy"
    assert len(np.load(home / "energies.npy")) == 2
