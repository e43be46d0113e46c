"""One attempt at work: how it spends its invocations, and every way in which it may end before it is verified."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrate.core import events as ev
from orchestrate.core.attempt import Stage
from orchestrate.core.names import AttemptKey, session_id
from orchestrate.core.plan import Command, Feature

from .playbook import RED, RUN, UNIT, expect, quiet, see

PLAIN = Feature("a", prompt="do it")
CHECKED = replace(PLAIN, verify=(UNIT,))


def test_the_happy_path(playbook):
    book = playbook(CHECKED)
    session = session_id(AttemptKey(RUN, "a", 1), 1)
    book << expect(ev.AttemptStarted, "a", attempt=1, n=1, parents=("base",)) << quiet()
    book >> see(ev.WorktreePrepared, "a")
    book << expect(ev.InvocationStarted, "a", n=2, phase="edit", invocation=1, session=session, resume=False)
    book << quiet()
    book >> see(ev.InvocationProgressed, "a", action="Edit a.py") >> see(ev.InvocationFinished, "a")
    book << expect(ev.SealStarted, "a", n=3) << quiet()
    book >> see(ev.WorkSealed, "a", head="h", tree="t") << expect(ev.ChecksStarted, "a", head="h") << quiet()
    book >> see(ev.ChecksFinished, "a") << expect(ev.AttemptVerified, "a", head="h", tree="t")
    book << expect(ev.MergeStarted, "a", head="h", onto="base") << quiet()
    (
        book
        >> see(ev.MergeFinished, "a", commit="m", tree="t2")
        << expect(ev.MergeChecksStarted, "a", commit="m")
        << quiet()
    )
    book >> see(ev.MergeChecksFinished, "a") << expect(ev.PublishStarted, "a", commit="m", onto="base") << quiet()
    book >> see(ev.Published, "a", commit="m") << expect(ev.AttemptEnded, "a", n=9, outcome="integrated", retry=False)
    book << expect(ev.RunEnded, status="done") << quiet()
    assert book.state.integration_head == "m"


def test_without_checks_a_change_is_enough(playbook):
    book = playbook(PLAIN).to("a", Stage.SEALING)
    book >> see(ev.WorkSealed, "a", head="h", tree="t") << expect(ev.AttemptVerified, "a", head="h", tree="t")
    book << expect(ev.MergeStarted, "a", head="h") << quiet()


def test_checks_meant_for_integration_do_not_run_in_the_worktree(playbook):
    feature = replace(PLAIN, verify=(Command("e2e", "make e2e", when="integration"),))
    book = playbook(feature).to("a", Stage.SEALING)
    book >> see(ev.WorkSealed, "a", tree="t") << expect(ev.AttemptVerified, "a") << expect(ev.MergeStarted, "a")
    book >> see(ev.MergeFinished, "a", tree="t") << expect(ev.MergeChecksStarted, "a") << quiet()


def test_failed_checks_go_back_to_the_same_session(playbook):
    book = playbook(CHECKED).to("a", Stage.CHECKING)
    book >> see(ev.ChecksFinished, "a", ok=False, checks=(RED,))
    book << expect(ev.InvocationStarted, "a", phase="rework", invocation=2, resume=True, timeout_s=1740.0)
    assert book.state.attempt("a").sealed is None
    book >> see(ev.InvocationFinished, "a") << expect(ev.SealStarted, "a")
    book >> see(ev.WorkSealed, "a") << expect(ev.ChecksStarted, "a")
    book >> see(ev.ChecksFinished, "a") << expect(ev.AttemptVerified, "a") << expect(ev.MergeStarted, "a")


def test_a_rework_is_told_what_failed(playbook):
    book = playbook(CHECKED).to("a", Stage.CHECKING)
    book >> see(ev.ChecksFinished, "a", ok=False, checks=(RED,))
    text = "Check `unit` failed (exit code 1).\nCommand: pytest -q\nOutput:\nassert 1 == 2"
    book << expect(ev.InvocationStarted, "a", phase="rework", feedback=text) << quiet()


def test_reworks_are_bounded_then_a_fresh_attempt_then_failed(playbook):
    book = playbook(replace(CHECKED, max_reworks=1, max_attempts=2))
    for attempt, retry in ((1, True), (2, False)):
        book.to("a", Stage.CHECKING) >> see(ev.ChecksFinished, "a", ok=False, checks=(RED,))
        book << expect(ev.InvocationStarted, "a", attempt=attempt, phase="rework")
        book.to("a", Stage.CHECKING) >> see(ev.ChecksFinished, "a", ok=False, checks=(RED,))
        book << expect(ev.AttemptEnded, "a", outcome="failed", why="checks failed: unit", retry=retry)
        if retry:
            book << quiet(book.now + 10.0)
            book.wait(10.0) << expect(ev.AttemptStarted, "a", attempt=2)
    book << expect(ev.RunEnded, status="incomplete", why="1 of 1 feature was not integrated")


def test_retries_wait_longer_each_time(playbook):
    book = playbook(replace(PLAIN, max_attempts=3), retry_backoff_s=10.0)
    for wait in (10.0, 20.0):
        book.to("a", Stage.INVOKING) >> see(ev.InvocationFinished, "a", end="timed_out")
        book << expect(ev.AttemptEnded, "a", outcome="failed", retry=True, retry_at=book.now + wait)
        book << quiet(book.now + wait)
        book.wait(wait)
    book.to("a", Stage.INVOKING) >> see(ev.InvocationFinished, "a", end="timed_out")
    book << expect(ev.AttemptEnded, "a", why="timed out after 1800 s of work", retry=False) << expect(ev.RunEnded)


def test_checks_that_cannot_be_run_are_not_the_agents_to_mend(playbook):
    book = playbook(replace(CHECKED, max_attempts=1)).to("a", Stage.CHECKING)
    book >> see(ev.ChecksFinished, "a", ok=False, checks=(), error="no such shell")
    book << expect(
        ev.AttemptEnded, "a", outcome="failed", why="the checks could not be run: no such shell", retry=False
    )
    book << expect(ev.RunEnded, status="incomplete")


def test_work_that_cannot_be_sealed_fails_the_attempt(playbook):
    book = playbook(replace(PLAIN, max_attempts=1)).to("a", Stage.SEALING)
    book >> see(ev.WorkSealed, "a", error="index.lock exists")
    book << expect(ev.AttemptEnded, "a", outcome="failed", why="index.lock exists") << expect(ev.RunEnded)


def test_no_change_is_asked_for_again_and_then_an_outcome_of_its_own(playbook):
    book = playbook(replace(PLAIN, max_reworks=1)).to("a", Stage.SEALING)
    book >> see(ev.WorkSealed, "a", changed=0) << expect(ev.InvocationStarted, "a", phase="rework")
    book.to("a", Stage.SEALING) >> see(ev.WorkSealed, "a", changed=0)
    book << expect(ev.AttemptEnded, "a", outcome="no_changes", why="the agent changed nothing", retry=False)
    book << expect(ev.RunEnded, status="incomplete")


def test_no_change_is_success_where_none_is_expected(playbook):
    book = playbook(replace(PLAIN, expects_changes=False)).to("a", Stage.SEALING)
    book >> see(ev.WorkSealed, "a", changed=0) << expect(ev.AttemptVerified, "a") << expect(ev.MergeStarted, "a")


def test_denied_and_nothing_changed_is_final(playbook):
    book = playbook(PLAIN).to("a", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end="denied", denials=("Bash(rm)", "Write")) << expect(ev.SealStarted, "a")
    book >> see(ev.WorkSealed, "a", changed=0)
    book << expect(ev.AttemptEnded, "a", outcome="failed", why="permission denied: Bash(rm), Write", retry=False)
    book << expect(ev.RunEnded, status="incomplete")


def test_denied_on_the_way_to_a_change_is_judged_by_the_change(playbook):
    book = playbook(PLAIN).to("a", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end="denied", denials=("Bash(rm)",)) << expect(ev.SealStarted, "a")
    book >> see(ev.WorkSealed, "a", changed=2) << expect(ev.AttemptVerified, "a") << expect(ev.MergeStarted, "a")


def test_files_out_of_scope_are_to_be_undone(playbook):
    book = playbook(replace(PLAIN, touches=("src/**",), max_reworks=1, max_attempts=1)).to("a", Stage.SEALING)
    book >> see(ev.WorkSealed, "a", out_of_scope=("README.md",))
    text = (
        "You changed files outside of what this feature may touch (src/**):\n- README.md\n"
        "Undo these changes and keep the rest."
    )
    book << expect(ev.InvocationStarted, "a", phase="rework", feedback=text)
    book.to("a", Stage.SEALING) >> see(ev.WorkSealed, "a", out_of_scope=("README.md",))
    book << expect(ev.AttemptEnded, "a", outcome="failed", why="changed files outside of `touches`: README.md")
    book << expect(ev.RunEnded)


def test_an_agent_cut_off_by_its_own_limits_goes_on_as_often_as_it_may_rework(playbook):
    book = playbook(replace(PLAIN, max_reworks=1, max_attempts=1)).to("a", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end="incomplete")
    book << expect(ev.InvocationStarted, "a", phase="proceed", resume=True)
    book >> see(ev.InvocationFinished, "a", end="incomplete", why="max turns")
    book << expect(ev.AttemptEnded, "a", outcome="failed", why="max turns") << expect(ev.RunEnded)


def test_a_failing_service_is_waited_for_and_then_given_up(playbook):
    book = playbook(replace(PLAIN, max_attempts=1)).to("a", Stage.INVOKING)
    for wait in (2.0, 4.0, 8.0, 16.0, 32.0, 64.0):
        (
            book
            >> see(ev.InvocationFinished, "a", end="transient", why="529", tokens=ev.Tokens(9))
            << quiet(book.now + wait)
        )
        book.wait(wait) << expect(ev.InvocationStarted, "a", phase="proceed", resume=True)
    book >> see(ev.InvocationFinished, "a", end="transient", why="529", tokens=ev.Tokens(9))
    book << expect(ev.AttemptEnded, "a", outcome="failed", why="the agent's service kept failing: 529")
    book << expect(ev.RunEnded)


def test_failures_of_the_service_count_only_in_a_row(playbook):
    book = playbook(PLAIN).to("a", Stage.INVOKING)
    for end in ("transient", "incomplete", "transient"):
        book >> see(ev.InvocationFinished, "a", end=end)
        if end == "transient":
            book << quiet(book.now + 2.0)
            book.wait(2.0)
        book << expect(ev.InvocationStarted, "a", phase="proceed")


def test_a_refused_configuration_is_final(playbook):
    book = playbook(PLAIN).to("a", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end="config", why="unknown model x")
    book << expect(ev.AttemptEnded, "a", outcome="failed", why="unknown model x", retry=False)
    book << expect(ev.RunEnded, status="incomplete")


@pytest.mark.parametrize("end", ["killed", "crashed", "stalled"])
def test_a_broken_down_agent_is_resumed_once(playbook, end):
    book = playbook(replace(PLAIN, max_attempts=1)).to("a", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end=end)
    book << expect(ev.InvocationStarted, "a", phase="proceed", resume=True)
    book >> see(ev.InvocationFinished, "a", end=end)
    book << expect(ev.AttemptEnded, "a", outcome="failed", why=f"the agent {end}", retry=False) << expect(ev.RunEnded)


def test_a_lost_session_begins_anew_under_another_id(playbook):
    book = playbook(replace(PLAIN, max_attempts=1)).to("a", Stage.INVOKING)
    for number in (2, 3):
        book >> see(ev.InvocationFinished, "a", end="crashed", session_lost=True)
        session = session_id(AttemptKey(RUN, "a", 1), number)
        book << expect(ev.InvocationStarted, "a", phase="edit", resume=False, session=session)
    book >> see(ev.InvocationFinished, "a", end="crashed", session_lost=True)
    book << expect(ev.AttemptEnded, "a", why="the agent keeps losing its session") << expect(ev.RunEnded)


def test_the_wall_clock_is_of_the_attempt_not_of_the_invocation(playbook):
    book = playbook(replace(CHECKED, timeout_s=100.0, max_attempts=1)).to("a", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end="incomplete", duration_s=70.0)
    book << expect(ev.InvocationStarted, "a", timeout_s=30.0)
    book >> see(ev.InvocationFinished, "a", end="incomplete", duration_s=30.0)
    book << expect(ev.AttemptEnded, "a", outcome="failed", why="timed out after 100 s of work") << expect(ev.RunEnded)


def test_what_failed_to_be_set_up_would_fail_again(playbook):
    book = playbook(PLAIN).to("a", Stage.PREPARING)
    book >> see(ev.WorktreeFailed, "a", kind="setup", why="npm ci: exit code 1")
    book << expect(ev.AttemptEnded, "a", outcome="failed", why="npm ci: exit code 1", retry=False)
    book << expect(ev.RunEnded, status="incomplete")


def test_a_worktree_that_git_could_not_make_is_tried_again(playbook):
    book = playbook(PLAIN).to("a", Stage.PREPARING)
    book >> see(ev.WorktreeFailed, "a") << expect(ev.AttemptEnded, "a", outcome="failed", why="disk full", retry=True)
    book << quiet(book.now + 10.0)


def test_a_lost_worktree_counts_as_a_try(playbook):
    book = playbook(replace(PLAIN, max_attempts=1)).to("a", Stage.PREPARING)
    book >> see(ev.EffectLost, "a")
    book << expect(ev.AttemptEnded, "a", outcome="failed", why="its worktree could not be prepared", retry=False)
    book << expect(ev.RunEnded)


@pytest.mark.parametrize(
    ("stage", "again"),
    [
        (Stage.INVOKING, expect(ev.InvocationStarted, "a", phase="proceed", resume=True)),
        (Stage.SEALING, expect(ev.SealStarted, "a")),
        (Stage.CHECKING, expect(ev.ChecksStarted, "a")),
    ],
    ids=lambda value: value.value if isinstance(value, Stage) else "",
)
def test_lost_work_is_done_again_twice_and_then_given_up(playbook, stage, again):
    book = playbook(replace(CHECKED, max_attempts=1)).to("a", stage)
    for _ in range(2):
        book >> see(ev.EffectLost, "a") << again << quiet()
    book >> see(ev.EffectLost, "a")
    book << expect(ev.AttemptEnded, "a", outcome="failed", why="its work was lost again and again")
    book << expect(ev.RunEnded)
