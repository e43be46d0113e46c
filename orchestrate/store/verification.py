"""Looks for damage in a log: the file's structure, gaps between events, every checksum. Changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from orchestrate.store.chain import START, is_intact
from orchestrate.store.database import REQUESTS, ROWS

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
    found = _search(db.execute(f"{ROWS[version]} ORDER BY seq"), "event", has_sums=version > 1)
    if version > 1:
        found += _search(db.execute(f"{REQUESTS} ORDER BY id"), "request", has_sums=True)
    return tuple(found[:MOST])


def find_broken_pages(db: sqlite3.Connection) -> tuple[str, ...]:
    """As find_damage, but only whether the file is a sound database: a fifth of the time."""
    found = [str(row[0]) for row in db.execute(f"PRAGMA quick_check({MOST})")]
    return () if found == ["ok"] else tuple(found)


def changed(what: str, number: int, run: str) -> str:
    """what: `event` or `request`."""
    return f"{what} {number} of run {run} is not what was written, or the one before it is missing"


def _search(rows: Iterable[tuple[Any, ...]], what: str, *, has_sums: bool) -> list[str]:
    """rows: all of one table, in order."""
    sums: dict[str, bytes] = {}
    broken: set[str] = set()
    found = []
    due = 1
    for number, run, at, kind, body, written in rows:
        if number != due:
            missing = f"{what} {due} is" if number == due + 1 else f"{what}s {due} to {number - 1} are"
            found.append(f"{missing} missing")
        due = number + 1
        if not has_sums:
            continue
        if run not in broken and not is_intact(sums.get(run, START), (number, run, at, kind, body), written):
            broken.add(run)  # what follows hangs on it
            found.append(changed(what, number, run))
        sums[run] = written
        if len(found) >= MOST:
            break
    return found
