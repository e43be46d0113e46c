"""A failure for want of room is tried again once there is room; what is the feature's own stays the feature's."""

from __future__ import annotations

import asyncio
import errno
import os
from dataclasses import replace

import pytest

from orchestrate.core import effects as fx
from orchestrate.core import events as ev
from orchestrate.core.names import AttemptKey
from orchestrate.engine.health import Health, Judge, build_marks
from orchestrate.engine.shortage import PATIENCE, ShortagePerformer, blame
from orchestrate.engine.vitals import Vitals, Volume
from orchestrate.ports import Emit

KEY = AttemptKey("run", "auth", 1)
SEAL = fx.SealWork("run.auth.1.3", KEY)
AGENT = fx.RunAgent("run.auth.1.2", KEY, 1, "edit", "s", False, 60.0, None, "")
CHECKS = fx.RunChecks("run.auth.1.4", KEY, "head")
FULL_WORDS = "git add failed: unable to create file x: No space left on device"
FDS_WORDS = "the agent could not be started: [Errno 24] Too many open files"


def sealed(error: str = "") -> ev.WorkSealed:
    return ev.WorkSealed(1.0, "auth", 1, "", "", error=error)


def finished(end: ev.InvocationEnd, why: str = "") -> ev.InvocationFinished:
    return ev.InvocationFinished(1.0, "auth", 1, 1, end, why, cost_usd=0.25)


def check(tail: str, exit_code: int | None = 1) -> ev.CheckResult:
    return ev.CheckResult("tests", "make test", False, exit_code, tail=tail)


def checked(*results: ev.CheckResult, error: str = "") -> ev.ChecksFinished:
    return ev.ChecksFinished(1.0, "auth", 1, not (results or error), results, error)


class Answers:
    """A performer that answers with these, one after the other; an exception is raised."""

    def __init__(self, *answers: ev.Event | Exception) -> None:
        self.answers = list(answers)

    async def perform(self, effect: fx.AnyEffect, emit: Emit) -> None:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        emit(answer)


class Clock:
    def now(self) -> float:
        return 9.0


class Machine:
    """A machine with so many bytes free, and what a performer on it is heard to emit."""

    def __init__(self, *answers: ev.Event | Exception, free: int = 10**11) -> None:
        self.free = free
        self.unusable = ""
        self.health = Health(Judge(build_marks(512)), self.read, Clock(), ask=lambda closely: self.unusable)
        self.performer = ShortagePerformer(Answers(*answers), self.health, Clock(), pause=self.pause)
        self.paused: list[float] = []

    async def pause(self, seconds: float) -> None:
        self.paused.append(seconds)

    def read(self) -> Vitals:
        return Vitals((Volume("/work", self.free),), 1000, 10**10, 0.0, 0.0, 0.0)

    async def does(self, effect: fx.AnyEffect) -> list[ev.Event]:
        heard: list[ev.Event] = []
        await self.performer.perform(effect, heard.append)
        return heard


