"""The experiments, asked of networks whose answers are known."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from qwell.datagen.pipeline import generate
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.errors import InvalidInput
from qwell.models.layers import Network
from qwell.models.registry import create_model, save_pretrained
from qwell.physics.grid import Grid
from qwell.store.dataset import Dataset
from qwell.store.reader import open_dataset
from qwell.studies.finding import Finding
from qwell.studies.probes import crossing as crossing_module
from qwell.studies.probes import densities as densities_module
from qwell.studies.probes.ablation import ablation
from qwell.studies.probes.attention import attention
from qwell.studies.probes.cross_kernel import cross_kernel
from qwell.studies.probes.crossing import crossing, find_crossing
from qwell.studies.probes.densities import compare, densities, nodes_of, peaks_of
from qwell.studies.probes.learning_curves import learning_curves
from qwell.studies.probes.matter import matter
from qwell.studies.probes.similarity import nearest, similarity
from qwell.studies.problem import exact
from qwell.train.config import EigenConfig
from qwell.train.eigen import begin, gradient_densities, train_eigen
from qwell.train.metrics import nmse


class Quadratic(Network):
    """f_i = b_i·v + ½ vᵀ C_i v, whose gradient is b_i + C_i v."""

    def __init__(self, points: int, levels: int) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.config = SimpleNamespace(points=points, levels=levels)
        self.b = torch.nn.Parameter(torch.rand(levels, points, generator=g, dtype=torch.float64))
        c = torch.rand(levels, points, points, generator=g, dtype=torch.float64)
        self.c = torch.nn.Parameter(c + c.mT)

    def forward(self, v: Tensor) -> Tensor:
        return v @ self.b.T + torch.einsum("bm,imn,bn->bi", v, self.c, v) / 2


class Schroedinger(Network):
    """The lattice Hamiltonian itself: a network that has understood everything."""

    registry_name = "schroedinger"

    def __init__(self, grid: Grid, levels: int) -> None:
        super().__init__()
        self.config = SimpleNamespace(points=grid.mesh + 1, levels=levels)
        n, t = grid.mesh - 1, 1 / grid.dx**2
        hopping = torch.diag(torch.full((n - 1,), -t / 2, dtype=torch.float64), 1)
        self.kinetic = torch.nn.Parameter(torch.eye(n, dtype=torch.float64) * t + hopping + hopping.T)

    def forward(self, v: Tensor) -> Tensor:
        return torch.linalg.eigvalsh(self.kinetic + torch.diag_embed(v[:, 1:-1]))[:, : self.config.levels]


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    """Small data sets: two kernels, and both again in a medium."""
    root = tmp_path_factory.mktemp("sets")
    for kernel in ("rbf", "exp"):
        for case in (None, "case2"):
            recipe = SpectraRecipe(kernel, n=2000, validation=200, solver="lanes", matter=case)
            generate(recipe, root / f"{recipe.name}.zarr", workers=0, shard_rows=1000)
    return {path.stem: open_dataset(path) for path in root.iterdir()}


def trained(data: Dataset, path: Path, **changes: object) -> Path:
    recipe = {"updates": 60, "batch": 50, "log_every": 10, "evaluate_every": 20, **changes}
    run = begin(EigenConfig(data=str(data.path), digest=data.digest, **recipe), path)  # type: ignore[arg-type]
    train_eigen(run)
    return run.path


@pytest.fixture(scope="module")
def runs(sets: dict[str, Dataset], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    small = {"hidden": 16, "channels": [8, 8]}
    return {
        "rbf": trained(sets["rbf"], root / "rbf", model="mlp", options={"hidden": [32]}),
        "exp": trained(sets["exp"], root / "exp", model="mlp", options={"hidden": [32]}),
        "medium": trained(sets["exp-case2"], root / "medium", model="mlp", options={"hidden": [32]}),
        "two": trained(sets["exp"], root / "two", model="res_sa", options=small),
        "one": trained(sets["exp"], root / "one", model="res_sa", options={**small, "channels": [8]}),
        "hurried": trained(
            sets["exp"], root / "hurried", model="res_sa", options={**small, "channels": [8]}, updates=10
        ),
        "blind": trained(sets["exp"], root / "blind", model="res_sa", options={**small, "attention": 0}),
    }


def test_gradients_of_a_quadratic_network_are_analytic() -> None:
    model, rng = Quadratic(31, 4), np.random.default_rng(1)
    v = rng.normal(size=(5, 31))
    with torch.no_grad():
        analytic = model.b.numpy() + np.einsum("imn,bn->bim", model.c.numpy(), v)
    np.testing.assert_allclose(gradient_densities(model, v), analytic, rtol=1e-10)


def test_gradients_of_the_exact_solution_are_squared_wave_functions(sets: dict[str, Dataset]) -> None:
    """Hellmann and Feynman (Eq. 21)."""
    data = sets["rbf"]
    v = data["validation"]["potential"][:20]
    estimate = gradient_densities(Schroedinger(Grid(100), 10), v)
    density = exact(data).states(v)[1]
    np.testing.assert_allclose(estimate, density, atol=1e-9)
    measured = compare(estimate[:, 3], density[:, 3], Grid(100).x)
    assert measured["relative_l2"] < 1e-7 and measured["same_peaks"] == measured["same_nodes"] == 1
    assert measured["sum"] == pytest.approx(1) and measured["negative"] < 1e-9


def test_densities_report_wrong_answers_as_wrong() -> None:
    x = Grid(100).x
    box = np.array([np.sin((i + 1) * np.pi * (x + 1) / 2) ** 2 / 50 for i in range(4)])
    for i, density in enumerate(box):  # i nodes and i + 1 peaks in state i
        assert len(peaks_of(density)) == i + 1 and nodes_of(density) == i
    wrong = compare(box[[1]], box[[2]], x)
    assert wrong["same_peaks"] == wrong["same_nodes"] == 0 and wrong["relative_l2"] > 0.5
    moved = compare(np.roll(box[[1]], 2, axis=1), box[[1]], x)
    assert moved["peak_shift"] == pytest.approx(2 * 0.02)
    assert compare(box[[0]] - 0.01, box[[0]], x)["negative"] > 0


def test_crossing_of_the_exact_network_is_the_exact_crossing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(SpectraRecipe("rbf", n=1, validation=24, mesh=40, levels=3), tmp_path / "a.zarr", workers=0)
    data = open_dataset(tmp_path / "a.zarr")
    monkeypatch.setattr(crossing_module, "load_model", lambda path, task: Schroedinger(Grid(40), 3))
    found = crossing("any", data)
    for key in ("lambda_crossing", "gap", "overlap_exchanged", "overlap_same"):
        assert found.numbers[key]["network"] == pytest.approx(found.numbers[key]["exact"], abs=1e-6)
    assert found.numbers["overlap_exchanged"]["exact"] > 0.9 > 0.5 > found.numbers["overlap_same"]["exact"]
    assert found.numbers["nmse_on_path"] < 1e-12 and len(found.figures) == 2
    with pytest.raises(InvalidInput, match="raise --candidates"):
        crossing("any", data, candidates=2)


def test_a_network_that_sees_no_crossing_is_said_to(
    sets: dict[str, Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its gap shrinks steadily: the edge of the window is no crossing."""
    data = sets["rbf"]
    monkeypatch.setattr(crossing_module, "load_model", lambda path, task: Schroedinger(Grid(100), 10))
    whole = crossing_module.predict

    def steady(model: object, v: np.ndarray) -> np.ndarray:
        energies = whole(model, v)  # type: ignore[arg-type]
        if len(v) == crossing_module.STEPS:
            energies[:, 1] = energies[:, 0] + np.linspace(2, 1, len(v))
        return energies

    pair = crossing("any", data).numbers["pair"]
    monkeypatch.setattr(crossing_module, "predict", steady)
    monkeypatch.setattr(crossing_module, "_pair", lambda *arguments: ("direct solution", pair))
    found = crossing("any", data)
    assert found.numbers["lambda_crossing"]["network"] is found.numbers["gap"]["network"] is None
    assert 0.2 <= found.numbers["lambda_crossing"]["exact"] <= 0.8
    assert found.rows[0][1] == "none seen"


