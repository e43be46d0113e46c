"""What every event log must do: one suite, all implementations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrate.core import events as ev
from orchestrate.ports import EventLog, Stored
from orchestrate.store.codec import KINDS
from orchestrate.store.log import SqliteEventLog
from orchestrate.store.memory import MemoryEventLog
from tests.support.anyevent import any_event

AnyLog = MemoryEventLog | SqliteEventLog


@pytest.fixture(params=["memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyLog]:
    made: AnyLog = MemoryEventLog() if request.param == "memory" else SqliteEventLog(tmp_path / "log.sqlite3")
    yield made
    made.close()


def warned(*messages: str) -> list[ev.Event]:
    return [ev.Warned(float(at), "a", message) for at, message in enumerate(messages)]


def test_is_an_event_log(log: AnyLog) -> None:
    port: EventLog = log
    assert port.read("r") == []
    assert port.runs() == []


def test_an_empty_log_answers(log: AnyLog) -> None:
    assert (log.tail(), log.first("r"), log.last("r")) == ([], None, None)


def test_append_says_where_each_event_lies(log: AnyLog) -> None:
    one, two, three = warned("one", "two", "three")
    assert log.append("r", [one, two]) == [Stored(1, "r", one), Stored(2, "r", two)]
    assert log.append("r", [three]) == [Stored(3, "r", three)]
    assert log.read("r") == [Stored(1, "r", one), Stored(2, "r", two), Stored(3, "r", three)]


def test_appending_nothing_is_nothing(log: AnyLog) -> None:
    assert log.append("r", []) == []
    assert log.runs() == []


def test_seq_counts_over_all_runs(log: AnyLog) -> None:
    one, two, three = warned("one", "two", "three")
    log.append("b", [one])
    log.append("a", [two])
    log.append("b", [three])
    assert log.read("b") == [Stored(1, "b", one), Stored(3, "b", three)]
    assert log.read("a") == [Stored(2, "a", two)]
    assert [stored.seq for stored in log.tail(1)] == [2, 3]
    assert log.runs() == ["b", "a"], "oldest first, not by name"


def test_a_follower_asks_for_what_is_new(log: AnyLog) -> None:
    log.append("r", warned("one", "two", "three"))
    assert [stored.seq for stored in log.read("r", 2)] == [3]
    assert log.read("r", 3) == []
    assert log.tail(3) == []


def test_first_and_last(log: AnyLog) -> None:
    one, two, three = warned("one", "two", "three")
    log.append("r", [one, two])
    log.append("other", [three])
    assert log.first("r") == Stored(1, "r", one)
    assert log.last("r") == Stored(2, "r", two)
    assert log.first("nobody") is None


def test_requests_are_numbered_over_all_runs_and_asked_for_by_run(log: AnyLog) -> None:
    pause, cancel, again = ev.PauseRequested(1.0, "anna"), ev.CancelRequested(2.0, "bob"), ev.PauseRequested(3.0)
    assert [log.request("a", pause), log.request("b", cancel), log.request("a", again)] == [1, 2, 3]
    assert log.requests("a") == [(1, pause), (3, again)]
    assert log.requests("a", 1) == [(3, again)]
    assert log.requests("a", 3) == []
    assert log.requests("nobody") == []
    assert (log.tail(), log.runs()) == ([], []), "what is asked for is no fact yet"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=st.sampled_from(list(KINDS.values())).flatmap(any_event))
def test_every_event_comes_back_as_it_was(log: AnyLog, event: ev.Event) -> None:
    [stored] = log.append("r", [event])
    [read] = log.read("r", stored.seq - 1)
    assert repr(read) == repr(stored)
