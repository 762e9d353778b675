"""Every fault, on both back ends: identical after a resume, or a refusal that names the damage."""

from collections.abc import Callable
from pathlib import Path

import pytest
from faults import damage, disks, kills
from faults.scenarios import SCENARIOS
from faults.trying import Outcome
from faults.versions import VERSIONS

EVERY = [*SCENARIOS, *VERSIONS]

SLOW = {kills.kill_generation, kills.kill_coordinator, kills.two_writers}
SLOW_ON_ZARR = {kills.kill_workers, kills.power_cuts, damage.bit_flips, disks.full_disk}


def cases() -> list[object]:
    """Each fault on each back end; what takes many processes or files waits for the slow tier."""
    return [
        pytest.param(
            scenario,
            tries,
            suffix,
            id=f"{scenario.__name__}-{suffix}",
            marks=[pytest.mark.slow] * (scenario in SLOW or (scenario in SLOW_ON_ZARR and suffix == ".zarr")),
        )
        for _, scenario, _, tries in EVERY
        for suffix in (".zarr", ".h5")
    ]


@pytest.mark.parametrize(("scenario", "tries", "suffix"), cases())
def test_fault(
    scenario: Callable[[Path, str, int], Outcome], tries: int, suffix: str, tmp_path: Path
) -> None:
    count, outcome = scenario(tmp_path, suffix, tries)
    if not count:
        pytest.skip(outcome)
