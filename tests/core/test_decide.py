"""Rules are asked in their order; the first that has something to say decides; else the earliest alarm counts."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from orchestrate.core import events as ev
from orchestrate.core.decide import decide
from orchestrate.core.plan import Feature, build_plan
from orchestrate.core.policy import Policy
from orchestrate.core.rules import RULES
from orchestrate.core.state import evolve, fresh

RUN = "20260102-030405-beef"


def test_the_order_of_precedence() -> None:
    assert [rule.__name__ for rule in RULES] == [
        "reopen_features",
        "finish_attempts",
        "escalate_loss",
        "integrate_next",
        "advance_attempts",
        "start_attempts",
        "conclude_run",
    ]


def test_deciding_changes_nothing_and_says_the_same_again() -> None:
    plan = build_plan([Feature("a")])
    state = fresh(RUN, plan, "base")
    made = [decide(state, Policy(), 5.0) for _ in range(2)]
    assert made[0] == made[1]
    assert made[0].event == ev.AttemptStarted(5.0, "a", 1, 1, ("base",))
    assert state == fresh(RUN, plan, "base")


def test_the_earliest_alarm_counts() -> None:
    state = fresh(RUN, build_plan([Feature("a", max_attempts=3), Feature("b", max_attempts=3)]), "base")
    policy = Policy(max_parallel=2, retry_backoff_s=10.0)
    for at, fid in ((0.0, "a"), (3.0, "b")):
        evolve(state, ev.AttemptStarted(at, fid, 1, 1, ("base",)))
        evolve(state, ev.WorktreeFailed(at, fid, 1, "git", "w"))
        made = decide(state, policy, at).event
        assert isinstance(made, ev.AttemptEnded)
        evolve(state, replace(made, at=at))
    assert (decide(state, policy, 4.0).event, decide(state, policy, 4.0).wake_at) == (None, 10.0)
    assert isinstance(decide(state, policy, 10.0).event, ev.AttemptStarted)


def test_of_a_run_that_has_ended_nothing_is_due() -> None:
    state = fresh(RUN, build_plan([Feature("a")]), "base")
    evolve(state, ev.RunEnded(1.0, "interrupted"))
    assert (decide(state, Policy(), 2.0).event, decide(state, Policy(), 2.0).wake_at) == (None, inf)
