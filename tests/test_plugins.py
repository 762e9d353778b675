"""Kernels, shapes, packets, propagators and models of others: as good as ours, and never imported unasked."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from support import run

import qwell
from qwell import plugins
from qwell.datagen.pipeline import generate, make_shard
from qwell.datagen.presets import grid
from qwell.datagen.recipes.densities import DensitiesRecipe
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.datagen.recipes.trajectories import TrajectoriesRecipe
from qwell.errors import InvalidInput, MissingPlugin, QwellWarning
from qwell.files import seal
from qwell.models.registry import create_model, load_model, save_pretrained
from qwell.physics.barriers import Potential
from qwell.physics.kernels import KERNELS, covariance
from qwell.physics.propagators.settings import setting_of
from qwell.store.reader import open_dataset
from qwell.store.writer import DatasetWriter

PHYSICS = """
import numpy as np
import qwell

__version__ = "0.3"

@qwell.register_kernel("rational")
def rational(r, sigma, length):
    return sigma**2 / (1 + r**2 / (2 * length**2))

@qwell.register_shape("sech")
def sech(ring, u, height, width=1.0):
    return height / np.cosh(u / width) ** 2

@qwell.register_packet("lorentz")
def lorentz(u, s0):
    return 1 / (1 + (u / s0) ** 2)

@qwell.register_propagator("exact")
def exact(psi, potential, ring, how):
    from qwell.physics.propagators.eigen import eigen
    return eigen(psi, potential, ring, how)
"""
MODEL = """
from dataclasses import dataclass, field
import torch, qwell

@dataclass(frozen=True)
class Options:
    points: int = 101
    levels: int = 10
    scale: float = 100.0
    shift: float = 0
    bias: bool = True
    word: str = "a"
    sizes: tuple[int, ...] = (3,)
    anything: object = None
    table: dict = field(default_factory=dict)
    plain: list = field(default_factory=list)

@qwell.register_model("mine", config=Options, summary="a line", batch=50)
class Mine(qwell.Network):
    def __init__(self, config):
        super().__init__()
        self.layer, self.scale = torch.nn.Linear(config.points, config.levels, bias=config.bias), config.scale

    def forward(self, potential):
        return self.scale * self.layer(potential / self.scale)
