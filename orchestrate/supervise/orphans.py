"""What a dead engine left: the locks of its attempts say who still lives, and who owns them.

Invariant: when end_orphans returns, no supervisor of these runs holds a lock and nothing bears their tags, or it says who does.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrate.process import KEEPER, boot_id, is_alive, start_time, sweep, tagged

PATIENCE_S = 5.0
"""For a supervisor that has lost its engine to end its tree."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who signed a lock: a supervisor and its reaper. started: as process.start_time says."""

    boot: str
    pid: int
    started: str
    reaper: int
    reaper_started: str
    effect: str

    @property
    def living(self) -> tuple[int, int]:
        """Supervisor and reaper, 0 for one that is not alive any more: another process, or start of the machine, or a
        zombie."""
        return _alive(self.boot, self.pid, self.started), _alive(self.boot, self.reaper, self.reaper_started)


def _alive(boot: str, pid: int, started: str) -> int:
    is_it = bool(started) and boot == boot_id() and is_alive(pid) and start_time(pid) == started
    return pid if is_it else 0


def is_held(lock: Path) -> bool:
    """Whether something of the attempt is alive. A lock that is not there is not held."""
    try:
        fd = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def load_holder(lock: Path) -> Holder | None:
    """Who signed the lock last; None where nobody did, or the file is damaged."""
    try:
        told = json.loads(lock.read_bytes())
        return Holder(
            str(told["boot"]), int(told["pid"]), str(told["started"]),
            int(told["reaper"]), str(told["reaper_started"]), str(told["effect"]),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None


def held_locks(artifacts: Path) -> Iterator[Path]:
    """Of one run: the locks of those of its attempts of which something is alive."""
    for lock in artifacts.glob("*/*/attempt.lock"):
        if is_held(lock):
            yield lock


def end_orphans(runs_dir: Path, runs: Iterable[str], *, patience_s: float = PATIENCE_S) -> int:
    """End everything that earlier engines of these runs left alive: wait for the supervisors, who are at it; then kill
    those who are not; then whatever bears the tag of such a run. Call while holding the engine lock.

    Returns how many had to be killed by us.
    """
    runs = tuple(runs)
    held = [lock for run in runs for lock in held_locks(runs_dir / run / "artifacts")]
    killed = 0
    # Not both at once: a reaper whose supervisor is dead ends the tree first.
    for which in (0, 1):
        held = _wait(held, patience_s)
        for lock in held:
            holder = load_holder(lock)
            pid = holder.living[which] if holder else 0
            if pid:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
    _wait(held, patience_s)
    if not runs:
        return killed
    return killed + _end_keepers(runs, patience_s) + sweep(*runs)


def _end_keepers(runs: tuple[str, ...], limit_s: float) -> int:
    """Supervisors and reapers whose lock somebody has removed. One that was stopped goes on, and ends its tree better than
    we could, who do not find what has wiped its environment; after the limit it is killed. Returns how many were."""
    for pid in tagged(*runs, name=KEEPER):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGCONT)
    until = time.monotonic() + limit_s
    while (keepers := tagged(*runs, name=KEEPER)) and time.monotonic() < until:
        time.sleep(0.02)
    for pid in keepers:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return len(keepers)


def _wait(locks: list[Path], limit_s: float) -> list[Path]:
    """Those that are still held when the limit is up, or nothing is any more."""
    until = time.monotonic() + limit_s
    while locks := [lock for lock in locks if is_held(lock)]:
        if time.monotonic() >= until:
            break
        time.sleep(0.02)
    return locks
