"""Minds what the machine has left: holds the run before it runs out of room, and lets it go on when there is room again.

Invariant: Judge is a pure fold of readings; each hold that it asks for is taken back by it, or dies with the engine.
What is nearly used up is never used up by us: nothing new begins below a low mark, until a higher one is reached.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from orchestrate.core import events as ev
from orchestrate.ports import Clock
from orchestrate.views.figures import render_duration, render_size

from .vitals import MIB, Vitals, Volume

ENGINE = "engine"
"""Who asks for a hold, as the log names it."""

FULL = 4 * MIB
"""Bytes; with less, a file system counts as full."""

FEW_FILES, ENOUGH_FILES = 256, 1024
"""So many more files must fit."""

ROOM_AGAIN = 16 * MIB
"""After a write has failed for want of room: so much more must be free than then."""

GAP_S = 5.0
"""Between two readings nothing may take longer: else we were stopped, asleep, or starved."""

STEP_FORWARD_S, STEP_BACK_S = 60.0, 5.0
"""A wall clock that moved against the others by so much was set."""

FIRST_TRY_S, LONGEST_TRY_S = 2.0, 300.0
"""After a failure for want of something of which the readings say that there is enough: wait so long, then try again."""


Mark = Literal["low", "high"]


@dataclass(frozen=True, slots=True)
class Marks:
    """Below the low mark a hold begins, at the high one it ends. Bytes, but for descriptors."""

    disk_low: int
    disk_high: int
    descriptors_low: int = 6
    descriptors_high: int = 10
    memory_low: int = 128 * MIB
    memory_high: int = 256 * MIB


def build_marks(low_mb: int) -> Marks:
    """low_mb: the setting `disk.low_mb`."""
    return Marks(low_mb * MIB, (low_mb + low_mb // 4) * MIB)


@dataclass(slots=True)
class _Hold:
    """why: as it was said. by_mark: a reading was below the low mark, so that one above the high mark ends it. After a
    failure, until: when to try again, on the clock that counts sleep; free: least bytes at that moment."""

    why: str
    by_mark: bool = False
    until: float = 0.0
    free: int | None = None


@dataclass(slots=True)
class Judge:
    """Readings and failures in, events out."""

    marks: Marks
    period_s: float = 1.0
    """Between two readings, as intended."""
    _holds: dict[ev.HoldCause, _Hold] = field(default_factory=dict)
    _strikes: dict[ev.HoldCause, int] = field(default_factory=dict)
    _before: Vitals | None = None

    def see(self, vitals: Vitals, now: float) -> list[ev.Event]:
        """What a reading leads to. now: the `at` of what follows."""
        made: list[ev.Event] = [ev.Warned(now, "", words) for words in self._times(vitals)]
        self._before = vitals
        for cause, trouble in _TROUBLES:
            low, high = trouble(vitals, self.marks, "low"), trouble(vitals, self.marks, "high")
            made += self._weigh(cause, low, high, vitals, now)
        return made

    def _weigh(self, cause: ev.HoldCause, low: str, high: str, vitals: Vitals, now: float) -> Iterator[ev.Event]:
        hold = self._holds.get(cause)
        if hold is None:
            if low:
                yield self._hold(cause, _Hold(low, by_mark=True), now)
            return
        hold.by_mark = hold.by_mark or bool(low)
        if not (high if hold.by_mark else low) and _is_over(hold, vitals):
            del self._holds[cause]
            yield ev.ResumeRequested(now, ENGINE, cause=cause)

    def strike(self, cause: ev.HoldCause, why: str, vitals: Vitals, now: float) -> list[ev.Event]:
        """Something failed for want of room, whatever the readings say: quotas, for one, are in none of them; or because the
        repository cannot be used, which they tell the end of."""
        is_new = cause not in self._holds
        hold = self._holds.setdefault(cause, _Hold(why))
        if vitals.unusable:
            hold.by_mark = True
            return [self._hold(cause, hold, now)] if is_new else []
        self._strikes[cause] = self._strikes.get(cause, 0) + 1
        hold.until = vitals.elapsed + self.pause_s(cause)
        if cause == "disk":
            hold.free = least_free(vitals)
        return [self._hold(cause, hold, now)] if is_new else []

    def pause_s(self, cause: ev.HoldCause) -> float:
        """How long to wait after the last failure, seconds: doubles with each in a row."""
        return min(LONGEST_TRY_S, FIRST_TRY_S * 2.0 ** (self._strikes.get(cause, 1) - 1))

    def succeed(self) -> None:
        """Something was done: what failed before does not count any more."""
        self._strikes.clear()

    def lacking(self, vitals: Vitals) -> ev.HoldCause | None:
        """What is used up by this reading."""
        if is_full(vitals):
            return "disk"
        return "machine" if machine_trouble(vitals, self.marks, "low") else None

    def is_held(self, cause: ev.HoldCause) -> bool:
        return cause in self._holds

    def _hold(self, cause: ev.HoldCause, hold: _Hold, now: float) -> ev.Event:
        self._holds[cause] = hold
        return ev.PauseRequested(now, ENGINE, cause=cause, now=cause == "disk", why=hold.why)

    def _times(self, vitals: Vitals) -> Iterator[str]:
        if self._before is None:
            return
        awake, elapsed = vitals.awake - self._before.awake, vitals.elapsed - self._before.elapsed
        slept, stood = elapsed - awake, awake - self.period_s
        stepped = (vitals.wall - self._before.wall) - elapsed
        if slept >= GAP_S:
            yield f"the machine was asleep for {render_duration(slept)}; agents are given that time back"
        elif stood >= GAP_S:
            yield f"this program was stopped, or had no processor, for {render_duration(stood)}; agents are given that time back"
        if stepped <= -STEP_BACK_S:
            yield f"the clock was set back by {render_duration(-stepped)}; waits are not affected, times told here are ahead of it"
        elif stepped >= STEP_FORWARD_S:
            yield f"the clock was set forward by {render_duration(stepped)}, or the machine was asleep; waits go by the new time"


def _is_over(hold: _Hold, vitals: Vitals) -> bool:
    """After a failure the marks alone do not tell: either clearly more is free, or it is time to try."""
    if hold.free is not None and least_free(vitals) >= hold.free + ROOM_AGAIN:
        return True
    return vitals.elapsed >= hold.until


# ── what is short ────────────────────────────────────────────────────────────────────────────────────────────────


def least_free(vitals: Vitals) -> int:
    return min((volume.free for volume in vitals.volumes), default=0)


def is_full(vitals: Vitals) -> bool:
    """Whether writes are bound to fail."""
    return any(v.free < FULL or v.read_only or (v.files is not None and v.files < FEW_FILES) for v in vitals.volumes)


def disk_trouble(vitals: Vitals, marks: Marks, mark: Mark) -> str:
    """What is wrong with the disks, measured against the `low` or the `high` mark, and the remedy; empty: nothing."""
    least = marks.disk_low if mark == "low" else marks.disk_high
    files = FEW_FILES if mark == "low" else ENOUGH_FILES
    return next((words for volume in vitals.volumes if (words := volume_trouble(volume, least, files))), "")


def volume_trouble(volume: Volume, least: int, files: int = FEW_FILES) -> str:
    """Fewer than `least` bytes free, or no more than so many files to be made."""
    if volume.read_only:
        return f"{volume.place} cannot be written: its file system is mounted read-only"
    if volume.free < least:
        return f"only {render_size(volume.free)} free at {volume.place}; orchestrate cleanup --merged makes room"
    if least and volume.files is not None and volume.files < files:
        return f"only {volume.files} more files fit at {volume.place}; orchestrate cleanup --merged makes room"
    return ""


def machine_trouble(vitals: Vitals, marks: Marks, mark: Mark) -> str:
    """The same for the repository, descriptors and memory."""
    if vitals.unusable:
        return vitals.unusable
    is_low = mark == "low"
    if vitals.descriptors is not None:
        least = marks.descriptors_low if is_low else marks.descriptors_high
        if vitals.descriptors < least:
            return f"only {vitals.descriptors} more files can be opened at once; raise the limit (ulimit -n) next time"
    if vitals.memory is not None and vitals.memory < (marks.memory_low if is_low else marks.memory_high):
        return f"only {render_size(vitals.memory)} of memory left; close other programs, or lower max_parallel"
    return ""


_TROUBLES: tuple[tuple[ev.HoldCause, Callable[[Vitals, Marks, Mark], str]], ...] = (
    ("disk", disk_trouble),
    ("machine", machine_trouble),
)


# ── the shell ────────────────────────────────────────────────────────────────────────────────────────────────────


class Health:
    """Reads, judges, tells. on_full: what is done besides when a write has failed; on_room: at each reading while no disk
    is short. ask: why the repository cannot be used, in words, empty if it can; asked for True, git is asked too."""

    def __init__(
        self,
        judge: Judge,
        read: Callable[[], Vitals],
        clock: Clock,
        *,
        on_full: Callable[[], object] = lambda: None,
        on_room: Callable[[], object] = lambda: None,
        ask: Callable[[bool], str] = lambda closely: "",
    ) -> None:
        self._judge, self._read, self._clock = judge, read, clock
        self._on_full, self._on_room = on_full, on_room
        self._ask = ask
        self.unusable = ""
        """Why the repository cannot be used, as it was found last."""
        self.outages: list[str] = []
        """Why it could not be used, each time that this was found anew."""

    def look(self) -> list[ev.Event]:
        """One reading, and what it leads to."""
        self._ask_again(bool(self.unusable))
        made = self._judge.see(self._vitals(), self._clock.now())
        if not self._judge.is_held("disk") and not self.unusable:
            self._on_room()
        return made

    async def watch(self, tell: Callable[[ev.Event], None]) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._judge.period_s)
            for event in self.look():
                tell(event)

    def strike(self, cause: ev.HoldCause, why: str) -> tuple[list[ev.Event], float]:
        """Something failed for want of room: what follows at once, and after how many seconds it may be tried again."""
        if cause == "disk":
            self._on_full()
        made = self._judge.strike(cause, why, self._vitals(), self._clock.now())
        return made, self._judge.pause_s(cause)

    def succeed(self) -> None:
        self._judge.succeed()

    def lacking(self) -> ev.HoldCause | None:
        """What is used up at this moment, or cannot be used, so that whatever fails now may have failed for that."""
        cause = self._judge.lacking(self._read())
        if cause is None:
            self._ask_again(True)
        return cause or ("machine" if self.unusable else None)

    def _ask_again(self, closely: bool) -> None:
        before, self.unusable = self.unusable, self._ask(closely)
        if self.unusable and not before:
            self.outages.append(self.unusable)

    def _vitals(self) -> Vitals:
        return replace(self._read(), unusable=self.unusable)