"""


@pytest.fixture(autouse=True)
def table() -> Iterator[None]:
    """What a test registers is forgotten after it."""
    before = set(sys.modules)
    with (
        mock.patch.dict(plugins.TABLE, {group: {} for group in plugins.GROUPS}),
        mock.patch.dict(plugins.FILES, clear=True),
        mock.patch.dict(plugins.NAMED, clear=True),
        mock.patch.dict(os.environ, {plugins.VARIABLE: ""}),
    ):
        yield
    for name in set(sys.modules) - before:
        if name.startswith("qwell_plugin_"):
            del sys.modules[name]


def forget() -> None:
    """Be as a process that nobody has named a plug-in to."""
    for group in plugins.TABLE.values():
        group.clear()
    plugins.FILES.clear()
    plugins.NAMED.clear()
    os.environ[plugins.VARIABLE] = ""
    for name in [name for name in sys.modules if name.startswith("qwell_plugin_")]:
        del sys.modules[name]


@pytest.fixture
def physics(tmp_path: Path) -> Path:
    path = tmp_path / "physics.py"
    path.write_text(PHYSICS)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text(MODEL)
    return path


def test_potentials_of_a_kernel_have_its_covariance(physics: Path, tmp_path: Path) -> None:
    """⟨v(x) v(x′)⟩ of what the command makes is k(r) to the sampling error; ours stays recorded as before."""
    run(
        *("qdata", "--plugin", physics, "generate", "--kernel", "rational", "--n", 4000, "--mesh", 20),
        *("--levels", 2, "--validation", 0, "--workers", 0, "--sigma", 2, "--length", 0.5), cwd=tmp_path,
    )  # fmt: skip
    data = open_dataset(tmp_path / "store" / "rational.zarr")
    v = np.asarray(data["train"]["potential"], dtype=float)
    r = np.abs(np.subtract.outer(data.coordinates["x"], data.coordinates["x"]))
    np.testing.assert_allclose(v.T @ v / len(v), 4 / (1 + 2 * r**2), atol=5 * 4 / np.sqrt(4000))
    (record,) = data.recipe["plugins"]
    said = {"group": "kernels", "name": "rational", "plugin": "physics.py", "version": "0.3"}
    assert record.items() >= said.items() and len(record["sha256"]) == 64
    assert "plugins" not in SpectraRecipe("m3", n=10).to_json()


def test_without_the_plugin_it_is_said_which_is_missing(physics: Path, tmp_path: Path) -> None:
    plugins.name_plugins(str(physics))
    recipe = SpectraRecipe("rational", n=10, validation=0, mesh=20, levels=2)
    generate(recipe, tmp_path / "a.zarr", workers=0)
    densities = DensitiesRecipe(n=10, validation=0, test=0, potential="rational").to_json()
    assert SpectraRecipe.from_json(recipe.to_json()) == recipe
    assert DensitiesRecipe.from_json(densities).potential == "rational"
    forget()
    data = open_dataset(tmp_path / "a.zarr")  # rows need no plug-in
    assert np.asarray(data["train"]["energy"]).shape == (10, 2)
    for again in (lambda: SpectraRecipe.from_json(data.recipe), lambda: DensitiesRecipe.from_json(densities)):
        with pytest.raises(
            MissingPlugin, match=r"kernel 'rational' comes from the plug-in physics.py 0.3 .*--plugin"
        ):
            again()
    physics.write_text(PHYSICS.replace("2 * length", "3 * length"))
    plugins.name_plugins(str(physics))
    with pytest.warns(QwellWarning, match="results may be others"):
        SpectraRecipe.from_json(data.recipe)


def test_a_changed_kernel_makes_other_rows_in_the_same_process(physics: Path) -> None:
    """Roots of covariances are kept by the plug-in's version, not its name."""
    made = []
    for text in (PHYSICS, PHYSICS.replace("2 * length", "3 * length")):
        physics.write_text(text)
        plugins.name_plugins(str(physics))
        recipe = SpectraRecipe("rational", n=10, validation=0, mesh=20, levels=2)
        made.append((recipe.rows("train", 0, 10)["potential"], recipe.to_json()))
    assert not np.allclose(made[0][0], made[1][0]) and made[0][1] != made[1][1]


def test_trajectories_of_a_plugin(physics: Path, tmp_path: Path) -> None:
    """Shape, packet and propagator of others: checked as ours are, and made again by `verify --full`."""
    making = ("simulate", "--potential", "sech:height=2", "--packet", "lorentz", "--propagator", "exact")
    small = ("--frames", 3, "--points", 64, "--box", 20, "--e0", 1, "--workers", 0, "--out", "a.zarr")
    run("qdata", "--plugin", physics, *making, *small, cwd=tmp_path)
    data = open_dataset(tmp_path / "a.zarr")
    ring, _ = setting_of(data.recipe)
    assert [one["name"] for one in data.recipe["plugins"]] == ["lorentz", "exact", "sech"]
    np.testing.assert_allclose(data["train"]["potential"][0], 2 / np.cosh(ring.displacement(10.0)) ** 2)
    psi = data["train"]["psi"][0, 0]
    density = (psi**2).sum(axis=-1)
    expected = (1 + (ring.displacement(10.0) / 2) ** 2) ** -2
    np.testing.assert_allclose(density / density.max(), expected / expected.max(), atol=1e-6)
    run("qdata", "--plugin", physics, "verify", "--full", "a.zarr", cwd=tmp_path)
    forget()
    assert "sech" in run("qdata", "info", "a.zarr", cwd=tmp_path).stdout
    assert "physics.py" in run("qdata", "verify", "--full", "a.zarr", cwd=tmp_path, code=2).stderr
    for read in (lambda: setting_of(data.recipe), lambda: TrajectoriesRecipe.from_json(data.recipe)):
        with pytest.raises(MissingPlugin):
            read()


