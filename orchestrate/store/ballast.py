"""Space kept for the moment in which the disk is full: then it is given up, so that the log can still say what happened.

Invariant: a ballast that exists is really allocated; that there is none is never an error.
"""

from __future__ import annotations

import os
from pathlib import Path

SIZE = 16 * 2**20
"""Bytes. A run that pauses writes some ten kilobytes; SQLite's log of a transaction and its checkpoint need a few times that."""

LEAST_LEFT = 4 * SIZE
"""Bytes that must remain free beside it: a ballast that fills the disk would do the harm that it is there to prevent."""


def keep_ballast(path: Path, size: int = SIZE) -> bool:
    """Make it, if it is not there, and there is room. Returns whether there is one now."""
    try:
        if path.stat().st_size == size:
            return True
    except OSError:
        pass
    aside = path.with_name(f".{path.name}.new")
    try:
        room = os.statvfs(path.parent)
        if room.f_bavail * room.f_frsize < size + LEAST_LEFT:
            return False
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _allocate(fd, size)
        finally:
            os.close(fd)
        aside.replace(path)
    except OSError:
        drop_ballast(aside)
        return False
    return True


def drop_ballast(path: Path) -> bool:
    """Give the space back. Returns whether there was any to give."""
    try:
        path.unlink()
    except OSError:
        return False
    return True


def _allocate(fd: int, size: int) -> None:
    """Blocks, not a hole. Zeros are written where the system cannot be asked for blocks (macOS)."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
        return
    block = b"\0" * 2**20
    for _ in range(0, size, len(block)):
        os.write(fd, block)
