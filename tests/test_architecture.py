"""The walls of the house: who may import whom, and what `--help` may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "qwell"
SCIENCE = {"numpy", "scipy"}
ALLOWED = {
    "errors": set(),
    "formula": {"qwell.errors", "numpy"},
    "store": {"qwell.errors", "numpy", "zarr", "h5py", "fsspec", "google_crc32c"},
    "figures": {"qwell.errors", "numpy", "matplotlib"},
    "models": {"qwell.errors", "torch", "safetensors"},
    "datagen": {
        "qwell.errors", "qwell.physics.formula", "qwell.store", "torch", "numba", "dask", "distributed",
        "dask_jobqueue", "threadpoolctl", *SCIENCE,
    },
    "train": {
        "qwell.errors", "qwell.physics.formula", "qwell.store", "qwell.models", "qwell.figures", "torch",
        "safetensors", "matplotlib", *SCIENCE,
    },
    "cli": {
        "qwell.errors", "qwell.store", "qwell.models", "qwell.datagen", "qwell.train", "qwell.figures",
        "click", "tqdm", "numpy",
    },
}  # fmt: skip
FILES = sorted(p for p in ROOT.rglob("*.py") if p.parent != ROOT or p.stem in ALLOWED)


def imports(path: Path) -> set[str]:
    """Top-level packages imported anywhere in a file; of our own, with the room."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or ""]
            if node.module == "qwell":
                names = [f"qwell.{a.name}" for a in node.names]
        found |= {".".join(n.split(".")[: 2 if n.startswith("qwell.") else 1]) for n in names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_follow_the_arrows(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    foreign = imports(path) - set(sys.stdlib_module_names) - {f"qwell.{room}", "qwell", "__future__"}
    assert foreign <= ALLOWED[room], f"{path} imports {sorted(foreign - ALLOWED[room])}"


@pytest.mark.parametrize("command", ["qdata", "qtrain"])
def test_help_is_light(command: str) -> None:
    code = (
        f"import sys; from qwell.cli.{command} import cli;"
        "cli.main(['--help'], standalone_mode=False);"
        "heavy = {'torch', 'dask', 'distributed', 'matplotlib', 'numpy', 'scipy', 'zarr', 'numba'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_generation_never_loads_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from qwell import generate, SpectraRecipe;"
        f"generate(SpectraRecipe('m3', n=10, validation=0), {str(tmp_path / 'a.zarr')!r}, workers=0);"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_learning_never_loads_dask_or_generators() -> None:
    code = (
        "import sys, qwell.train.eigen, qwell.train.evaluate;"
        "loaded = {'dask', 'distributed', 'numba', 'qwell.datagen'} & set(sys.modules);"
        "sys.exit(str(loaded) if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
