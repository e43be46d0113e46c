"""Copies of the log, made when an engine starts, and where the newest good one lies.

Invariant: a backup that has its name is complete, synced, and of a log that was looked through; nothing overwrites one.
"""

from __future__ import annotations

import contextlib
import shlex
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from orchestrate.store.artifacts import backups_of, make_private
from orchestrate.store.database import connect, format_of, made_aside
from orchestrate.store.verification import find_damage

KEPT = 2

LARGE = 64 * 2**20
"""Bytes. A log from here on is copied at most once in RARELY_S."""

RARELY_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy without damage. events: how many it holds. at: when it was made, Unix seconds."""

    path: Path
    events: int
    at: float


def is_rested(log: Path, now: float) -> bool:
    """Whether the log is so large that its last backup will do for some hours yet. now: Unix seconds."""
    newest = next(iter(_newest_first(backups_of(log))), None)
    return newest is not None and log.stat().st_size > LARGE and 0 <= now - newest.stat().st_mtime < RARELY_S


def back_up(db: sqlite3.Connection, log: Path) -> Path | None:
    """Copy the log, which was found without damage, unless its newest event is in a backup already; the new backup.

    With the engine lock held: nobody else makes backups, and nobody appends events meanwhile.
    """
    name = _name(db)
    if name is None:
        return None
    directory = make_private(backups_of(log))
    for leftover in directory.glob(".*"):  # of an engine that was killed here
        leftover.unlink(missing_ok=True)
    path = directory / name
    if path.exists():
        return None
    with made_aside(path) as aside:
        copy(db, aside)
    for old in [each for each in _newest_first(directory) if each != path][KEPT - 1 :]:
        old.unlink(missing_ok=True)
    return path


def copy(db: sqlite3.Connection, to: Path) -> None:
    """One consistent picture of the database, in one file. https://www.sqlite.org/backup.html"""
    with contextlib.closing(connect(to, "mode=rw")) as target:
        db.backup(target)


def newest_good_backup(log: Path) -> Backup | None:
    """The newest that is still without damage."""
    for path in _newest_first(backups_of(log)):
        try:
            with contextlib.closing(connect(path, "mode=ro&immutable=1")) as db:
                version = format_of(db)
                if version is None or find_damage(db, version):
                    continue
                (events,) = db.execute("SELECT count(*) FROM event").fetchone()
                return Backup(path, events, path.stat().st_mtime)
        except (sqlite3.Error, OSError, ValueError):
            continue
    return None


def way_back(log: Path) -> str:
    """What to do about a log that cannot be read: put the newest good backup in its place, or begin a new one."""
    place = shlex.quote(str(log.parent))
    aside = next(name for n in range(1, 1000) if not log.with_name(name := f"damaged-{n}").exists())
    move = f"cd {place} && mkdir {aside} && mv {log.name}* {aside}/"
    backup = newest_good_backup(log)
    if backup is None:
        return f"there is no backup yet; to begin a new log: {move} (branches and worktrees are not affected)"
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(backup.at))
    copied = f"cp -p {shlex.quote(str(backup.path.relative_to(log.parent)))} {log.name}"
    return f"the backup of {made} holds {backup.events} events; to put it in place: {move} && {copied}"


def _name(db: sqlite3.Connection) -> str | None:
    """Names what is in it: how many events, and the sum of the last; None when there are none."""
    row = db.execute("SELECT seq, sum FROM event ORDER BY seq DESC LIMIT 1").fetchone()
    return f"log-{row[0]}-{row[1].hex()}.sqlite3" if row else None


def _newest_first(directory: Path) -> list[Path]:
    return sorted(directory.glob("log-*.sqlite3"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
