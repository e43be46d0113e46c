"""Named places at which the program can be made to die, so that tests can show that nothing is lost there.

Invariant: without ORCHESTRATE_FAILPOINT and ORCHESTRATE_FAILPOINTS_LOG in the environment, reaching a point costs one
comparison and does nothing. Dying is SIGKILL: no clean-up of ours runs, exactly as with `kill -9`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

VARIABLE = "ORCHESTRATE_FAILPOINT"
"""`name` or `name:k`: die when the point is reached, for the k-th time, in one process."""

LOG_VARIABLE = "ORCHESTRATE_FAILPOINTS_LOG"
"""File to which the name of every point is appended as it is reached, one a line."""


class _Armed:
    """What the environment asked for."""

    def __init__(self, wanted: str, log: str) -> None:
        self._name, _, count = wanted.partition(":")
        self._left = int(count or 1)
        self._log = log

    def reach(self, name: str) -> None:
        if self._log:
            fd = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.write(fd, f"{name}\n".encode())
            os.close(fd)
        if name == self._name:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


_armed: _Armed | None = None


def arm(environ: Mapping[str, str]) -> None:
    """Do as the environment says. Once, at the start of the program. Raises ValueError for `name:x`."""
    global _armed  # noqa: PLW0603 - one process dies once, and callers everywhere ask only whether it is now
    wanted, log = environ.get(VARIABLE, ""), environ.get(LOG_VARIABLE, "")
    _armed = _Armed(wanted, log) if wanted or log else None


def reach(pattern: str, *names: str) -> None:
    """Here is the point `pattern`; with a `*` in it, one point for each of `names`, which take its place."""
    if _armed is None:
        return
    for name in names if "*" in pattern else ("",):
        _armed.reach(pattern.replace("*", name))
