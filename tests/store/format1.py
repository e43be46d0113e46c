"""A log as the first release wrote it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrate.core.events import Event
from orchestrate.store.codec import encode

SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE event (
    seq INTEGER PRIMARY KEY, run TEXT NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE INDEX event_of_run ON event (run);
CREATE TRIGGER event_stays BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER event_remains BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
PRAGMA application_id = 1869767528;
PRAGMA user_version = 1;
"""


def write_format_1(path: Path, runs: Mapping[str, Sequence[Event]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(SCHEMA)
        append_format_1(db, runs)


def append_format_1(db: sqlite3.Connection, runs: Mapping[str, Sequence[Event]]) -> None:
    """As the first release's engine did, one transaction a run."""
    for run, events in runs.items():
        db.execute("BEGIN IMMEDIATE")
        for event in events:
            db.execute("INSERT INTO event (run, at, kind, body) VALUES (?, ?, ?, ?)", (run, event.at, *encode(event)))
        db.execute("COMMIT")
