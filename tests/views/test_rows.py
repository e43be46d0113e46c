"""What a feature does, waits for or came to, in one row."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from orchestrate.core import events as ev
from orchestrate.core.plan import Feature, build_plan
from orchestrate.views.rows import GROUPS, LOOKS, Group, Row, row_of
from orchestrate.views.run import Status, build_view

PLAN = build_plan([Feature("api", max_attempts=3), Feature("ui", depends_on=("api",))])
BEGUN: tuple[ev.Event, ...] = (
    ev.RunStarted(0.0, "20261121-111415-7f3a", "shop", "b" * 40, "main", "orch/r/integration", "{}"),
    ev.EngineStarted(0.0, 1),
    ev.AttemptStarted(10.0, "api", 1, 1, ("b" * 40,)),
)
PREPARED = ev.WorktreePrepared(11.0, "api", 1, "b" * 40, "branch", "/w")
EDIT = ev.InvocationStarted(12.0, "api", 1, 2, 1, "edit", "s", False, 60.0)
DONE = ev.InvocationFinished(40.0, "api", 1, 1, "done", cost_usd=0.25, tokens=ev.Tokens(900, 100))
SEALED = ev.WorkSealed(42.0, "api", 1, "h", "t", changed=1, insertions=8, deletions=3)
VERIFIED = ev.AttemptVerified(50.0, "api", 1, 5, "h", "t")
WORKED = (*BEGUN, PREPARED, EDIT, DONE, ev.SealStarted(41.0, "api", 1, 3), SEALED)


def row(*events: ev.Event, feature: str = "api", now: float = 60.0) -> Row:
    return row_of(build_view(PLAN, events), feature, now)


def test_a_row_at_work_counts_what_the_agent_has_used_so_far() -> None:
    progress = ev.InvocationProgressed(30.0, "api", 1, 1, "Edit a.py", 3, ev.Tokens(400, 100), 0.1)
    assert row(*BEGUN, PREPARED, EDIT, progress) == Row("api", "working", 1, 3, 50.0, 500, 0.1, False, "Edit a.py")
    assert row(*BEGUN, PREPARED, EDIT, progress, DONE).cost_usd == 0.25


REWORK = ev.InvocationStarted(45.0, "api", 1, 4, 2, "rework", "s", True, 60.0)
FAILED = ev.AttemptEnded(60.0, "api", 1, 9, "failed", "2 tests failed")
RETRIED = ev.AttemptEnded(60.0, "api", 1, 9, "failed", "529", retry=True, retry_at=75.0)


@pytest.mark.parametrize(
    ("events", "status", "last"),
    [
        (BEGUN[:2], "ready", ""),
        (BEGUN, "preparing", "makes its worktree"),
        ((*BEGUN, PREPARED, EDIT), "working", "agent starts"),
        ((*BEGUN, PREPARED, EDIT, DONE, ev.SealStarted(41.0, "api", 1, 3)), "checking", "commits its work"),
        ((*WORKED, ev.ChecksStarted(43.0, "api", 1, 4, "h")), "checking", "checks its work"),
        ((*WORKED, REWORK), "working", "rework: agent starts"),
        ((*WORKED, VERIFIED), "verified", "waits for its turn to be merged"),
        ((*WORKED, VERIFIED, ev.MergeStarted(51.0, "api", 1, 6, "h", "o")), "merging", "is merged"),
        ((*WORKED, ev.AttemptStopping(52.0, "api", 1, 6, "cancelled", "by you")), "checking", "is being ended: by you"),
        ((*WORKED, ev.AttemptParked(53.0, "api", 1, 6, "usage limit")), "waiting", "stands still: usage limit"),
        ((*WORKED, VERIFIED, ev.AttemptEnded(60.0, "api", 1, 9, "integrated")), "integrated", "1 file +8 -3"),
        ((*WORKED, FAILED), "failed", "2 tests failed"),
        ((*WORKED, RETRIED), "ready", "tries again in 0:15: 529"),
    ],
)
def test_the_last_words(events: tuple[ev.Event, ...], status: Status, last: str) -> None:
    shown = row(*events)
    assert (shown.status, shown.last) == (status, last)


CHECK = ev.CheckResult("tests", "pytest", ok=False, exit_code=1, tail="E  assert\n2 failed")


def test_failed_checks_are_quoted_unless_something_else_came_after_them() -> None:
    checked = (*WORKED, ev.ChecksStarted(43.0, "api", 1, 4, "h"), ev.ChecksFinished(44.0, "api", 1, False, (CHECK,)))
    failed = ev.AttemptEnded(60.0, "api", 1, 9, "failed", "checks failed: tests")
    assert row(*checked, failed).last == "check tests failed (exit 1): 2 failed"
    assert row(*checked, REWORK, failed).last == "checks failed: tests"
    merged = (*WORKED, VERIFIED, ev.MergeChecksFinished(53.0, "api", 1, False, (CHECK,)))
    assert row(*merged, failed).last == "on the merged tree, check tests failed (exit 1): 2 failed"


def test_what_the_last_invocation_did_is_not_said_of_this_one() -> None:
    progress = ev.InvocationProgressed(30.0, "api", 1, 1, "Edit a.py", 3, ev.Tokens(400, 100), 0.1)
    assert row(*BEGUN, PREPARED, EDIT, progress, DONE, REWORK).last == "rework: agent starts"


def test_a_dependent_names_what_it_needs() -> None:
    assert row(*BEGUN, feature="ui").last == "needs api"
    assert row(*WORKED, FAILED, ev.FeatureSkipped(61.0, "ui", "api failed"), feature="ui").last == "api failed"


def test_time_stands_still_when_the_attempt_has_ended() -> None:
    assert row(*WORKED, FAILED, now=1000.0).elapsed_s == 50.0
    assert row(*BEGUN[:2]).elapsed_s is None


PARKED = (
    ev.PauseRequested(15.0, "anna", now=True),
    ev.AttemptStopping(15.0, "api", 1, 4, "interrupted", "paused by anna"),
    ev.InvocationFinished(16.0, "api", 1, 1, "interrupted"),
    ev.AttemptParked(16.0, "api", 1, 5, "paused by anna"),
)


def test_what_is_paused_does_not_age() -> None:
    held = (*BEGUN, PREPARED, EDIT, *PARKED)
    assert row(*held, now=5000.0).elapsed_s == 6.0
    on = ev.ResumeRequested(1016.0, "anna")
    assert row(*held, on, now=1026.0).elapsed_s == 16.0
    assert row(*held, on, replace(FAILED, at=1026.0), now=9999.0).elapsed_s == 16.0


def test_nor_does_it_where_no_engine_is_there_either() -> None:
    """Parked at 16, the engine left at 20 and the next one came at 1020, still paused; resumed at 1030."""
    left = (*BEGUN, PREPARED, EDIT, *PARKED, ev.RunEnded(20.0, "interrupted"), ev.EngineStarted(1020.0, 2))
    assert row(*left, now=1025.0).elapsed_s == 6.0
    assert row(*left, ev.ResumeRequested(1030.0, "anna"), now=1034.0).elapsed_s == 10.0


def test_time_without_an_engine_does_not_count() -> None:
    assert row(*BEGUN, PREPARED, EDIT, ev.EngineStarted(1012.0, 2), now=1020.0).elapsed_s == 10.0


def test_what_was_found_out_of_a_dead_agent_is_no_sign_of_life() -> None:
    salvaged = ev.InvocationFinished(1012.5, "api", 1, 1, "interrupted", cost_usd=0.1, duration_s=20.0)
    view = build_view(PLAN, (*BEGUN, PREPARED, EDIT, salvaged, ev.EngineStarted(1012.0, 2)))
    assert (view.down_s, row_of(view, "api", 1020.0).elapsed_s) == (1000.0, 10.0)
    attempt = view.features["api"].attempts[0]
    assert [(span.stage, span.start, span.end) for span in attempt.spans] == [
        ("setup", 10.0, 11.0),
        ("paused", 11.0, 12.0),
        ("paused", 1012.0, None),
    ]
    assert attempt.cost_usd == 0.1


REPAIRS: dict[str, tuple[ev.Event, ...]] = {
    "told": (ev.Warned(1013.0, "api", "its worktree was gone"),),
    "of a dead agent, and told": (
        ev.InvocationFinished(1014.0, "api", 1, 1, "interrupted"),
        ev.Warned(1013.0, "api", "its worktree was gone"),
    ),
    "committed": (
        ev.InvocationFinished(1014.0, "api", 1, 1, "interrupted"),
        ev.Warned(1013.0, "api", "what is there now counts"),
        ev.SealStarted(1013.0, "api", 1, 4),
        ev.WorkSealed(1013.0, "api", 1, "h", "t", 1),
    ),
    "asked meanwhile": (ev.PauseRequested(1014.0, "anna", 1), ev.Warned(1013.0, "", "it is at abc again")),
}


@pytest.mark.parametrize("repairs", REPAIRS.values(), ids=REPAIRS)
def test_what_was_mended_before_an_engine_began_is_no_sign_of_life_of_the_one_before(
    repairs: tuple[ev.Event, ...],
) -> None:
    view = build_view(PLAN, (*BEGUN, PREPARED, EDIT, *repairs, ev.EngineStarted(1012.0, 2)))
    assert view.down_s == 1000.0
    assert view.features["api"].attempts[0].elapsed_s(1012.0) == 2.0
    assert view.features["api"].attempts[0].busy_s(1012.0) == 1.0


def test_an_attempt_of_which_nothing_was_left_ended_with_its_engine() -> None:
    nothing = ev.AttemptEnded(1013.0, "api", 1, 4, "interrupted", "nothing is left", retry=True)
    view = build_view(PLAN, (*BEGUN, PREPARED, EDIT, nothing, ev.EngineStarted(1012.0, 2)))
    assert (view.down_s, view.features["api"].attempts[0].elapsed_s(2000.0)) == (1000.0, 3.0)


def test_an_end_that_the_dead_engine_saw_itself_is_one() -> None:
    seen = ev.InvocationFinished(40.0, "api", 1, 1, "done")
    view = build_view(PLAN, (*BEGUN, PREPARED, EDIT, seen, ev.EngineStarted(1040.0, 2)))
    assert (view.down_s, row_of(view, "api", 1050.0).elapsed_s) == (1000.0, 40.0)


def test_nothing_moves_when_nobody_is_at_it() -> None:
    shown = row_of(build_view(PLAN, (*BEGUN, PREPARED, EDIT)), "api", 5000.0, is_driven=False)
    assert (shown.elapsed_s, shown.look.word, shown.last) == (2.0, "cut off", "was: agent starts")
    parked = (*BEGUN, PREPARED, ev.AttemptParked(20.0, "api", 1, 6, "stopped while working"))
    stopped = row_of(build_view(PLAN, (*parked, ev.RunEnded(20.0, "interrupted"))), "api", 5000.0)
    assert (stopped.elapsed_s, stopped.look.word) == (10.0, "parked")
    assert stopped.last == "stopped while working; its work is kept"


def test_a_failing_service_is_said_with_the_time_of_the_next_try() -> None:
    first = ev.InvocationFinished(40.0, "api", 1, 1, "transient", "API Error: 529 Overloaded")
    again = ev.InvocationStarted(42.0, "api", 1, 3, 2, "proceed", "s", True, 60.0)
    second = ev.InvocationFinished(50.0, "api", 1, 2, "transient", "connection reset")
    assert row(*BEGUN, PREPARED, EDIT, first, now=41.0).last == "service failing (529), again in 1 s"
    assert row(*BEGUN, PREPARED, EDIT, first, again, now=43.0).last == "goes on: agent starts"
    assert row(*BEGUN, PREPARED, EDIT, first, again, second, now=50.0).last == "service failing, again in 4 s"


def test_a_failed_setup_names_the_command_and_its_last_words() -> None:
    why = "npm ci (exit code 1)\nnpm ERR! code E404\nnpm ERR! not found\n"
    failed = (
        *BEGUN,
        ev.WorktreeFailed(12.0, "api", 1, "setup", why),
        ev.AttemptEnded(12.0, "api", 1, 2, "failed", why),
    )
    assert row(*failed).last == "setup failed: npm ci (exit code 1): npm ERR! not found"


def test_every_status_has_a_look_and_every_group_its_place() -> None:
    assert set(LOOKS) == set(get_args(Status))
    assert {group for group, *_ in GROUPS} == set(get_args(Group)) == {look.group for look in LOOKS.values()}
