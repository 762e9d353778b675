"""Every fault, a twentieth of its tries or more: identical after a resume, or a refusal that says why."""

from pathlib import Path

import pytest
from faults import damage, disks, kills, processes, products, rough, versions
from faults.campaign import FAULTS
from faults.trying import Scenario

SLOW = {
    kills.kill_generation, kills.kill_coordinator, kills.two_writers, products.unfinished, products.runs,
    rough.modes, rough.high_barriers, *(scenario for _, scenario, _, _ in processes.PROCESSES),
}  # fmt: skip
SLOW_ON_ZARR = {
    versions.replaced_under_readers,
    versions.removed_under_readers,
    kills.kill_workers,
    kills.power_cuts,
    damage.bit_flips,
    disks.full_disk,
}


def later(scenario: Scenario) -> str:
    """The back end that waits: the one on which it takes longer."""
    return ".zarr" if scenario in SLOW_ON_ZARR else ".h5"


def cases() -> list[object]:
    """Each fault on each back end. Many processes or files, and a second back end, wait for the slow tier."""
    return [
        pytest.param(
            scenario,
            tries,
            suffix,
            id=f"{scenario.__name__}{suffix and '-' + suffix}",
            marks=[pytest.mark.slow]
            * (scenario in SLOW or (len(suffixes) > 1 and suffix == later(scenario))),
        )
        for _, scenarios, suffixes in FAULTS
        for _, scenario, _, tries in scenarios
        for suffix in suffixes
    ]


@pytest.mark.parametrize(("scenario", "tries", "suffix"), cases())
def test_fault(scenario: Scenario, tries: int, suffix: str, tmp_path: Path) -> None:
    count, outcome = scenario(tmp_path, suffix, tries)
    if not count:
        pytest.skip(outcome)
