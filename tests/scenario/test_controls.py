"""Pause, resume, cancel, retry and answer; a disk without room; a machine without memory; a service that is away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrate.core import events as ev
from orchestrate.core import limits
from orchestrate.core.attempt import Stage
from orchestrate.core.plan import Feature
from orchestrate.core.rules.escalate import EMPTIED

from .playbook import UNIT, expect, quiet, see
from .test_stopping import AGAIN, CUT_SHORT

A = Feature("a", verify=(UNIT,), max_attempts=1)
B = Feature("b", verify=(UNIT,), max_attempts=1)
C = replace(B, id="c", depends_on=("a", "b"))
ON_A = replace(B, depends_on=("a",))

WHO = "anna@here"
FAILS = {"end": "config", "why": "unknown model"}


def failed(book, fid):
    """The feature's attempt fails for good."""
    book.to(fid, Stage.INVOKING) >> see(ev.InvocationFinished, fid, **FAILS)
    return book << expect(ev.AttemptEnded, fid, outcome="failed")


# ── pause ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_paused_run_starts_nothing_and_brings_home_what_is_done(playbook):
    book = playbook(A, B, max_parallel=1).to("a", Stage.INVOKING)
    book >> see(ev.PauseRequested, by=WHO) << quiet()
    book >> see(ev.InvocationFinished, "a") << expect(ev.SealStarted, "a")
    book >> see(ev.WorkSealed, "a") << expect(ev.ChecksStarted, "a")
    book >> see(ev.ChecksFinished, "a") << expect(ev.AttemptVerified, "a") << expect(ev.MergeStarted, "a") << quiet()
    book.to("a", Stage.PUBLISHING) >> see(ev.Published, "a") << expect(ev.AttemptEnded, "a") << quiet()
    book >> see(ev.ResumeRequested, by=WHO) << expect(ev.AttemptStarted, "b") << quiet()


def test_a_paused_run_asks_no_agent_for_more(playbook):
    book = playbook(A).to("a", Stage.CHECKING) >> see(ev.PauseRequested, by=WHO)
    book >> see(ev.ChecksFinished, "a", ok=False) << quiet()
    book >> see(ev.ResumeRequested, by=WHO) << expect(ev.InvocationStarted, "a", phase="rework") << quiet()


@pytest.mark.parametrize("stage", [s for s in EMPTIED if s is not Stage.PREPARING], ids=lambda s: s.value)
def test_a_pause_now_ends_what_runs_and_the_same_attempt_goes_on(playbook, stage):
    book = playbook(A).to("a", stage) >> see(ev.PauseRequested, by=WHO, now=True)
    book << expect(ev.AttemptStopping, "a", outcome="interrupted", why=f"paused by {WHO}") << quiet()
    book >> CUT_SHORT[stage] << expect(ev.AttemptParked, "a") << quiet()
    book >> see(ev.ResumeRequested, by=WHO) << AGAIN[stage] << quiet()
    assert (book.state.attempt("a").number, book.state.parked) == (1, 0)


@pytest.mark.parametrize("stage", [s for s in EMPTIED if s is not Stage.PREPARING], ids=lambda s: s.value)
def test_resumed_before_the_agent_has_ended_it_goes_on_as_soon_as_it_has(playbook, stage):
    book = playbook(A).to("a", stage) >> see(ev.PauseRequested, by=WHO, now=True)
    book << expect(ev.AttemptStopping, "a") << quiet()
    book >> see(ev.ResumeRequested, by=WHO) << quiet()
    book >> CUT_SHORT[stage] << AGAIN[stage] << quiet()


def test_a_worktree_cut_short_by_a_pause_is_made_anew(playbook):
    book = playbook(A).to("a", Stage.PREPARING) >> see(ev.PauseRequested, by=WHO, now=True)
    book << expect(ev.AttemptStopping, "a")
    book >> see(ev.WorktreeFailed, "a", kind="setup", why="interrupted") << expect(ev.AttemptParked, "a") << quiet()
    book >> see(ev.ResumeRequested, by=WHO) << expect(ev.AttemptEnded, "a", outcome="interrupted", retry=True)
    book << expect(ev.AttemptStarted, "a", attempt=2) << quiet()
    assert book.state.features["a"].tries == 1


