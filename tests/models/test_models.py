"""The zoo: what the paper fixes about its network, folders that load, and refusals."""

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from qwell.errors import CheckpointError, InvalidInput, QwellWarning, UnknownModel
from qwell.files import seal
from qwell.models import registry
from qwell.models.layers import SelfAttention
from qwell.models.propagating import RingEmulator
from qwell.models.registry import (
    ZOO,
    create_model,
    list_models,
    load_pretrained,
    pretrained,
    read_config,
    save_pretrained,
)
from qwell.models.spectral import cosines


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_res_sa_has_the_parameters_of_the_specification() -> None:
    assert parameters(create_model("res_sa")) == 4_912_513


def test_res_sa_lengths_and_channels() -> None:
    """101 → 97 → 46 → 42 → 38 → 17 positions, 16 … 256 channels (Fig. A1)."""
    model = create_model("res_sa")
    shapes = []
    for block in model.blocks:
        block.register_forward_hook(lambda m, i, out: shapes.append(tuple(out.shape[1:])))
    assert model(torch.randn(2, 101)).shape == (2, 10)
    assert shapes == [(16, 97), (32, 46), (64, 42), (128, 38), (256, 17)]


def test_res_sa_has_31_relu(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = create_model("res_sa"), []
    relu = torch.relu  # nn.functional.relu, and so nn.ReLU, ends there too
    monkeypatch.setattr(torch, "relu", lambda x: calls.append(1) or relu(x))
    model(torch.randn(1, 101))
    assert len(calls) == 31


def test_attention_maps_are_distributions() -> None:
    maps = create_model("res_sa").attention_maps(torch.randn(3, 101) * 100)
    assert [m.shape[-1] for m in maps] == [97, 46, 42, 38, 17]
    for m in maps:
        torch.testing.assert_close(m.sum(-1), torch.ones(m.shape[:2]))


def test_attention_with_scale_zero_is_the_network_without() -> None:
    """The learned scale starts at 0, so a fresh network equals its twin without attention."""
    model, twin = create_model("res_sa"), create_model("res_sa", attention=0)
    twin.load_state_dict({k: v for k, v in model.state_dict().items() if k in twin.state_dict()})
    x = torch.randn(4, 101) * 100
    torch.testing.assert_close(model(x), twin(x), rtol=0, atol=0)
    for layer in model.modules():
        if isinstance(layer, SelfAttention):
            nn.init.ones_(layer.scale)
    assert (model(x) - twin(x)).abs().max() > 1e-3


def test_attention_equals_its_formula() -> None:
    layer, x = SelfAttention(16, 2).double(), torch.randn(1, 16, 9, dtype=torch.float64)
    nn.init.ones_(layer.scale)
    q, k, v = (f(x)[0] for f in (layer.query, layer.key, layer.value))
    out = torch.zeros(2, 9, dtype=torch.float64)
    for i in range(9):
        weights = torch.exp(q[:, i] @ k)
        out[:, i] = (v * weights).sum(1) / weights.sum()
    torch.testing.assert_close(layer(x), x + layer.output(out[None]))


@pytest.mark.parametrize(
    "options", [{"channels": [16, 32]}, {"pooling": "mean"}, {"points": 64, "levels": 3}]
)
def test_res_sa_variants(options: dict[str, object]) -> None:
    model = create_model("res_sa", **options)
    assert model(torch.randn(2, options.get("points", 101))).shape == (2, options.get("levels", 10))


@pytest.mark.parametrize("name", list(list_models()))
def test_wrong_shapes_are_refused_in_words(name: str) -> None:
    model = create_model(name)
    ring = isinstance(model, RingEmulator)
    good = [torch.zeros(2, *shape, dtype=torch.complex64 if ring and not k else None)
            for k, shape in enumerate(model.takes())]  # fmt: skip
    assert torch.isfinite(model(*good).abs()).all()
    for wrong in (good[0][..., :-1], good[0][0]):
        with pytest.raises(
            InvalidInput, match=rf"{name} was called with shape \({len(wrong)},.*it takes \(b, "
        ):
            model(wrong, *good[1:])


@pytest.mark.usefixtures("unchecked")  # torch cannot follow what checks shapes in tests
@pytest.mark.parametrize("name", ["mlp", "emulator_unitary"])
def test_a_network_compiles_into_one_graph(name: str) -> None:
    """The check of shapes breaks none and is no part of it."""
    model = create_model(name)
    good = [torch.zeros(2, *shape) for shape in model.takes()]
    torch.testing.assert_close(torch.compile(model, fullgraph=True, backend="eager")(*good), model(*good))


@pytest.mark.parametrize("name", list(list_models("spectra")))
def test_saved_models_load_and_agree(name: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = create_model(name, levels=7)
    for p in model.parameters():
        nn.init.normal_(p, std=0.05)
    save_pretrained(model, tmp_path / "m", {"digest": "abc"})
    loaded = load_pretrained(tmp_path / "m")
    x = torch.randn(5, 101) * 100
    torch.testing.assert_close(loaded(x), model.eval()(x), rtol=0, atol=0)
    assert loaded.config == model.config and set(list_models()) == set(ZOO)


def test_a_perceptron_knows_what_is_put_in() -> None:
    """E(v + c) = E(v) + c and E(v(x)) = E(v(−x)) to rounding, for odd and even numbers of points."""
    for points in (40, 41):
        model = create_model("mlp", points=points, levels=4, hidden=[16, 16]).double()
        v = torch.randn(5, points, dtype=torch.float64) * 100
        torch.testing.assert_close(model(v + 37), model(v) + 37)
        torch.testing.assert_close(model(v.flip(1)), model(v))
        energy = model(v).detach()
        model.put_in(v, energy + 5)
        expected = (energy + 5 - v.mean(1, keepdim=True)).mean(0)
        torch.testing.assert_close(model.mean_spectrum, expected)
        torch.testing.assert_close(model(v), energy + expected)  # and it is added to the answer
        plain = create_model("mlp", points=points, levels=4, centred=False, mirrored=False, offset=False)
        v = v.float()
        assert (plain(v + 37) - plain(v) - 37).abs().max() > 1
        assert (plain(v.flip(1)) - plain(v)).abs().max() > 1e-3
        assert "mean_spectrum" not in plain.state_dict()


def test_an_averaged_perceptron_answers_with_the_mean_over_both_orientations() -> None:
    """While it learns it sees potentials one way round, and costs no more."""
    model = create_model("mlp", hidden=[16, 16], mirrored=False, averaged=True)
    v = torch.randn(5, 101) * 100
    seen = model.train()(v), model(v.flip(1))
    assert (seen[0] - seen[1]).abs().max() > 1e-3
    model.eval()
    torch.testing.assert_close(model(v), (seen[0] + seen[1]) / 2)
    torch.testing.assert_close(model(v.flip(1)), model(v))
    with pytest.raises(InvalidInput, match="mirrored=false"):
        create_model("mlp", averaged=True)


def test_models_saved_before_an_option_are_what_they_were(tmp_path: Path) -> None:
    """A description without `centred`, `offset` and `mirrored` is that of a network that had none of them."""
    old = create_model("mlp", hidden=[8], centred=False, offset=False, mirrored=False)
    save_pretrained(old, tmp_path)
    described = json.loads((tmp_path / "config.json").read_text())
    for name in ("centred", "offset", "mirrored"):
        del described["config"][name]
    del described["sha256"], described["weights_sha256"]
    (tmp_path / "config.json").write_text(json.dumps(described))
    v = torch.randn(3, 101)
    with pytest.warns(UserWarning, match="no checksum"):
        assert torch.equal(load_pretrained(tmp_path)(v), old(v))


def test_linear_fit_is_least_squares_and_mean_is_the_mean() -> None:
    rng = np.random.default_rng(0)
    v = torch.from_numpy(rng.normal(size=(500, 101)) * 100)
    w, b = torch.from_numpy(rng.normal(size=(101, 10))), torch.arange(10.0).double()
    energy = v @ w + b
    batches = [(v[:300], energy[:300]), (v[300:], energy[300:])]
    linear, mean = create_model("linear"), create_model("mean")
    linear.fit(batches)
    mean.fit(batches)
    torch.testing.assert_close(linear(v.float()).double(), energy, rtol=1e-5, atol=1e-2)
    torch.testing.assert_close(mean(v.float())[3].double(), energy.mean(0), rtol=1e-6, atol=1e-6)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="res_sa, hamiltonian, spectral, transformer, mlp, linear, mean"):
        create_model("resnet")
    with pytest.raises(InvalidInput, match="unknown option of model 'mlp', 'width'"):
        create_model("mlp", width=3)
    with pytest.raises(InvalidInput, match="expected something like"):
        create_model("mlp", hidden="wide")
    with pytest.raises(InvalidInput, match="choose max or mean"):
        create_model("res_sa", pooling="median")
    with pytest.raises(InvalidInput, match="too few for 5 blocks"):
        create_model("res_sa", points=20)
    with pytest.raises(CheckpointError, match=r"config.json is missing"):
        load_pretrained(tmp_path)


def test_foreign_and_damaged_folders(tmp_path: Path) -> None:
    save_pretrained(create_model("mlp", hidden=[8]), tmp_path / "a")
    save_pretrained(create_model("mlp", hidden=[9]), tmp_path / "b")
    (tmp_path / "b/model.safetensors").replace(tmp_path / "a/model.safetensors")
    with pytest.raises(CheckpointError, match="belongs to another model"):
        load_pretrained(tmp_path / "a")
    (tmp_path / "a/model.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(CheckpointError, match="damaged"):
        load_pretrained(tmp_path / "a")
    (tmp_path / "a/config.json").write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        load_pretrained(tmp_path / "a")
    (tmp_path / "b/config.json").write_text(json.dumps({"model": "os.system", "config": {}}))
    with pytest.raises(UnknownModel):
        load_pretrained(tmp_path / "b")


def test_every_bit_of_a_model_is_vouched_for(tmp_path: Path) -> None:
    """One bit flipped, anywhere in the configuration or the weights: refused, never another prediction."""
    torch.manual_seed(5)
    save_pretrained(create_model("mlp", points=11, levels=2, hidden=[3]), tmp_path, {"digest": "abc"})
    for path in sorted(tmp_path.iterdir()):
        whole, bits = path.read_bytes(), random.Random(0)
        for _ in range(50):
            flipped = bytearray(whole)
            flipped[bits.randrange(len(whole))] ^= 1 << bits.randrange(8)
            path.write_bytes(flipped)
            with pytest.raises(CheckpointError):
                load_pretrained(tmp_path)
        path.write_bytes(whole)
    assert load_pretrained(tmp_path).config.levels == 2


def test_checksums_say_what_sha256sum_says(tmp_path: Path) -> None:
    save_pretrained(create_model("mlp", hidden=[8]), tmp_path)
    weights = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    assert read_config(tmp_path)["weights_sha256"] == weights


def test_weights_of_another_model_of_the_same_shape_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_pretrained(create_model("mlp", hidden=[8]), tmp_path / name)
    (tmp_path / "b/model.safetensors").replace(tmp_path / "a/model.safetensors")
    with pytest.raises(CheckpointError, match="or of another model"):
        load_pretrained(tmp_path / "a")


@pytest.mark.parametrize("gone", ["weights_sha256", "sha256"])
def test_models_without_checksums_load_with_a_warning(tmp_path: Path, gone: str) -> None:
    """Those of version 0.1.0, and those whose configuration a person has changed, as the error allows."""
    save_pretrained(create_model("mlp", hidden=[8]), tmp_path)
    config = read_config(tmp_path)
    del config[gone], config["metadata"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    if gone == "weights_sha256":
        with pytest.raises(CheckpointError, match="not what its sha256 says"):
            load_pretrained(tmp_path)
        (tmp_path / "config.json").write_bytes(seal(config))
    with pytest.warns(QwellWarning, match="no checksum"):
        load_pretrained(tmp_path)


def test_no_memory_is_taken_for_weights_that_do_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration may claim any size; it is compared with the file before a model is built."""
    save_pretrained(create_model("mlp", hidden=[8]), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["config"]["hidden"] = [4000]
    (tmp_path / "config.json").write_bytes(seal(config))
    devices: list[str] = []
    build = registry.create_model

    def watched(*arguments: object, **options: object) -> object:
        devices.append(torch.get_default_device().type)
        return build(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(registry, "create_model", watched)
    with pytest.raises(CheckpointError, match="belongs to another model"):
        load_pretrained(tmp_path)
    assert devices == ["meta"]


def test_hamiltonian_is_linear_algebra() -> None:
    """Energies rise with V (it adds Φ diag(v) Φᵀ), and a constant shifts them when Φ is orthonormal."""
    torch.manual_seed(0)
    model = create_model("hamiltonian", fold=0).double()
    v, more = torch.randn(8, 101, dtype=torch.float64) * 100, torch.rand(8, 101, dtype=torch.float64) * 50
    energy = model(v)
    assert (energy.diff(dim=1) >= 0).all()
    assert (model(v + more) >= energy).all()
    torch.testing.assert_close(model(v + 30), energy + 30, atol=1e-4, rtol=1e-6)
    small = create_model("hamiltonian", states=12, fold=0)
    assert parameters(small) == 12 * 12 + 12 * 101


def test_folded_states_act_in_second_order() -> None:
    """With a potential t·v, what folding adds to the matrix grows as t²."""
    torch.manual_seed(1)
    model, v = create_model("hamiltonian").double(), torch.randn(1, 101, dtype=torch.float64) * 100
    with torch.no_grad():
        whole = [model.matrix(t * v) for t in (1.0, 2.0)]
        model.folded.zero_()
        bare = [model.matrix(t * v) for t in (1.0, 2.0)]
    torch.testing.assert_close(whole[1] - bare[1], 4 * (whole[0] - bare[0]))
    assert torch.linalg.eigvalsh(whole[0] - bare[0]).max() < 1e-12


def test_cosines_are_orthonormal() -> None:
    torch.testing.assert_close(
        cosines(101, 101).double() @ cosines(101, 101).double().T, torch.eye(101).double(), atol=1e-5, rtol=0
    )


def test_transformer_attends_as_it_predicts() -> None:
    """Rows of the maps sum to 1, and a map of all ones to one token is that token's value everywhere."""
    torch.manual_seed(2)
    model, v = create_model("transformer").eval(), torch.randn(3, 101) * 100
    maps, places = model.attention_maps(v), model.attention_positions()
    assert len(maps) == 3 and maps[0].shape == (3, 21, 21)
    for map_, place in zip(maps, places, strict=True):
        torch.testing.assert_close(map_.sum(-1), torch.ones(3, 21))
        assert place[0] == 2 and place[-1] == 100 and place.shape == (21,)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hamiltonian", {"states": 5}),
        ("hamiltonian", {"states": 80, "fold": 30}),
        ("spectral", {"modes": 102}),
        ("transformer", {"heads": 3}),
        ("transformer", {"patch": 102}),
    ],
)
def test_impossible_sizes(name: str, options: dict[str, int]) -> None:
    with pytest.raises(InvalidInput):
        create_model(name, **options)


def test_half_precision_weights_load_in_full(tmp_path: Path) -> None:
    torch.manual_seed(3)
    model, v = create_model("mlp", hidden=[16]), torch.randn(4, 101) * 100
    for half in (False, True):
        save_pretrained(model, tmp_path / str(half), half=half)
    size = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("False", "True")]
    assert size[1] < 0.6 * size[0]
    loaded = load_pretrained(tmp_path / "True")
    assert all(p.dtype == torch.float32 for p in loaded.parameters())
    torch.testing.assert_close(loaded(v), model(v), rtol=1e-2, atol=0.1)


