"""A damaged log is read as what was written up to some event, or refused with the way back: never anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrate.core import events as ev
from orchestrate.errors import OrchestrateError
from orchestrate.store.log import SqliteEventLog
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


def test_a_run_that_only_the_index_knows_is_refused(tmp_path: Path) -> None:
    """One bit of its name there: a long trial found it."""
    path = tmp_path / "log.sqlite3"
    with SqliteEventLog(path) as log:
        log.append("one", [ev.Warned(1.0, "a", "x")])
        log.append("one", [ev.Warned(2.0, "a", "y")])
    content = bytearray(path.read_bytes())
    page = 2 * 4096  # the third page: the index
    at = content.rindex(b"one", page, page + 4096)  # a page is filled from its end
    content[at] ^= 0x40  # to `/ne`, which is no name of a directory either
    path.write_bytes(content)
    with SqliteEventLog(path, read_only=True) as log:
        with pytest.raises(OrchestrateError, match="the first event of run /ne is not what was written"):
            log.runs()
        with pytest.raises(OrchestrateError, match="is damaged"):
            log.read("/ne")
        with pytest.raises(OrchestrateError, match="missing from index"):
            log.verify()


@pytest.mark.parametrize("name", [b"kind TEXT", b"event_of_run", b"event_stays"])
@pytest.mark.parametrize("bits", range(8))
def test_a_broken_name_in_the_schema_is_no_traceback(log_path: Path, name: bytes, bits: int) -> None:
    """Messages about it may be no text at all: a long trial found it."""
    with SqliteEventLog(log_path) as log:
        log.append("r", [ev.Warned(1.0, "a", "x")])
        log.back_up(0.0)
    content = bytearray(log_path.read_bytes())
    content[content.index(name)] ^= 1 << bits
    log_path.write_bytes(content)
    hint = ""
    try:
        with SqliteEventLog(log_path, read_only=True) as log:
            assert [stored.event for stored in log.read("r")] == [ev.Warned(1.0, "a", "x")]
            log.verify()
    except OrchestrateError as refused:
        hint = refused.hint
    assert not hint or "to put it in place: cd " in hint


def test_as_many_as_were_promised() -> None:
    times = {
        how: sum(case.times for case in CASES if case.how.__name__ == how) for how in ("cut", "flip", "zero_sector")
    }
    assert times == {"cut": 300, "flip": 300, "zero_sector": 100}