def test_a_two_level_crossing_is_found_where_it_is() -> None:
    """E = ∓√((λ − 0.6)² + Δ²)."""
    mixing = np.linspace(0, 1, 201)
    half = np.sqrt((mixing - 0.6) ** 2 + 0.01**2)
    step, depth = find_crossing(np.stack([-half, half], axis=1))
    assert mixing[step] == pytest.approx(0.6) and depth == pytest.approx(0.01 / half.mean(), rel=1e-6)
    assert find_crossing(np.stack([-mixing, mixing], axis=1))[1] == np.inf  # smallest at the edge: none


def test_nearest_is_the_direct_minimum(sets: dict[str, Dataset], monkeypatch: pytest.MonkeyPatch) -> None:
    """Eqs. 15–17 by the letter on a subset; the tile is made small, so that there are many."""
    monkeypatch.setattr("qwell.studies.probes.similarity.TILE", 300)
    u, v = sets["exp"]["validation"]["potential"][:40], sets["rbf"]["train"]["potential"][:]
    found = nearest(u, sets["rbf"])
    for k in range(40):
        difference = u[k].astype(np.float64) - v.astype(np.float64)
        shift = difference.mean(axis=1)
        d = np.sqrt(((difference - shift[:, None]) ** 2).mean(axis=1))
        assert found.row[k] == d.argmin()
        assert found.distance[k] == pytest.approx(d.min(), rel=1e-10)
        again = np.sqrt((difference**2).mean(axis=1) - shift**2)  # Eq. 16
        assert found.distance[k] == pytest.approx(again.min(), rel=1e-10)


