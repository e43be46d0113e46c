"""What an attempt does next, from its past alone, and that every way on comes to an end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrate.core import events as ev
from orchestrate.core import retry
from orchestrate.core.attempt import Attempt, Invoked
from orchestrate.core.plan import Command, Feature
from orchestrate.core.strategy import Check, GiveUp, Invoke, Seal, Verified, single

FEATURE = Feature("a", verify=(Command("unit", "pytest"),), max_reworks=1)


def invoked(end: ev.InvocationEnd, phase: ev.Phase = "edit", **given: object) -> Invoked:
    return Invoked(phase, end, at=100.0, **given)  # type: ignore[arg-type]


def attempt(*past: Invoked) -> Attempt:
    return Attempt(1, 0.0, past=list(past), prepared=True)


def sealed(**given: object) -> ev.WorkSealed:
    return ev.WorkSealed(1.0, "a", 1, **({"head": "h", "tree": "t", "changed": 1} | given))  # type: ignore[arg-type]


def checked(*, ok: bool = False, error: str = "") -> ev.ChecksFinished:
    return ev.ChecksFinished(1.0, "a", 1, ok, (ev.CheckResult("unit", "pytest", ok),), error)


def test_the_first_step_is_work_in_a_new_session() -> None:
    assert single(FEATURE, attempt()) == Invoke("edit", fresh=True)


@pytest.mark.parametrize(
    ("past", "step"),
    [
        ([invoked("done")], Seal()),
        ([invoked("denied")], Seal()),
        ([invoked("incomplete")], Invoke("proceed")),
        ([invoked("limit")], Invoke("proceed")),
        ([invoked("auth")], Invoke("proceed")),
        ([invoked("interrupted")], Invoke("proceed")),
        ([invoked("transient")], Invoke("proceed", not_before=102.0)),
        ([invoked("transient")] * 2, Invoke("proceed", not_before=104.0)),
        ([invoked("transient"), invoked("done"), invoked("transient")], Invoke("proceed", not_before=102.0)),
        ([invoked("transient", why="529")] * 7, GiveUp("failed", "the agent's service kept failing: 529")),
        ([invoked("crashed")], Invoke("proceed")),
        ([invoked("crashed"), invoked("killed")], GiveUp("failed", "the agent killed")),
        ([invoked("crashed"), invoked("done"), invoked("stalled")], Invoke("proceed")),
        ([invoked("stalled", why="silent for 600 s")] * 2, GiveUp("failed", "silent for 600 s")),
        ([invoked("config")], GiveUp("failed", "the agent refused its configuration", final=True)),
        ([invoked("timed_out")], GiveUp("failed", "timed out after 1800 s of work")),
        ([invoked("timed_out", why="too long")], GiveUp("failed", "timed out after 1800 s of work")),
        ([invoked("incomplete")] * 2, GiveUp("failed", "the agent did not finish within its limits")),
        ([invoked("crashed", session_lost=True)], Invoke("edit", fresh=True)),
        ([invoked("interrupted", session_lost=True)] * 9, Invoke("edit", fresh=True)),
        ([invoked("done", session_lost=True)] * 3, GiveUp("failed", "the agent keeps losing its session")),
        ([invoked("done", session_lost=True, why="no such session")] * 3, GiveUp("failed", "no such session")),
    ],
    ids=lambda v: "+".join(i.end for i in v) if isinstance(v, list) else type(v).__name__,
)
def test_after_an_invocation(past: list[Invoked], step: object) -> None:
    assert single(FEATURE, attempt(*past)) == step


def test_an_attempt_that_goes_wrong_in_ever_other_ways_comes_to_an_end() -> None:
    ends: tuple[ev.InvocationEnd, ...] = ("transient", "crashed")
    past: list[Invoked] = []
    while not isinstance(step := single(FEATURE, attempt(*past)), GiveUp):
        assert len(past) < 50, "does not end"
        past.append(invoked(ends[len(past) % 2], why="529"))
    assert step == GiveUp("failed", "the agent kept going wrong: 529")


@pytest.mark.parametrize(
    ("feature", "seal", "step"),
    [
        (FEATURE, sealed(), Check("h")),
        (FEATURE, sealed(error="no space"), GiveUp("failed", "no space")),
        (replace(FEATURE, verify=()), sealed(), Verified("h", "t")),
        (replace(FEATURE, verify=(Command("e2e", "make", when="integration"),)), sealed(), Verified("h", "t")),
        (replace(FEATURE, expects_changes=False), sealed(changed=0), Check("h")),
        (
            replace(FEATURE, max_reworks=0),
            sealed(changed=0),
            GiveUp("no_changes", "the agent changed nothing", final=True),
        ),
        (
            replace(FEATURE, max_reworks=0),
            sealed(out_of_scope=tuple("abcdefg")),
            GiveUp("failed", "changed files outside of `touches`: a, b, c, d, e"),
        ),
    ],
)
def test_after_the_seal(feature: Feature, seal: ev.WorkSealed, step: object) -> None:
    a = attempt(invoked("done"))
    a.sealed = seal
    assert single(feature, a) == step


def test_denied_without_a_change_is_said_to_be_that() -> None:
    a = attempt(invoked("done", denials=("Write",)))
    a.sealed = sealed(changed=0)
    assert single(FEATURE, a) == GiveUp("failed", "permission denied: Write", final=True)


def test_after_the_checks() -> None:
    a = attempt(invoked("done"))
    a.sealed, a.checks = sealed(), checked(ok=True)
    assert single(FEATURE, a) == Verified("h", "t")
    a.checks = checked(error="no shell")
    assert single(FEATURE, a) == GiveUp("failed", "the checks could not be run: no shell")
    a.checks = checked()
    step = single(FEATURE, a)
    assert isinstance(step, Invoke) and step.phase == "rework" and "`unit` failed" in step.feedback
    a.past.append(invoked("done", "rework", rework=True))
    assert single(FEATURE, a) == GiveUp("failed", "checks failed: unit")


ENDS = ("done", "denied", "incomplete", "transient", "config", "killed", "crashed", "stalled", "timed_out")


@given(st.sampled_from(ENDS), st.booleans(), st.integers(0, 3))
def test_an_agent_that_always_ends_the_same_way_is_not_asked_for_ever(
    end: ev.InvocationEnd, session_lost: bool, max_reworks: int
) -> None:
    feature, a = replace(FEATURE, max_reworks=max_reworks), attempt()
    for _ in range(50):
        match single(feature, a):
            case Invoke(phase=phase):
                a.past.append(invoked(end, phase, session_lost=session_lost, rework=phase == "rework"))
                a.sealed = a.checks = None
            case Seal():
                a.sealed = sealed()
            case Check():
                a.checks = checked()
            case GiveUp():
                assert len(a.past) <= retry.TRANSIENT_LIMIT + 1
                return
    pytest.fail("it never gives up")