def test_what_came_to_its_end_all_the_same_counts(playbook):
    book = playbook(A).to("a", Stage.PROVING) >> see(ev.PauseRequested, by=WHO, now=True)
    book << expect(ev.AttemptStopping, "a")
    book >> see(ev.MergeChecksFinished, "a") << expect(ev.AttemptParked, "a") << quiet()
    book >> see(ev.ResumeRequested, by=WHO) << expect(ev.MergeStarted, "a") << quiet()


def test_a_pause_outlives_the_engine_and_one_for_want_of_room_does_not(playbook):
    book = playbook(A).to("a", Stage.INVOKING) >> see(ev.PauseRequested, by=WHO)
    (
        book
        >> see(ev.PauseRequested, by="engine", cause="disk", now=True, why="no room")
        << expect(ev.AttemptStopping, "a", why="no room")
    )
    book >> see(ev.EngineStarted, pid=2) << quiet()
    assert set(book.state.holds) == {"operator"}
    book >> see(ev.ResumeRequested, by=WHO) << expect(ev.InvocationStarted, "a", phase="proceed") << quiet()


def test_a_paused_run_can_be_stopped(playbook):
    book = playbook(A).to("a", Stage.CHECKING) >> see(ev.PauseRequested, by=WHO)
    book >> see(ev.ChecksFinished, "a", ok=False) << quiet()
    book >> see(ev.StopRequested, how="drain") << expect(ev.AttemptParked, "a")
    book << expect(ev.RunEnded, status="interrupted") << quiet()
    book >> see(ev.EngineStarted, pid=2) << quiet()
    book >> see(ev.ResumeRequested, by=WHO) << expect(ev.InvocationStarted, "a", phase="rework")


def test_stopping_wins_over_going_on(playbook):
    book = playbook(A).to("a", Stage.INVOKING) >> see(ev.PauseRequested, by=WHO, now=True)
    book << expect(ev.AttemptStopping, "a")
    book >> (see(ev.StopRequested, how="drain"), see(ev.ResumeRequested, by=WHO)) << quiet()
    book >> CUT_SHORT[Stage.INVOKING] << expect(ev.AttemptParked, "a") << expect(ev.RunEnded, status="interrupted")


def test_a_second_pause_may_only_be_harder(playbook):
    book = playbook(A).to("a", Stage.INVOKING)
    book >> see(ev.PauseRequested, by=WHO, now=True) << expect(ev.AttemptStopping, "a")
    book >> see(ev.PauseRequested, by=WHO) << quiet()
    assert book.state.holds["operator"].now


# ── the machine ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stage", [Stage.SEALING, Stage.MERGING], ids=lambda s: s.value)
def test_without_room_on_the_disk_nothing_begins_at_all(playbook, stage):
    book = playbook(A).to("a", stage) >> see(ev.PauseRequested, by="engine", cause="disk", now=True)
    seen = {Stage.SEALING: see(ev.WorkSealed, "a"), Stage.MERGING: see(ev.MergeFinished, "a")}[stage]
    after = {Stage.SEALING: ev.ChecksStarted, Stage.MERGING: ev.MergeChecksStarted}[stage]
    book >> seen << quiet()
    book >> see(ev.ResumeRequested, by="engine", cause="disk") << expect(after, "a") << quiet()


def test_a_full_disk_can_be_left_for_a_later_engine(playbook):
    book = playbook(A).to("a", Stage.SEALING) >> see(ev.PauseRequested, by="engine", cause="disk", now=True)
    book >> see(ev.WorkSealed, "a") << quiet()
    book >> see(ev.StopRequested, how="drain") << expect(ev.AttemptParked, "a") << expect(ev.RunEnded) << quiet()


def test_one_cause_that_is_over_does_not_end_the_other(playbook):
    book = playbook(A).to("a", Stage.CHECKING)
    book >> (see(ev.PauseRequested, by="engine", cause="disk"), see(ev.PauseRequested, by=WHO)) << quiet()
    book >> see(ev.ChecksFinished, "a", ok=False) << quiet()
    book >> see(ev.ResumeRequested, by="engine", cause="disk") << quiet()
    book >> see(ev.ResumeRequested, by=WHO) << expect(ev.InvocationStarted, "a", phase="rework")


