"""Money, usage limits and the account: what may not start, what it may spend, and when it goes on by itself."""

from __future__ import annotations

from dataclasses import replace

from orchestrate.core import events as ev
from orchestrate.core.attempt import Stage
from orchestrate.core.plan import Feature

from .playbook import expect, quiet, see

A, B, C = Feature("a"), Feature("b"), Feature("c")


def test_a_usage_limit_with_a_reset_time_parks_everything_until_then(playbook):
    book = playbook(A, B, max_parallel=1).to("a", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end="limit", resets_at=book.now + 600.0) << quiet(book.now + 600.0)
    book.wait(600.0) << expect(ev.InvocationStarted, "a", phase="proceed", resume=True) << quiet()


def test_a_usage_limit_also_keeps_new_features_from_starting(playbook):
    book = playbook(A, B, C, max_parallel=2)
    book.to("a", Stage.INVOKING).to("b", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end="limit", resets_at=book.now + 60.0) << quiet(book.now + 60.0)
    book >> see(ev.InvocationFinished, "b") << expect(ev.SealStarted, "b")
    book >> see(ev.WorkSealed, "b") << expect(ev.AttemptVerified, "b") << expect(ev.MergeStarted, "b")
    book << quiet(book.now + 60.0)
    book.wait(60.0) << expect(ev.InvocationStarted, "a") << expect(ev.AttemptStarted, "c") << quiet()


def test_a_usage_limit_is_not_a_try_nor_a_rework(playbook):
    book = playbook(replace(A, max_attempts=1, max_reworks=0)).to("a", Stage.INVOKING)
    for wait in (900.0, 1800.0, 3600.0, 3600.0):
        book >> see(ev.InvocationFinished, "a", end="limit") << quiet(book.now + wait)
        book.wait(wait) << expect(ev.InvocationStarted, "a", phase="proceed")
    book >> see(ev.InvocationFinished, "a") << expect(ev.SealStarted, "a")


def test_a_reset_time_that_is_over_is_no_reset_time(playbook):
    book = playbook(A).to("a", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end="limit", resets_at=book.now) << quiet(book.now + 900.0)


def test_agents_that_meet_the_same_limit_together_pause_once(playbook):
    book = playbook(A, B, C, max_parallel=3)
    for f in "abc":
        book.to(f, Stage.INVOKING)
    for f in "abc":
        book >> see(ev.InvocationFinished, f, end="limit")
    book << quiet(book.now + 900.0)


def test_a_refused_account_halts_the_run_until_a_person_has_seen_to_it(playbook):
    book = playbook(A, B, max_parallel=1).to("a", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end="auth", why="invalid API key")
    (
        book
        << expect(ev.AttemptParked, "a", why="invalid API key")
        << expect(ev.RunEnded, status="halted", why="invalid API key")
    )
    book >> see(ev.EngineStarted, pid=2) << expect(ev.InvocationStarted, "a", phase="proceed", resume=True) << quiet()


def test_a_refused_account_lets_what_runs_come_to_its_end(playbook):
    book = playbook(A, B, max_parallel=2)
    book.to("a", Stage.INVOKING).to("b", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end="auth") << expect(ev.AttemptParked, "a") << quiet()
    book >> see(ev.InvocationFinished, "b") << expect(ev.SealStarted, "b")
    book >> see(ev.WorkSealed, "b") << expect(ev.AttemptVerified, "b") << expect(ev.MergeStarted, "b")
    book.to("b", Stage.PUBLISHING) >> see(ev.Published, "b") << expect(ev.AttemptEnded, "b", outcome="integrated")
    book << expect(ev.RunEnded, status="halted", why="the agent is not signed in")


def test_what_is_left_of_the_run_is_shared_among_the_slots(playbook):
    book = playbook(A, B, C, max_parallel=2, max_cost_usd=10.0)
    book << expect(ev.AttemptStarted, "a") << expect(ev.AttemptStarted, "b") << quiet()
    book >> see(ev.WorktreePrepared, "a") << expect(ev.InvocationStarted, "a", max_cost_usd=5.0)
    book >> see(ev.WorktreePrepared, "b") << expect(ev.InvocationStarted, "b", max_cost_usd=5.0)
    assert (book.state.ledger.spent_usd, book.state.ledger.reserved_usd) == (0.0, 10.0)
    book >> see(ev.InvocationFinished, "a", end="incomplete", cost_usd=2.0)
    book << expect(ev.InvocationStarted, "a", max_cost_usd=3.0)


