"""What happened to a feature follows from its log, also when the log breaks off."""

from __future__ import annotations

from orchestrate.core import events as ev
from orchestrate.views.story import Story, stories

CHECK = ev.CheckResult("tests", "pytest", ok=False, exit_code=1)
FIRST: tuple[ev.Event, ...] = (
    ev.EngineStarted(0.0, 1),
    ev.AttemptStarted(1.0, "api", 1, 1, ("b" * 40,)),
    ev.WorktreePrepared(2.0, "api", 1, "b" * 40, "orch/r/feature/api/1", "/w/api.1"),
    ev.InvocationStarted(3.0, "api", 1, 2, 1, "edit", "s", False, 60.0),
    ev.AttemptStarted(3.5, "ui", 1, 1, ("b" * 40,)),
    ev.InvocationFinished(4.0, "api", 1, 1, "done"),
    ev.WorkSealed(5.0, "api", 1, "c" * 40, "t"),
    ev.ChecksFinished(6.0, "api", 1, False, (CHECK,)),
    ev.InvocationStarted(7.0, "api", 1, 5, 2, "rework", "s", True, 60.0),
)


def only(*events: ev.Event) -> Story:
    (story,) = stories(events, "api")
    return story


def test_a_story_that_has_not_ended() -> None:
    story = only(*FIRST)
    assert (story.base, story.head, story.branch) == ("b" * 40, "c" * 40, "orch/r/feature/api/1")
    assert [(i.number, i.phase, i.finished is not None) for i in story.invocations] == [
        (1, "edit", True),
        (2, "rework", False),
    ]
    assert [r.checks for r in story.rounds] == [(CHECK,)]
    assert story.ended is None


def test_the_end_and_what_came_before_it() -> None:
    merged = ev.MergeChecksFinished(8.0, "api", 1, True, (CHECK,))
    story = only(*FIRST, merged, ev.AttemptEnded(9.0, "api", 1, 9, "integrated"))
    assert story.ended is not None and story.ended.outcome == "integrated"
    assert [r.on_merged for r in story.rounds] == [False, True]


def test_a_worktree_that_could_not_be_prepared() -> None:
    assert only(FIRST[1], ev.WorktreeFailed(2.0, "api", 1, "setup", "npm ci: exit 1")).problem == "npm ci: exit 1"


def test_work_that_could_not_be_sealed_leaves_the_head_where_it_was() -> None:
    assert only(*FIRST, ev.WorkSealed(8.0, "api", 1, "", "", error="index.lock")).head == "c" * 40


def test_every_attempt_has_its_own_story() -> None:
    again = (ev.AttemptEnded(8.0, "api", 1, 6, "failed", retry=True), ev.AttemptStarted(9.0, "api", 2, 1))
    assert [s.attempt for s in stories([*FIRST, *again], "api")] == [1, 2]
    assert stories(FIRST, "unknown") == []