def test_a_shifted_copy_is_at_distance_zero(sets: dict[str, Dataset]) -> None:
    v = sets["rbf"]["train"]["potential"][:3].astype(np.float64) + np.array([[5.0], [-900.0], [0.25]])
    found = nearest(v, sets["rbf"])
    assert found.row.tolist() == [0, 1, 2] and found.distance.max() < 1e-9
    with pytest.raises(InvalidInput, match="101 points"):
        nearest(v[:, :50], sets["rbf"])


def test_similarity_of_sets_with_errors(sets: dict[str, Dataset], runs: dict[str, Path]) -> None:
    both = [sets["rbf"], sets["exp"]]
    found = similarity(both, both, [runs["rbf"], runs["exp"]])
    distance = np.array(found.numbers["D"])
    assert distance[0, 0] == distance.min() and distance[1, 1] > distance[1, 0]  # rough potentials are alone
    assert distance[0, 1] == pytest.approx(
        nearest(both[1]["validation"]["potential"][:], both[0]).distance.mean()
    )
    errors = {(e["training"], e["validation"]): e["nmse"] for e in found.numbers["errors"]}
    assert errors["exp", "rbf"] == pytest.approx(cross_kernel([runs["exp"]], both).numbers["nmse"][0][0])
    with pytest.raises(InvalidInput, match="--train"):
        similarity([sets["rbf"]], both, [runs["exp"]])


def test_cross_kernel_is_the_metric_of_each_pair(sets: dict[str, Dataset], tmp_path: Path) -> None:
    mean = create_model("mean")
    mean.fit([(torch.zeros(1, 101), torch.full((1, 10), 30.0))])
    save_pretrained(mean, tmp_path / "m")
    found = cross_kernel([tmp_path / "m"], [sets["rbf"], sets["exp"]])
    for column, name in enumerate(("rbf", "exp")):
        energy = sets[name]["validation"]["energy"][:]
        assert found.numbers["nmse"][0][column] == pytest.approx(nmse(np.full_like(energy, 30), energy))
    with pytest.raises(InvalidInput, match="index is 200"):
        cross_kernel([tmp_path / "m"], [sets["rbf"]], index=200)


def test_attention_sees_rows_that_sum_to_one(sets: dict[str, Dataset], runs: dict[str, Path]) -> None:
    found = attention(runs["two"], sets["exp"])
    assert [layer["positions"] for layer in found.numbers["layers"]] == [97, 46]
    assert all(
        layer["row_sum_deviation"] < 1e-5 and 0 < layer["entropy"] <= 1 for layer in found.numbers["layers"]
    )
    with pytest.raises(InvalidInput, match="without self-attention"):
        attention(runs["blind"], sets["exp"])


def test_positions_of_attention_are_the_centres_of_what_was_seen() -> None:
    """Kernel 5 takes two places at each end; a pooled place lies between its two (res_sa, blocks 1 and 2)."""
    first, second, *_ = create_model("res_sa").attention_positions()
    np.testing.assert_array_equal(first, np.arange(2, 99))
    np.testing.assert_array_equal(second, 4.5 + 2 * np.arange(46))
    for name in ("res_sa", "transformer"):
        model = create_model(name)
        places, maps = model.attention_positions(), model.attention_maps(torch.randn(1, 101))
        assert [len(p) for p in places] == [m.shape[-1] for m in maps]
        assert all((p.diff() > 0).all() and p.min() >= 0 and p.max() <= 100 for p in places)


