"""Verdicts of reproductions: by which numbers papers are agreed with, and what is too small to say."""

from collections.abc import Sequence
from typing import Any

import pytest

from qwell.papers import introspective, potential
from qwell.papers.dynamics_answers import said_of_emulators
from qwell.papers.plan import Answer
from qwell.papers.reproduce import PAPERS
from qwell.papers.spectra_answers import (
    judged,
    said_of_ablation,
    said_of_crossing,
    said_of_curves,
    said_of_kernels,
    said_of_matter,
)


@pytest.mark.parametrize("name", ["derivatives", "potential", "introspective"])
def test_every_claim_says_how_large_it_was(name: str) -> None:
    """At every scale; a number of which the size is not known does not stand beside the paper's."""
    paper = PAPERS[name]
    for scale in paper.scales.values():
        assert all(any(sign.isdigit() for sign in claim.size) for claim in paper.plan(scale).claims)


def pipeline(
    verdict: int, law: float, translator: float = 1e-5, failures: Sequence[str] = ()
) -> dict[str, Any]:
    return {
        "distillers": {"1": [{"test": None}], "2": [{"test": 1e-4}, {"test": None}]},
        "translator": translator,
        "verdict": verdict,
        "intrinsic_dimension": 2.0,
        "recipe": {"energy": 4.0},
        "density_form": {"3": {"loss": 1e-5}},
        "best": {"seed": 1, "slope": law, "energy": 4.0, "failures": list(failures)},
    }


def test_an_introspection_is_judged_by_its_verdict_and_its_law() -> None:
    def verdict(*numbers: Any) -> str:
        return introspective._said_of_laws(pipeline(*numbers), 2).verdict

    assert verdict(2, 1.005) == "agrees" and verdict(2, 1.02) == verdict(3, 1.0) == "disagrees"
    assert verdict(2, 1.0, 0.5) == "too small to say"
    said = introspective._said_of_laws(pipeline(2, 1.0, 1e-5, ["born"]), 2).sentence
    assert "1: diverged, 2: 0.0001" in said and "seed 1, which fails born" in said


def test_verdicts() -> None:
    """Nothing stated is not judged; what is not enough is never called right or wrong."""
    holds, fails = {"below 1": True}, {"below 1": True, "above 0": False}
    assert Answer("x").verdict == "nothing to judge"
    assert [Answer("x", c).verdict for c in (holds, fails)] == ["agrees", "disagrees"]
    assert {Answer("x", c, enough=False).verdict for c in (holds, fails)} == {"too small to say"}


def test_a_learning_curve_is_judged_by_its_numbers() -> None:
    def verdict(rbf: float, exp: float = 2e-3, updates: int = 1000, ratio: float = 1.1) -> str:
        errors = {"rbf": rbf, "m5": 5e-4, "m3": 1e-3, "exp": exp}
        rows = [{"kernel": k, "n": 500, "updates": updates, "validation_nmse": e, "ratio": ratio}
                for k, e in errors.items()]  # fmt: skip
        less = {"kernel": "rbf", "n": 100, "updates": updates, "validation_nmse": 1e-3, "ratio": 1.5}
        return said_of_curves({"runs": [less, *rows]}).verdict

    assert verdict(9e-5) == "agrees"
    assert verdict(2e-4) == "too small to say" and verdict(2e-4, updates=100_000) == "disagrees"
    assert verdict(9e-5, exp=8e-4) == verdict(9e-5, ratio=2.0) == "disagrees"


def test_other_kernels_are_judged_by_their_numbers() -> None:
    def numbers(rbf_on_exp: float, exp_on_exp: float) -> dict[str, Any]:
        return {
            "names": ["mlp, rbf", "mlp, exp"],
            "data": [{"name": "rbf"}, {"name": "exp"}],
            "nmse": [[1e-5, rbf_on_exp], [1.1 * exp_on_exp, exp_on_exp]],
        }

    assert said_of_kernels(numbers(1e-2, 8e-4)).verdict == "agrees"
    assert said_of_kernels(numbers(5e-5, 8e-5)).verdict == "disagrees"
    assert said_of_kernels(numbers(1e-2, 2e-3)).verdict == "too small to say"
    wider = numbers(1e-2, 8e-5) | {"against": numbers(1e-2, 8e-5)}
    assert said_of_kernels(wider).verdict == "disagrees"  # the errors are not larger