def test_while_all_is_reserved_nothing_starts_and_nothing_ends(playbook):
    book = playbook(A, B, max_parallel=2, max_cost_usd=0.015)
    book << expect(ev.AttemptStarted, "a") << expect(ev.AttemptStarted, "b")
    book >> see(ev.WorktreePrepared, "a") << expect(ev.InvocationStarted, "a", max_cost_usd=0.015)
    book >> see(ev.WorktreePrepared, "b") << quiet()
    book >> see(ev.InvocationFinished, "a", end="incomplete", cost_usd=0.0)
    book << expect(ev.InvocationStarted, "b", max_cost_usd=0.015) << quiet()


def test_a_spent_run_starts_nothing_more_and_ends_by_the_limit(playbook):
    book = playbook(A, B, C, max_parallel=1, max_cost_usd=1.0).to("a", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end="incomplete", cost_usd=1.2)
    why = "the cost limit of $1.00 is spent ($1.20)"
    book << expect(ev.AttemptParked, "a", why=why) << expect(ev.RunEnded, status="limit", why=why)


def test_a_spent_run_still_verifies_and_merges_what_is_paid_for(playbook):
    book = playbook(A, B, max_parallel=1, max_cost_usd=1.0).to("a", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", cost_usd=1.0) << expect(ev.SealStarted, "a")
    book.to("a", Stage.PUBLISHING) >> see(ev.Published, "a") << expect(ev.AttemptEnded, "a", outcome="integrated")
    book << expect(ev.RunEnded, status="limit")
    assert book.state.features["b"].ended is None


def test_a_raised_limit_lets_the_run_go_on(playbook):
    book = playbook(A, max_parallel=1, max_cost_usd=1.0).to("a", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end="incomplete", cost_usd=1.0)
    book << expect(ev.AttemptParked, "a") << expect(ev.RunEnded, status="limit")
    book.policy = replace(book.policy, max_cost_usd=3.0)
    book >> see(ev.EngineStarted, pid=2) << expect(ev.InvocationStarted, "a", max_cost_usd=2.0) << quiet()


def test_a_feature_has_a_limit_of_its_own_over_all_its_attempts(playbook):
    book = playbook(replace(A, max_cost_usd=2.0, max_reworks=5), B, max_parallel=1, max_cost_usd=100.0)
    book << expect(ev.AttemptStarted, "a") >> see(ev.WorktreePrepared, "a")
    book << expect(ev.InvocationStarted, "a", max_cost_usd=2.0)
    book >> see(ev.InvocationFinished, "a", end="incomplete", cost_usd=1.5)
    book << expect(ev.InvocationStarted, "a", max_cost_usd=0.5)
    book >> see(ev.InvocationFinished, "a", end="incomplete", cost_usd=0.5)
    why = "the feature's cost limit of $2.00 is spent ($2.00)"
    book << expect(ev.AttemptEnded, "a", outcome="failed", why=why, retry=False) << expect(ev.AttemptStarted, "b")


def test_a_rounding_error_in_the_reserve_does_not_keep_the_run_waiting_for_ever(playbook):
    assert 0.1 + 0.2 - 0.1 - 0.2 > 0
    book = playbook(replace(A, max_cost_usd=0.1), replace(B, max_cost_usd=0.2), C, max_parallel=2, max_cost_usd=0.6)
    book.to("a", Stage.INVOKING).to("b", Stage.INVOKING)
    book >> see(ev.InvocationFinished, "a", end="config", cost_usd=0.3)
    book << expect(ev.AttemptEnded, "a") << expect(ev.AttemptStarted, "c")
    book >> see(ev.InvocationFinished, "b", end="config", cost_usd=0.3) << expect(ev.AttemptEnded, "b")
    book >> see(ev.WorktreePrepared, "c") << expect(ev.AttemptParked, "c") << expect(ev.RunEnded, status="limit")
