"""Backups: made when an engine starts, few, whole, and named by every refusal; the command that is named works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrate.core import events as ev
from orchestrate.errors import OrchestrateError
from orchestrate.store import backups
from orchestrate.store.artifacts import backups_of
from orchestrate.store.backups import is_rested, newest_good_backup
from orchestrate.store.log import SqliteEventLog
from orchestrate.store.refusals import NoBackup

NOW = 1_795_000_000.0


def warned(count: int) -> list[ev.Event]:
    return [ev.Warned(float(number), "a", "words") for number in range(count)]


def an_engine_starts(path: Path, writes: int = 0) -> Path | None:
    with SqliteEventLog(path) as log:
        made = log.back_up(NOW)
        log.append("r", warned(writes))
    return made


def names(path: Path) -> list[str]:
    return sorted(os.listdir(path.parent / "backups"))


def break_it(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.rindex(b"words")] ^= 1  # of the first event: a page is filled from its end
    path.write_bytes(content)


def test_an_empty_log_needs_none(log_path: Path) -> None:
    assert an_engine_starts(log_path) is None
    assert not (log_path.parent / "backups").exists()


def test_one_is_made_whenever_the_log_has_grown(log_path: Path) -> None:
    assert an_engine_starts(log_path, writes=3) is None
    first = an_engine_starts(log_path)
    assert first is not None and first.name.startswith("log-3-")
    assert an_engine_starts(log_path, writes=1) is None, "nothing has changed"
    second = an_engine_starts(log_path)
    assert second is not None and second.name.startswith("log-4-")
    with SqliteEventLog(second, read_only=True) as log:
        assert log.verify() == 4


def test_the_last_two_are_kept(log_path: Path) -> None:
    made = [an_engine_starts(log_path, writes=1) for _ in range(5)]
    assert names(log_path) == sorted(path.name for path in made[-2:] if path)


def test_what_a_killed_engine_left_of_one_is_removed(log_path: Path) -> None:
    an_engine_starts(log_path, writes=1)
    (log_path.parent / "backups").mkdir()
    (log_path.parent / "backups" / ".log-1-abc.sqlite3.x1y2").write_bytes(b"half")
    made = an_engine_starts(log_path)
    assert made is not None and names(log_path) == [made.name]


def test_none_is_made_of_a_damaged_log_and_the_good_ones_stay(log_path: Path) -> None:
    an_engine_starts(log_path, writes=2)
    good = an_engine_starts(log_path, writes=2)
    break_it(log_path)
    with SqliteEventLog(log_path) as log, pytest.raises(OrchestrateError, match="is damaged: event") as e:
        log.back_up(NOW)
    assert good is not None and names(log_path) == [good.name]
    assert f"holds 2 events; to put it in place: cd {log_path.parent}" in e.value.hint


def test_the_command_that_is_named_puts_it_in_place(log_path: Path) -> None:
    an_engine_starts(log_path, writes=2)
    an_engine_starts(log_path, writes=2)
    break_it(log_path)
    damaged = log_path.read_bytes()
    with SqliteEventLog(log_path) as log:
        log.append("r", warned(1))  # leaves a write-ahead log that must not be mixed up with the backup
        copy = log_path.parent.with_name("copy")
        shutil.copytree(log_path.parent, copy)
    shutil.rmtree(log_path.parent)
    copy.rename(log_path.parent)
    with SqliteEventLog(log_path, read_only=True) as log, pytest.raises(OrchestrateError) as e:
        log.verify()
    command = e.value.hint.partition("to put it in place: ")[2]
    subprocess.run(["sh", "-ec", command], check=True)
    with SqliteEventLog(log_path) as log:
        assert log.verify() == 2
        assert len(log.append("r", warned(1))) == 1
    assert (log_path.parent / "damaged-1" / "log.sqlite3").read_bytes() == damaged, "kept, to be looked at"


def test_without_a_backup_the_command_begins_a_new_log(log_path: Path) -> None:
    an_engine_starts(log_path, writes=1)
    break_it(log_path)
    with SqliteEventLog(log_path, read_only=True) as log, pytest.raises(OrchestrateError) as e:
        log.verify()
    assert e.value.hint.startswith("there is no backup yet")
    command = e.value.hint.partition("to begin a new log: ")[2].partition(" (")[0]
    subprocess.run(["sh", "-ec", command], check=True)
    with SqliteEventLog(log_path) as log:
        assert log.runs() == []


def test_a_backup_that_is_damaged_itself_is_passed_over(log_path: Path) -> None:
    an_engine_starts(log_path, writes=2)
    older = an_engine_starts(log_path, writes=2)
    newer = an_engine_starts(log_path)
    assert older is not None and newer is not None
    found = newest_good_backup(log_path)
    assert found is not None and (found.path, found.events, found.at) == (newer, 4, newer.stat().st_mtime)
    break_it(newer)
    found = newest_good_backup(log_path)
    assert found is not None and (found.path, found.events) == (older, 2)
    older.write_bytes(b"")
    assert newest_good_backup(log_path) is None


def test_a_log_that_is_gone_but_for_its_last_transactions_is_not_begun_anew(log_path: Path) -> None:
    an_engine_starts(log_path, writes=1)
    backup = an_engine_starts(log_path)
    with SqliteEventLog(log_path) as log:
        log.append("r", warned(1))
        log_path.rename(log_path.with_name("elsewhere"))
        for read_only in (True, False):
            with pytest.raises(OrchestrateError, match=r"is gone, but log\.sqlite3-wal is still there") as e:
                SqliteEventLog(log_path, read_only=read_only)
            assert backup is not None and backup.name in e.value.hint


def test_a_large_log_is_copied_once_a_day(log_path: Path) -> None:
    an_engine_starts(log_path, writes=1)
    made = an_engine_starts(log_path, writes=1)
    assert made is not None
    os.utime(made, (NOW, NOW))
    assert not is_rested(log_path, NOW + 60.0), "a small one each time"
    os.truncate(log_path, backups.LARGE + 1)  # a hole: what matters is its size
    assert is_rested(log_path, NOW + 60.0)
    assert not is_rested(log_path, NOW + backups.RARELY_S)
    assert not is_rested(log_path, NOW - 60.0), "a clock that was set back must not end the backups"


def test_a_large_log_is_looked_at_each_time_all_the_same(log_path: Path) -> None:
    an_engine_starts(log_path, writes=1)
    made = an_engine_starts(log_path, writes=1)
    assert made is not None
    os.utime(made, (NOW, NOW))
    os.truncate(log_path, backups.LARGE + 4096)
    with open(log_path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * 4096)
    with SqliteEventLog(log_path) as log, pytest.raises(OrchestrateError, match="is damaged"):
        log.back_up(NOW + 60.0)


def test_without_a_place_for_backups_the_log_is_still_looked_through(log_path: Path) -> None:
    with SqliteEventLog(log_path) as log:
        log.append("r", [ev.Warned(1.0, "", "x")])
        backups_of(log_path).write_text("no directory")
        with pytest.raises(NoBackup, match=re.escape(f"no backup of the log can be made in {backups_of(log_path)}")):
            log.back_up(NOW)
        assert len(log.read("r")) == 1