@pytest.mark.parametrize(
    ("event", "lacking", "cause"),
    [
        (sealed(), "disk", None),
        (sealed("there is no worktree at /w any more"), None, None),
        (sealed("there is no worktree at /w any more"), "disk", "disk"),  # on a full disk no error is believed
        (sealed("there is no worktree at /w any more"), "machine", "machine"),  # nor without descriptors to look with
        (checked(check("assert 1 == 2")), "machine", "machine"),
        (sealed(FULL_WORDS), None, "disk"),
        (sealed("cannot write: Disk quota exceeded"), None, "disk"),
        (sealed("unable to fork: Cannot allocate memory"), None, "machine"),
        (ev.WorktreeFailed(1.0, "auth", 1, "git", FULL_WORDS), None, "disk"),
        (ev.WorktreeFailed(1.0, "auth", 1, "setup", "npm ci (exit code 1)\nENOSPC: write"), None, "disk"),
        (ev.WorktreeFailed(1.0, "auth", 1, "setup", "interrupted"), "disk", None),
        (ev.WorktreeFailed(1.0, "auth", 1, "conflict", FULL_WORDS), "disk", None),
        (ev.MergeFinished(1.0, "auth", 1, "error", why=FULL_WORDS), None, "disk"),
        (ev.MergeFinished(1.0, "auth", 1, "conflict", why=FULL_WORDS), "disk", None),
        (ev.Published(1.0, "auth", 1, False, "", FULL_WORDS), None, "disk"),
        (ev.Published(1.0, "auth", 1, False, "c0ffee", "moved"), "disk", None),
        (finished("done", "No space left on device"), "disk", None),
        (finished("crashed", "ENOSPC: no space left on device, write"), None, "disk"),
        (finished("config", FDS_WORDS), None, "machine"),
        (finished("limit", "Too many open files"), "disk", None),
        (checked(), "disk", None),
        (checked(error="interrupted"), "disk", None),
        (checked(error=FULL_WORDS), None, "disk"),
        (checked(check("assert 1 == 2")), None, None),
        (checked(check("E   OSError: No space left on device")), None, None),  # may be what the test is about
        (checked(check("assert 1 == 2")), "disk", "disk"),
        (checked(check("cannot be started: [Errno 24] Too many open files", None)), None, "machine"),
    ],
)
def test_who_is_to_blame(event: ev.Event, lacking: ev.HoldCause | None, cause: ev.HoldCause | None) -> None:
    assert blame(event, lacking) == cause


async def test_an_effect_that_found_no_room_is_lost_and_the_run_is_held() -> None:
    held, lost = await Machine(sealed(FULL_WORDS)).does(SEAL)
    assert isinstance(held, ev.PauseRequested)
    assert (held.cause, held.by, held.now) == ("disk", "engine", True)
    assert held.why == f"the disk is full: {FULL_WORDS}"
    assert lost == ev.EffectLost(9.0, "auth", 1, SEAL.id, f"the disk is full: {FULL_WORDS}", blameless=True)


async def test_an_agent_that_was_cut_off_by_the_machine_keeps_its_cost() -> None:
    held, answer = await Machine(finished("crashed", "write EMFILE")).does(AGENT)
    assert isinstance(held, ev.PauseRequested)
    assert (held.cause, held.now) == ("machine", False)
    why = "the machine is short of means: write EMFILE"
    assert answer == replace(finished("interrupted", why))


async def test_an_error_of_the_system_in_a_performer_is_no_defect() -> None:
    for number, cause in ((errno.ENOSPC, "disk"), (errno.EMFILE, "machine"), (errno.ENOMEM, "machine")):
        machine = Machine(OSError(number, os.strerror(number)))
        held, lost = await machine.does(CHECKS)
        assert isinstance(held, ev.PauseRequested) and held.cause == cause
        assert isinstance(lost, ev.EffectLost)


async def test_other_errors_are_defects_still() -> None:
    with pytest.raises(PermissionError):
        await Machine(PermissionError(errno.EACCES, "denied")).does(CHECKS)


async def test_work_that_goes_on_while_the_machine_is_short_is_tried_less_and_less_often() -> None:
    """Nothing else keeps it from being tried again at once: what agents have finished is checked and merged meanwhile."""
    machine = Machine(*[checked(check("cannot be started: [Errno 24] Too many open files", None))] * 4, free=10**11)
    for _ in range(4):
        lost = (await machine.does(CHECKS))[-1]
        assert isinstance(lost, ev.EffectLost) and "cannot be started" in lost.why
    assert machine.paused == [2.0, 4.0, 8.0, 16.0]
    full = Machine(sealed(FULL_WORDS))
    await full.does(SEAL)
    assert full.paused == [], "on a full disk nothing begins before there is room"


async def test_a_run_that_is_stopped_does_not_wait_for_the_machine() -> None:
    machine = Machine(sealed("unable to fork: Cannot allocate memory"))

    async def cancelled(seconds: float) -> None:
        raise asyncio.CancelledError

    machine.performer._pause = cancelled
    assert isinstance((await machine.does(SEAL))[-1], ev.EffectLost)