def test_after_an_agent_that_ran_out_of_memory_one_fewer_works(playbook):
    book = playbook(A, B, Feature("d"), max_parallel=2).to("a", Stage.INVOKING).to("b", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end="killed", oom=True)
    book << expect(ev.InvocationStarted, "a", phase="proceed") << quiet()
    book.to("b", Stage.QUEUED).to("b", Stage.PUBLISHING) >> see(ev.Published, "b") << expect(ev.AttemptEnded, "b")
    book << quiet()
    book >> see(ev.EngineStarted, pid=2) << expect(ev.InvocationStarted, "a") << expect(ev.AttemptStarted, "d")


def test_an_effect_that_the_machine_had_no_room_for_counts_for_nothing(playbook):
    book = playbook(A).to("a", Stage.CHECKING)
    for _ in range(9):
        book >> see(ev.EffectLost, "a", blameless=True) << expect(ev.ChecksStarted, "a") << quiet()


# ── a service that is away ───────────────────────────────────────────────────────────────────────────────────────


def test_a_service_that_is_away_is_waited_for_by_one_agent(playbook):
    book = playbook(A, B).to("a", Stage.INVOKING).to("b", Stage.INVOKING)
    nobody = {"end": "transient", "why": "connection refused"}
    book >> (see(ev.InvocationFinished, "a", **nobody), see(ev.InvocationFinished, "b", **nobody))
    book << quiet(book.now + 2.0)
    book.wait(2.0) << expect(ev.InvocationStarted, "a") << expect(ev.InvocationStarted, "b") << quiet()
    book >> (see(ev.InvocationFinished, "a", **nobody), see(ev.InvocationFinished, "b", **nobody))
    for wait in (15.0, 30.0, 60.0, 120.0, 240.0):
        assert book.state.account.probe_at == book.now + wait
        book.wait(wait) << expect(ev.InvocationStarted) << quiet()
        fid = next(iter(book.state.stages[Stage.INVOKING]))
        book >> see(ev.InvocationFinished, fid, **nobody)
    assert book.state.account.probe_at == book.now + limits.LONGEST_PROBE_S
    book.wait(300.0) << expect(ev.InvocationStarted) << quiet()
    fid = next(iter(book.state.stages[Stage.INVOKING]))
    book >> see(ev.WorkSaved, fid) << quiet()
    book >> see(ev.InvocationProgressed, fid, tokens=ev.Tokens(5)) << expect(ev.InvocationStarted) << quiet()
    assert {f.tries for f in book.state.features.values()} == {1}


@pytest.mark.parametrize("reached", [False, True], ids=["never there", "once there"])
def test_a_service_that_stays_away_ends_the_run_which_can_go_on(playbook, reached):
    book = playbook(replace(A, timeout_s=1e9)).to("a", Stage.INVOKING)
    if reached:
        book >> see(ev.InvocationFinished, "a", end="incomplete", tokens=ev.Tokens(5))
        book << expect(ev.InvocationStarted, "a")
    began = book.now
    for _ in range(400):
        book >> see(ev.InvocationFinished, "a", end="transient")
        a = book.state.account
        book.wait(max(2.0, a.probe_at - book.now))
        if a.is_away and book.now - began >= a.away_limit_s:
            break
        book.to("a", Stage.INVOKING)
    limit_s = limits.AWAY_LIMIT_S if reached else limits.NEVER_THERE_LIMIT_S
    assert limit_s <= book.now - began <= limit_s + limits.LONGEST_PROBE_S
    book << expect(ev.AttemptParked, "a") << expect(ev.RunEnded, status="halted") << quiet()
    book >> see(ev.EngineStarted, pid=2)
    book.now = max(book.now, book.state.account.probe_at)
    book << expect(ev.InvocationStarted, "a", phase="proceed") << quiet()


# ── cancel ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_cancelled_feature_is_stopped_and_its_dependents_are_skipped(playbook):
    book = playbook(A, ON_A).to("a", Stage.INVOKING) >> see(ev.CancelRequested, by=WHO, features=("a",))
    book << expect(ev.AttemptStopping, "a", outcome="cancelled", why=f"cancelled by {WHO}") << quiet()
    book >> CUT_SHORT[Stage.INVOKING] << expect(ev.AttemptEnded, "a", outcome="cancelled", retry=False)
    book << expect(ev.FeatureSkipped, "b", why="a was cancelled") << expect(ev.RunEnded, status="incomplete")