def test_models_that_come_with_the_package() -> None:
    """Each loads by its name, and says what it was trained on, how well it does, and how to make it again."""
    assert pretrained()
    for name, folder in pretrained().items():
        model, about = load_pretrained(name), read_config(folder)["metadata"]
        if model.task == "spectra":
            assert model(torch.zeros(1, model.config.points)).isfinite().all()
            assert set(about["measured"]) == {f"NMSE on {k}" for k in ("rbf", "m5", "m3", "exp")}
        else:
            assert any(key.startswith("C on") for key in about["measured"])
        assert {"weights_sha256", "sha256"} <= set(read_config(folder))
        assert about["updates"] > 0 and all(p.isfinite().all() for p in model.parameters())
        times = 2 if model.task == "spectra" else 1  # to train, and to calibrate
        assert [command.split()[0] for command in about["commands"]] == ["qdata", "qtrain"] * times
        if earlier := about.get("began_with"):  # weights of the same name: which, the command says
            then = f"# {earlier['model']} as it was after {earlier['updates']:,} updates"
            assert about["commands"][-1].endswith(then) and earlier["updates"] < about["updates"]
    size = sum(p.stat().st_size for folder in pretrained().values() for p in folder.iterdir())
    assert size < 15e6


def test_loading_does_not_import_the_compiler() -> None:
    """Of torch, which takes longer to import than a model to load and predict."""
    code = (
        "import sys, numpy, qwell; from qwell.train.eigen import predict;"
        "energy = predict(qwell.load_model('hamiltonian-m3'), numpy.zeros((2, 101)));"
        "[qwell.load_model(name) for name in ('emulator-gru', 'emulator-spectral')];"
        "heavy = {'torch._dynamo', 'numba', 'scipy'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy or energy.shape != (2, 10) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_weights_have_normal_modes(tmp_path: Path) -> None:
    save_pretrained(create_model("mlp", hidden=[8]), tmp_path / "m")
    (tmp_path / "plain").touch()
    modes = {p.stat().st_mode for p in (*(tmp_path / "m").iterdir(), tmp_path / "plain")}
    assert len(modes) == 1 and len(list((tmp_path / "m").iterdir())) == 2