def test_ablation_ratios(sets: dict[str, Dataset], runs: dict[str, Path]) -> None:
    data = [sets["rbf"], sets["exp"]]
    found = ablation([runs["one"], runs["two"], runs["blind"]], data)
    errors = {(r["blocks"], r["attention"]): np.array(r["nmse"]) for r in found.numbers["runs"]}
    by_shape = {(r["blocks"], r["attention"]): r for r in found.numbers["runs"]}
    np.testing.assert_allclose(by_shape[2, True]["R_D"], errors[2, True] / errors[1, True])
    np.testing.assert_allclose(by_shape[2, True]["R_SA"], errors[2, True] / errors[2, False])
    assert by_shape[1, True]["R_D"] == [1, 1] and by_shape[2, False]["R_SA"] is None
    with pytest.raises(InvalidInput, match="ablations are asked of res_sa"):
        ablation([runs["rbf"]], data)
    for alone in ([runs["two"]], [runs["two"], runs["hurried"]]):  # which learned for another time
        with pytest.raises(InvalidInput, match="nothing to compare"):
            ablation(alone, data)
    with pytest.raises(InvalidInput, match="two of the runs"):
        ablation([runs["one"], runs["one"]], data)
    both = ablation([runs["one"], runs["two"], runs["hurried"]], data)
    of = {(r["name"], r["blocks"]): r["R_D"] for r in both.numbers["runs"]}
    ratio = by_shape[2, True]["R_D"]
    assert of == {
        ("exp, updates 60", 1): [1, 1],
        ("exp, updates 60", 2): ratio,
        ("exp, updates 10", 1): [1, 1],
    }


def test_learning_curves_take_the_runs_own_numbers(runs: dict[str, Path]) -> None:
    from qwell.train.runs import Run

    found = learning_curves([Run.open(runs["rbf"]), Run.open(runs["two"])])
    for row, name in zip(found.numbers["runs"], ("rbf", "two"), strict=True):
        history = Run.open(runs[name]).metrics()
        assert row["validation_nmse"] == history[-1]["validation_nmse"] and row["n"] == 2000


def test_laws_that_a_medium_breaks_are_not_put_in(sets: dict[str, Dataset], tmp_path: Path) -> None:
    """In case 2 a constant more of v is not a constant more of E."""
    data = sets["exp-case2"]
    config = EigenConfig(data=str(data.path), digest=data.digest, model="mlp", batch=50)
    options = begin(config, tmp_path / "run").config["options"]
    assert options["centred"] is False and options["mirrored"] is True
    asked = replace(config, options={"centred": True})
    with pytest.raises(InvalidInput, match="centred=true puts in a law that the medium"):
        begin(asked, tmp_path / "other")


def test_matter_compares_like_with_like(sets: dict[str, Dataset], runs: dict[str, Path]) -> None:
    data = sets["exp-case2"]
    found = matter([runs["medium"]], [data, sets["rbf-case2"]])
    assert (
        found.numbers["formula"] == "V + V ** 2 / (2 * sigma) - sigma"
        and np.isfinite(found.numbers["nmse"]).all()
    )
    v = data["validation"]["potential"][:3]
    np.testing.assert_allclose(exact(data).total(v), v.astype(float) + v.astype(float) ** 2 / 200 - 100)
    np.testing.assert_allclose(exact(data).states(v)[0], data["validation"]["energy"][:3], rtol=1e-9)
    with pytest.raises(InvalidInput, match="of one medium"):
        matter([runs["exp"]], [data])
    with pytest.raises(InvalidInput, match="of one medium"):
        matter([runs["medium"]], [sets["exp"]])


def test_densities_of_a_run(sets: dict[str, Dataset], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(densities_module, "load_model", lambda path, task: Schroedinger(Grid(100), 10))
    found = densities("any", sets["exp"], samples=30)
    assert max(level["relative_l2"] for level in found.numbers["levels"]) < 1e-6
    assert found.numbers["samples"] == 30 and len(found.rows) == 10


def test_a_finding_is_kept_whole(tmp_path: Path, runs: dict[str, Path], sets: dict[str, Dataset]) -> None:
    found = cross_kernel([runs["rbf"]], [sets["rbf"], sets["exp"]])
    last = found.write(tmp_path / "probes")
    assert sorted(p.name for p in last.parent.iterdir()) == sorted(
        f"cross-kernel.{suffix}" for suffix in ("csv", "json", "md", "png")
    )
    assert json.loads(last.read_text())["nmse"] == found.numbers["nmse"]
    head, row = list(csv.reader((tmp_path / "probes/cross-kernel.csv").open()))
    assert head == list(found.head) and float(row[1]) == found.numbers["nmse"][0][0]
    assert found.markdown() in (tmp_path / "probes/cross-kernel.md").read_text()
    with pytest.raises(OSError, match="write elsewhere with --out"):
        Finding("x", "x", ["a"], [["b"]], {}).write(tmp_path / "probes/cross-kernel.csv")
