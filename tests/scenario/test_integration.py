"""From verified to integrated, one at a time; everything that may happen to a merge."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrate.core import events as ev
from orchestrate.core.attempt import Stage
from orchestrate.core.plan import Command, Feature

from .playbook import RED, UNIT, expect, quiet, see

A = Feature("a", verify=(UNIT,))
B = Feature("b", verify=(UNIT,))
CHILD = Feature("child", depends_on=("a",), verify=(UNIT,))


def test_one_at_a_time_and_onto_what_the_last_one_left(playbook):
    book = playbook(A, B)
    book << expect(ev.AttemptStarted, "a") << expect(ev.AttemptStarted, "b")
    book.to("a", Stage.CHECKING).to("b", Stage.CHECKING)
    book >> see(ev.ChecksFinished, "b") << expect(ev.AttemptVerified, "b") << expect(ev.MergeStarted, "b", onto="base")
    book >> see(ev.ChecksFinished, "a") << expect(ev.AttemptVerified, "a") << quiet()
    book >> see(ev.MergeFinished, "b", commit="m1") << expect(ev.MergeChecksStarted, "b", commit="m1") << quiet()
    book >> see(ev.MergeChecksFinished, "b") << expect(ev.PublishStarted, "b", commit="m1", onto="base") << quiet()
    book >> see(ev.Published, "b", commit="m1") << expect(ev.AttemptEnded, "b", outcome="integrated")
    book << expect(ev.MergeStarted, "a", onto="m1") << quiet()


def test_a_verified_dependent_waits_for_its_dependency_to_be_merged(playbook):
    book = playbook(A, CHILD, B).to("a", Stage.MERGING).to("child", Stage.CHECKING)
    book >> see(ev.ChecksFinished, "child") << expect(ev.AttemptVerified, "child") << quiet()
    book.to("a", Stage.PUBLISHING) >> see(ev.Published, "a", commit="m1") << expect(ev.AttemptEnded, "a")
    book << expect(ev.MergeStarted, "child", onto="m1") << quiet()


def test_a_tree_that_was_verified_already_is_not_checked_again(playbook):
    book = playbook(A).to("a", Stage.SEALING)
    book >> see(ev.WorkSealed, "a", tree="t") << expect(ev.ChecksStarted, "a")
    book >> see(ev.ChecksFinished, "a") << expect(ev.AttemptVerified, "a") << expect(ev.MergeStarted, "a")
    book >> see(ev.MergeFinished, "a", commit="m", tree="t") << expect(ev.PublishStarted, "a", commit="m") << quiet()


def test_a_tree_that_was_verified_with_more_than_itself_is_checked_alone(playbook):
    book = playbook(A).to("a", Stage.SEALING)
    book >> see(ev.WorkSealed, "a", tree="t", beyond=True) << expect(ev.ChecksStarted, "a")
    book >> see(ev.ChecksFinished, "a") << expect(ev.AttemptVerified, "a") << expect(ev.MergeStarted, "a")
    (
        book
        >> see(ev.MergeFinished, "a", commit="m", tree="t")
        << expect(ev.MergeChecksStarted, "a", commit="m")
        << quiet()
    )


def test_a_merged_tree_without_checks_is_published_as_it_is(playbook):
    book = playbook(replace(A, verify=(Command("lint", "lint", when="feature"),))).to("a", Stage.MERGING)
    book >> see(ev.MergeFinished, "a", commit="m") << expect(ev.PublishStarted, "a", commit="m") << quiet()


def test_a_conflict_ends_the_feature_and_stops_its_dependents(playbook):
    book = playbook(A, CHILD, Feature("grandchild", depends_on=("child",))).to("a", Stage.MERGING)
    book.to("child", Stage.INVOKING)
    book >> see(ev.MergeFinished, "a", kind="conflict", paths=("app.py", "b.py"))
    book << expect(ev.AttemptEnded, "a", outcome="conflicted", why="conflicts in app.py, b.py", retry=False)
    book << expect(ev.AttemptStopping, "child", outcome="skipped", why="a was in conflict") << quiet()
    (
        book
        >> see(ev.InvocationFinished, "child", end="interrupted")
        << expect(ev.AttemptEnded, "child", outcome="skipped")
    )
    book << expect(ev.FeatureSkipped, "grandchild", why="child was skipped") << expect(ev.RunEnded, status="incomplete")
    assert book.outcome("child") == ("skipped", "a was in conflict")


def test_a_verified_dependent_of_a_failed_merge_ends_where_it_stands(playbook):
    book = playbook(A, CHILD).to("a", Stage.MERGING).to("child", Stage.CHECKING)
    book >> see(ev.ChecksFinished, "child") << expect(ev.AttemptVerified, "child") << quiet()
    book >> see(ev.MergeFinished, "a", kind="error", why="object is missing")
    book << expect(ev.AttemptEnded, "a", outcome="failed", why="could not be merged: object is missing")
    book << expect(ev.AttemptStopping, "child", outcome="skipped", why="a failed") << expect(ev.AttemptEnded, "child")
    book << expect(ev.RunEnded, status="incomplete")


def test_a_dependent_of_two_failures_is_stopped_once(playbook):
    features = (A, B, Feature("c", depends_on=("a", "b")))
    book = playbook(*features).to("a", Stage.CHECKING).to("b", Stage.CHECKING)
    book >> see(ev.ChecksFinished, "a") << expect(ev.AttemptVerified, "a") << expect(ev.MergeStarted, "a")
    book >> see(ev.ChecksFinished, "b") << expect(ev.AttemptVerified, "b") << expect(ev.AttemptStarted, "c")
    book >> see(ev.MergeFinished, "a", kind="error") << expect(ev.AttemptEnded, "a")
    book << expect(ev.AttemptStopping, "c", why="a failed") << expect(ev.MergeStarted, "b") << quiet()
    book >> see(ev.MergeFinished, "b", kind="error") << expect(ev.AttemptEnded, "b") << quiet()
    book >> see(ev.WorktreePrepared, "c") << expect(ev.AttemptEnded, "c", outcome="skipped") << expect(ev.RunEnded)


def test_a_merge_that_fails_its_checks_is_never_success(playbook):
    book = playbook(A).to("a", Stage.PROVING)
    book >> see(ev.MergeChecksFinished, "a", ok=False, checks=(RED,))
    book << expect(ev.AttemptEnded, "a", outcome="failed", why="checks failed after merging: unit")
    book << expect(ev.RunEnded, status="incomplete")
    assert book.state.integration_head == "base"


def test_merge_checks_that_could_not_run_say_so(playbook):
    book = playbook(A).to("a", Stage.PROVING)
    book >> see(ev.MergeChecksFinished, "a", ok=False, checks=(), error="no space left")
    book << expect(ev.AttemptEnded, "a", outcome="failed", why="no space left") << expect(ev.RunEnded)


def test_a_branch_that_somebody_moved_is_merged_onto_again(playbook):
    book = playbook(A).to("a", Stage.PUBLISHING)
    book >> see(ev.Published, "a", ok=False, commit="theirs", why="moved")
    book << expect(ev.MergeStarted, "a", onto="theirs") << quiet()
    book >> see(ev.MergeFinished, "a", commit="m2") << expect(ev.MergeChecksStarted, "a", commit="m2")
    book >> see(ev.MergeChecksFinished, "a") << expect(ev.PublishStarted, "a", commit="m2", onto="theirs") << quiet()


@pytest.mark.parametrize(
    ("said", "why"),
    [("moved by x", "moved by x"), ("", "its merge was lost, or overtaken by somebody else, again and again")],
)
def test_a_branch_that_keeps_moving_is_given_up(playbook, said, why):
    book = playbook(A)
    for merges in range(1, 6):
        book.to("a", Stage.PUBLISHING) >> see(ev.Published, "a", ok=False, commit="", why=said)
        if merges < 5:
            book << expect(ev.MergeStarted, "a", onto="base")
    book << expect(ev.AttemptEnded, "a", outcome="failed", why=why) << expect(ev.RunEnded, status="incomplete")


def test_a_lost_merge_is_done_again_twice_and_then_given_up(playbook):
    book = playbook(A).to("a", Stage.MERGING)
    for stage in (Stage.MERGING, Stage.PROVING):
        book.to("a", stage) >> see(ev.EffectLost, "a") << expect(ev.MergeStarted, "a") << quiet()
    book.to("a", Stage.PROVING) >> see(ev.EffectLost, "a")
    book << expect(ev.AttemptEnded, "a", outcome="failed") << expect(ev.RunEnded)


def test_git_has_the_last_word_on_a_publication_however_much_was_lost_before_it(playbook):
    book = playbook(A).to("a", Stage.MERGING)
    for stage in (Stage.MERGING, Stage.PROVING, Stage.PUBLISHING):
        book.to("a", stage) >> see(ev.EffectLost, "a") << expect(ev.MergeStarted, "a")
    book >> see(ev.MergeFinished, "a", kind="present", commit="m", tree="")
    book << expect(ev.AttemptEnded, "a", outcome="integrated") << expect(ev.RunEnded, status="done")


def test_a_dependent_that_is_to_end_is_not_merged_before_it_has(playbook):
    book = playbook(A, B).to("a", Stage.MERGING).to("b", Stage.CHECKING)
    book >> see(ev.StopRequested, how="cancel")
    (
        book
        << expect(ev.AttemptStopping, "b", outcome="interrupted")
        << expect(ev.AttemptStopping, "a", outcome="interrupted")
    )
    book >> see(ev.ChecksFinished, "b") << expect(ev.AttemptParked, "b") << quiet()
    book >> see(ev.MergeFinished, "a") << expect(ev.AttemptParked, "a") << expect(ev.RunEnded, status="interrupted")


def test_a_branch_that_is_seen_to_have_moved_is_merged_onto_again(playbook):
    book = playbook(A).to("a", Stage.MERGING)
    book >> see(ev.MergeFinished, "a", kind="moved", commit="theirs", tree="")
    book << expect(ev.MergeStarted, "a", onto="theirs") << quiet()


def test_a_publication_of_which_the_news_is_lost_is_looked_up_before_anything_else_is_merged(playbook):
    first = replace(B, priority=-1)
    book = playbook(first, A).to("a", Stage.PUBLISHING).to("b", Stage.CHECKING)
    book >> see(ev.ChecksFinished, "b") << expect(ev.AttemptVerified, "b") << quiet()
    book >> see(ev.EffectLost, "a") << expect(ev.MergeStarted, "a", onto="base") << quiet()
    book >> see(ev.EffectLost, "a") << expect(ev.MergeStarted, "a", onto="base") << quiet()
    book >> see(ev.MergeFinished, "a", kind="present", commit="m1", tree="")
    book << expect(ev.AttemptEnded, "a", outcome="integrated") << expect(ev.MergeStarted, "b", onto="m1") << quiet()


def test_a_publication_that_git_cannot_be_asked_about_is_given_up_in_the_end(playbook):
    book = playbook(A).to("a", Stage.PUBLISHING)
    for _ in range(4):
        book >> see(ev.EffectLost, "a") << expect(ev.MergeStarted, "a")
    book >> see(ev.EffectLost, "a") << expect(ev.AttemptEnded, "a", outcome="failed") << expect(ev.RunEnded)


def test_what_is_in_the_branch_must_go_on_passing_its_own_checks(playbook):
    own = Command("has a", "test -f a.txt")
    book = playbook(replace(A, verify=(UNIT, own)), replace(CHILD, verify=()))
    book.to("a", Stage.PUBLISHING) >> see(ev.Published, "a", commit="m1") << expect(ev.AttemptEnded, "a")
    book.to("child", Stage.MERGING)
    book >> see(ev.MergeFinished, "child", commit="m2", tree="t")
    book << expect(ev.MergeChecksStarted, "child", commit="m2", also=("a",)) << quiet()
    book >> see(ev.MergeChecksFinished, "child", ok=False, checks=(RED,))
    book << expect(ev.AttemptEnded, "child", outcome="failed", retry=False) << expect(ev.RunEnded, status="incomplete")
