"""Kill the engine of a real run at random moments, go on, and find that nothing was lost and nothing done twice.

`scripts/torture --kills 500` is the long run of the same.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture.kills import run_cycle, run_undisturbed

SEEDS = range(25)


def test_an_undisturbed_run_has_no_fault(tmp_path: Path) -> None:
    verdict = run_undisturbed(tmp_path)

    assert verdict.faults == []
    assert verdict.engines == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_a_random_moment_a_run_loses_nothing(tmp_path: Path, seed: int) -> None:
    verdict = run_cycle(tmp_path, seed, most=2)

    assert verdict.faults == [], f"{verdict}\nagain: scripts/torture --what kill --first-seed {seed} --cycles 1"
