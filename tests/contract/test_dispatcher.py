"""What every dispatcher must do. One body, run against each implementation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from orchestrate.core import effects as fx
from orchestrate.core import events as ev
from orchestrate.core.names import AttemptKey
from orchestrate.engine.dispatch import LocalDispatcher
from orchestrate.ports import EffectEnd, Emit

KEY = AttemptKey("20260102-030405-beef", "a", 1)
SEAL = fx.SealWork("r.a.1.2", KEY)


class Scripted:
    """A performer whose behaviour is the function given."""

    def __init__(self, behaviour: Callable[[Emit], Awaitable[None]]) -> None:
        self.behaviour = behaviour
        self.calls = 0

    async def perform(self, effect: fx.AnyEffect, emit: Emit) -> None:
        self.calls += 1
        await self.behaviour(emit)


async def reports(dispatcher: LocalDispatcher, effect_id: str = SEAL.id) -> list[ev.Event | EffectEnd]:
    return [item async for item in dispatcher.watch(effect_id)]


async def test_events_come_in_order_then_one_end() -> None:
    async def behaviour(emit: Emit) -> None:
        emit(ev.Warned(1.0, "a", "first"))
        await asyncio.sleep(0)
        emit(ev.WorkSealed(2.0, "a", 1, "h", "t"))

    async with LocalDispatcher({fx.SealWork: Scripted(behaviour)}) as dispatcher:
        dispatcher.submit(SEAL)
        assert dispatcher.running() == {SEAL.id}
        first, second, end = await reports(dispatcher)
    assert first == ev.Warned(1.0, "a", "first")
    assert isinstance(second, ev.WorkSealed)
    assert end == EffectEnd("succeeded")


async def test_submitting_twice_is_one_effect() -> None:
    async def behaviour(emit: Emit) -> None:
        emit(ev.WorkSealed(2.0, "a", 1, "h", "t"))

    performer = Scripted(behaviour)
    async with LocalDispatcher({fx.SealWork: performer}) as dispatcher:
        dispatcher.submit(SEAL)
        dispatcher.submit(SEAL)
        await reports(dispatcher)
    assert performer.calls == 1


async def test_a_defect_ends_its_own_effect_only() -> None:
    async def behaviour(emit: Emit) -> None:
        raise ZeroDivisionError("boom")

    async with LocalDispatcher({fx.SealWork: Scripted(behaviour)}) as dispatcher:
        dispatcher.submit(SEAL)
        (end,) = await reports(dispatcher)
        assert isinstance(end, EffectEnd) and end.how == "failed" and "ZeroDivisionError: boom" in end.why


async def test_cancel_lets_the_performer_say_what_it_saw() -> None:
    started = asyncio.Event()

    async def behaviour(emit: Emit) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            emit(ev.WorkSealed(2.0, "a", 1, "h", "t", error="interrupted"))

    async with LocalDispatcher({fx.SealWork: Scripted(behaviour)}) as dispatcher:
        dispatcher.submit(SEAL)
        await started.wait()
        dispatcher.cancel(SEAL.id, "stopped")
        sealed, end = await reports(dispatcher)
        assert isinstance(sealed, ev.WorkSealed) and sealed.error == "interrupted"
        assert isinstance(end, EffectEnd)


async def test_cancel_before_the_first_step_still_ends() -> None:
    async def behaviour(emit: Emit) -> None:
        emit(ev.WorkSealed(2.0, "a", 1, "h", "t"))

    async with LocalDispatcher({fx.SealWork: Scripted(behaviour)}) as dispatcher:
        dispatcher.submit(SEAL)
        dispatcher.cancel(SEAL.id, "stopped")
        (end,) = await reports(dispatcher)
        assert end == EffectEnd("cancelled", "stopped")
