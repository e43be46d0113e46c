"""Save the work of an agent at a steady pace while it works, so that no crash costs more than a little of it.

Invariant: what is done beside is neither delayed nor ended by saving: nothing is saved before it has begun, nothing told once
it is over, and a save that fails is told, and tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from orchestrate import failpoint
from orchestrate.core.names import AttemptKey
from orchestrate.errors import OrchestrateError

from .checkpoint import Kept

Save = Callable[[AttemptKey, str], Awaitable[Kept]]
"""Saves an attempt's worktree, unless what is found has the digest that is given. Raises OrchestrateError, OSError."""

LAST_SAVE_S = 60.0
"""How long a save that is under way when the agent ends may go on, seconds. The agent's end has been told by then."""


@dataclass(slots=True)
class Beside:
    """One piece of work that saving goes on beside. on_saved: gets the commit; on_trouble: what went wrong, the first time."""

    key: AttemptKey
    on_saved: Callable[[str], None]
    on_trouble: Callable[[Exception], None]
    is_over: bool = False
    """Its answer has been given."""
    is_saving: bool = False
    is_troubled: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """every_s: seconds between two saves; 0: none is made. pause: waits so many seconds."""

    save: Save
    every_s: float
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def while_(self, work: Awaitable[None], beside: Beside) -> None:
        """Do the work to its end, and save meanwhile. Raises what the work raises."""
        if not self.every_s:
            await work
            return
        saving = asyncio.ensure_future(self._again_and_again(beside))  # noqa: TID251  awaited below
        try:
            await work
        finally:
            beside.is_over = True
            if not beside.is_saving:
                saving.cancel()
            await asyncio.wait([saving], timeout=LAST_SAVE_S)
            saving.cancel()
        if saving.done() and not saving.cancelled():
            saving.result()  # a defect of ours shows, now that the work is done

    async def _again_and_again(self, beside: Beside) -> None:
        seen = ""
        while not beside.is_over:
            await self.pause(self.every_s)
            beside.is_saving = True
            seen = await self._once(beside, seen)
            beside.is_saving = False

    async def _once(self, beside: Beside, seen: str) -> str:
        """The digest of what was saved, or `seen` where nothing was."""
        try:
            failpoint.reach("checkpoint.before")
            kept = await self.save(beside.key, seen)
            failpoint.reach("checkpoint.after")
        except (OrchestrateError, OSError) as trouble:
            if not beside.is_troubled and not beside.is_over:
                beside.is_troubled = True
                beside.on_trouble(trouble)
            return seen
        if kept.commit and not kept.skipped and not beside.is_over:
            beside.on_saved(kept.commit)
        return kept.seen
