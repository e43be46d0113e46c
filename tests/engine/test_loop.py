"""The loop with the real rules, a log in memory and performers that answer at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import get_args

import pytest

from orchestrate.core import effects as fx
from orchestrate.core import events as ev
from orchestrate.core.plan import Feature, Plan, build_plan
from orchestrate.core.policy import Policy
from orchestrate.core.state import fresh
from orchestrate.engine.dispatch import LocalDispatcher
from orchestrate.engine.loop import Engine
from orchestrate.ports import Emit, Stored
from tests.simulation.sim import RUN, World, replay

DIAMOND = build_plan(
    [
        Feature("a"),
        Feature("b", depends_on=("a",)),
        Feature("c", depends_on=("a",)),
        Feature("d", depends_on=("b", "c")),
    ]
)


class Clock:
    def now(self) -> float:
        return time.time()


class Log:
    """In memory; remembers the batches as they were written."""

    def __init__(self) -> None:
        self.batches: list[list[ev.Event]] = []

    def append(self, run: str, events: Sequence[ev.Event]) -> Sequence[Stored]:
        self.batches.append(list(events))
        return [Stored(0, run, e) for e in events]

    @property
    def events(self) -> list[ev.Event]:
        return [e for batch in self.batches for e in batch]


class Instant:
    """Performs every effect as the simulated world says, at once; notes what was durable when it was asked."""

    def __init__(self, log: Log, world: World) -> None:
        self.log, self.world = log, world
        self.durable_at: list[tuple[fx.AnyEffect, int]] = []

    async def perform(self, effect: fx.AnyEffect, emit: Emit) -> None:
        self.durable_at.append((effect, len(self.log.events)))
        answer = self.world.answer(effect, time.time())
        if answer is not None:
            emit(answer[1])


def performers(one: Instant) -> dict[type[fx.Effect], Instant]:
    return dict.fromkeys(get_args(fx.AnyEffect), one)


async def drive(plan: Plan, log: Log, one: Instant) -> Engine:
    async with LocalDispatcher(performers(one)) as dispatcher:
        engine = Engine(fresh(RUN, plan, "base"), Policy(2), log=log, clock=Clock(), dispatcher=dispatcher)
        async with asyncio.timeout(20):
            await engine.run(ev.EngineStarted(time.time(), 1))
    return engine


async def test_a_diamond_is_integrated_and_the_log_rebuilds_the_state() -> None:
    log = Log()
    engine = await drive(DIAMOND, log, Instant(log, World()))
    assert engine.state.ended is not None and engine.state.ended.status == "done"
    assert replay(DIAMOND, log.events) == engine.state


async def test_an_event_is_durable_before_it_takes_effect() -> None:
    log = Log()
    one = Instant(log, World())
    await drive(DIAMOND, log, one)
    for effect, durable in one.durable_at:
        asked = [e for e in log.events[:durable] if effect in fx.effects_of(RUN, e)]
        assert asked, f"{effect} began before its decision was stored"


async def test_a_performer_that_dies_is_a_lost_effect_not_a_lost_run() -> None:
    log = Log()

    class DiesOnce(Instant):
        died = False

        async def perform(self, effect: fx.AnyEffect, emit: Emit) -> None:
            if isinstance(effect, fx.SealWork) and not self.died:
                self.died = True
                raise RuntimeError("boom")
            await super().perform(effect, emit)

    engine = await drive(DIAMOND, log, DiesOnce(log, World()))
    lost = [e for e in log.events if isinstance(e, ev.EffectLost)]
    assert len(lost) == 1 and "boom" in lost[0].why
    assert engine.state.ended is not None and engine.state.ended.status == "done"


async def test_a_defect_in_the_log_stops_the_engine() -> None:
    class Full(Log):
        def append(self, run: str, events: Sequence[ev.Event]) -> Sequence[Stored]:
            raise OSError("no space left on device")

    log = Full()
    with pytest.raises(BaseExceptionGroup) as caught:
        await drive(DIAMOND, log, Instant(log, World()))
    assert caught.value.subgroup(OSError) is not None
