"""Time goes forward, whatever is done to the wall clock."""

from __future__ import annotations

import pytest

from orchestrate.core import effects as fx
from orchestrate.core import events as ev
from orchestrate.core.names import AttemptKey
from orchestrate.engine.clock import STEP_BACK_S, SystemClock, TimelyPerformer
from orchestrate.ports import Emit

HOUR = 3600.0


class World:
    """Two clocks of a machine, moved by hand."""

    def __init__(self) -> None:
        self.wall, self.elapsed = 1_000_000.0, 50.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.elapsed += seconds

    def clock(self, not_before: float = 0.0) -> SystemClock:
        return SystemClock(not_before, wall=lambda: self.wall, elapsed=lambda: self.elapsed)


def test_it_says_what_the_wall_clock_says() -> None:
    world = World()
    clock = world.clock()
    assert clock.now() == 1_000_000.0
    world.pass_(10)
    assert clock.now() == 1_000_010.0
    assert clock.ahead_s() == 0.0


def test_set_back_time_goes_on_at_its_pace() -> None:
    """A wait of five minutes ends after five minutes, and not two hours later."""
    world = World()
    clock = world.clock()
    due = clock.now() + 300
    world.wall -= 2 * HOUR
    world.pass_(299)
    assert clock.now() < due
    world.pass_(1)
    assert clock.now() == due
    assert clock.ahead_s() == 2 * HOUR


def test_set_back_and_put_right_again_it_is_the_wall_clock_again() -> None:
    world = World()
    clock = world.clock()
    clock.now()
    world.wall -= 2 * HOUR
    world.pass_(60)
    clock.now()
    world.wall += 2 * HOUR
    assert clock.now() == world.wall
    assert clock.ahead_s() == 0.0


def test_a_little_behind_is_waited_for() -> None:
    """The system's own small corrections do not make us drift away."""
    world = World()
    clock = world.clock()
    before = clock.now()
    world.wall -= STEP_BACK_S / 2
    assert clock.now() == before
    world.pass_(STEP_BACK_S)
    assert clock.now() == world.wall


@pytest.mark.parametrize("step", [60.0, 9 * HOUR])
def test_set_forward_it_follows(step: float) -> None:
    world = World()
    clock = world.clock()
    clock.now()
    world.wall += step
    assert clock.now() == world.wall


def test_after_sleep_it_is_as_late_as_it_is() -> None:
    world = World()
    clock = world.clock()
    due = clock.now() + HOUR
    world.pass_(8 * HOUR)
    assert clock.now() == due + 7 * HOUR


def test_an_engine_that_goes_on_does_not_begin_before_the_end_of_the_log() -> None:
    """The clock was two hours ahead when the last engine noted until when it waits, and was put right since."""
    world = World()
    newest = world.wall + 2 * HOUR
    clock = world.clock(not_before=newest)
    assert clock.now() == newest
    world.pass_(100)
    assert clock.now() == newest + 100


def test_a_step_while_nobody_looked_is_no_step_back_in_time() -> None:
    world = World()
    clock = world.clock()
    seen = [clock.now()]
    for step in (-10.0, 5.0, -HOUR, 0.5, 2 * HOUR, -3 * HOUR, 1.0):
        world.wall += step
        world.pass_(0.25)
        seen.append(clock.now())
    assert seen == sorted(seen)


class Limited:
    """An agent that meets a usage limit which ends at `resets_at`, by the service's clock."""

    def __init__(self, resets_at: float | None) -> None:
        self.resets_at = resets_at

    async def perform(self, effect: fx.AnyEffect, emit: Emit) -> None:
        emit(ev.InvocationFinished(0.0, "auth", 1, 1, "limit", resets_at=self.resets_at))


async def reset_heard(clock: SystemClock, resets_at: float | None) -> float | None:
    heard: list[ev.Event] = []
    effect = fx.RunAgent("run.auth.1.2", AttemptKey("run", "auth", 1), 1, "edit", "s", False, 60.0, None, "")
    await TimelyPerformer(Limited(resets_at), clock).perform(effect, heard.append)
    (answer,) = heard
    assert isinstance(answer, ev.InvocationFinished)
    return answer.resets_at


async def test_a_reset_in_an_hour_is_in_an_hour_whatever_the_clock_was() -> None:
    """The clock was two hours ahead and has been put right: the service's hour lies in our past, and is in an hour still."""
    world = World()
    clock = world.clock()
    clock.now()
    world.wall -= 2 * HOUR
    world.pass_(60)
    due = await reset_heard(clock, world.wall + HOUR)
    assert due == clock.now() + HOUR
    assert await reset_heard(clock, None) is None


async def test_with_a_clock_that_nobody_set_the_reset_is_as_told() -> None:
    world = World()
    assert await reset_heard(world.clock(), world.wall + HOUR) == world.wall + HOUR
