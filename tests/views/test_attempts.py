"""The pieces of time of an attempt, at their edges."""

from __future__ import annotations

from orchestrate.core import events as ev
from orchestrate.views.attempts import AttemptView, Span, close, enter, fold_attempt, lose


def an_attempt() -> AttemptView:
    return AttemptView("api", 1, 0.0)


def test_entering_the_same_stage_again_goes_on_with_it() -> None:
    attempt = an_attempt()
    enter(attempt, "merging", 1.0)
    enter(attempt, "merging", 2.0)
    assert attempt.spans == [Span("merging", 1.0)]
    assert attempt.spans[0].seconds(5.0) == 4.0


def test_a_stage_that_took_no_time_leaves_no_span() -> None:
    attempt = an_attempt()
    enter(attempt, "paused", 1.0)
    enter(attempt, "agent", 1.0)
    assert attempt.spans == [Span("agent", 1.0)]


def test_a_clock_that_was_set_back_gives_no_negative_time() -> None:
    attempt = an_attempt()
    enter(attempt, "agent", 5.0)
    enter(attempt, "sealing", 3.0)
    close(attempt, 4.0)
    assert attempt.spans == [Span("sealing", 3.0, 4.0)]
    assert sum(attempt.durations(0.0).values()) == 1.0


def test_closing_what_is_closed_or_never_began_is_nothing() -> None:
    attempt = an_attempt()
    close(attempt, 1.0)
    enter(attempt, "agent", 1.0)
    close(attempt, 2.0)
    close(attempt, 9.0)
    assert attempt.spans == [Span("agent", 1.0, 2.0)]


def test_an_attempt_that_has_ended_loses_nothing() -> None:
    attempt = an_attempt()
    enter(attempt, "agent", 1.0)
    fold_attempt(attempt, ev.AttemptEnded(2.0, "api", 1, 1, "failed"))
    lose(attempt, 3.0, 4.0, "the engine was stopped")
    assert (attempt.stage, attempt.spans) == (None, [Span("agent", 1.0, 2.0)])


def test_only_the_invocation_that_ran_is_lost() -> None:
    attempt = an_attempt()
    fold_attempt(attempt, ev.InvocationStarted(1.0, "api", 1, 1, 1, "edit", "s", False, 60.0))
    fold_attempt(attempt, ev.InvocationFinished(2.0, "api", 1, 1, "done"))
    lose(attempt, 3.0, 4.0, "the engine was stopped")
    assert attempt.invocations[0].lost == ""


def test_each_end_goes_to_its_invocation() -> None:
    attempt = an_attempt()
    for number in (1, 2):
        fold_attempt(attempt, ev.InvocationStarted(1.0, "api", 1, number, number, "edit", "s", False, 60.0))
    fold_attempt(attempt, ev.InvocationFinished(2.0, "api", 1, 1, "killed", cost_usd=0.5))
    fold_attempt(attempt, ev.InvocationFinished(3.0, "api", 1, 7, "done", cost_usd=0.25))
    assert [invocation.finished and invocation.finished.end for invocation in attempt.invocations] == ["killed", None]
    assert attempt.cost_usd == 0.75, "what was paid is counted, whoever it belongs to"
