"""Drain and cancel in every stage, the end of the engine in every stage, and what a later engine makes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrate.core import events as ev
from orchestrate.core.attempt import IN_FLIGHT, WORKING, Stage
from orchestrate.core.plan import Feature

from .playbook import ANSWERS, UNIT, expect, quiet, see

A = Feature("a", verify=(UNIT,), max_attempts=1)
B = Feature("b", verify=(UNIT,), max_attempts=1)

AGAIN = {
    Stage.INVOKING: expect(ev.InvocationStarted, "a", phase="proceed", resume=True),
    Stage.SEALING: expect(ev.SealStarted, "a"),
    Stage.CHECKING: expect(ev.ChecksStarted, "a"),
    Stage.MERGING: expect(ev.MergeStarted, "a"),
    Stage.PROVING: expect(ev.MergeStarted, "a"),
    Stage.PUBLISHING: expect(ev.MergeStarted, "a"),
}
"""What an engine does first about an attempt whose work in that stage is gone."""

CUT_SHORT = {
    Stage.INVOKING: see(ev.InvocationFinished, "a", end="interrupted"),
    Stage.SEALING: see(ev.WorkSealed, "a", head="", tree="", error="interrupted"),
    Stage.CHECKING: see(ev.ChecksFinished, "a", ok=False, checks=(), error="interrupted"),
    Stage.MERGING: see(ev.MergeFinished, "a", kind="error", commit="", tree="", why="interrupted"),
    Stage.PROVING: see(ev.MergeChecksFinished, "a", ok=False, checks=(), error="interrupted"),
    Stage.PUBLISHING: see(ev.Published, "a", ok=False, commit="", why="interrupted"),
}
"""What a performer says that was told to stop."""

in_each_stage = pytest.mark.parametrize("stage", list(AGAIN), ids=lambda s: s.value)


# ── the engine dies ──────────────────────────────────────────────────────────────────────────────────────────────


@in_each_stage
def test_after_a_crash_the_same_attempt_goes_on(playbook, stage):
    book = playbook(A).to("a", stage)
    book >> see(ev.EngineStarted, pid=2) << AGAIN[stage] << quiet()
    assert (book.state.attempt("a").number, book.state.features["a"].tries) == (1, 1)


def test_a_worktree_that_was_being_made_is_made_anew_and_is_no_try(playbook):
    book = playbook(A).to("a", Stage.PREPARING)
    book >> see(ev.EngineStarted, pid=2)
    book << expect(ev.AttemptEnded, "a", outcome="interrupted", why="its worktree was not finished", retry=True)
    book << expect(ev.AttemptStarted, "a", attempt=2) << quiet()
    assert book.state.features["a"].tries == 1


def test_what_is_reserved_by_an_agent_that_is_gone_is_free_again(playbook):
    book = playbook(A, max_cost_usd=3.0).to("a", Stage.INVOKING)
    assert book.state.ledger.reserved_usd == 1.0
    book >> see(ev.EngineStarted, pid=2) << expect(ev.InvocationStarted, "a", max_cost_usd=1.0)


def test_however_often_the_engine_dies_over_a_merge_the_feature_is_not_to_blame(playbook):
    book = playbook(A)
    for pid in range(2, 10):
        book.to("a", Stage.MERGING) >> see(ev.EngineStarted, pid=pid) << expect(ev.MergeStarted, "a") << quiet()


def test_a_merge_that_git_has_but_the_log_has_not_is_found(playbook):
    book = playbook(A).to("a", Stage.PUBLISHING)
    book >> see(ev.EngineStarted, pid=2) << expect(ev.MergeStarted, "a")
    book >> see(ev.MergeFinished, "a", kind="present", commit="m", tree="")
    book << expect(ev.AttemptEnded, "a", outcome="integrated") << expect(ev.RunEnded, status="done")
    assert book.state.integration_head == "m"


def test_a_dependent_that_was_to_be_skipped_is_skipped_after_a_crash(playbook):
    book = playbook(A, replace(B, depends_on=("a",))).to("a", Stage.MERGING).to("b", Stage.INVOKING)
    book >> see(ev.MergeFinished, "a", kind="conflict", why="both") << expect(ev.AttemptEnded, "a", why="both")
    book << expect(ev.AttemptStopping, "b", outcome="skipped") << quiet()
    book >> see(ev.EngineStarted, pid=2) << expect(ev.AttemptEnded, "b", outcome="skipped") << expect(ev.RunEnded)


# ── cancel ───────────────────────────────────────────────────────────────────────────────────────────────────────


@in_each_stage
def test_cancel_parks_the_attempt_and_a_later_engine_goes_on_with_it(playbook, stage):
    book = playbook(A).to("a", stage)
    book >> see(ev.StopRequested, how="cancel")
    book << expect(ev.AttemptStopping, "a", outcome="interrupted", why=f"stopped while {stage.value}") << quiet()
    book >> CUT_SHORT[stage] << expect(ev.AttemptParked, "a")
    book << expect(ev.RunEnded, status="interrupted", why="stopped by a person") << quiet()
    book >> see(ev.EngineStarted, pid=2) << AGAIN[stage] << quiet()
    assert book.state.parked == 0


@pytest.mark.parametrize(
    ("by", "control", "why"),
    [
        ("SIGINT", 0, "stopped by Ctrl-C"),
        ("SIGHUP", 0, "its terminal was closed (SIGHUP)"),
        ("SIGTERM", 0, "ended by SIGTERM"),
        ("anna@laptop pts/3", 3, "stopped by anna@laptop pts/3"),
        ("SIGHUP", 3, "stopped by SIGHUP"),
        ("", 0, "stopped by a person"),
    ],
)
def test_the_end_says_who_stopped_the_run(playbook, by, control, why):
    """A person may have any name; signals come from nobody. The next engine was not asked."""
    book = playbook(A).to("a", Stage.CHECKING)
    book >> see(ev.StopRequested, how="cancel", by=by, control=control)
    book << expect(ev.AttemptStopping, "a", outcome="interrupted") << quiet()
    book >> CUT_SHORT[Stage.CHECKING] << expect(ev.AttemptParked, "a")
    book << expect(ev.RunEnded, status="interrupted", why=why) << quiet()
    book >> see(ev.EngineStarted, pid=2) << AGAIN[Stage.CHECKING] << quiet()
    assert book.state.stop_why == ""


@pytest.mark.parametrize("stage", sorted(IN_FLIGHT, key=list(Stage).index), ids=lambda s: s.value)
def test_a_performer_that_was_stopped_and_says_nothing_is_not_held_against_the_attempt(playbook, stage):
    book = playbook(A).to("a", stage)
    for pid in range(2, 6):
        book >> see(ev.StopRequested, how="cancel") << expect(ev.AttemptStopping, "a")
        book >> see(ev.EffectLost, "a", why="cancelled") << expect(ev.AttemptParked, "a")
        book << expect(ev.RunEnded, status="interrupted")
        book >> see(ev.EngineStarted, pid=pid)
        if stage is Stage.PREPARING:
            book << expect(ev.AttemptEnded, "a", outcome="interrupted", retry=True)
        book.to("a", stage)
    assert book.state.features["a"].tries == 1


def test_a_worktree_that_was_cut_short_is_made_anew(playbook):
    book = playbook(A).to("a", Stage.PREPARING)
    book >> see(ev.StopRequested, how="cancel") << expect(ev.AttemptStopping, "a")
    book >> see(ev.WorktreeFailed, "a", kind="setup", why="interrupted") << expect(ev.AttemptParked, "a")
    book << expect(ev.RunEnded, status="interrupted")
    book >> see(ev.EngineStarted, pid=2) << expect(ev.AttemptEnded, "a", outcome="interrupted", retry=True)
    book << expect(ev.AttemptStarted, "a", attempt=2) << quiet()


@pytest.mark.parametrize("stage", [Stage.PREPARING, *AGAIN], ids=lambda s: s.value)
def test_what_comes_to_its_end_in_spite_of_cancel_is_not_done_twice(playbook, stage):
    book = playbook(A).to("a", stage)
    book >> see(ev.StopRequested, how="cancel") << expect(ev.AttemptStopping, "a")
    book >> see(ANSWERS[stage], "a")
    if stage is Stage.PUBLISHING:
        book << expect(ev.AttemptEnded, "a", outcome="integrated") << expect(ev.RunEnded, status="done")
        return
    book << expect(ev.AttemptParked, "a") << expect(ev.RunEnded, status="interrupted")
    book >> see(ev.EngineStarted, pid=2)
    (
        book
        << {
            Stage.PREPARING: expect(ev.InvocationStarted, "a", phase="edit", resume=False),
            Stage.INVOKING: expect(ev.SealStarted, "a"),
            Stage.SEALING: expect(ev.ChecksStarted, "a"),
            Stage.CHECKING: expect(ev.AttemptVerified, "a"),
            Stage.MERGING: expect(ev.MergeStarted, "a"),
            Stage.PROVING: expect(ev.MergeStarted, "a"),
        }[stage]
    )
    if stage is Stage.CHECKING:
        book << expect(ev.MergeStarted, "a")


def test_a_merge_that_ends_in_the_same_breath_as_cancel_is_not_published(playbook):
    book = playbook(A).to("a", Stage.MERGING)
    book >> (see(ev.MergeFinished, "a"), see(ev.StopRequested, how="cancel"))
    book << expect(ev.AttemptStopping, "a", why="stopped while merged") << expect(ev.AttemptParked, "a")
    book << expect(ev.RunEnded, status="interrupted")


def test_cancel_before_anything_began(playbook):
    book = playbook(A, max_parallel=0)
    book >> see(ev.StopRequested, how="cancel") << expect(ev.RunEnded, status="interrupted") << quiet()


def test_cancel_parks_what_waits_to_be_merged_and_what_waits_for_the_service(playbook):
    book = playbook(A, B, replace(A, id="c", depends_on=("a",)))
    book.to("a", Stage.MERGING).to("b", Stage.INVOKING).to("c", Stage.CHECKING)
    book >> see(ev.ChecksFinished, "c") << expect(ev.AttemptVerified, "c") << quiet()
    book >> see(ev.InvocationFinished, "b", end="transient") << quiet(book.now + 2.0)
    book >> see(ev.StopRequested, how="cancel")
    for feature in "bca":
        stopped_while = {"b": "ready", "c": "queued", "a": "merging"}[feature]
        if feature == "a":
            book << expect(ev.AttemptStopping, feature, why=f"stopped while {stopped_while}") << quiet()
        else:
            book << expect(ev.AttemptStopping, feature, why=f"stopped while {stopped_while}")
            book << expect(ev.AttemptParked, feature)
    book >> CUT_SHORT[Stage.MERGING] << expect(ev.AttemptParked, "a") << expect(ev.RunEnded, status="interrupted")
    book >> see(ev.EngineStarted, pid=2) << expect(ev.MergeStarted, "a") << quiet(book.now + 2.0)


def test_a_dependency_that_fails_while_its_dependent_is_being_stopped(playbook):
    book = playbook(A, replace(B, depends_on=("a",))).to("a", Stage.PUBLISHING).to("b", Stage.INVOKING)
    book >> see(ev.StopRequested, how="cancel") << expect(ev.AttemptStopping, "b") << expect(ev.AttemptStopping, "a")
    book >> see(ev.InvocationFinished, "b", end="interrupted") << expect(ev.AttemptParked, "b") << quiet()
    book >> see(ev.Published, "a", ok=False) << expect(ev.AttemptParked, "a") << expect(ev.RunEnded)
    book >> see(ev.EngineStarted, pid=2) << expect(ev.MergeStarted, "a") << expect(ev.InvocationStarted, "b")
    book >> see(ev.StopRequested, how="cancel") << expect(ev.AttemptStopping, "b") << expect(ev.AttemptStopping, "a")
    book.record(ev.MergeFinished(book.now, "a", 1, "conflict", why="both"), ">>")
    book << expect(ev.AttemptParked, "a") << quiet()


# ── drain ────────────────────────────────────────────────────────────────────────────────────────────────────────


@in_each_stage
def test_drain_lets_what_runs_come_to_its_end_and_starts_nothing_new(playbook, stage):
    book = playbook(A, B, max_parallel=1).to("a", stage)
    if stage is Stage.MERGING:
        book << expect(ev.AttemptStarted, "b")
    has_begun = book.state.features["b"].active
    book >> see(ev.StopRequested, how="drain") << quiet()
    book.to("a", Stage.PUBLISHING) >> see(ev.Published, "a") << expect(ev.AttemptEnded, "a", outcome="integrated")
    if has_begun:
        book << quiet()
        book >> see(ev.WorktreePrepared, "b") << expect(ev.AttemptParked, "b", why="the run is stopping")
    book << expect(ev.RunEnded, status="interrupted")
    assert has_begun == (stage not in WORKING)


def test_drain_starts_no_rework_but_keeps_it_for_later(playbook):
    book = playbook(A).to("a", Stage.CHECKING)
    book >> see(ev.StopRequested, how="drain") << quiet()
    book >> see(ev.ChecksFinished, "a", ok=False) << expect(ev.AttemptParked, "a") << expect(ev.RunEnded)
    book >> see(ev.EngineStarted, pid=2) << expect(ev.InvocationStarted, "a", phase="rework") << quiet()


def test_drain_then_cancel_ends_what_still_runs(playbook):
    book = playbook(A, B)
    book.to("a", Stage.INVOKING).to("b", Stage.INVOKING)
    book >> see(ev.StopRequested, how="drain") << quiet()
    book >> see(ev.InvocationFinished, "a", end="incomplete") << expect(ev.AttemptParked, "a") << quiet()
    book >> see(ev.StopRequested, how="cancel")
    book << expect(ev.AttemptStopping, "a") << expect(ev.AttemptStopping, "b") << quiet()
    book >> see(ev.StopRequested, how="drain") << quiet()
    assert book.state.stop == "cancel"
    book >> see(ev.InvocationFinished, "b", end="interrupted") << expect(ev.AttemptParked, "b")
    book << expect(ev.RunEnded, status="interrupted")
    book >> see(ev.EngineStarted, pid=2) << expect(ev.InvocationStarted, "a") << expect(ev.InvocationStarted, "b")


def test_a_run_that_has_ended_says_no_more_however_long_one_waits(playbook):
    book = playbook(A, B, max_parallel=1).to("a", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end="auth") << expect(ev.AttemptParked, "a") << expect(ev.RunEnded)
    book.wait(1e6) << quiet()


def test_what_is_parked_for_later_is_skipped_when_its_ground_goes(playbook):
    book = playbook(A, replace(B, depends_on=("a",))).to("a", Stage.MERGING).to("b", Stage.CHECKING)
    book >> see(ev.StopRequested, how="drain") << quiet()
    book >> see(ev.ChecksFinished, "b", ok=False) << expect(ev.AttemptParked, "b") << quiet()
    book >> see(ev.MergeFinished, "a", kind="conflict", why="both") << expect(ev.AttemptEnded, "a")
    book << expect(ev.AttemptStopping, "b", outcome="skipped") << expect(ev.AttemptEnded, "b", outcome="skipped")
    book << expect(ev.RunEnded, status="incomplete")
    assert book.state.parked == 0


def test_a_dependency_that_fails_in_the_same_breath_as_cancel_still_takes_its_dependents_along(playbook):
    book = playbook(A, replace(B, depends_on=("a",))).to("a", Stage.MERGING).to("b", Stage.INVOKING)
    book >> (see(ev.MergeFinished, "a", kind="conflict", why="both"), see(ev.StopRequested, how="cancel"))
    book << expect(ev.AttemptEnded, "a", outcome="conflicted")
    book << expect(ev.AttemptStopping, "b", outcome="interrupted") << expect(ev.AttemptStopping, "b", outcome="skipped")
    book << quiet()
    book >> see(ev.InvocationFinished, "b", end="interrupted") << expect(ev.AttemptEnded, "b", outcome="skipped")
    book << expect(ev.RunEnded, status="incomplete")
