"""The fold: indexes that follow from the facts. Whole runs are in tests/simulation, single transitions in tests/scenario."""

from __future__ import annotations

import pytest

from orchestrate.core import events as ev
from orchestrate.core.attempt import Stage
from orchestrate.core.names import AttemptKey
from orchestrate.core.plan import Feature, build_plan
from orchestrate.core.queues import is_success
from orchestrate.core.state import RunState, evolve, fresh

RUN = "20260102-030405-beef"


def started(*features: Feature, **given: str) -> RunState:
    return fresh(RUN, build_plan(features, **given), "base")  # type: ignore[arg-type]


def ids(keys: list[tuple[float, int, str]]) -> list[str]:
    return [fid for _, _, fid in keys]


def test_at_first_only_what_needs_nothing_is_ready() -> None:
    state = started(Feature("a"), Feature("b", depends_on=("a",)), Feature("c", priority=-1), Feature("d"))
    assert ids(state.ready) == ["a", "c", "d"]
    assert (state.left, state.wave_left, state.integration_head) == (4, [3, 1], "base")


def test_a_started_feature_leaves_the_ready_ones_and_takes_a_slot() -> None:
    state = started(Feature("a"), Feature("b"))
    evolve(state, ev.AttemptStarted(1.0, "a", 1, 1, ("base",)))
    assert (ids(state.ready), state.working(), state.in_flight()) == (["b"], 1, 1)
    assert state.attempt("a").stage is Stage.PREPARING
    assert state.key("a") == AttemptKey(RUN, "a", 1)


def test_skipping_blocks_the_next_in_line_once() -> None:
    state = started(Feature("a"), Feature("b"), Feature("c", depends_on=("a", "b")))
    evolve(state, ev.FeatureSkipped(1.0, "a", "w"))
    evolve(state, ev.FeatureSkipped(1.0, "b", "w"))
    assert state.blocked == {"c": "a was skipped"}
    evolve(state, ev.FeatureSkipped(1.0, "c", "a was skipped"))
    assert (state.blocked, state.left, state.ready, state.open_wave) == ({}, 0, [], 2)


def test_stop_requests_only_get_stricter_and_end_with_the_engine() -> None:
    state = started(Feature("a"))
    for how, stop in (("drain", "drain"), ("cancel", "cancel"), ("drain", "cancel")):
        evolve(state, ev.StopRequested(1.0, how))  # type: ignore[arg-type]
        assert state.stop == stop
    evolve(state, ev.RunEnded(2.0, "interrupted"))
    assert state.ended == ev.RunEnded(2.0, "interrupted")
    evolve(state, ev.EngineStarted(3.0, 1))
    assert (state.stop, state.ended) == ("", None)


def test_facts_that_change_nothing() -> None:
    state = started(Feature("a"))
    evolve(state, ev.RunStarted(1.0, RUN, "p", "base", "main", "i", "{}"))
    evolve(state, ev.Warned(1.0, "a", "m"))
    assert state == started(Feature("a"))


@pytest.mark.parametrize("attempt", [0, 2])
def test_attempts_are_counted_without_a_gap(attempt: int) -> None:
    with pytest.raises(AssertionError, match="cannot happen"):
        evolve(started(Feature("a")), ev.AttemptStarted(1.0, "a", attempt, 1))


def test_an_attempt_that_never_began_is_not_to_be_asked_for() -> None:
    with pytest.raises(AssertionError, match="a"):
        started(Feature("a")).attempt("a")


def test_only_integrated_is_success() -> None:
    assert is_success("integrated")
    assert not any(is_success(o) for o in ("failed", "no_changes", "conflicted", "cancelled", "skipped"))


def test_a_feature_that_is_verified_again_counts_once_for_its_dependents() -> None:
    state = started(Feature("a"), Feature("z"), Feature("b", depends_on=("a", "z")))
    for attempt in (1, 2):
        evolve(state, ev.AttemptStarted(1.0, "a", attempt, 1, ("base",)))
        evolve(state, ev.WorktreePrepared(2.0, "a", attempt, "base", "branch", "/wt"))
        evolve(state, ev.AttemptVerified(3.0, "a", attempt, 2, f"head{attempt}", "tree"))
        if attempt == 1:
            evolve(state, ev.AttemptEnded(4.0, "a", attempt, 3, "failed", retry=True))
    assert (state.features["a"].head, state.features["b"].unverified) == ("head2", 1)
    assert ids(state.mergeable) == ["a"]
