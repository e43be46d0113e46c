"""A night without network: the run waits, one agent tries now and then, and nothing has failed in the morning.

The real rules under a clock that jumps; an agent that reaches nobody gives up by itself after three minutes, as Claude Code does.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field

import pytest

from orchestrate.core import effects as fx
from orchestrate.core import events as ev
from orchestrate.core.decide import decide
from orchestrate.core.plan import Feature, build_plan
from orchestrate.core.policy import Policy
from orchestrate.core.state import evolve, fresh
from tests.simulation.sim import RUN, World

HOUR = 3600.0
PLAN = build_plan([Feature("a"), Feature("b"), Feature("c"), Feature("d", depends_on=("a", "b"))])


@dataclass
class Night:
    """away: from when to when the service reaches nobody, seconds. Features run three at a time."""

    away: tuple[float, float]
    world: World = field(default_factory=lambda: World(duration=lambda effect, _: 600.0 if is_agent(effect) else 1.0))
    started: list[float] = field(default_factory=list)
    """When agents were started in vain."""

    def answer(self, effect: fx.AnyEffect, now: float) -> tuple[float, ev.Event]:
        at, answer = self.world.answer(effect, now)
        if not isinstance(effect, fx.RunAgent) or not self.away[0] <= now < self.away[1]:
            return at, answer
        self.started.append(now)
        at, key = now + 180.0, effect.key
        return at, ev.InvocationFinished(
            at, key.feature, key.attempt, effect.invocation, "transient", "Connection error.", duration_s=180.0
        )

    def pass_(self) -> tuple[float, dict[str, str | None], ev.RunEnded | None]:
        """When it ended, how each feature and the run did."""
        state, policy = fresh(RUN, PLAN, "base"), Policy(3)
        due: list[tuple[float, int, ev.Event]] = [(0.0, 0, ev.EngineStarted(0.0, 1))]
        numbers, now = itertools.count(1), 0.0
        while due and state.ended is None:
            now, _, event = heapq.heappop(due)
            if not isinstance(event, ev.Warned):  # that one only stands for a look at the time
                evolve(state, event)
            while (made := decide(state, policy, now)).event is not None:
                evolve(state, made.event)
                for effect in fx.effects_of(RUN, made.event):
                    if not isinstance(effect, fx.KeepWork | fx.StopWork):
                        at, answer = self.answer(effect, now)
                        heapq.heappush(due, (at, next(numbers), answer))
            if made.wake_at < float("inf"):
                heapq.heappush(due, (max(now, made.wake_at), next(numbers), ev.Warned(made.wake_at, "", "")))
        return now, {f.id: f.ended for f in state.features.values()}, state.ended


def is_agent(effect: fx.AnyEffect) -> bool:
    return isinstance(effect, fx.RunAgent)


@pytest.mark.parametrize("hours", [0.5, 3.0, 8.0, 11.5])
def test_everything_is_integrated_once_the_service_is_there_again(hours: float) -> None:
    """It was there first: the features that wait for others meet it away."""
    night = Night((500.0, 500.0 + hours * HOUR))
    ended, outcomes, _ = night.pass_()
    assert set(outcomes.values()) == {"integrated"}
    assert ended < 500.0 + hours * HOUR + 2 * 600.0 + 600.0, "within minutes of the service's return"


def test_one_agent_tries_at_a_time_and_ever_less_often() -> None:
    night = Night((300.0, 300.0 + 8 * HOUR), World(duration=lambda effect, _: 400.0 if is_agent(effect) else 1.0))
    night.pass_()
    gaps = [later - earlier for earlier, later in itertools.pairwise(night.started[3:])]
    assert all(gap >= 180.0 for gap in gaps), "the next one begins when the last has given up"
    assert gaps[-1] == pytest.approx(480.0), "three minutes in vain, five of waiting"
    assert len(night.started) < 8 * HOUR / 480.0 + 10


def test_a_service_that_never_was_there_ends_the_run_soon_with_everything_to_be_gone_on_with() -> None:
    ended, outcomes, end = Night((0.0, 1000 * HOUR)).pass_()
    assert ended < 2 * HOUR
    assert end is not None and end.status == "halted" and "could not be reached" in end.why
    assert set(outcomes.values()) == {None}, "nothing has failed"


def test_after_half_a_day_the_run_ends_and_can_be_gone_on_with() -> None:
    ended, outcomes, end = Night((500.0, 1000 * HOUR)).pass_()
    assert 12 * HOUR <= ended < 13 * HOUR
    assert end is not None and end.status == "halted" and "could not be reached" in end.why
    assert "failed" not in outcomes.values() and "skipped" not in outcomes.values()
