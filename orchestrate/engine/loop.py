"""One writer, one inbox: record facts, decide what is due, hand effects on. Knows no effect by name, but StopWork.

Invariant: what was decided is durable before any effect of it begins; what was observed in the same breath goes into
the same transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from math import inf

from orchestrate.core import events as ev
from orchestrate.core.decide import decide
from orchestrate.core.effects import AnyEffect, KeepWork, StopWork, effects_of
from orchestrate.core.names import AttemptKey
from orchestrate.core.policy import Policy
from orchestrate.core.state import RunState, evolve
from orchestrate.ports import Clock, Dispatcher, EffectEnd, EventLog, Stored

Listener = Callable[[Stored], None]
"""Told of every event after it is stored (the live view, the JSON lines)."""


LONGEST_NAP_S = 30.0
"""Seconds after which the time is looked at, however long there is nothing to do."""


class Engine:
    """Drives one run from its state to its end. Not reusable."""

    def __init__(
        self,
        state: RunState,
        policy: Policy,
        *,
        log: EventLog,
        clock: Clock,
        dispatcher: Dispatcher,
        listener: Listener = lambda _: None,
    ) -> None:
        self.state = state
        self._policy = policy
        self._log = log
        self._clock = clock
        self._dispatcher = dispatcher
        self._listener = listener
        self._inbox: asyncio.Queue[ev.Event] = asyncio.Queue()
        self._flying: dict[AttemptKey, str] = {}
        self._watchers: set[asyncio.Task[None]] = set()

    def tell(self, event: ev.Event) -> None:
        """An observation from outside: a signal, a control. From the loop's thread only."""
        self._inbox.put_nowait(event)

    async def run(self, *first: ev.Event) -> RunState:
        """Record `first` (how this engine came to be), then go on until the run has ended."""
        observed: Sequence[ev.Event] = first
        async with asyncio.TaskGroup() as watchers:
            while True:
                decided, wake_at = self._settle(observed)
                for event in decided:
                    for effect in effects_of(self.state.run, event):
                        self._carry(effect, watchers)
                if self.state.ended is not None:
                    break
                observed = await self._observe(wake_at)
        return self.state

    def _settle(self, observed: Sequence[ev.Event]) -> tuple[list[ev.Event], float]:
        """Fold the observations and all that follows from them; one durable write."""
        for event in observed:
            evolve(self.state, event)
        decided: list[ev.Event] = []
        now = self._clock.now()
        while (made := decide(self.state, self._policy, now)).event is not None:
            evolve(self.state, made.event)
            decided.append(made.event)
        if observed or decided:
            for stored in self._log.append(self.state.run, [*observed, *decided]):
                self._listener(stored)
        return decided, made.wake_at

    async def _observe(self, wake_at: float) -> list[ev.Event]:
        """What has come in by now, at least one thing, or nothing when the time has come first."""
        events: list[ev.Event] = []
        # Timers stand still while the machine is asleep, and know nothing of a clock that was put right: look again.
        delay = None if wake_at == inf else min(LONGEST_NAP_S, max(0.0, wake_at - self._clock.now()))
        try:
            async with asyncio.timeout(delay):
                events.append(await self._inbox.get())
        except TimeoutError:
            return []
        while not self._inbox.empty():
            events.append(self._inbox.get_nowait())
        return events

    def _carry(self, effect: AnyEffect, watchers: asyncio.TaskGroup) -> None:
        if isinstance(effect, StopWork):
            if effect.key in self._flying:
                self._dispatcher.cancel(self._flying[effect.key], "stopped")
            return
        self._dispatcher.submit(effect)
        if not isinstance(effect, KeepWork):
            self._flying[effect.key] = effect.id
        watchers.create_task(self._watch(effect))

    async def _watch(self, effect: AnyEffect) -> None:
        """Bring what the effect observes to the inbox; an effect that ends without its answer is lost."""
        answered = False
        async for item in self._dispatcher.watch(effect.id):
            if isinstance(item, EffectEnd):
                if self._flying.get(effect.key) == effect.id:
                    del self._flying[effect.key]
                if isinstance(effect, KeepWork):
                    if item.how != "succeeded":
                        message = f"its work could not be saved: {item.why}"
                        self.tell(ev.Warned(self._clock.now(), effect.key.feature, message))
                elif not answered:
                    at, (feature, attempt) = self._clock.now(), (effect.key.feature, effect.key.attempt)
                    self.tell(ev.EffectLost(at, feature, attempt, effect.id, item.why or item.how))
                return
            answered = answered or type(item) not in ev.CHATTY
            self.tell(item)
