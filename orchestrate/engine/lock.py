"""One engine a repository: a lock that the kernel holds for a living process, and a note of who that is.

Invariant: the lock is the kernel's (flock), never the note's; it ends with its process, however that dies, so it cannot
be stale. The file is never unlinked: a second file of the same name would be a second lock. As others may do that, the
common git directory itself is locked first: it cannot be replaced without the repository.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shlex
import socket
import stat
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from orchestrate import failpoint
from orchestrate.errors import OrchestrateError
from orchestrate.process import boot_id, is_stopped, start_time

from .vitals import SHARED, file_system_of

Flock = Callable[[int, int], None]

ATTEMPTS = 20
PAUSE_S = 0.01
"""A command that only looks holds the lock, shared, for microseconds: try again that often before believing in an engine."""

_UNSUPPORTED = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS})


@dataclass(frozen=True, slots=True)
class Owner:
    """The engine that holds the lock. started: as process.start_time says; boot: process.boot_id; since: Unix seconds."""

    pid: int
    started: str
    boot: str
    host: str
    run: str
    command: str
    since: float
    terminal: str = ""
    """As in `pts/3`; empty where there is none."""

    def __str__(self) -> str:
        if not self.pid:
            return "an engine whose lock file was removed" if self is UNNAMED else "another engine"
        terminal = f" at {self.terminal}" if self.terminal else ""
        return f"pid {self.pid} on {self.host}{terminal} since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(self.since))}"


def this_process(*, run: str, command: str, since: float) -> Owner:
    """Ourselves as an owner."""
    pid = os.getpid()
    return Owner(pid, start_time(pid), boot_id(), socket.gethostname(), run, command, since, terminal())


def terminal() -> str:
    """The terminal that this process is used from, as in `pts/3`; empty where there is none."""
    for descriptor in (0, 2):
        with contextlib.suppress(OSError):
            return os.ttyname(descriptor).removeprefix("/dev/")
    return ""


class Held:
    """The lock, until release() or the end of the process. A child process does not inherit it (O_CLOEXEC)."""

    def __init__(self, fd: int, path: Path, repository: int = -1) -> None:
        """repository: descriptor of the common git directory, locked; -1 where directories cannot be."""
        self._fd, self._repository = fd, repository
        self.path = path

    def note(self, owner: Owner) -> None:
        """Say who we are and which run we drive; may be repeated when the run becomes known."""
        text = json.dumps(asdict(owner)).encode() + b"\n"
        os.pwrite(self._fd, text, 0)  # one write, then cut: a reader takes the first line only
        os.ftruncate(self._fd, len(text))

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._fd < 0:
            return
        failpoint.reach("lock.released.before")
        fd, self._fd = self._fd, -1
        os.ftruncate(fd, 0)
        fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)
        if self._repository >= 0:
            os.close(self._repository)  # nobody has inherited it: that gives the lock back

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def acquire(
    path: Path, owner: Owner, *, flock: Flock = fcntl.flock, kind_of: Callable[[Path], str] = file_system_of
) -> Held:
    """Take the lock and note ourselves as its owner. kind_of: names the file system that a path lies on.

    Raises OrchestrateError when another engine has it, when the file system cannot lock, or when it may lock for this
    host alone and an engine of another one has not said that it has ended.
    """
    for attempt in range(ATTEMPTS):
        with contextlib.ExitStack() as opened:
            try:
                repository = _lock_repository(path, fcntl.LOCK_EX, flock)
                opened.callback(_close, repository)
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                fd = _open(path, os.O_RDWR | os.O_CREAT)
                opened.callback(_close, fd)
                _lock_file(fd, path, flock)
                if _is_still_there(fd, path):
                    failpoint.reach("lock.taken")
                    _refuse_other_host(fd, path, owner, kind_of)
                    held = Held(fd, path, repository)
                    held.note(owner)
                    opened.pop_all()
                    return held
            except BlockingIOError:
                if attempt:
                    time.sleep(PAUSE_S)
    raise refusal(_holder(path))


def _lock_file(fd: int, path: Path, flock: Flock) -> None:
    try:
        flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _unlockable(path, error) from error


def owner(path: Path, *, flock: Flock = fcntl.flock) -> Owner | None:
    """Who drives the repository right now; None when nobody does. Creates nothing.

    Where the file system cannot lock, nobody can drive it either.
    """
    for attempt in range(ATTEMPTS):
        if _is_held(path, flock):
            return _holder(path)
        try:
            _close(_lock_repository(path, fcntl.LOCK_SH, flock))
        except BlockingIOError:  # its file is locked a moment later, and given back a moment before
            if attempt:
                time.sleep(PAUSE_S)
        else:
            return None
    return _holder(path)


def _is_held(path: Path, flock: Flock) -> bool:
    """Whether somebody has the file locked."""
    try:
        fd = _open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except (PermissionError, NotADirectoryError) as error:
        raise OrchestrateError(
            f"the state of runs cannot be looked at: {path}: {error.strerror}",
            hint=f"check who owns it: ls -ld {shlex.quote(str(path.parent))}",
        ) from error
    try:
        flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(fd)
    return False


def _lock_repository(path: Path, how: int, flock: Flock) -> int:
    """Lock the directory that holds the state directory; its descriptor, -1 where it cannot be locked, as on NFS: then
    there is the file alone. Raises BlockingIOError when another holds it."""
    try:
        fd = os.open(path.parent.parent, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    except OSError:
        return -1
    try:
        flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise
    except OSError:
        os.close(fd)
        return -1
    return fd


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)


def _open(path: Path, how: int) -> int:
    """Open the lock's file, whatever lies there by that name: opening a FIFO would wait for ever. Raises OrchestrateError
    for anything but a regular file."""
    try:
        fd = os.open(path, how | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO) and not stat.S_ISREG(path.lstat().st_mode):
            raise _no_file(path) from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise _no_file(path)
    return fd


def _no_file(path: Path) -> OrchestrateError:
    place = shlex.quote(str(path))
    return OrchestrateError(
        f"{path} is no regular file, so it cannot be the lock of engines",
        hint=f"see what it is: ls -ld {place}   and move it out of the way: mv {place} {shlex.quote(f'{path}.foreign')}",
    )


def _is_still_there(fd: int, path: Path) -> bool:
    """Whether what we locked is what the next one would open, and not a file that was unlinked or replaced meanwhile."""
    ours = os.fstat(fd)
    with contextlib.suppress(FileNotFoundError):
        theirs = path.stat()
        return ours.st_nlink > 0 and (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)
    return False


_NOBODY = Owner(0, "", "", "", "", "", 0.0)

UNNAMED = Owner(0, "", "", "", "", "", 0.0)
"""An engine that holds the repository, but whose lock file somebody has removed, and the note with it."""


def _holder(path: Path) -> Owner:
    """Who holds the lock that was found to be held."""
    return _read(path) if path.exists() else UNNAMED


def _read(path: Path) -> Owner:
    """The note; a blank owner where it cannot be read (not yet written, or damaged: the lock holds all the same)."""
    try:
        fd = _open(path, os.O_RDONLY)
        try:
            return _parse(os.pread(fd, NOTE_LIMIT, 0))
        finally:
            os.close(fd)
    except (OSError, OrchestrateError):
        return _NOBODY


def _parse(text: bytes) -> Owner:
    try:
        note: dict[str, Any] = json.loads(text.partition(b"\n")[0])
        if isinstance(note["pid"], int) and isinstance(note["since"], int | float):
            return Owner(**note)
    except (ValueError, TypeError, KeyError):
        pass
    return _NOBODY


def refusal(other: Owner) -> OrchestrateError:
    """What is said to who comes second."""
    if other is UNNAMED:
        return OrchestrateError(
            "an engine is at work here; its lock file was removed",
            hint='end it: orchestrate stop   or find it, and end it: fuser -v "$(git rev-parse --git-common-dir)"',
        )
    what = f"run {other.run} is being driven by" if other.run else "this repository is in use:"
    if not other.run and other.command:
        what = f"`{other.command}` is at work on this repository:"
    if is_here(other) and is_stopped(other.pid):
        return OrchestrateError(
            f"{what} {other}, which is stopped (Ctrl-Z, or SIGSTOP)",
            hint=f"let it go on: kill -CONT {other.pid}   or end it: kill -INT {other.pid} && kill -CONT {other.pid}",
        )
    steer = "   let it wait: orchestrate pause   end it: orchestrate stop" if other.run else ""
    return OrchestrateError(f"{what} {other}", hint=f"watch it: orchestrate status{steer}")


def is_here(other: Owner) -> bool:
    """Whether it is a living process of this machine, and not another one that was given its number since."""
    return bool(other.pid) and other.boot == boot_id() and start_time(other.pid) == other.started


def _refuse_other_host(fd: int, path: Path, ours: Owner, kind_of: Callable[[Path], str]) -> None:
    """Network file systems may be mounted so that locks hold on one host only; then all there is of an engine elsewhere is
    its note, which it takes back when it ends. Containers of one machine have names of their own, but share its kernel."""
    other = _parse(os.pread(fd, NOTE_LIMIT, 0))
    if not other.pid or other.host == ours.host or (other.boot and other.boot == ours.boot):
        return
    if kind_of(path) in SHARED:
        raise OrchestrateError(
            f"run {other.run} was driven by {other}, and has not been seen to end; from here it cannot be told whether it has",
            hint=f"end it on {other.host}: orchestrate stop   only if that host is surely off: rm {path}",
        )


NOTE_LIMIT = 64 * 1024
"""Bytes of the note that are read."""


def _unlockable(path: Path, error: OSError) -> OrchestrateError:
    """Without locks nothing keeps two engines apart, least of all two on different hosts."""
    if error.errno not in _UNSUPPORTED:
        return OrchestrateError(f"cannot lock {path}: {error.strerror}", hint=f"check who owns it: ls -l {path}")
    noted = _read(path)
    last = f"; last driven by {noted}" if noted.pid else ""
    return OrchestrateError(
        f"the file system of {path} cannot lock files, so a second engine could not be kept out{last}",
        hint="keep the repository on a local file system",
    )
