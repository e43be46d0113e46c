"""Requests of people: stored, heard by the engine that drives the run or noted by who asked, each exactly once."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrate.app.controls import address, deliver, number_of, paused_by, person
from orchestrate.app.unfinished import last_run, unfinished_run
from orchestrate.core import events as ev
from orchestrate.engine.clock import SystemClock
from orchestrate.errors import ExitCode, OrchestrateError
from orchestrate.ports import Stored
from orchestrate.store.artifacts import StateDir
from orchestrate.store.log import SqliteEventLog
from tests.support.listening import driven, holding
from tests.support.logs import ANNA, DIAMOND, RUN, Teller, a_plan
from tests.support.statedir import Recording

CLOCK = SystemClock()
ELSEWHERE = "20261121-120000-0001"


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    """A run that was cut off: `db` is integrated, `api` has begun."""
    recording = Recording.make(tmp_path / "recorded")
    recording.store_scenario(interrupted().scenario())
    return recording


def interrupted() -> Teller:
    teller = Teller(a_plan(*DIAMOND))
    teller.begin()
    teller.work("db")
    teller.integrate("db")
    teller.start("api")
    return teller


def controls_in(state: StateDir, run: str = RUN) -> list[int]:
    with SqliteEventLog(state.log, read_only=True) as log:
        return [number for stored in log.read(run) if (number := number_of(stored.event))]


# ── nobody drives the run ────────────────────────────────────────────────────────────────────────────────────────


def test_without_an_engine_the_request_is_recorded_by_who_asked(recording: Recording) -> None:
    sent = deliver(recording.state, RUN, ev.PauseRequested(1.0, ANNA), clock=CLOCK)
    assert not sent.by_engine and sent.number == 1
    assert isinstance(sent.stored.event, ev.PauseRequested) and sent.stored.event.by == ANNA
    assert sent.stored.event.control == 1 and sent.stored.event.at > 1.0, "told when it took effect"
    assert sent.state.holds["operator"].by == ANNA
    assert address(recording.state, RUN).state.holds, "and it holds for who comes next"
    with holding(recording.state, RUN):
        pass  # the lock was given back


def test_requests_that_were_left_behind_go_first_and_in_order(recording: Recording) -> None:
    with SqliteEventLog(recording.state.log) as log:  # whoever asked was killed before anybody heard
        for event in (ev.PauseRequested(1.0, "a"), ev.CancelRequested(2.0, "b", features=("web",))):
            log.request(RUN, event)
    assert "web" in address(recording.state, RUN).state.cancelled, "pending ones are known to who looks"
    sent = deliver(recording.state, RUN, ev.ResumeRequested(3.0, "c"), clock=CLOCK)
    assert controls_in(recording.state) == [1, 2, 3]
    assert not sent.state.holds and set(sent.state.cancelled) == {"web"}
    deliver(recording.state, RUN, ev.PauseRequested(4.0, "d"), clock=CLOCK)
    assert controls_in(recording.state) == [1, 2, 3, 4]


def test_requests_to_another_run_are_not_ours(recording: Recording) -> None:
    with SqliteEventLog(recording.state.log) as log:
        log.request(ELSEWHERE, ev.PauseRequested(1.0, "a"))
    deliver(recording.state, RUN, ev.PauseRequested(2.0, "b"), clock=CLOCK)
    assert controls_in(recording.state) == [2]


def test_while_another_run_is_driven_nothing_is_stored(recording: Recording) -> None:
    with holding(recording.state, ELSEWHERE), pytest.raises(OrchestrateError) as refused:
        address(recording.state, RUN)
    assert ELSEWHERE in refused.value.message and "orchestrate stop" in refused.value.hint


def test_an_engine_that_does_not_answer_is_named_and_the_request_is_kept(recording: Recording) -> None:
    with holding(recording.state, RUN), pytest.raises(OrchestrateError) as refused:
        deliver(recording.state, RUN, ev.PauseRequested(1.0, ANNA), clock=CLOCK, patience_s=0.0)
    assert refused.value.code is ExitCode.INCOMPLETE and "the request is stored" in refused.value.message
    assert controls_in(recording.state) == []
    assert "operator" in address(recording.state, RUN).state.holds, "it is heard as soon as somebody listens"


# ── an engine drives the run ─────────────────────────────────────────────────────────────────────────────────────


def test_an_engine_hears_requests_once_each_and_in_order(recording: Recording) -> None:
    over = threading.Event()
    with driven(recording.state, lambda _: over.is_set()) as engine:
        try:
            first = deliver(recording.state, RUN, ev.PauseRequested(1.0, ANNA), clock=CLOCK, patience_s=30)
            second = deliver(recording.state, RUN, ev.ResumeRequested(2.0, ANNA), clock=CLOCK, patience_s=30)
        finally:
            over.set()
    assert first.by_engine and second.by_engine
    assert "operator" in first.state.holds and not second.state.holds
    assert [number_of(event) for event in engine.told] == controls_in(recording.state) == [1, 2]


@pytest.mark.parametrize("turns", range(20))
def test_a_request_that_races_with_the_end_of_the_engine_is_recorded_once(recording: Recording, turns: int) -> None:
    with driven(recording.state, lambda turn: turn >= turns * 4):
        sent = deliver(recording.state, RUN, ev.PauseRequested(1.0, ANNA), clock=CLOCK, patience_s=30)
    assert controls_in(recording.state) == [1]
    assert "operator" in sent.state.holds


def test_two_who_ask_at_once_are_both_heard(recording: Recording) -> None:
    def ask(by: str) -> None:
        with suppress(OrchestrateError):
            deliver(recording.state, RUN, ev.PauseRequested(1.0, by), clock=CLOCK, patience_s=30)

    threads = [threading.Thread(target=ask, args=(by,)) for by in ("anna", "ben", "cleo", "dan")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert controls_in(recording.state) == [1, 2, 3, 4]


# ── what follows for the run ─────────────────────────────────────────────────────────────────────────────────────


def test_only_a_person_ends_the_pause_of_a_person() -> None:
    teller = interrupted()
    teller.pause()
    teller.run_out_of_room()
    teller.have_room()
    teller.engine()
    past = [Stored(seq, RUN, event) for seq, event in enumerate(teller.events, 1)]
    paused = paused_by(past)
    assert paused is not None and paused.by == ANNA
    assert paused_by(past, [ev.ResumeRequested(9.0, "ben")]) is None
    assert paused_by(past, [ev.ResumeRequested(9.0, "engine", cause="disk")]) == paused


@pytest.mark.parametrize(
    ("request_", "is_unfinished"),
    [
        (ev.PauseRequested(1.0, ANNA), False),
        (ev.StopRequested(1.0, "drain", ANNA), False),
        (ev.AnswerGiven(1.0, ANNA, feature="api", text="v2"), False),
        (ev.RetryRequested(1.0, ANNA), True),
    ],
)
def test_what_is_said_after_the_end_opens_a_run_only_if_it_asks_for_another_try(
    tmp_path: Path, request_: ev.Event, is_unfinished: bool
) -> None:
    teller = interrupted()
    teller.prepare("api")
    teller.conclude("api", "failed", "no")
    teller.skip("dash", "api failed")
    teller.work("web")
    teller.integrate("web")
    teller.end("incomplete")
    recording = Recording.make(tmp_path / "over")
    recording.store_scenario(teller.scenario())
    report = recording.state.report_json(RUN)
    report.parent.mkdir(parents=True)
    report.touch()
    assert last_run(recording.state) is None
    deliver(recording.state, RUN, request_, clock=CLOCK)
    assert (last_run(recording.state) is not None) is is_unfinished
    assert (unfinished_run(recording.state, RUN) is not None) is is_unfinished


def test_who_asks_is_a_user_at_a_host() -> None:
    user, _, rest = person().partition("@")
    assert user and len(rest.split()) >= 2
