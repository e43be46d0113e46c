"""What SQLite and the file system say about the log → what a person is told: what happened, and what to do next."""

from __future__ import annotations

import errno
import os
import shlex
import sqlite3
import stat
from pathlib import Path

import orchestrate
from orchestrate.errors import ExitCode, OrchestrateError
from orchestrate.store.backups import newest_good_backup, way_back
from orchestrate.store.database import BUSY_S, FORMAT

_DAMAGE = {"SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_ERROR", "SQLITE_TOOBIG", "SQLITE_MISMATCH", "SQLITE_FORMAT", ""}
"""SQLITE_ERROR: a statement of ours does not fit the tables. No name: text that is no UTF-8."""

_NO_ROOM = {"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_WRITE"}


def name_of(error: sqlite3.Error) -> str:
    """Primary name of the error: SQLITE_READONLY for SQLITE_READONLY_DIRECTORY and its like."""
    return "_".join(full_name_of(error).split("_")[:2])


def full_name_of(error: sqlite3.Error) -> str:
    name: str = getattr(error, "sqlite_errorname", "") or ""
    return name


def is_no_room(error: sqlite3.Error) -> bool:
    """Whether giving up the ballast may help. Quotas are told as failed writes."""
    return full_name_of(error) in _NO_ROOM


class NoBackup(OrchestrateError):
    """The log is sound, but no copy of it can be made."""


def no_backup(directory: Path, error: Exception) -> NoBackup:
    said = (isinstance(error, OSError) and error.strerror) or str(error)
    return NoBackup(
        f"no backup of the log can be made in {directory}: {said}",
        hint=f"see what it is: ls -ld {shlex.quote(str(directory))}",
    )


def file_id(path: Path) -> tuple[int, int] | None:
    """Which file lies there (device, inode); None if none does. Raises OSError."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def require_file(path: Path) -> None:
    """Raises OrchestrateError for anything but a file, such as a FIFO, which would be waited for, or a dangling link."""
    try:
        kind = path.stat().st_mode if path.exists() else path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(kind):
        place = shlex.quote(str(path))
        raise OrchestrateError(
            f"{path} is no regular file, so it cannot be part of the log",
            hint=f"see what it is: ls -ld {place}   and move it out of the way: mv {place} {shlex.quote(f'{path}.foreign')}",
        )


def replaced(path: Path) -> OrchestrateError:
    return OrchestrateError(
        f"the log {path} was removed or replaced while the run was being driven; what the agents did is in their worktrees",
        hint="if it was moved, go on where it is now: orchestrate resume   else: orchestrate recover",
        code=ExitCode.INCOMPLETE,
    )


def damaged(path: Path, what: str) -> OrchestrateError:
    return OrchestrateError(f"the log {path} is damaged: {what}", hint=way_back(path))


def is_missing(path: Path) -> OrchestrateError:
    """Its write-ahead log lies there alone: a new log beside that would be mixed up with it."""
    return OrchestrateError(f"the log {path} is gone, but {path.name}-wal is still there", hint=way_back(path))


def foreign(path: Path) -> OrchestrateError:
    return OrchestrateError(f"{path} is a database, but not a log of orchestrate", hint=way_back(path))


def newer_format(path: Path, version: int) -> OrchestrateError:
    hint = "use the newer version: pip install --upgrade orchestrate"
    if newest_good_backup(path):
        hint += f"; or go back to what this version wrote: {way_back(path)}"
    return OrchestrateError(
        f"the log {path} has format {version}, written by a newer orchestrate; "
        f"{orchestrate.__version__} reads format {FORMAT}",
        hint=hint,
    )


def in_use(path: Path, why: str) -> OrchestrateError:
    return OrchestrateError(
        f"the log {path} is to be brought to format {FORMAT}, but {why}",
        hint=f"end the other orchestrate first, or wait for it; see who it is: fuser {shlex.quote(str(path))}",
        code=ExitCode.INCOMPLETE,
    )


def from_sqlite(path: Path, error: sqlite3.Error) -> OrchestrateError:
    detail = str(error)
    name = name_of(error)
    if name in _DAMAGE or full_name_of(error) == "SQLITE_CONSTRAINT_PRIMARYKEY":
        return damaged(path, detail)
    if name in ("SQLITE_BUSY", "SQLITE_LOCKED"):
        return OrchestrateError(
            f"the log {path} is held by another process (waited {BUSY_S:g} s)",
            hint=f"see who has it open: fuser {shlex.quote(str(path))}",
            code=ExitCode.INCOMPLETE,
        )
    if name == "SQLITE_FULL":
        return _full(path)
    cause = _probed(path)
    if cause is not None:
        return from_system(path, cause)
    if name == "SQLITE_READONLY":
        return from_system(path, OSError(errno.EACCES, "it cannot be written"))
    if name == "SQLITE_IOERR":
        return OrchestrateError(
            f"the log {path} cannot be used: {detail}",
            hint=f"the disk may be failing (dmesg tells); {way_back(path)}",
        )
    return OrchestrateError(
        f"the log {path} cannot be used: {detail}", hint=f"check who owns it: ls -ld {shlex.quote(str(path.parent))}"
    )


def from_system(path: Path, error: OSError) -> OrchestrateError:
    said = error.strerror or str(error)
    place = shlex.quote(str(path.parent))
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return _full(path)
        case errno.EMFILE | errno.ENFILE:
            return OrchestrateError(
                f"the log {path} cannot be opened: {said}",
                hint="allow more open files, then try again: ulimit -n 1024",
                code=ExitCode.INCOMPLETE,
            )
        case errno.EROFS:
            return OrchestrateError(
                f"the log {path} cannot be written: {said}",
                hint=f"make its file system writable (mount -o remount,rw …); see where it lies: findmnt -T {place}",
            )
        case _:
            hint = f"check who owns it: ls -ld {place} {shlex.quote(str(path))}"
            return OrchestrateError(f"the log {path} cannot be used: {said}", hint=hint)


def _full(path: Path) -> OrchestrateError:
    return OrchestrateError(
        f"no space left to write the log {path}",
        hint=f"free some space (df -h {shlex.quote(str(path.parent))}); the run can then be resumed",
        code=ExitCode.INCOMPLETE,
    )


def _probed(path: Path) -> OSError | None:
    """SQLite says only that it could not: what the system says when the same is tried plainly."""
    try:
        os.close(os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC))
        if path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        room = os.statvfs(path.parent)
    except OSError as error:
        return error
    if room.f_flag & os.ST_RDONLY:
        return OSError(errno.EROFS, os.strerror(errno.EROFS))
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return OSError(errno.EACCES, os.strerror(errno.EACCES))
    if room.f_bavail * room.f_frsize < 2**16:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return None
