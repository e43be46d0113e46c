"""Lock files of other git commands: whose one is in our way, and what to do about it.

Invariant: a lock file in the user's repository is never removed by us; it may be held, whatever it looks like.
"""

from __future__ import annotations

import os
import re
import shlex
import time
from contextlib import suppress
from pathlib import Path

from orchestrate.views.figures import render_duration

_IN_THE_WAY = re.compile(r"Unable to create '([^']+\.lock)': File exists|could not lock config file (.+?): File exists")
"""As git puts it: https://github.com/git/git/blob/master/lockfile.c"""


def lock_in_the_way(words: str) -> Path | None:
    """The lock file that a git command stumbled over, from what it said."""
    found = _IN_THE_WAY.search(words)
    if found is None:
        return None
    return Path(found[1]) if found[1] else Path(f"{found[2]}.lock")


def explain_lock(lock: Path, *, now: float | None = None) -> str:
    """How old it is, whether a git command is at work that may hold it, and what to do."""
    try:
        age_s = (time.time() if now is None else now) - lock.stat().st_mtime  # noqa: TID251 - a file's time is the system's
    except OSError:
        return "the lock is gone by now: try again"
    age = f"{lock} has been there for {render_duration(age_s)}"
    if holders := git_processes(lock):
        return f"{age}; at work there: git (pid {', '.join(map(str, holders))}): wait for it to end"
    return f"{age}, and no git command is at work there: one that died left it behind; remove it: rm {shlex.quote(str(lock))}"


def git_processes(lock: Path) -> list[int]:
    """Ids of git commands at work in the repository that the lock is part of, as far as can be seen."""
    import psutil

    parts = lock.parts
    top = Path(*parts[: parts.index(".git")]) if ".git" in parts else lock.parent
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or not process.name().startswith("git"):
                continue
            where = Path(process.cwd())
            if where == top or top in where.parents or any(str(top) in word for word in process.cmdline()):
                found.append(process.pid)
    return sorted(found)