def test_what_has_not_begun_is_given_up_at_once(playbook):
    book = playbook(A, B, max_parallel=1).to("a", Stage.INVOKING)
    book >> see(ev.CancelRequested, by=WHO, features=("b",)) << expect(ev.FeatureCancelled, "b") << quiet()
    assert book.outcome("b") == ("cancelled", f"cancelled by {WHO}")


def test_the_whole_run_can_be_cancelled(playbook):
    book = playbook(A, B, max_parallel=1).to("a", Stage.INVOKING) >> see(ev.CancelRequested, by=WHO)
    book << expect(ev.AttemptStopping, "a", outcome="cancelled") << expect(ev.FeatureCancelled, "b") << quiet()
    book >> CUT_SHORT[Stage.INVOKING] << expect(ev.AttemptEnded, "a", outcome="cancelled")
    book << expect(ev.RunEnded, status="incomplete")


def test_a_feature_that_waits_for_its_next_try_can_be_cancelled(playbook):
    book = playbook(replace(A, max_attempts=2)).to("a", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end="timed_out") << expect(ev.AttemptEnded, "a", retry=True)
    book << quiet(None) >> see(ev.CancelRequested, by=WHO, features=("a",)) << expect(ev.FeatureCancelled, "a")
    book << expect(ev.RunEnded)


def test_cancelled_twice_it_is_still_cancelled_once(playbook):
    book = playbook(A).to("a", Stage.INVOKING) >> see(ev.CancelRequested, by=WHO)
    book << expect(ev.AttemptStopping, "a") >> see(ev.CancelRequested, by=WHO) << quiet()
    book >> CUT_SHORT[Stage.INVOKING] << expect(ev.AttemptEnded, "a", outcome="cancelled") << expect(ev.RunEnded)
    assert book.state.left == 0


def test_what_comes_to_its_end_in_the_branch_was_not_cancelled(playbook):
    book = playbook(A).to("a", Stage.PUBLISHING) >> see(ev.CancelRequested, by=WHO)
    book << expect(ev.AttemptStopping, "a", outcome="cancelled")
    book >> see(ev.Published, "a") << expect(ev.AttemptEnded, "a", outcome="integrated") << expect(ev.RunEnded)


@pytest.mark.parametrize("kind", ["present", "merged"])
def test_before_it_is_cancelled_git_is_asked_whether_it_has_it_already(playbook, kind):
    book = playbook(A).to("a", Stage.PUBLISHING)
    book >> (see(ev.EffectLost, "a"), see(ev.CancelRequested, by=WHO)) << expect(ev.AttemptStopping, "a")
    book << expect(ev.MergeStarted, "a") << quiet() >> see(ev.MergeFinished, "a", kind=kind)
    book << expect(ev.AttemptEnded, "a", outcome="integrated" if kind == "present" else "cancelled")
    book << expect(ev.RunEnded)


def test_a_parked_attempt_is_cancelled_when_the_run_goes_on(playbook):
    book = playbook(A).to("a", Stage.INVOKING) >> see(ev.StopRequested, how="cancel")
    book << expect(ev.AttemptStopping, "a") >> CUT_SHORT[Stage.INVOKING] << expect(ev.AttemptParked, "a")
    book << expect(ev.RunEnded, status="interrupted")
    book >> see(ev.CancelRequested, by=WHO, features=("a", "nobody")) << quiet()
    book >> see(ev.EngineStarted, pid=2) << expect(ev.AttemptStopping, "a", outcome="cancelled")
    book << expect(ev.AttemptEnded, "a", outcome="cancelled") << expect(ev.RunEnded, status="incomplete")


def test_cancelled_and_paused_in_one_breath_it_is_cancelled(playbook):
    book = playbook(A).to("a", Stage.INVOKING)
    book >> (see(ev.CancelRequested, by=WHO), see(ev.PauseRequested, by=WHO, now=True))
    (
        book
        << expect(ev.AttemptStopping, "a", outcome="interrupted")
        << expect(ev.AttemptStopping, "a", outcome="cancelled")
    )
    book >> CUT_SHORT[Stage.INVOKING] << expect(ev.AttemptEnded, "a", outcome="cancelled") << expect(ev.RunEnded)


