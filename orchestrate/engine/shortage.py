"""A failure for want of room, or of the repository, is no feature's: it holds the run, and what was tried is tried again.

Invariant: every effect is still answered exactly once; what an agent has cost is kept; a failure that the machine is
blamed for without measured proof is believed a bounded number of times in a row.
"""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from orchestrate.core import events as ev
from orchestrate.core.effects import AnyEffect, KeepWork, StopWork
from orchestrate.core.names import AttemptKey
from orchestrate.ports import Clock, Emit, Performer

from .health import Health

PATIENCE = 10
"""Failures in a row of the same work that are put down to the machine on its word alone."""

WHY_LIMIT = 400

LOOK_S = 0.5
"""How often to see whether the monitor has found the repository usable again, seconds."""

_DISK = re.compile(r"no space left|disk quota exceeded|disk is full|\bENOSPC\b|\bEDQUOT\b", re.IGNORECASE)
_MACHINE = re.compile(
    r"too many open files|cannot allocate memory|resource temporarily unavailable|can't start new thread"
    r"|\b(?:EMFILE|ENFILE|ENOMEM|EAGAIN)\b",
    re.IGNORECASE,
)

_CAUSES: dict[int | None, ev.HoldCause] = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EROFS), "disk"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN), "machine"),
}

_BROKEN: frozenset[ev.InvocationEnd] = frozenset({"crashed", "killed", "config", "stalled", "transient"})


def complaint(event: ev.Event) -> str:
    """Why an effect failed, as far as the machine may be to blame; empty for an answer that stands."""
    match event:
        case ev.WorktreeFailed(kind="git" | "setup", why=why):
            return why if why != "interrupted" else ""
        case ev.WorkSealed(error=error):
            return error
        case ev.ChecksFinished(error=error) | ev.MergeChecksFinished(error=error) if error:
            return error if error != "interrupted" else ""
        case ev.MergeFinished(kind="error", why=why) | ev.Published(ok=False, commit="", why=why):
            return why
        case ev.InvocationFinished(end=end, why=why) if end in _BROKEN:
            return why or end
        case _:
            return ""


def blame(event: ev.Event, lacking: ev.HoldCause | None) -> ev.HoldCause | None:
    """What of the machine made this answer a failure. lacking: what is used up at this moment, by measure: then the words of a
    failure are not believed, which may be that a file is not there, as it could not be opened.

    Checks that failed are doubted only when they could not be started, or when there is proof: a project's own tests may
    well speak of full disks.
    """
    if isinstance(event, ev.ChecksFinished | ev.MergeChecksFinished) and not (event.ok or event.error):
        if lacking and any(not c.ok for c in event.checks):
            return lacking
        return cause_in(_unstarted(event))
    said = complaint(event)
    return (lacking or cause_in(said)) if said else None


def cause_in(words: str) -> ev.HoldCause | None:
    """What the words of a failure name as missing."""
    if _DISK.search(words):
        return "disk"
    return "machine" if _MACHINE.search(words) else None


def _unstarted(event: ev.Event) -> str:
    """What was said of checks that could not be started."""
    if not isinstance(event, ev.ChecksFinished | ev.MergeChecksFinished):
        return ""
    return " ".join(c.tail for c in event.checks if not c.ok and c.exit_code is None and not c.timed_out).strip()


Pause = Callable[[float], Awaitable[None]]


class ShortagePerformer:
    """ports.Performer around another one; see the head of this module."""

    def __init__(self, inner: Performer, health: Health, clock: Clock, *, pause: Pause = asyncio.sleep) -> None:
        self._inner, self._health, self._clock, self._pause = inner, health, clock, pause
        self._in_a_row: dict[tuple[AttemptKey, type], int] = {}

    async def perform(self, effect: AnyEffect, emit: Emit) -> None:
        if isinstance(effect, KeepWork | StopWork):
            await self._inner.perform(effect, emit)
            return
        lost: list[tuple[ev.HoldCause, str]] = []
        # One that is not over counts as one that is to come.
        outages = len(self._health.outages) - bool(self._health.unusable)
        try:
            await self._inner.perform(effect, lambda event: self._pass_on(effect, event, emit, lost, outages))
        except OSError as error:
            cause = _CAUSES.get(error.errno)
            if cause is None or not self._is_believed(effect):
                raise
            lost.append((cause, f"{_NAMES[cause]}: {error}"[:WHY_LIMIT]))
        if lost:
            await self._lose(effect, *lost[0], emit)

    def _pass_on(
        self, effect: AnyEffect, event: ev.Event, emit: Emit, lost: list[tuple[ev.HoldCause, str]], outages: int
    ) -> None:
        """outages: how many the repository had had before the effect began."""
        if type(event) in ev.CHATTY or isinstance(event, ev.Warned):
            emit(event)
            return
        lacking, outage = None, ""
        if _may_be_blamed(event):
            lacking = self._health.lacking()
            outage = "" if lacking == "disk" else next(iter(self._health.outages[outages:]), "")
            lacking = "machine" if outage else lacking
        cause = blame(event, lacking)
        if cause is None:
            self._in_a_row.pop(_work(effect), None)
            self._health.succeed()
            emit(event)
        elif lacking is None and not self._is_believed(effect):
            emit(event)
        elif isinstance(event, ev.InvocationFinished):
            # Its figures are true, and its session goes on: it counts as cut off by us.
            why = (outage or f"{_NAMES[cause]}: {event.why}")[:WHY_LIMIT]
            self._strike(cause, why, emit)
            emit(replace(event, end="interrupted", why=why))
        else:
            said = complaint(event) or _unstarted(event) or "its checks failed"
            lost.append((cause, (outage or f"{_NAMES[cause]}: {said}")[:WHY_LIMIT]))

    async def _lose(self, effect: AnyEffect, cause: ev.HoldCause, why: str, emit: Emit) -> None:
        """Hold the run, and say that the effect is lost: at once on a full disk, where nothing begins before there is room;
        else when it is time to try again, as work that is finished is still checked and merged meanwhile."""
        key, pause_s = effect.key, self._strike(cause, why, emit)
        if cause == "machine":
            with suppress(asyncio.CancelledError):  # the run is stopped: then it is lost now
                if not self._health.unusable:
                    await self._pause(pause_s)
                while self._health.unusable:  # until the monitor finds that it can be used again
                    await self._pause(LOOK_S)
        emit(ev.EffectLost(self._clock.now(), key.feature, key.attempt, effect.id, why, blameless=True))

    def _strike(self, cause: ev.HoldCause, why: str, emit: Emit) -> float:
        made, pause_s = self._health.strike(cause, why)
        for event in made:
            emit(event)
        return pause_s

    def _is_believed(self, effect: AnyEffect) -> bool:
        count = self._in_a_row[_work(effect)] = self._in_a_row.get(_work(effect), 0) + 1
        return count <= PATIENCE


_NAMES: dict[ev.HoldCause, str] = {"disk": "the disk is full", "machine": "the machine is short of means"}


def _work(effect: AnyEffect) -> tuple[AttemptKey, type]:
    """The same work tried again has another number, but the same attempt and kind."""
    return effect.key, type(effect)


def _may_be_blamed(event: ev.Event) -> bool:
    return bool(complaint(event)) or (isinstance(event, ev.ChecksFinished | ev.MergeChecksFinished) and not event.ok)
