"""Saving while an agent works: at its pace, in nobody's way, told only as long as the agent has not answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from orchestrate.core import events as ev
from orchestrate.core.effects import RunAgent
from orchestrate.core.names import AttemptKey
from orchestrate.errors import OrchestrateError
from orchestrate.git.checkpoint import Kept
from orchestrate.git.pace import Pace
from orchestrate.git.perform import SavingPerformer

from .conftest import RUN, SteadyClock, World

KEY = AttemptKey(RUN, "x", 1)
EFFECT = RunAgent(f"{RUN}.x.1.2", KEY, 1, "edit", "session", False, 60.0, None, "")


class Ticks:
    """A pause that lasts until the test lets it end. asked: how long each was to be."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._next = asyncio.Event()

    async def pause(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self._next.wait()
        self._next.clear()

    async def tick(self) -> None:
        """One pause is over, and what follows from it has been done as far as it can without anybody else."""
        self._next.set()
        await settle()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class Agent:
    """Works until it is told to answer; once more cancelled, it answers too."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()

    async def perform(self, effect: RunAgent, emit: Callable[[ev.Event], None]) -> None:
        end: ev.InvocationEnd = "done"
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            end = "interrupted"
        emit(ev.InvocationFinished(1.0, "x", 1, 1, end))


def saving(
    save: Callable[[AttemptKey, str], Awaitable[Kept]], ticks: Ticks, *, every_s: float = 120.0
) -> tuple[Agent, list[ev.Event], asyncio.Task[None]]:
    agent, seen = Agent(), list[ev.Event]()
    performer = SavingPerformer(agent, Pace(save, every_s, ticks.pause), clock=SteadyClock())
    return agent, seen, asyncio.ensure_future(performer.perform(EFFECT, seen.append))


async def test_every_pause_is_followed_by_a_save_that_is_told() -> None:
    ticks, asked = Ticks(), list[str]()

    async def save(key: AttemptKey, unless: str) -> Kept:
        assert key == KEY
        asked.append(unless)
        return Kept(f"commit {len(asked)}", f"seen {len(asked)}", skipped=len(asked) == 2)

    agent, seen, performing = saving(save, ticks)
    await settle()
    assert asked == [] and ticks.asked == [120.0]
    for _ in range(3):
        await ticks.tick()
    assert asked == ["", "seen 1", "seen 2"]
    agent.may_answer.set()
    await performing
    kinds = [event.commit if isinstance(event, ev.WorkSaved) else type(event) for event in seen]
    assert kinds == ["commit 1", "commit 3", ev.InvocationFinished]


async def test_a_save_under_way_does_not_delay_the_answer_and_is_not_told_after_it() -> None:
    ticks, begun, may_end = Ticks(), asyncio.Event(), asyncio.Event()
    ended = []

    async def save(key: AttemptKey, unless: str) -> Kept:
        begun.set()
        await may_end.wait()
        ended.append(key)
        return Kept("late", "late")

    agent, seen, performing = saving(save, ticks)
    await settle()
    await ticks.tick()
    assert begun.is_set()
    agent.may_answer.set()
    await settle()
    assert [type(event) for event in seen] == [ev.InvocationFinished] and not performing.done()
    may_end.set()
    await performing
    assert ended == [KEY] and [type(event) for event in seen] == [ev.InvocationFinished]


async def test_ending_the_agent_ends_the_pace() -> None:
    ticks = Ticks()

    async def save(key: AttemptKey, unless: str) -> Kept:
        raise AssertionError

    _, seen, performing = saving(save, ticks)
    await settle()
    performing.cancel()
    await performing
    assert [event.end for event in seen if isinstance(event, ev.InvocationFinished)] == ["interrupted"]


@pytest.mark.parametrize("trouble", [OrchestrateError("git is gone"), OSError("disk full")])
async def test_trouble_is_told_once_and_tried_again(trouble: Exception) -> None:
    ticks, asked = Ticks(), list[str]()

    async def save(key: AttemptKey, unless: str) -> Kept:
        asked.append(unless)
        if len(asked) < 4:
            raise trouble
        return Kept("commit", "seen")

    agent, seen, performing = saving(save, ticks)
    await settle()
    for _ in range(4):
        await ticks.tick()
    agent.may_answer.set()
    await performing
    assert [type(event) for event in seen] == [ev.Warned, ev.WorkSaved, ev.InvocationFinished]
    assert isinstance(seen[0], ev.Warned) and str(trouble) in seen[0].message


async def test_zero_saves_never() -> None:
    ticks = Ticks()

    async def save(key: AttemptKey, unless: str) -> Kept:
        raise AssertionError

    agent, seen, performing = saving(save, ticks, every_s=0)
    await settle()
    assert ticks.asked == []
    agent.may_answer.set()
    await performing
    assert [type(event) for event in seen] == [ev.InvocationFinished]


async def test_a_defect_shows_after_the_agent_has_answered() -> None:
    ticks = Ticks()

    async def save(key: AttemptKey, unless: str) -> Kept:
        raise ZeroDivisionError

    agent, seen, performing = saving(save, ticks)
    await settle()
    await ticks.tick()
    agent.may_answer.set()
    with pytest.raises(ZeroDivisionError):
        await performing
    assert [type(event) for event in seen] == [ev.InvocationFinished]


async def test_one_worktree_is_saved_by_one_at_a_time(world: World) -> None:
    """The end of an attempt may come while its agent's work is being saved."""
    await world.prepare("x")
    world.repo.write({"a.py": "1\n"}, world.path("x"))
    saves = [world.performer.save(world.key("x")) for _ in range(4)]
    kept = await asyncio.gather(*saves, world.keep("x"))
    assert len({each.commit for each in kept[:4]}) == 1 and kept[4] == []
    assert list((world.repository.common_dir / "worktrees" / "x.1").glob("orchestrate-index-*")) == []
