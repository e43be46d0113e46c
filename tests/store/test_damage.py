"""A damaged log is read as what was written up to some event, or refused with the way back: never anything else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.store import damage
from tests.store.damage import Damage, Pictures, Tally, judge


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    return Pictures(tmp_path_factory.mktemp("pictures"))


CASES = [
    ("closed", "log.sqlite3", damage.cut, 150),
    ("killed", "log.sqlite3-wal", damage.cut, 75),
    ("carried over", "log.sqlite3-wal", damage.cut, 75),
    ("closed", "log.sqlite3", damage.flip, 150),
    ("killed", "log.sqlite3-wal", damage.flip, 50),
    ("carried over", "log.sqlite3-wal", damage.flip, 50),
    ("carried over", "log.sqlite3", damage.flip, 50),
    ("closed", "log.sqlite3", damage.zero_sector, 50),
    ("killed", "log.sqlite3-wal", damage.zero_sector, 25),
    ("carried over", "log.sqlite3-wal", damage.zero_sector, 25),
]


@pytest.mark.parametrize(
    ("picture", "file", "how", "times"), CASES, ids=[f"{how.__name__}-{file}-{name}" for name, file, how, _ in CASES]
)
def test_every_damage_leaves_a_prefix_or_is_refused_with_the_backup(
    picture: str, file: str, how: Damage, times: int, pictures: Pictures, tmp_path: Path
) -> None:
    tally = Tally()
    content = (pictures.where / picture / file).read_bytes()
    path = pictures.fresh_copy(picture, tmp_path / "log")
    for seed in range(times):
        damaged = bytearray(content)
        how(damaged, random.Random(seed))
        path = pictures.fresh_copy(picture, tmp_path / "log")
        path.with_name(file).write_bytes(damaged)
        try:
            judge(path, pictures.truth, tally)
        except BaseException as error:
            error.add_note(f"seed {seed} of {how.__name__} on {file} of the {picture} log")
            raise
    print(picture, file, how.__name__, tally)
    assert tally.whole + tally.shorter + tally.refused == times
