"""Carries effects to the performers of this process. Never retries: whether to pay again is for the rules to say."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from orchestrate import failpoint
from orchestrate.core.effects import AnyEffect, Effect
from orchestrate.core.events import Event
from orchestrate.ports import EffectEnd, Performer

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Job:
    """An effect under way: what it has reported so far, and its end."""

    effect: AnyEffect
    reports: list[Event | EffectEnd] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    why: str = ""

    def report(self, item: Event | EffectEnd) -> None:
        self.reports.append(item)
        self.news.set()

    def close(self) -> None:
        if not (self.reports and isinstance(self.reports[-1], EffectEnd)):
            self.report(EffectEnd("cancelled", self.why))


class LocalDispatcher:
    """ports.Dispatcher on this machine. Use as an async context manager: on leaving, everything under way is cancelled."""

    def __init__(self, performers: Mapping[type[Effect], Performer], *, slots: int = 1) -> None:
        self._performers = performers
        self._slots = slots
        self._jobs: dict[str, _Job] = {}

    async def __aenter__(self) -> Self:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        for job in self._jobs.values():
            if job.task is not None:
                job.task.cancel()
        await self._group.__aexit__(None, None, None)

    def submit(self, effect: AnyEffect) -> None:
        if effect.id in self._jobs:
            return
        job = self._jobs[effect.id] = _Job(effect)
        job.task = self._group.create_task(self._perform(job))
        job.task.add_done_callback(lambda _: job.close())  # also when it is cancelled before its first step

    async def _perform(self, job: _Job) -> None:
        kind = type(job.effect).__name__
        failpoint.reach("effect.*.begin", kind)
        try:
            await self._performers[type(job.effect)].perform(job.effect, job.report)
            failpoint.reach("effect.*.end", kind)
        except asyncio.CancelledError:
            job.report(EffectEnd("cancelled", job.why))
        except Exception as bug:  # noqa: BLE001 - a defect in a performer costs its own effect, never the run
            _log.exception("effect %s", job.effect.id)
            job.report(EffectEnd("failed", f"internal error: {type(bug).__name__}: {bug}"))
        else:
            job.report(EffectEnd("succeeded"))

    async def watch(self, effect_id: str, after: int = 0) -> AsyncIterator[Event | EffectEnd]:
        """Reports from number `after` on. The effect is forgotten once its end was handed over."""
        job = self._jobs[effect_id]
        at = after
        while True:
            while at < len(job.reports):
                item = job.reports[at]
                at += 1
                if isinstance(item, EffectEnd):
                    self._jobs.pop(effect_id, None)
                    yield item
                    return
                yield item
            job.news.clear()
            await job.news.wait()

    def cancel(self, effect_id: str, why: str) -> None:
        job = self._jobs.get(effect_id)
        if job is not None and job.task is not None and not job.task.done():
            job.why = why
            job.task.cancel()

    def running(self) -> frozenset[str]:
        return frozenset(self._jobs)

    def hosts(self) -> dict[str, int]:
        return {socket.gethostname(): self._slots}
