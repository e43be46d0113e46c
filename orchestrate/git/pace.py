"""Save the work of an agent at a steady pace while it works, so that no crash costs more than a little of it.

Invariant: the agent's own performer answers as if it were alone: nothing is saved before it has begun or told after it has
answered, and a save that fails costs a warning, never the agent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from orchestrate import failpoint
from orchestrate.core import events as ev
from orchestrate.core.names import AttemptKey
from orchestrate.errors import OrchestrateError
from orchestrate.ports import Clock, Emit, Performer

from .checkpoint import Kept

if TYPE_CHECKING:
    from orchestrate.core.effects import AnyEffect

Save = Callable[[AttemptKey, str], Awaitable[Kept]]
"""Saves an attempt's worktree, unless what is found has the digest that is given. Raises OrchestrateError, OSError."""

LAST_SAVE_S = 60.0
"""How long a save that is under way when the agent ends may go on, seconds. Its effect has been answered by then."""


class SavingPerformer:
    """Wraps the performer of agents. every_s: seconds between two saves; 0: none is made. pause: waits so many seconds."""

    def __init__(
        self,
        inner: Performer,
        save: Save,
        *,
        every_s: float,
        clock: Clock,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._inner = inner
        self._save = save
        self._every_s = every_s
        self._clock = clock
        self._pause = pause
        self._troubled: set[AttemptKey] = set()

    async def perform(self, effect: AnyEffect, emit: Emit) -> None:
        if not self._every_s:
            await self._inner.perform(effect, emit)
            return
        watch = _Watch(emit)
        saving = asyncio.ensure_future(self._save_again_and_again(effect.key, watch))  # noqa: TID251  awaited below
        try:
            await self._inner.perform(effect, watch.tell)
        finally:
            watch.answered = True
            if not watch.saving:
                saving.cancel()
            await asyncio.wait([saving], timeout=LAST_SAVE_S)
            saving.cancel()
        if saving.done() and not saving.cancelled():
            saving.result()  # a defect of ours shows, now that the agent has been answered

    async def _save_again_and_again(self, key: AttemptKey, watch: _Watch) -> None:
        seen = ""
        while not watch.answered:
            await self._pause(self._every_s)
            watch.saving = True
            seen = await self._save_once(key, watch, seen)
            watch.saving = False

    async def _save_once(self, key: AttemptKey, watch: _Watch, seen: str) -> str:
        """The digest of what was saved, or `seen` where nothing was."""
        try:
            failpoint.reach("checkpoint.before")
            kept = await self._save(key, seen)
            failpoint.reach("checkpoint.after")
        except (OrchestrateError, OSError) as problem:
            if key not in self._troubled:
                self._troubled.add(key)
                words = f"its work cannot be saved while the agent works; it is tried again: {problem}"
                watch.tell_meanwhile(ev.Warned(self._clock.now(), key.feature, words))
            return seen
        if not kept.skipped and kept.commit:
            watch.tell_meanwhile(ev.WorkSaved(self._clock.now(), key.feature, key.attempt, kept.commit))
        return kept.seen


class _Watch:
    """Stands between the agent's performer and the engine: knows when the agent has answered."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.answered = False
        self.saving = False

    def tell(self, event: ev.Event) -> None:
        self.answered = self.answered or isinstance(event, ev.InvocationFinished)
        self._emit(event)

    def tell_meanwhile(self, event: ev.Event) -> None:
        if not self.answered:
            self._emit(event)
