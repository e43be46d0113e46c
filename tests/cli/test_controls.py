"""`pause`, `stop`, `cancel`, `retry`, `answer` where nobody drives the run: what is recorded, said and refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrate.app.controls import number_of
from orchestrate.core import events as ev
from orchestrate.engine.lock import acquire, this_process
from tests.support.listening import live
from tests.support.logs import DIAMOND, RUN, Teller, a_plan, just_begun
from tests.support.statedir import Recording

OLDER = "20261120-101010-0a0a"


def under_way() -> Teller:
    """`db` is integrated, `api` has failed, `web` was cut off, `dash` waits."""
    teller = Teller(a_plan(*DIAMOND))
    teller.begin()
    teller.work("db")
    teller.integrate("db")
    teller.start("api")
    teller.start("web")
    teller.prepare("api")
    teller.conclude("api", "failed", "it did not work")
    return teller


def over() -> Teller:
    teller = under_way()
    teller.skip("dash", "api failed")
    teller.prepare("web")
    teller.invoke("web")
    teller.finish("web")
    teller.seal("web")
    teller.check("web")
    teller.verify("web")
    teller.integrate("web")
    teller.end("incomplete", "2 of 4 features were not integrated")
    return teller


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    return Recording.make(tmp_path / "recorded")


@pytest.fixture
def unfinished(recording: Recording) -> Recording:
    recording.store_scenario(under_way().scenario())
    return recording


@pytest.fixture
def finished(recording: Recording) -> Recording:
    recording.store_scenario(over().scenario())
    report = recording.state.report_json(RUN)
    report.parent.mkdir(parents=True)
    report.touch()
    return recording


def requests(recording: Recording, run: str = RUN) -> list[ev.Event]:
    from orchestrate.store.log import SqliteEventLog

    with SqliteEventLog(recording.state.log, read_only=True) as log:
        return [stored.event for stored in log.read(run) if number_of(stored.event)]


# ── pause ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_pause_waits_for_the_next_engine(unfinished: Recording) -> None:
    done = unfinished.ask("pause")
    assert done.code == 0 and f"paused run {RUN}" in done.out and "next engine starts nothing" in done.out
    assert "orchestrate resume" in done.err
    (pause,) = requests(unfinished)
    assert isinstance(pause, ev.PauseRequested) and "@" in pause.by and pause.cause == "operator"


def test_a_second_pause_asks_for_nothing_unless_it_is_harder(unfinished: Recording) -> None:
    unfinished.ask("pause")
    again = unfinished.ask("pause")
    assert again.code == 0 and "is paused already" in again.out
    assert unfinished.ask("pause", "--now").code == 0
    assert [getattr(event, "now", None) for event in requests(unfinished)] == [False, True]


def test_a_control_answers_in_one_document(unfinished: Recording) -> None:
    answer = unfinished.ask("pause", "--json").json
    assert answer["schema"] == "orchestrate/control/v1" and answer["request"] == "pause"
    assert (answer["control"], answer["run"], answer["engine"], answer["held"]) == (1, RUN, None, ["operator"])
    assert answer["waiting"] == 2 and answer["next"] == "orchestrate resume"


def test_the_newest_unfinished_run_is_meant_and_another_can_be_named(unfinished: Recording) -> None:
    newer = Teller(a_plan(("solo",)))
    newer.begin()
    newer.work("solo")
    newer.integrate("solo")
    newer.end("done")
    unfinished.store(newer.plan, newer.events, "20261122-000000-bbbb")
    report = unfinished.state.report_json("20261122-000000-bbbb")
    report.parent.mkdir(parents=True)
    report.touch()
    assert RUN in unfinished.ask("pause").out
    named = unfinished.ask("pause", "20261122")
    assert named.code == 2 and "is over: there is nothing to pause" in named.err


@pytest.mark.parametrize("command", [("pause",), ("cancel", "--yes"), ("resume",)])
def test_a_run_that_is_over_is_left_alone(finished: Recording, command: tuple[str, ...]) -> None:
    done = finished.ask(*command)
    assert done.code == 2 and "is over" in done.err and "orchestrate retry" in done.err
    assert requests(finished) == []


@pytest.mark.parametrize(
    "command", [("pause",), ("stop",), ("cancel", "--yes"), ("resume",), ("retry", "--yes"), ("answer", "a", "b")]
)
def test_where_nothing_was_run_there_is_nothing_to_steer(recording: Recording, command: tuple[str, ...]) -> None:
    done = recording.ask(*command)
    assert done.code == 2 and "nothing has been run" in done.err
    assert not recording.state.root.exists(), "and nothing was made"


# ── stop ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_to_stop_what_does_not_run_is_no_mistake(unfinished: Recording) -> None:
    done = unfinished.ask("stop")
    assert done.code == 0 and "nothing runs" in done.out and "orchestrate resume" in done.err
    assert requests(unfinished) == []


def test_while_another_run_is_driven_a_request_is_refused(unfinished: Recording) -> None:
    other = this_process(run="20261122-000000-bbbb", command="orchestrate run", since=1.0)
    with acquire(unfinished.state.engine_lock, other):
        done = unfinished.ask("pause", RUN)
    assert done.code == 2 and "20261122-000000-bbbb is being driven by pid" in done.err
    assert requests(unfinished) == []


def test_a_second_engine_that_is_none_is_no_reason_to_wait_for_an_answer(unfinished: Recording) -> None:
    with acquire(unfinished.state.engine_lock, this_process(run="", command="orchestrate cleanup", since=1.0)):
        done = unfinished.ask("stop")
    assert done.code == 0 and "nothing runs" in done.out


# ── cancel ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_cancelling_names_what_is_skipped(unfinished: Recording) -> None:
    done = unfinished.ask("cancel", "web", "--json")
    assert done.code == 0 and done.json["features"] == ["web"] and done.json["next"] == "orchestrate resume"
    assert "the work of 1 attempt is kept; dash is skipped" in done.json["message"]


@pytest.mark.parametrize(
    ("command", "word", "hint"),
    [
        (("cancel", "wbe"), "no feature 'wbe'", "did you mean web?"),
        (("cancel", "db"), "has ended (integrated)", "orchestrate logs db"),
        (("cancel", "api"), "has ended (failed)", "orchestrate logs api"),
        (("retry", "web", "--yes"), "web has not ended", "orchestrate logs web"),
        (("retry", "db", "--yes"), "db is integrated", "orchestrate diff db"),
        (("retry", "ap", "--yes"), "no feature 'ap'", "did you mean api?"),
        (("answer", "db", "yes"), "db is integrated", "orchestrate logs db"),
        (("answer", "dsh", "yes"), "no feature 'dsh'", "did you mean dash?"),
        (("answer", "web", "  "), "the answer is empty", "orchestrate answer web"),
        (("answer", "web", "x" * 20_001), "20,001 characters", "a file"),
        (("cancel",), f"Give up 2 features of run {RUN} (web, dash)?", "--yes"),
        (("cancel", "--json"), "does not ask", "--yes"),
        (("pause", "2027"), "there is no run '2027'", "orchestrate history"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_stored(
    unfinished: Recording, command: tuple[str, ...], word: str, hint: str
) -> None:
    done = unfinished.ask(*command)
    said = done.out if "--json" in command else done.err
    assert done.code == 2 and word in said and hint in said
    assert requests(unfinished) == []


# ── a run that is driven ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("how", "by"), [("stop", "@"), ("SIGINT", "Ctrl-C"), ("SIGHUP", "the closing of its terminal")]
)
def test_a_run_that_is_stopping_is_not_said_to_go_on(recording: Recording, how: str, by: str) -> None:
    teller = under_way()
    if how != "stop":
        teller.tell(ev.StopRequested(teller.now, "drain", how))
    recording.store_scenario(teller.scenario())
    with live(recording.state):
        if how == "stop":
            assert recording.ask("stop").code == 0
        assert "it holds for when the run is gone on with" in recording.ask("pause").err
        refused = recording.ask("resume")
    assert refused.code == 2 and f"run {RUN} is stopping (asked for by " in refused.err and by in refused.err
    assert "then: orchestrate resume" in refused.err
    assert not [event for event in requests(recording) if isinstance(event, ev.ResumeRequested)]


def test_what_an_earlier_engine_was_asked_for_is_not_asked_of_this_one(recording: Recording) -> None:
    """It has the lock, and has not recorded yet that it began."""
    teller = under_way()
    teller.tell(ev.StopRequested(0.5, "drain", "SIGINT"))
    recording.store_scenario(teller.scenario())
    with live(recording.state):
        assert "is not paused: it is driven by" in recording.ask("resume").out


def test_whoever_is_paused_or_goes_on_is_counted_at_once(recording: Recording) -> None:
    """`web` gets its worktree, `dash` has not begun."""
    recording.store_scenario(under_way().scenario())
    with live(recording.state):
        assert "no agent is at work, 2 features wait" in recording.ask("pause", "--now").out
        assert "goes on: 2 features wait for a turn" in recording.ask("resume").out


def test_an_agent_that_was_parked_goes_on_and_waits_for_no_turn(recording: Recording) -> None:
    teller = under_way()
    teller.prepare("web")
    teller.invoke("web")
    teller.pause(now=True)
    teller.break_off("web", "paused")
    recording.store_scenario(teller.scenario())
    with live(recording.state):
        assert "goes on: 1 agent goes on, 1 feature waits for a turn" in recording.ask("resume").out


def finished_by_its_agent(steps: int) -> Teller:
    """How far `web` is, whose agent ended: at work, checked, verified."""
    teller = Teller(a_plan(("web",)))
    teller.begin()
    teller.start("web")
    teller.prepare("web")
    teller.invoke("web")
    if steps:
        teller.finish("web")
        teller.seal("web")
        teller.check("web")
        teller.tell(ev.ChecksStarted(*teller._decided("web"), "c" * 40)) if steps == 1 else teller.verify("web")
    return teller


@pytest.mark.parametrize(("steps", "words"), [(0, "if there is one"), (1, "has finished"), (2, "it is verified")])
def test_an_answer_that_may_never_be_heard_is_not_promised(recording: Recording, steps: int, words: str) -> None:
    recording.store_scenario(finished_by_its_agent(steps).scenario())
    with live(recording.state):
        done = recording.ask("answer", "web", "again")
    assert done.code == 0 and words in done.out


def test_an_agent_that_is_being_ended_to_go_on_later_hears_an_answer(recording: Recording) -> None:
    teller = finished_by_its_agent(0)
    teller.stop("web", "interrupted", "paused")
    recording.store_scenario(teller.scenario())
    with live(recording.state):
        assert "gets it with its next invocation\n" in recording.ask("answer", "web", "again").out


# ── an older run ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (("answer", "api", "hi", "--run", "@2"), f"orchestrate retry api --run {RUN}"),
        (("answer", "web", "hi", "--run", "@2"), f"orchestrate resume {RUN}"),
        (("pause", "@2"), f"orchestrate resume {RUN}"),
        (("stop", "@2"), f"orchestrate resume {RUN}"),
        (("cancel", "web", "--run", "@2"), f"orchestrate resume {RUN}"),
        (("cancel", "api", "--run", "@2"), f"orchestrate logs api --run {RUN}"),
        (("answer", "db", "hi", "--run", "@2"), f"orchestrate logs db --run {RUN}"),
        (("retry", "db", "--run", "@2"), f"orchestrate diff db --run {RUN}"),
        (("retry", "no", "--run", "@2"), f"run {RUN} has no feature 'no'"),
    ],
)
def test_what_is_to_be_typed_next_is_about_the_same_run(
    unfinished: Recording, command: tuple[str, ...], hint: str
) -> None:
    unfinished.store_scenario(just_begun(), "20261122-000000-bbbb")
    assert hint in unfinished.ask(*command).err


# ── answer ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_is_kept_for_the_next_invocation(unfinished: Recording) -> None:
    assert unfinished.ask("answer", "WEB", "Use v2.").code == 0
    (given,) = requests(unfinished)
    assert isinstance(given, ev.AnswerGiven) and (given.feature, given.text) == ("web", "Use v2.")


def test_a_feature_that_failed_can_be_answered_before_it_is_tried_again(unfinished: Recording) -> None:
    done = unfinished.ask("answer", "api", "Use v2.")
    assert done.code == 0 and "orchestrate retry api" in done.err