def test_a_paused_attempt_can_be_cancelled(playbook):
    book = playbook(A).to("a", Stage.INVOKING) >> see(ev.PauseRequested, by=WHO, now=True)
    book << expect(ev.AttemptStopping, "a") >> CUT_SHORT[Stage.INVOKING] << expect(ev.AttemptParked, "a")
    book >> see(ev.CancelRequested, by=WHO) << expect(ev.AttemptStopping, "a", outcome="cancelled")
    book << expect(ev.AttemptEnded, "a", outcome="cancelled") << expect(ev.RunEnded, status="incomplete")


# ── retry ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_failed_feature_is_tried_again_with_what_was_skipped_for_its_sake(playbook):
    book = failed(playbook(A, ON_A), "a") << expect(ev.FeatureSkipped, "b") << expect(ev.RunEnded, status="incomplete")
    book >> (see(ev.RetryRequested, by=WHO, features=("a",)), see(ev.EngineStarted, pid=2))
    book << expect(ev.FeatureReopened, "a") << expect(ev.FeatureReopened, "b")
    book << expect(ev.AttemptStarted, "a", attempt=2, parents=("base",)) << quiet()
    book.to("a", Stage.QUEUED).to("b", Stage.INVOKING)
    assert book.state.features["a"].tries == 1


def test_asked_for_a_skipped_feature_what_it_needs_is_tried_again(playbook):
    book = failed(playbook(A, ON_A), "a") << expect(ev.FeatureSkipped, "b") << expect(ev.RunEnded)
    book >> (see(ev.RetryRequested, by=WHO, features=("b",)), see(ev.EngineStarted, pid=2))
    book << expect(ev.FeatureReopened, "a") << expect(ev.FeatureReopened, "b") << expect(ev.AttemptStarted, "a")


def test_what_needs_another_failed_feature_too_stays_skipped(playbook):
    book = failed(playbook(A, B, C), "a") << expect(ev.FeatureSkipped, "c")
    failed(book, "b") << expect(ev.RunEnded)
    book >> (see(ev.RetryRequested, by=WHO, features=("a",)), see(ev.EngineStarted, pid=2))
    book << expect(ev.FeatureReopened, "a") << expect(ev.AttemptStarted, "a") << quiet()
    assert book.outcome("c") == ("skipped", "a failed")


def test_all_that_is_not_integrated_is_tried_again_on_the_same_branch(playbook):
    book = playbook(A, ON_A, max_parallel=1).to("a", Stage.PUBLISHING) >> see(ev.Published, "a")
    book << expect(ev.AttemptEnded, "a", outcome="integrated")
    failed(book, "b") << expect(ev.RunEnded, status="incomplete")
    tip = book.state.integration_head
    book >> (see(ev.RetryRequested, by=WHO), see(ev.EngineStarted, pid=2)) << expect(ev.FeatureReopened, "b")
    book.to("b", Stage.MERGING)
    assert tip != "base" and book.state.integration_head == tip


def test_in_a_live_run_too(playbook):
    book = failed(playbook(A, B, ON_A.__class__("d", depends_on=("a",))), "a") << expect(ev.FeatureSkipped, "d")
    book.to("b", Stage.INVOKING) >> see(ev.RetryRequested, by=WHO)
    book << expect(ev.FeatureReopened, "a") << expect(ev.FeatureReopened, "d") << expect(ev.AttemptStarted, "a")
    book << quiet()


def test_a_dependent_that_is_still_being_stopped_is_begun_again(playbook):
    book = playbook(A, ON_A).to("a", Stage.MERGING).to("b", Stage.INVOKING)
    book >> see(ev.MergeFinished, "a", kind="conflict", why="both") << expect(ev.AttemptEnded, "a")
    book << expect(ev.AttemptStopping, "b", outcome="skipped") << quiet()
    book >> see(ev.RetryRequested, by=WHO, features=("a",)) << expect(ev.FeatureReopened, "a")
    book << expect(ev.AttemptStarted, "a", attempt=2) << quiet()
    book >> see(ev.InvocationFinished, "b", end="interrupted")
    book << expect(ev.AttemptEnded, "b", outcome="postponed", retry=True) << quiet()
    assert book.state.features["b"].unverified == 1
    book.to("a", Stage.QUEUED) << expect(ev.MergeStarted, "a") << expect(ev.AttemptStarted, "b", attempt=2)


