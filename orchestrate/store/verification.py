"""Looks for damage in a log: the file's structure, gaps between events, every checksum. Changes nothing."""

from __future__ import annotations

import sqlite3

from orchestrate.store.chain import START, is_intact
from orchestrate.store.database import ROWS

MOST = 10
"""Findings that are told; one damaged page can make hundreds."""


def find_damage(db: sqlite3.Connection, version: int) -> tuple[str, ...]:
    """What is wrong with the database, in words, at most MOST; empty when nothing is.

    version: its format. One that has no checksums is searched for gaps only. Raises sqlite3.Error for what cannot be
    read at all.
    """
    broken = [str(row[0]) for row in db.execute(f"PRAGMA integrity_check({MOST})")]
    if broken != ["ok"]:
        return tuple(broken)
    return tuple([*_events(db, version), *_controls(db, version)][:MOST])


def find_broken_pages(db: sqlite3.Connection) -> tuple[str, ...]:
    """As find_damage, but only whether the file is a sound database: a fifth of the time."""
    found = [str(row[0]) for row in db.execute(f"PRAGMA quick_check({MOST})")]
    return () if found == ["ok"] else tuple(found)


def _events(db: sqlite3.Connection, version: int) -> list[str]:
    has_sums = version > 1
    sums: dict[str, bytes] = {}
    broken: set[str] = set()
    found = []
    due = 1
    for seq, run, at, kind, body, written in db.execute(f"{ROWS[version]} ORDER BY seq"):
        if seq != due:
            missing = f"event {due} is" if seq == due + 1 else f"events {due} to {seq - 1} are"
            found.append(f"{missing} missing")
        due = seq + 1
        if not has_sums:
            continue
        if run not in broken and not is_intact(sums.get(run, START), (seq, run, at, kind, body), written):
            broken.add(run)  # what follows hangs on it
            found.append(f"event {seq} of run {run} is not what was written, or the one before it is missing")
        sums[run] = written
        if len(found) >= MOST:
            break
    return found


def _controls(db: sqlite3.Connection, version: int) -> list[str]:
    if version == 1:
        return []
    return [
        f"request {row[0]} is not what was written"
        for *row, written in db.execute("SELECT id, run, at, kind, body, sum FROM control ORDER BY id")
        if not is_intact(START, row, written)
    ]
