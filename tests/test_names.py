"""Names that are mistyped are answered with the one that is meant, and the shell completes the right ones."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete, ShellComplete
from support import run

from qwell import create_model
from qwell.cli import qdata, qtrain
from qwell.cli.options import LazyGroup
from qwell.datagen.presets import preset
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.errors import InvalidInput, UnknownModel, near, unknown
from qwell.studies.inverse.systems import system_of

GROUPS: dict[str, LazyGroup] = {"qdata": qdata.cli, "qtrain": qtrain.cli}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("qdata", "generte"), "generate"),
        (("qtrain", "probe", "desities"), "densities"),
        (("qtrain", "reproduce", "spectre"), "spectra"),
        (("qdata", "generate", "--kernal", "m3"), "--kernel"),
        (("qdata", "generate", "--kernel", "matren", "--n", 10), "matern"),
        (("qdata", "generate", "--kernel", "m3", "--n", 10, "--solver", "lane"), "lanes"),
        (("qdata", "generate", "--kernel", "m3", "--n", 10, "--cluster", "slrum"), "slurm"),
        (("qdata", "simulate", "--preset", "paper-barriers"), "paper-barrier"),
        (("qdata", "simulate", "--potential", "trangle:height=8:width=20"), "triangle"),
        (("qdata", "simulate", "--propagator", "chebychev"), "chebyshev"),
        (("qtrain", "potential", "--system", "hydrogen-1"), "hydrogen-1s"),
        (("qtrain", "variational", "--potential", "harmnic"), "harmonic"),
        (("qtrain", "variational", "--potential", "coupld-2d"), "coupled-2d"),
        (("qtrain", "predict", "hamiltonian-rfb", "--potential", "v.npy"), "hamiltonian-rbf"),
        (("qtrain", "reproduce", "spectra", "--scale", "dmo"), "demo"),
    ],
)
def test_a_typo_is_answered_with_what_is_meant(typed: tuple[object, ...], meant: str, tmp_path: Path) -> None:
    said = run(*typed, cwd=tmp_path, code=2).stderr
    assert f"did you mean '{meant}'?" in said.replace("Did", "did"), said
    assert not list(tmp_path.iterdir())


def test_python_answers_alike() -> None:
    for ask, error, meant in [
        (lambda: create_model("hamiltonain"), UnknownModel, "hamiltonian"),
        (lambda: create_model("mlp", hiden=[3]), InvalidInput, "hidden"),
        (lambda: SpectraRecipe("rbg", n=10), InvalidInput, "rbf"),
        (lambda: preset("paper-fre"), InvalidInput, "paper-free"),
        (lambda: system_of("oscilator-0"), InvalidInput, "oscillator-0"),
    ]:
        with pytest.raises(error, match=f"did you mean '{meant}'"):
            ask()


def test_nothing_is_meant_by_what_is_like_nothing() -> None:
    assert near("zzz", ("rbf", "exp")) is None
    assert unknown("kernel", "zzz", ("rbf", "exp")) == "unknown kernel 'zzz'; choose one of rbf, exp"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("qdata ge", {"generate"}),
        ("qtrain probe sw", {"sweep"}),
        ("qdata generate --kernel m", {"m3", "m5", "matern"}),
        ("qdata simulate --preset paper-tests-r", {"paper-tests-rect"}),
        ("qdata simulate --potential tri", {"triangle"}),
        ("qtrain eigen --model ml", {"mlp"}),
        ("qtrain dynamics --model emulator_g", {"emulator_gru"}),
        ("qtrain potential --system hydrogen-2", {"hydrogen-2s", "hydrogen-2p"}),
        ("qtrain variational --potential quar", {"quartic", "quartic-strong"}),
        ("qtrain variational --potential coupled-3", {"coupled-3d"}),
        ("qtrain introspect --until s", {"scan"}),
        ("qdata generate --dens", {"--densities"}),
    ],
)
def test_the_shell_completes(typed: str, offered: set[str]) -> None:
    program, *words, last = typed.split()
    shell: ShellComplete = BashComplete(GROUPS[program], {}, program, f"_{program.upper()}_COMPLETE")
    assert {item.value for item in shell.get_completions(words, last)} == offered


@pytest.mark.parametrize("program", GROUPS)
def test_completing_a_commands_name_imports_none(program: str) -> None:
    code = (
        f"import sys; from qwell.cli.{program} import cli; from click.shell_completion import BashComplete;"
        f"said = BashComplete(cli, {{}}, {program!r}, '').get_completions([], '');"
        "sys.exit(not said or bool({'torch', 'numpy', 'dask', 'matplotlib'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
