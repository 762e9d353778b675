"""The walls of the house: who may import whom, how large a room may grow, and what `--help` may load."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "qwell"
COMMON = {"qwell.errors", "qwell.files", "qwell.progress"}  # of ours, that every room may import
# Room → what else it may import: rooms, modules of ours, and packages of others.
ALLOWED = {
    "errors": set(),
    "files": set(),
    "progress": set(),
    "plugins": set(),
    "physics": {"qwell.plugins", "numpy", "scipy", "numba", "jaxtyping"},
    "store": {"numpy", "zarr", "h5py", "fsspec", "google_crc32c", "aiohttp"},
    "models": {"qwell.plugins", "qwell.physics", "torch", "safetensors", "jaxtyping"},
    "figures": {"numpy", "matplotlib"},
    "datagen": {
        "qwell.plugins", "qwell.physics", "qwell.store", "numpy", "scipy", "dask", "distributed",
        "dask_jobqueue", "threadpoolctl",
    },
    "train": {
        "qwell.plugins", "qwell.models", "qwell.store", "qwell.physics", "qwell.figures", "numpy",
        "threadpoolctl", "torch", "safetensors",
    },
    "studies": {
        "qwell.train", "qwell.models", "qwell.store", "qwell.physics", "qwell.figures", "qwell.papers.stated",
        "numpy", "scipy", "torch", "safetensors", "matplotlib",
    },
    "papers": {"qwell.studies", "qwell.train", "qwell.store", "qwell.figures", "numpy"},
    "explore": {
        "qwell.papers", "qwell.studies", "qwell.train", "qwell.datagen", "qwell.models", "qwell.figures",
        "qwell.store", "qwell.physics", "qwell.plugins", "numpy", "starlette", "uvicorn",
    },
    "cli": {
        "qwell.explore", "qwell.papers", "qwell.studies", "qwell.train", "qwell.datagen", "qwell.models",
        "qwell.figures", "qwell.store", "qwell.physics", "qwell.plugins", "click", "tqdm", "numpy",
    },
}  # fmt: skip
# File → what it alone of its room may import, and only inside functions.
INSIDE_FUNCTIONS = {
    "physics/propagators/eigen.py": {"torch"},
    "store/interop.py": {"dask", "xarray", "pandas"},
    "store/dataset.py": {"dask", "xarray", "pandas"},  # for types
    "store/hub.py": {"huggingface_hub"},
    "train/calibration.py": {"scipy"},
}
# What stands before a command is asked for imports next to nothing.
FRONT = {"qdata.py", "qtrain.py", "common.py", "options.py"}
LIGHT = {"qwell.cli", "qwell.errors", "click"}
MOST_LINES, LONGEST_FUNCTION, LARGEST_ROOM = 400, 60, 0.25
FILES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")
ids = {"ids": lambda p: p.relative_to(ROOT).as_posix()}


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path) for path in FILES}


def named(node: ast.AST) -> list[str]:
    """The modules that an import statement names, ours in full."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0 and node.module, "imports are absolute"
        full = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if name in MODULES else node.module for name in full]
    return []


def imports(body: list[ast.stmt], inside: bool = False) -> Iterator[tuple[str, bool]]:
    """Every module imported, and whether that waits: inside a function, or for types only."""
    for node in body:
        yield from ((name, inside) for name in named(node))
        types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        waits = inside or types or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            yield from imports(getattr(node, part, []), waits)


def within(name: str, allowed: set[str]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


@pytest.mark.parametrize("path", FILES, **ids)
def test_imports_follow_the_arrows(path: Path) -> None:
    room, own = room_of(path), INSIDE_FUNCTIONS.get(path.relative_to(ROOT).as_posix(), set())
    allowed = ALLOWED[room] | COMMON | {f"qwell.{room}"}
    for name, inside in imports(ast.parse(path.read_text()).body):
        at_home = name == "qwell" or name.split(".")[0] in {*sys.stdlib_module_names, "__future__"}
        assert at_home or within(name, allowed) or (inside and within(name, own)), f"{path} imports {name}"
        if path.name in FRONT and not inside:
            assert at_home or within(name, LIGHT), f"{path} imports {name} before a command runs"


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {
        module_of(p): {n for n, inside in imports(ast.parse(p.read_text()).body) if not inside} & MODULES
        for p in FILES
    }

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            new = graph[ahead.pop()] - seen
            seen |= new
            ahead += new
        return seen

    assert {module for module in graph if module in reached(module)} == set()


@pytest.mark.parametrize("path", FILES, **ids)
def test_files_and_functions_are_short(path: Path) -> None:
    """A longer function says why, in a line of its docstring that begins with "Long because"."""
    text = path.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            reason = "Long because " in (ast.get_docstring(node) or "")
            assert lines <= LONGEST_FUNCTION or reason, f"{path}: {node.name} has {lines} lines"


def test_no_room_is_the_whole_house() -> None:
    lines: dict[str, int] = {}
    for path in FILES:
        lines[room_of(path)] = lines.get(room_of(path), 0) + len(path.read_text().splitlines())
    room = max(lines, key=lambda name: lines[name])
    assert lines[room] <= LARGEST_ROOM * sum(lines.values()), f"{room} has {lines[room]} lines"


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


def test_type_checkers_see_what_is_public() -> None:
    """The imports for type checkers in `qwell/__init__.py` are the names that come at first use."""
    import qwell

    tree = ast.parse(Path(qwell.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert {alias.asname: node.module for node in imports for alias in node.names} == qwell._PUBLIC


@pytest.mark.slow  # mypy reads torch and numpy
def test_public_names_have_static_types(tmp_path: Path) -> None:
    says = {
        'qwell.open_dataset("x")': "qwell.store.dataset.Dataset",
        'qwell.load_model("x")': "qwell.models.layers.Network",
        'qwell.create_model("x")': "qwell.models.layers.Network",
        'qwell.SpectraRecipe("m3", n=10)': "qwell.datagen.recipes.spectra.SpectraRecipe",
        "qwell.list_models()": "dict[str, str]",
    }
    (tmp_path / "asked.py").write_text("\n".join(["import qwell", *(f"reveal_type({one})" for one in says)]))
    command = [sys.executable, "-m", "mypy", "--config-file", "", "--follow-imports=silent", "asked.py"]
    where = os.environ | {"MYPYPATH": str(ROOT.parent)}
    done = subprocess.run(command, cwd=tmp_path, env=where, capture_output=True, text=True, check=False)
    for number, kind in enumerate(says.values(), start=2):
        assert f'asked.py:{number}: note: Revealed type is "{kind}"' in done.stdout, done.stdout
