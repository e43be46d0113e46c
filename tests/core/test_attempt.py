"""The table agrees with itself."""

from __future__ import annotations

from orchestrate.core import events as ev
from orchestrate.core.attempt import BEFORE, IN_FLIGHT, INTEGRATING, TRANSITIONS, WORKING, Attempt, Invoked, Stage

DECIDING = set(Stage) - IN_FLIGHT - {Stage.ENDED}


def test_decided_events_lead_from_deciding_stages_and_observed_ones_from_effects_in_flight() -> None:
    for cls, (allowed, _) in TRANSITIONS.items():
        if cls is ev.AttemptStopping:
            assert allowed == set(Stage) - {Stage.ENDED}
        elif issubclass(cls, ev.DecidedAttemptEvent):
            assert allowed <= DECIDING
        else:
            assert allowed <= IN_FLIGHT


def test_every_effect_in_flight_is_begun_by_a_decision_and_ended_by_an_observation() -> None:
    begun = {after for cls, (_, after) in TRANSITIONS.items() if issubclass(cls, ev.DecidedAttemptEvent)}
    assert begun >= IN_FLIGHT - {Stage.PREPARING}  # AttemptStarted makes the attempt
    for stage in IN_FLIGHT:
        ends = [
            after
            for cls, (allowed, after) in TRANSITIONS.items()
            if stage in allowed and cls not in ev.CHATTY and after
        ]
        assert ends and set(ends) <= DECIDING


def test_what_is_lost_in_flight_is_decided_anew() -> None:
    assert set(BEFORE) == IN_FLIGHT | {Stage.MERGED}
    assert set(BEFORE.values()) <= DECIDING
    assert all((BEFORE[s] in WORKING) == (s in WORKING) for s in BEFORE)


def test_an_attempt_holds_a_slot_or_the_branch_or_waits() -> None:
    assert not WORKING & INTEGRATING
    assert set(Stage) - WORKING - INTEGRATING == {Stage.QUEUED, Stage.ENDED}


def test_no_stage_is_a_dead_end() -> None:
    reached, front = set(), {Stage.PREPARING}
    while front:
        reached |= front
        front = {after for allowed, after in TRANSITIONS.values() if after is not None and allowed & reached} - reached
    assert reached == set(Stage)


def test_an_attempt_adds_up_its_past() -> None:
    past = [Invoked("edit", "done", 1.0, duration_s=2.0), Invoked("rework", "done", 9.0, duration_s=3.0, rework=True)]
    a = Attempt(1, 0.0, past=past)
    assert (a.worked_s, a.reworks) == (5.0, 1)
