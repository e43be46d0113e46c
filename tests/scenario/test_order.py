"""Who starts when, from which commit, and who never does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrate.core import events as ev
from orchestrate.core.attempt import Stage
from orchestrate.core.plan import Estimate, Feature

from .playbook import expect, quiet, see


def lasting(feature_id: str, seconds: float, *needs: str, priority: int = 0) -> Feature:
    return Feature(feature_id, depends_on=needs, priority=priority, estimate=Estimate(0, 0.0, seconds, "test"))


def test_the_longest_chain_goes_first_then_the_users_wish_then_the_id(playbook):
    book = playbook(
        lasting("a", 10), lasting("b", 10, priority=-1), lasting("c", 5), lasting("d", 6, "c"), max_parallel=4
    )
    for feature in ("c", "b", "a"):
        book << expect(ev.AttemptStarted, feature)


def test_no_more_than_the_slots(playbook):
    book = playbook(Feature("a"), Feature("b"), Feature("c"), max_parallel=2)
    book << expect(ev.AttemptStarted, "a") << expect(ev.AttemptStarted, "b") << quiet()
    book.to("a", Stage.SEALING) >> see(ev.WorkSealed, "a")
    book << expect(ev.AttemptVerified, "a") << expect(ev.MergeStarted, "a") << expect(ev.AttemptStarted, "c") << quiet()


def test_a_dependent_starts_from_the_verified_head_before_it_is_merged(playbook):
    book = playbook(Feature("a"), Feature("b", depends_on=("a",))).to("a", Stage.SEALING)
    book >> see(ev.WorkSealed, "a", head="ha") << expect(ev.AttemptVerified, "a") << expect(ev.MergeStarted, "a")
    book << expect(ev.AttemptStarted, "b", parents=("ha",)) << quiet()


def test_a_join_starts_from_all_heads_as_soon_as_the_last_is_verified(playbook):
    book = playbook(Feature("a"), Feature("b"), Feature("c", depends_on=("b", "a")))
    book << expect(ev.AttemptStarted, "a") << expect(ev.AttemptStarted, "b")
    book.to("a", Stage.SEALING) >> see(ev.WorkSealed, "a", head="ha")
    book << expect(ev.AttemptVerified, "a") << expect(ev.MergeStarted, "a") << quiet()
    book.to("b", Stage.SEALING) >> see(ev.WorkSealed, "b", head="hb")
    book << expect(ev.AttemptVerified, "b") << expect(ev.AttemptStarted, "c", parents=("hb", "ha")) << quiet()


def test_start_on_integrated_waits_for_the_branch(playbook):
    book = playbook(Feature("a"), Feature("b", depends_on=("a",)), start_on="integrated").to("a", Stage.PUBLISHING)
    book << quiet()
    book >> see(ev.Published, "a", commit="m1") << expect(ev.AttemptEnded, "a", outcome="integrated")
    book << expect(ev.AttemptStarted, "b", parents=("m1",)) << quiet()


def test_waves_are_a_barrier_only_when_asked_for(playbook):
    features = (Feature("a"), Feature("b"), Feature("c", depends_on=("a",)))
    book = playbook(*features, schedule="waves", max_parallel=2).to("a", Stage.PUBLISHING)
    book >> see(ev.Published, "a") << expect(ev.AttemptEnded, "a") << quiet()
    book.to("b", Stage.PUBLISHING) >> see(ev.Published, "b") << expect(ev.AttemptEnded, "b")
    book << expect(ev.AttemptStarted, "c") << quiet()


def test_a_wave_in_which_everything_was_skipped_does_not_close_the_next(playbook):
    features = (Feature("a"), Feature("x"), Feature("b", depends_on=("a",)), Feature("y", depends_on=("b",)))
    book = playbook(*features, schedule="waves", max_parallel=1).to("a", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end="config") << expect(ev.AttemptEnded, "a", outcome="failed")
    book << expect(ev.FeatureSkipped, "b") << expect(ev.FeatureSkipped, "y") << expect(ev.AttemptStarted, "x")
    book.to("x", Stage.PUBLISHING) >> see(ev.Published, "x") << expect(ev.AttemptEnded, "x")
    book << expect(ev.RunEnded, status="incomplete", why="3 of 4 features were not integrated")


def test_heads_that_do_not_merge_wait_for_the_integration_branch(playbook):
    features = (Feature("a"), Feature("b"), Feature("c", depends_on=("a", "b"), max_attempts=1))
    book = playbook(*features).to("a", Stage.QUEUED)
    book.to("b", Stage.SEALING) >> see(ev.WorkSealed, "b")
    book << expect(ev.AttemptVerified, "b") << expect(ev.AttemptStarted, "c", attempt=1)
    book >> see(ev.WorktreeFailed, "c", kind="conflict", why="conflicts in app.py")
    why = "waits for its dependencies to be integrated: conflicts in app.py"
    book << expect(ev.AttemptEnded, "c", outcome="postponed", why=why, retry=True) << quiet()
    book >> see(ev.MergeFinished, "a") << expect(ev.PublishStarted, "a") << quiet()
    book >> see(ev.Published, "a") << expect(ev.AttemptEnded, "a") << expect(ev.MergeStarted, "b") << quiet()
    book.to("b", Stage.PUBLISHING) >> see(ev.Published, "b", commit="m2") << expect(ev.AttemptEnded, "b")
    book << expect(ev.AttemptStarted, "c", attempt=2, parents=("m2",)) << quiet()
    assert book.state.features["c"].tries == 1


@pytest.mark.parametrize(("end", "why"), [("config", "a failed"), ("denied", "a failed")], ids=["failed", "denied"])
def test_what_depends_on_a_failure_is_skipped_down_to_the_last(playbook, end, why):
    book = playbook(Feature("a"), Feature("b", depends_on=("a",)), Feature("c", depends_on=("b",)))
    book.to("a", Stage.INVOKING) >> see(ev.InvocationFinished, "a", end=end, denials=("Write",))
    if end == "denied":
        book << expect(ev.SealStarted, "a")
        book >> see(ev.WorkSealed, "a", changed=0)
    book << expect(ev.AttemptEnded, "a", outcome="failed")
    book << expect(ev.FeatureSkipped, "b", why=why) << expect(ev.FeatureSkipped, "c", why="b was skipped")
    book << expect(ev.RunEnded, status="incomplete")


def test_a_feature_that_waits_to_be_tried_again_is_skipped_at_once_when_its_ground_goes(playbook):
    book = playbook(Feature("a"), Feature("b", depends_on=("a",))).to("a", Stage.QUEUED)
    book << expect(ev.MergeStarted, "a") << expect(ev.AttemptStarted, "b")
    book >> see(ev.WorktreeFailed, "b") << expect(ev.AttemptEnded, "b", retry=True) << quiet(book.now + 10.0)
    book >> see(ev.MergeFinished, "a", kind="conflict", paths=("app.py",))
    (
        book
        << expect(ev.AttemptEnded, "a", outcome="conflicted")
        << expect(ev.FeatureSkipped, "b", why="a was in conflict")
    )
    book << expect(ev.RunEnded, status="incomplete")
    assert book.state.delayed == []


def test_while_one_waits_to_be_tried_again_another_takes_its_slot(playbook):
    book = playbook(lasting("a", 100), lasting("b", 50), max_parallel=1).to("a", Stage.PREPARING)
    book >> see(ev.WorktreeFailed, "a") << expect(ev.AttemptEnded, "a", retry=True) << expect(ev.AttemptStarted, "b")
    book.wait(60.0) << quiet()


def test_of_two_that_may_be_tried_again_the_longer_chain_goes_first(playbook):
    features = (lasting("low", 10), lasting("high", 90), lasting("last", 50))
    book = playbook(*features, max_parallel=1)
    book << expect(ev.AttemptStarted, "high")
    book.policy = replace(book.policy, max_parallel=3)
    book << expect(ev.AttemptStarted, "last") << expect(ev.AttemptStarted, "low")
    for feature in ("low", "high"):
        (
            book.to(feature, Stage.PREPARING)
            >> see(ev.WorktreeFailed, feature)
            << expect(ev.AttemptEnded, feature, retry=True)
        )
        book.wait(1.0)
    book.policy = replace(book.policy, max_parallel=1)
    book.wait(20.0).to("last", Stage.SEALING) >> see(ev.WorkSealed, "last")
    book << expect(ev.AttemptVerified, "last") << expect(ev.MergeStarted, "last")
    book << expect(ev.AttemptStarted, "high") << quiet()


def test_a_retry_that_is_due_gives_way_to_a_longer_chain(playbook):
    book = playbook(lasting("a", 10), lasting("b", 5), lasting("c", 90, "b"), max_parallel=1).to("b", Stage.PREPARING)
    book >> see(ev.WorktreeFailed, "b") << expect(ev.AttemptEnded, "b") << expect(ev.AttemptStarted, "a")
    book.wait(10.0).to("a", Stage.SEALING) >> see(ev.WorkSealed, "a")
    book << expect(ev.AttemptVerified, "a") << expect(ev.MergeStarted, "a") << expect(ev.AttemptStarted, "b", attempt=2)
    book.to("b", Stage.SEALING) >> see(ev.WorkSealed, "b")
    book << expect(ev.AttemptVerified, "b") << expect(ev.AttemptStarted, "c") << quiet()


def test_a_dependency_named_twice_is_one(playbook):
    book = playbook(Feature("a"), Feature("b", depends_on=("a", "a"))).to("a", Stage.QUEUED)
    book << expect(ev.MergeStarted, "a") << expect(ev.AttemptStarted, "b")


def test_warnings_change_nothing(playbook):
    book = playbook(Feature("a")).to("a", Stage.INVOKING)
    book >> see(ev.Warned, "a", message="the disk is nearly full") << quiet()


def test_an_empty_plan_is_done(playbook):
    playbook() << expect(ev.RunEnded, status="done") << quiet()


def test_a_feature_that_waits_for_a_slot_waits_once_however_often_it_becomes_ready(playbook):
    book = playbook(lasting("a", 10), lasting("long", 90), lasting("b", 5, "a"), max_parallel=2)
    book.to("long", Stage.INVOKING)
    book.policy = replace(book.policy, max_parallel=1)
    book.to("a", Stage.PUBLISHING)
    assert [key[2] for key in book.state.ready] == ["b"]
    book >> see(ev.Published, "a") << expect(ev.AttemptEnded, "a") << quiet()
    assert [key[2] for key in book.state.ready] == ["b"]


def test_a_feature_that_was_skipped_is_not_skipped_again(playbook):
    book = playbook(lasting("a", 10), lasting("b", 10), lasting("c", 10, "a", "b"))
    book.to("a", Stage.INVOKING).to("b", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end="config") << expect(ev.AttemptEnded, "a")
    book << expect(ev.FeatureSkipped, "c", why="a failed") << quiet()
    book >> see(ev.InvocationFinished, "b", end="config") << expect(ev.AttemptEnded, "b")
    book << expect(ev.RunEnded, status="incomplete")