def test_a_models_whole_life_from_the_shell(model: Path, dataset_path: Path, tmp_path: Path) -> None:
    data = ("--data", dataset_path)
    odd = {"bias": False, "shift": -0.5, "word": "b", "sizes": [1, 2], "anything": [1.5, None, {"a": True}],
           "table": {"k": [1]}, "plain": [0.5, "x"]}  # fmt: skip
    settings = [part for key, value in odd.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    train = ("eigen", *data, "--model", "mine", "--updates", 4, "--threads", 1, *settings, "--out", "r")
    run("qtrain", "--plugin", model, *train, cwd=tmp_path)
    config = json.loads((tmp_path / "r" / "model" / "config.json").read_text())
    assert odd.items() <= config["config"].items() and config["plugins"][0]["plugin"] == "model.py"
    assert json.loads((tmp_path / "r" / "config.json").read_text())["batch"] == 50, "the model's own recipe"

    named = {plugins.VARIABLE: str(model)}
    assert "a line" in run("qtrain", "models", cwd=tmp_path, **named).stdout
    loaded = load_model(tmp_path / "r" / "model")
    assert loaded.config.sizes == (1, 2) and loaded.config.plain == [0.5, "x"]
    save_pretrained(loaded, tmp_path / "again")
    assert load_model(tmp_path / "again").config == loaded.config
    forget()
    for command in (("evaluate", "r", *data), ("eigen", "--resume", "r")):
        assert "model.py" in run("qtrain", *command, cwd=tmp_path, code=2).stderr
    assert qwell.errors.MissingPlugin is MissingPlugin


def test_a_broken_off_training_of_a_plugin_goes_on(model: Path, dataset_path: Path, tmp_path: Path) -> None:
    """Resumed from a checkpoint it gives the weights of a training that was not broken off, bit for bit."""
    train = ("eigen", "--data", dataset_path, "--model", "mine", "--threads", 1, "--checkpoint-every", 3)
    named = {plugins.VARIABLE: str(model), "cwd": str(tmp_path)}
    run("qtrain", *train, "--updates", 6, "--out", "whole", **named)  # type: ignore[arg-type]
    run("qtrain", *train, "--updates", 6, "--out", "parts", **named)  # type: ignore[arg-type]
    weights = tmp_path / "parts" / "model" / "model.safetensors"
    for last in sorted((tmp_path / "parts" / "checkpoints").iterdir())[1:]:
        last.unlink()  # as if it had ended after the first
    weights.unlink()
    run("qtrain", "eigen", "--resume", "parts", **named)  # type: ignore[arg-type]
    assert weights.read_bytes() == (tmp_path / "whole" / "model" / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    "value", [{"scale": "x"}, {"bias": 1}, {"levels": 1.5}, {"sizes": "x"}, {"unknown": 1}]
)
def test_options_of_another_type_are_refused(model: Path, value: dict[str, object]) -> None:
    plugins.name_plugins(str(model))
    with pytest.raises(InvalidInput, match="option"):
        create_model("mine", **value)


def test_records_lead_to_no_import(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that names a module which lies on the path, or a file: neither is run."""
    plugins.name_plugins(str(model))
    save_pretrained(create_model("mine"), tmp_path / "m")
    forget()
    (tmp_path / "trap.py").write_text("raise SystemExit('the record was run')")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "m" / "config.json"
    config = json.loads(path.read_text())
    for lure in ("trap", str(tmp_path / "trap.py"), "model.py", None, 3, {"a": []}):
        for name in ("trap", "mine", lure):
            config["plugins"] = [
                {"group": "models", "name": name, "plugin": lure, "version": lure, "sha256": lure}
            ]
            path.write_bytes(seal({k: v for k, v in config.items() if k != "sha256"}))
            with pytest.raises(qwell.errors.QwellError):
                load_model(tmp_path / "m")
    plugins.check([None, 3, {"group": []}, {"group": "kernels", "name": []}])
    plugins.check("trap")
    assert "trap" not in sys.modules


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 / 0", "cannot be loaded: ZeroDivisionError"),
        ("import qwell\nqwell.register_kernel('m3')(lambda r, s, l: r)", "is qwell's own"),
        ("import qwell\nqwell.register_kernel('k')(lambda r, s, l: -r)", "no covariance"),
        ("import qwell\nqwell.register_kernel('k')(lambda r, s, l: r[0])", "shape"),
        ("import qwell\nqwell.register_kernel('k k')", "no name of a kernel"),
        ("import qwell\nqwell.register_kernel('k')(3)", "must be a function"),
        ("import qwell\nqwell.register_model('k', config=dict)", "give a dataclass"),
    ],
)
def test_a_wrong_plugin_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "wrong.py").write_text(text)
    kernel = "m3" if "'m3'" in text else "k"
    done = run(
        "qdata", "--plugin", "wrong.py", "generate", "--kernel", kernel, "--n", 10, "--validation", 0,
        "--workers", 0, cwd=tmp_path, code=2,
    )  # fmt: skip
    assert words in done.stderr, done.stderr


def test_two_plugins_do_not_share_a_name(physics: Path, tmp_path: Path) -> None:
    plugins.name_plugins(str(physics))
    (tmp_path / "second.py").write_text(PHYSICS)
    with pytest.raises(InvalidInput, match=r"second\.py and physics\.py both register the kernel 'rational'"):
        plugins.name_plugins(str(tmp_path / "second.py"))
    assert (
        "no-such.py cannot be read"
        in run("qdata", "--plugin", "no-such.py", "list", cwd=tmp_path, code=2).stderr
    )


def test_registered_in_a_script(tmp_path: Path) -> None:
    """Names registered in Python are there at once, numbers of shapes are checked, and `in` is not fooled."""

    @qwell.register_shape("step")
    def step(ring: object, u: np.ndarray, height: float) -> np.ndarray:
        return height * (u > 0)

    recipe = grid(potentials=(Potential("step", {"height": 1.0}),), frames=1, points=64, box=20.0, e0=(1.0,))
    assert recipe.to_json()["plugins"][0]["plugin"] == "test_plugins"
    with pytest.raises(InvalidInput, match="step needs height"):
        Potential("step").on(recipe.ring)
    assert "m3" in KERNELS and "rational" not in KERNELS and [] not in KERNELS


def test_a_worker_gets_what_it_lacks(physics: Path, tmp_path: Path) -> None:
    """A worker that has nothing makes a shard with the source that it is sent."""
    plugins.name_plugins(str(physics))
    recipe = SpectraRecipe("rational", n=1000, validation=0, mesh=20, levels=2)
    plan, here = recipe.plan(1000), covariance("rational", recipe.grid, 1.0, 0.2)
    sent = plugins.parcel(plan.recipe["plugins"])
    forget()
    physics.unlink()
    with pytest.raises(KeyError):
        recipe.rows("train", 0, 1)
    writer = DatasetWriter(tmp_path / "a.zarr", plan)
    assert make_shard(recipe, plan, str(writer.root), "train", 0, sent) == 1000
    writer.close()
    np.testing.assert_array_equal(covariance("rational", recipe.grid, 1.0, 0.2), here)


def test_a_worker_with_another_version_of_a_module_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "owned_physics.py").write_text(PHYSICS)
    monkeypatch.syspath_prepend(tmp_path)
    plugins.name_plugins("owned_physics")
    sent = plugins.parcel(SpectraRecipe("rational", n=10).to_json()["plugins"])
    plugins.receive(sent)
    (tmp_path / "owned_physics.py").write_text(PHYSICS + "#")
    with pytest.raises(InvalidInput, match="another version of the plug-in owned_physics"):
        plugins.receive(sent)
    del sys.modules["owned_physics"]


@pytest.mark.slow  # processes
def test_workers_make_the_same_bytes(physics: Path, tmp_path: Path) -> None:
    plugins.name_plugins(str(physics))
    recipe = SpectraRecipe("rational", n=2500, validation=0, mesh=20, levels=2)
    digests = {
        generate(recipe, tmp_path / f"{count}.zarr", workers=count, shard_rows=1000).digest
        for count in (0, 2)
    }
    assert len(digests) == 1
