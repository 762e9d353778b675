"""Nothing is executed, nothing written outside, memory stays bounded, and every refusal says why."""

import ast
from pathlib import Path

import pytest
from faults.hostile import TRAPS, Actions, walk_into

from qwell.datagen.pipeline import generate
from qwell.datagen.recipes.spectra import SpectraRecipe

LARGE = ("zip bomb in .npz", "a manifest of millions of empty objects")
CASES = [
    pytest.param(
        name,
        trap,
        suffix,
        id=f"{name}{suffix and '-' + suffix[1:]}",
        marks=[pytest.mark.slow] * (name in LARGE),
    )
    for name, trap, suffixes in TRAPS
    for suffix in suffixes
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path | None]:
    paths: dict[str, Path | None] = {"": None}
    for suffix in (".zarr", ".h5"):
        path = tmp_path_factory.mktemp("whole") / f"x{suffix}"
        generate(
            SpectraRecipe("m3", n=2000, validation=100, solver="lanes"), path, workers=0, shard_rows=1000
        )
        paths[suffix] = path
    return paths


@pytest.mark.parametrize(("name", "trap", "suffix"), CASES)
def test_trap(name: str, trap: Actions, suffix: str, whole: dict[str, Path | None], tmp_path: Path) -> None:
    assert walk_into(trap, whole[suffix], tmp_path)  # type: ignore[arg-type]


def test_the_package_never_unpickles_or_evaluates() -> None:
    """No call of pickle, torch.load, eval or exec anywhere; numpy is told not to unpickle."""
    root = Path(__file__).parents[2] / "qwell"
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {a.name for a in node.names} | {getattr(node, "module", None)}
                assert not names & {"pickle", "marshal", "shelve", "dill", "cloudpickle"}, path
            if isinstance(node, ast.Call):
                call = ast.unparse(node.func)
                assert call not in ("eval", "exec", "torch.load", "compile", "__import__"), f"{path}: {call}"
                if call == "np.load":
                    assert any(k.arg == "allow_pickle" for k in node.keywords), path
