"""Installed without extras, data sets are made and read, and the rest says what to install."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

import qwell

ROOT = Path(__file__).parent.parent
# A process in which nothing of ABSENT can be imported, and `command("qdata …")` is the command.
ABSENT = ("torch", "safetensors", "matplotlib")
WITHOUT = (
    f"ABSENT = {ABSENT}"
    + """
import sys
from importlib import import_module

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())

def command(line):
    program, *words = sys.argv = line.split()
    try:
        import_module(f"qwell.cli.{program}").main()
    except SystemExit as end:
        return end.code
"""
)
REMEDY = (
    'not installed: pip install "qwell[train]"; without a GPU first pip install torch'
    " --index-url https://download.pytorch.org/whl/cpu (smaller)"
)


def without_extras(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program where neither torch nor safetensors nor matplotlib is installed."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + code], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_data_sets_need_no_extras(tmp_path: Path) -> None:
    code = """
import qwell
for line in (
    "generate --kernel m3 --n 30 --validation 10 --densities --workers 0", "info store/m3.zarr",
    "verify store/m3.zarr", "convert store/m3.zarr --out store/m3.h5",
    "simulate --hb 3 --points 256 --e0 1 --frames 5 --workers 0 --out b.zarr",
    "densities --n 3 --validation 1 --workers 0 --out d.zarr",
    "card store/m3.zarr --quick", "list", "stats d.zarr",
):
    assert command(f"qdata {line}") == 0, line
assert len(qwell.open_dataset("store/m3.zarr")["train"]["potential"][:]) == 30
for stream in ("resident", "mirror", "pool"):
    batches = list(qwell.loader("store/m3.zarr", batch=10, epochs=2, as_numpy=True, stream=stream))
    assert len(batches) == 6 and batches[0][0].shape == (10, 101)
"""
    done = without_extras(code, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_commands_that_draw_say_what_to_install(tmp_path: Path) -> None:
    code = """
assert command("qdata generate --kernel m3 --n 9 --validation 3 --workers 0") == 0
for line in "plot", "animate", "card":
    assert command(f"qdata {line} store/m3.zarr") == 2, line
"""
    done = without_extras(code, tmp_path)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("qdata: this needs")]
    assert said == 3 * ['qdata: this needs matplotlib, which is not installed: pip install "qwell[plot]"'], (
        said
    )


def test_commands_that_learn_say_what_to_install(tmp_path: Path) -> None:
    lines = (
        "eigen --data m3.zarr", "dynamics --data p.zarr", "introspect --data d.zarr", "models", "list .",
        "predict hamiltonian-m3 --potential v.npy", "evaluate runs/a --data m3.zarr",
        "variational --potential harmonic", "derivatives", "potential --system hydrogen-1s",
    )  # fmt: skip
    code = f"""
for line in {lines}:
    assert command(f"qtrain {{line}}") == 2, line
for line in ("--help", "--version", "eigen --help"):
    assert command(f"qtrain {{line}}") == 0, line
"""
    done = without_extras(code, tmp_path)
    assert done.returncode == 0, done.stderr
    for line, said in zip(lines, done.stderr.splitlines(), strict=True):
        assert said.startswith("qtrain: this needs ") and said.endswith(REMEDY), (line, said)


def test_python_says_what_to_install(tmp_path: Path) -> None:
    code = """
import qwell
from qwell.errors import MissingExtra
for name, what in ("load_model", "mlp-rbf"), ("create_model", "mlp"), ("loader", "store/m3.zarr"):
    try:
        getattr(qwell, name)(what)
    except MissingExtra as error:
        print(error)
"""
    done = without_extras(code, tmp_path)
    said = done.stdout.splitlines()
    assert done.returncode == 0 and len(said) == 3 and all(line.endswith(REMEDY) for line in said), done


def test_what_is_missing_for_another_reason_is_said_as_it_is(tmp_path: Path) -> None:
    """An error in importing another module is no advice to install torch."""
    code = "from qwell.errors import extras_needed\nwith extras_needed():\n    import torches"
    last = without_extras(code, tmp_path).stderr.splitlines()[-1]
    assert last == "ModuleNotFoundError: No module named 'torches'"


def test_the_version_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "qwell.__version__"}
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    zenodo = json.loads((ROOT / ".zenodo.json").read_text())
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest and {citation["version"], zenodo["version"], newest[1]} == {qwell.__version__}
    assert {citation["license"], zenodo["license"]} == {project["project"]["license"]} == {"MIT"}


def test_only_extras_bring_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    brings = {re.split(r"[>=<\[]", one)[0] for one in project["dependencies"]}
    extra = {re.split(r"[>=<\[]", one)[0] for one in project["optional-dependencies"]["train"]}
    assert extra == {"qwell", "torch", "safetensors"} and not brings & {*extra, "matplotlib"}
    assert project["optional-dependencies"]["dev"][0].startswith("qwell[train,")