def test_only_networks_as_good_as_the_paper_s_disagree() -> None:
    verdicts = [judged("x", {"c": holds}, error).verdict for holds in (True, False) for error in (5e-4, 5e-5)]
    assert verdicts == ["agrees", "agrees", "too small to say", "disagrees"]
    assert judged("x", {"c": True}, 2e-3).verdict == "too small to say"


@pytest.mark.parametrize(
    ("ratios", "verdict"), [((1, 0.9, 0.8), "agrees"), ((1, 1.8), "disagrees"), ((1, 0.9, 0.95), "disagrees")]
)
def test_depth_is_judged_from_the_first_block(ratios: tuple[float, ...], verdict: str) -> None:
    one = {"kernel": "exp", "attention": True, "nmse": [5e-5]}
    runs = [one | {"blocks": k, "R_D": [r], "R_SA": [0.9]} for k, r in enumerate(ratios, 1)]
    assert said_of_ablation({"data": ["exp"], "runs": runs}).verdict == verdict


def test_a_crossing_is_judged_only_where_the_exact_states_change_places() -> None:
    def verdict(exact: float, network: float) -> str:
        both = {"network": 0.5, "exact": 0.5}
        exchanged = {"network": network, "exact": exact}
        numbers = {"found_by": "network", "lambda_crossing": both, "gap": both, "nmse_on_path": 5e-5}
        same = {who: 1 - overlap for who, overlap in exchanged.items()}
        return said_of_crossing(numbers | {"overlap_exchanged": exchanged, "overlap_same": same}).verdict

    assert (verdict(1, 0.9), verdict(1, 0.1)) == ("agrees", "disagrees")
    assert verdict(0, 0.9) == verdict(0, 0.1) == "too small to say"


def test_errors_in_a_medium_are_judged_from_both_sides() -> None:
    def verdict(ratio: float) -> str:
        plain = {"names": ["mlp, rbf"], "data": [{"name": "rbf"}], "nmse": [[5e-5]]}
        medium = {"names": ["mlp, rbf"], "data": ["rbf"], "nmse": [[5e-5 * ratio]], "formula": "V"}
        return said_of_matter(medium | {"against": plain}, "before", 1.0, 1.8).verdict

    assert [verdict(ratio) for ratio in (0.1, 1.5, 1.9)] == ["disagrees", "agrees", "disagrees"]


def test_scattered_energies_do_not_help() -> None:
    def verdict(*energies: float) -> str:
        rest = {"box": 0.1, "centre": 9.0, "weighted": 0.1, "model": 0.1, "uniform": 9.0}
        runs = [rest | {"energy": e} for e in energies]
        config = {"method": "mpnn"}
        numbers = {"runs": runs, "exact": -0.5, "without_training": {"box": 0.0}, "config": config}
        return potential._said_of_method(numbers, "box", 0.1, -0.5, full=True).verdict

    assert verdict(-0.51, -0.51) == "agrees"
    assert verdict(-0.55, -0.551) == verdict(-0.3, -0.9, -0.75) == "disagrees"


@pytest.mark.parametrize(("others", "verdict"), [(60_000, "agrees"), (5_000_000, "disagrees")])
def test_architectures_are_ranked_only_where_all_learned_enough(others: int, verdict: str) -> None:
    def row(name: str, updates: int, c: float) -> dict[str, Any]:
        table = {"cases": 25, "mae": 0.0, "mae_parts": 0.0, "C": c}
        learned = {"updates": updates, "learned_from": "barriers"}
        by_data = {"C_by_data": {"paper-tests-rect": c}}
        return {"network": f"emulator_{name}", **learned, "with_potential": table, **by_data}

    rows = [row("gru", 5_000_000, 0.997), row("dense", others, 0.998)]
    answer = said_of_emulators({"emulators": rows, "cases": 37, "frames": 400}, "barrier")
    assert answer.verdict == verdict and ("Not ranked" in answer.sentence) == (verdict == "agrees")