def test_nobody_starts_from_work_that_is_begun_anew(playbook):
    book = playbook(A, ON_A, replace(A, id="d", depends_on=("b",)), max_parallel=1).to("a", Stage.QUEUED)
    book.to("b", Stage.QUEUED).to("a", Stage.MERGING)
    assert book.state.features["d"].unverified == 0
    book.to("d", Stage.PREPARING) >> see(ev.MergeFinished, "a", kind="conflict", why="both")
    book << expect(ev.AttemptEnded, "a", outcome="conflicted")
    book << expect(ev.AttemptStopping, "b", outcome="skipped")
    book.record(ev.RetryRequested(book.now, features=("a",)), ">>")
    book << expect(ev.FeatureReopened, "a") << expect(ev.AttemptEnded, "b", outcome="postponed", retry=True) << quiet()
    assert (book.state.features["d"].unverified, book.state.features["b"].head) == (1, "")
    book >> see(ev.WorktreeFailed, "d") << expect(ev.AttemptEnded, "d", retry=False) << expect(ev.AttemptStarted, "a")


def test_a_dependent_that_is_about_to_be_skipped_is_not(playbook):
    book = playbook(A, ON_A).to("a", Stage.INVOKING)
    book >> (see(ev.InvocationFinished, "a", **FAILS)) << expect(ev.AttemptEnded, "a", outcome="failed")
    book << expect(ev.FeatureSkipped, "b") << expect(ev.RunEnded)
    book >> (see(ev.RetryRequested, by=WHO), see(ev.RetryRequested, by=WHO), see(ev.EngineStarted, pid=2))
    book << expect(ev.FeatureReopened, "a") << expect(ev.FeatureReopened, "b") << expect(ev.AttemptStarted, "a")
    assert (book.state.left, book.state.blocked) == (2, {})


def test_a_try_that_waits_for_its_time_need_not(playbook):
    book = playbook(replace(A, max_attempts=2)).to("a", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end="timed_out") << expect(ev.AttemptEnded, "a", retry=True)
    book << quiet(None) >> see(ev.RetryRequested, by=WHO, features=("a",)) << expect(ev.AttemptStarted, "a", attempt=2)


def test_a_cancelled_feature_can_be_tried_again_and_a_retried_one_cancelled(playbook):
    book = playbook(A, B, max_parallel=1).to("a", Stage.INVOKING)
    book >> see(ev.CancelRequested, by=WHO, features=("b",)) << expect(ev.FeatureCancelled, "b")
    book >> see(ev.RetryRequested, by=WHO, features=("b",)) << expect(ev.FeatureReopened, "b") << quiet()
    book >> see(ev.CancelRequested, by=WHO, features=("b",)) << expect(ev.FeatureCancelled, "b") << quiet()
    (
        book
        >> (
            see(ev.RetryRequested, by=WHO, features=("b",)),
            see(ev.CancelRequested, by=WHO, features=("b",)),
        )
        << expect(ev.FeatureReopened, "b")
        << quiet(None)
    )


def test_a_wave_that_is_opened_again_holds_the_later_ones_back(playbook):
    book = failed(playbook(A, B, replace(B, id="c", depends_on=("b",)), schedule="waves", max_parallel=2), "a")
    book.to("b", Stage.PUBLISHING) >> see(ev.Published, "b") << expect(ev.AttemptEnded, "b")
    book << expect(ev.AttemptStarted, "c") << quiet()
    book >> see(ev.RetryRequested, by=WHO, features=("a",)) << expect(ev.FeatureReopened, "a")
    book << expect(ev.AttemptStarted, "a", attempt=2) << quiet()


# ── answer ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_agent_is_told_the_answer_once(playbook):
    book = playbook(A).to("a", Stage.CHECKING)
    book >> see(ev.AnswerGiven, "a", by=WHO, text="Use the old format.") << quiet()
    book >> see(ev.AnswerGiven, "nobody", by=WHO, text="?") << quiet()
    book >> see(ev.ChecksFinished, "a", ok=False) << expect(ev.InvocationStarted, "a", phase="rework")
    assert "A person answers:\nUse the old format." in book.told[-1].replace("\\n", "\n")
    book >> see(ev.InvocationFinished, "a", end="incomplete") << expect(ev.InvocationStarted, "a", feedback="")
