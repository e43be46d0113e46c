"""Pauses as spans of time, and requests in words that say who asked."""

from __future__ import annotations

import pytest

from orchestrate.core import events as ev
from orchestrate.views.controls import hold_words, on_words, request_words
from orchestrate.views.run import RunView, build_view, fold
from tests.support.logs import ANNA, SCENARIOS, Teller, a_plan


def view_of(name: str, *more: ev.Event) -> RunView:
    scenario = SCENARIOS[name]()
    return build_view(scenario.plan, (*scenario.events, *more))


def test_a_pause_lasts_until_somebody_ends_it() -> None:
    holds = view_of("paused").holds
    (pause,) = holds.pauses
    assert (pause.by, pause.ended_by, pause.until is not None) == (ANNA, "bob@desk", True)
    assert holds.seconds(9e9) == (pause.until or 0.0) - pause.since > 3600.0
    assert not holds


def test_what_holds_is_said_with_who_and_what_ends_it() -> None:
    holds = view_of("standing_still").holds
    assert hold_words(holds) == f"paused by {ANNA}"
    assert on_words(holds.open[0]) == "orchestrate resume goes on"
    assert holds.seconds(holds.open[0].since + 60.0) == 60.0


def test_a_pause_of_a_person_outlives_the_engine_and_the_dead_time_is_not_part_of_it() -> None:
    view = view_of("killed_and_resumed")
    (pause,) = view.holds.pauses
    saved = view.features["api"].attempts[0].saved_at
    assert view.down_s == pytest.approx(28_800.0)
    assert view.holds.seconds(view.last_at) == pytest.approx(saved - pause.since)


def test_a_pause_that_the_machine_forced_ends_with_its_engine() -> None:
    t = Teller(a_plan(("api",)))
    t.begin()
    t.run_out_of_room()
    t.pause()
    view = build_view(t.plan, t.events)
    assert hold_words(view.holds) == f"the disk is nearly full: 0.1 GB are free; paused by {ANNA}"
    t.wait(100.0)
    t.engine()
    view = build_view(t.plan, t.events)
    assert [pause.cause for pause in view.holds.open] == ["operator"]
    assert [(pause.cause, pause.until, pause.ended_by) for pause in view.holds.pauses] == [
        ("disk", t.events[3].at, "engine"),
        ("operator", None, ""),
    ]


def test_a_second_pause_is_the_same_only_harder() -> None:
    view = view_of("just_begun", ev.PauseRequested(1e9, ANNA), ev.PauseRequested(2e9, "bob@desk", now=True))
    (pause,) = view.holds.pauses
    assert (pause.by, pause.now, pause.since) == (ANNA, True, 1e9)


def test_two_pauses_at_once_are_counted_once() -> None:
    view = view_of("just_begun", ev.PauseRequested(1e9, ANNA), ev.PauseRequested(1e9 + 5, "engine", cause="disk"))
    assert view.holds.seconds(1e9 + 60.0) == 60.0
    fold(view, ev.ResumeRequested(1e9 + 20, ANNA))
    fold(view, ev.ResumeRequested(1e9 + 30, "engine", cause="disk"))
    assert view.holds.seconds(2e9) == 30.0
    assert view.holds.seconds(1e9 + 10.0) == 10.0


def test_requests_from_elsewhere_are_no_sign_of_an_engine() -> None:
    view = view_of("under_way")
    last = view.last_at
    fold(view, ev.PauseRequested(last + 5000.0, ANNA, 1))
    assert (view.last_at, view.delivered, len(view.requests)) == (last, 1, 1)
    fold(view, ev.EngineStarted(last + 6000.0, 9))
    assert view.down_s == 6000.0


def test_a_person_without_a_name_is_somebody() -> None:
    assert request_words(ev.ResumeRequested(1.0)).text == "somebody resumed the run"


def test_of_many_features_the_first_are_named() -> None:
    words = request_words(ev.RetryRequested(1.0, ANNA, 1, tuple("abcdefgh"))).text
    assert words == f"{ANNA} asked for another try at a, b, c, d, e, f and 2 more"


def test_a_closed_terminal_is_told_as_one() -> None:
    assert request_words(ev.StopRequested(1.0, "cancel", "SIGHUP")).text == (
        "its terminal was closed (SIGHUP): ending the agents now"
    )


def test_a_request_that_nobody_knows_is_a_defect() -> None:
    with pytest.raises(AssertionError, match="unknown request"):
        request_words(ev.Control(1.0))
