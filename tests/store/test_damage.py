"""A damaged log is read as what was written up to some event, or refused with the way back: never anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.damage import CASES, Case, Pictures


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    return Pictures(tmp_path_factory.mktemp("pictures"))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_damage_leaves_a_prefix_or_is_refused_with_the_backup(
    case: Case, pictures: Pictures, tmp_path: Path
) -> None:
    tally = case.run(pictures, tmp_path / "log")
    assert tally.whole + tally.shorter + tally.refused == case.times
    assert tally.shorter + tally.refused, "some of it must have done harm"


def test_as_many_as_were_promised() -> None:
    times = {
        how: sum(case.times for case in CASES if case.how.__name__ == how) for how in ("cut", "flip", "zero_sector")
    }
    assert times == {"cut": 300, "flip": 300, "zero_sector": 100}
