"""What survives a loss of power: which commits are synced, and in which order files get their names.

The order is seen by a spy in a process of its own, which tells every sync, renaming and statement that matters.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from orchestrate.core import events as ev
from orchestrate.core.events import Event
from orchestrate.store.log import SqliteEventLog
from tests.store.damage import told
from tests.store.format1 import write_format_1

ROOT = Path(__file__).parents[2]
NORMAL, FULL = 1, 2
CHATTER = ev.InvocationProgressed(1.0, "a", 1, 1)
FACT = ev.Warned(1.0, "a", "x")


def level(log: SqliteEventLog) -> int:
    assert log._connection is not None
    return int(log._connection.execute("PRAGMA synchronous").fetchone()[0])


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ([CHATTER], NORMAL),
        ([CHATTER, CHATTER], NORMAL),
        ([ev.WorkSaved(1.0, "a", 1, "c0ffee")], NORMAL),
        ([FACT], FULL),
        ([CHATTER, FACT], FULL),
    ],
)
@pytest.mark.parametrize("before", [[CHATTER], [FACT]], ids=["after-chatter", "after-a-fact"])
def test_chatter_is_written_lightly_and_everything_else_is_synced(
    log_path: Path, batch: list[Event], expected: int, before: list[Event]
) -> None:
    with SqliteEventLog(log_path) as log:
        log.append("r", before)
        log.append("r", batch)
        assert level(log) == expected


def test_a_request_is_synced_also_after_chatter(log_path: Path) -> None:
    with SqliteEventLog(log_path) as log:
        log.append("r", [CHATTER])
        log.request("r", ev.PauseRequested(1.0))
        assert level(log) == FULL


SPY = """
    import os, pathlib, sqlite3, sys

    log = pathlib.Path(sys.argv[1])

    def plain(name):  # without what is random in it
        name = os.path.basename(name)
        if name.startswith("."):
            return "aside"
        return "backup" if name.startswith("log-") else name

    def spied(module, name, tell):
        real = getattr(module, name)
        def instead(*arguments, **keywords):
            print(tell(*arguments), flush=True)
            return real(*arguments, **keywords)
        setattr(module, name, instead)

    spied(os, "fsync", lambda fd: "sync " + plain(os.readlink(f"/proc/self/fd/{fd}")))
    spied(os, "replace", lambda a, b: f"{plain(a)} becomes {plain(b)}")
    spied(os, "unlink", lambda path, **_: "remove " + plain(path))

    class Connection(sqlite3.Connection):
        def execute(self, sql, *arguments):
            if sql.startswith(("PRAGMA synchronous", "BEGIN", "COMMIT", "PRAGMA user_version =", "DROP TABLE")):
                print(sql, flush=True)
            return super().execute(sql, *arguments)
        def backup(self, target):
            print("copy", flush=True)
            super().backup(target)

    real = sqlite3.connect
    sqlite3.connect = lambda *arguments, **keywords: real(*arguments, factory=Connection, **keywords)

    from orchestrate.core import events as ev
    from orchestrate.store.artifacts import write_atomically
    from orchestrate.store.log import SqliteEventLog
"""


def spied_on(path: Path, program: str) -> list[str]:
    """What the program did, in order."""
    source = textwrap.dedent(SPY) + textwrap.dedent(program)
    environ = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    run = subprocess.run(
        [sys.executable, "-c", source, str(path)], env=environ, check=True, capture_output=True, text=True
    )
    return run.stdout.splitlines()


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the spy reads names from /proc")


@needs_proc
def test_a_file_is_whole_on_disk_before_it_has_its_name(log_path: Path) -> None:
    log_path.parent.mkdir()
    done = spied_on(log_path, "write_atomically(log.with_name('report.json'), 'text')")
    assert done == ["sync aside", "aside becomes report.json", "sync state"]


@needs_proc
def test_a_new_log_is_whole_on_disk_before_it_has_its_name(log_path: Path) -> None:
    done = spied_on(log_path, "SqliteEventLog(log).close()")
    assert done == ["sync aside", "aside becomes log.sqlite3", "sync state"]


@needs_proc
def test_a_backup_is_whole_on_disk_before_it_has_its_name_and_before_an_older_one_goes(log_path: Path) -> None:
    with SqliteEventLog(log_path) as log:
        for _ in range(2):
            log.append("r", [FACT])
            log.back_up(0.0)
        log.append("r", [FACT])
    done = spied_on(log_path, "SqliteEventLog(log).back_up(0.0)")
    assert done == ["copy", "sync aside", "aside becomes backup", "sync backups", "remove backup"]


@needs_proc
def test_an_old_log_is_copied_to_disk_before_it_is_changed(log_path: Path) -> None:
    write_format_1(log_path, {"restart": told("restart")})
    done = spied_on(log_path, "SqliteEventLog(log).close()")
    assert done == [
        "copy",
        "sync aside",
        "aside becomes log.sqlite3.format-1",
        "sync state",
        "PRAGMA synchronous = FULL",
        "BEGIN IMMEDIATE",
        "DROP TABLE old_event",
        "PRAGMA user_version = 2",
        "COMMIT",
    ]


@needs_proc
def test_a_transaction_is_made_durable_by_its_own_commit(log_path: Path) -> None:
    SqliteEventLog(log_path).close()
    done = spied_on(
        log_path,
        """
        with SqliteEventLog(log) as opened:
            opened.append("r", [ev.InvocationProgressed(1.0, "a", 1, 1)])
            print("said")
            opened.append("r", [ev.Warned(1.0, "a", "x")])
            print("noted")
        """,
    )
    assert done == [
        *["PRAGMA synchronous = NORMAL", "BEGIN IMMEDIATE", "COMMIT", "said"],
        *["PRAGMA synchronous = FULL", "BEGIN IMMEDIATE", "COMMIT", "noted"],
    ]