async def test_words_alone_are_believed_so_often_and_no_longer() -> None:
    answers = [sealed(FULL_WORDS)] * (PATIENCE + 1)
    machine = Machine(*answers)
    kinds = [type((await machine.does(SEAL))[-1]) for _ in answers]
    assert kinds == [ev.EffectLost] * PATIENCE + [ev.WorkSealed]


async def test_a_success_in_between_begins_the_count_anew() -> None:
    answers = ([sealed(FULL_WORDS)] * PATIENCE + [sealed()]) * 2
    machine = Machine(*answers)
    kinds = [type((await machine.does(SEAL))[-1]) for _ in answers]
    assert kinds == ([ev.EffectLost] * PATIENCE + [ev.WorkSealed]) * 2


async def test_with_proof_it_is_believed_for_ever() -> None:
    answers = [sealed("a failure")] * (PATIENCE * 3)
    machine = Machine(*answers, free=0)
    assert {type((await machine.does(SEAL))[-1]) for _ in answers} == {ev.EffectLost}


async def test_saving_what_is_kept_is_never_replaced() -> None:
    """It answers nothing, and its warning says that the worktree stays as it is."""
    warned = ev.Warned(1.0, "auth", FULL_WORDS)
    assert await Machine(warned, free=0).does(fx.KeepWork("run.auth.1.9", KEY)) == [warned]


async def test_progress_and_warnings_pass() -> None:
    for event in (ev.InvocationProgressed(1.0, "auth", 1, 1, FULL_WORDS), ev.Warned(1.0, "auth", FULL_WORDS)):
        assert await Machine(event, free=0).does(AGENT) == [event]


UNUSABLE = "the repository at /r cannot be used: /r/.git/HEAD is not there"


@pytest.mark.parametrize(
    ("effect", "answer"),
    [
        (SEAL, sealed("not a git repository")),
        (CHECKS, checked(check("fatal: not a git repository"))),
        (SEAL, ev.MergeFinished(1.0, "auth", 1, "error", why="not a git repository")),
    ],
)
async def test_no_failure_counts_while_the_repository_cannot_be_used(effect: fx.AnyEffect, answer: ev.Event) -> None:
    """It is tried again once it can, and not before, however long that takes."""
    machine = Machine(*[answer] * (PATIENCE * 2))
    for _ in range(PATIENCE * 2):
        machine.unusable, machine.paused = UNUSABLE, []

        async def mend_in_the_end(seconds: float) -> None:
            machine.paused.append(seconds)
            if len(machine.paused) == 3:
                machine.unusable = ""
                machine.health.look()

        machine.performer._pause = mend_in_the_end
        held, lost = await machine.does(effect)
        assert isinstance(held, ev.PauseRequested) and (held.cause, held.by, held.why) == (
            "machine",
            "engine",
            UNUSABLE,
        )
        assert lost == ev.EffectLost(9.0, "auth", 1, effect.id, UNUSABLE, blameless=True)
        assert len(machine.paused) == 3


async def test_an_agent_that_broke_off_as_the_repository_was_away_keeps_its_cost() -> None:
    machine = Machine(finished("crashed", "fatal: not a git repository"))
    machine.unusable = UNUSABLE
    assert (await machine.does(AGENT))[-1] == finished("interrupted", UNUSABLE)


async def test_a_failure_is_told_from_one_after_an_outage_that_is_over() -> None:
    """The repository may be back before anybody asks: what began before that is tried again, what began later is not."""
    machine = Machine()

    class Slow(Answers):
        async def perform(self, effect: fx.AnyEffect, emit: Emit) -> None:
            for machine.unusable in (UNUSABLE, ""):
                machine.health.look()
            await super().perform(effect, emit)

    machine.performer._inner = Slow(sealed("not a git repository"))
    assert isinstance((await machine.does(SEAL))[-1], ev.EffectLost)
    machine.performer._inner = Answers(sealed("an unfinished merge was left"))
    assert await machine.does(SEAL) == [sealed("an unfinished merge was left")]
