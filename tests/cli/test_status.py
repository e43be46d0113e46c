"""Where a run stands: told from the log alone, while an engine writes and after it is gone."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from orchestrate.core import events as ev
from orchestrate.engine.lock import acquire, this_process
from tests.support.logs import BRANCH, RUN, SCENARIOS, Scenario, failed_and_skipped, happy_diamond, limit
from tests.support.statedir import Recording

OTHER = "20261120-080000-00aa"


def broken_off() -> Scenario:
    whole = happy_diamond()
    return Scenario(whole.plan, whole.events[:12])


def test_a_run_that_is_done(recording: Recording) -> None:
    recording.store_scenario(happy_diamond())
    answer = recording.ask("status")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0].startswith(f"run {RUN} is done: 4 of 4 features integrated in ")
    assert [line.split("✓ integrated")[0].split()[-1] for line in lines[3:7]] == ["db", "api", "web", "dash"]
    assert f"next    git merge {BRANCH}" in lines
    assert lines[-1].strip() == "orchestrate cleanup --merged"


def test_what_failed_is_said_in_one_line_each(recording: Recording) -> None:
    recording.store_scenario(failed_and_skipped())
    out = recording.ask("status").out
    assert "✗ db failed: check tests failed (exit 1): ````" in out.splitlines()
    assert "next    orchestrate logs db" in out
    assert "\x1b" not in out


def test_hostile_words_are_neutralised(recording: Recording) -> None:
    scenario = failed_and_skipped()
    words = "\x1b]0;owned\x07\x1b[31mred\u202e"
    ends = {ev.AttemptEnded, ev.FeatureSkipped, ev.RunEnded}
    told = [event for event in scenario.events if not isinstance(event, ev.ChecksFinished)]
    events = [replace(event, why=words) if type(event) in ends else event for event in told]
    recording.store(scenario.plan, [*events, ev.Warned(scenario.end, "db", words)])
    out = recording.ask("status").out
    assert "red" in out
    assert not {"\x1b", "\x07", "\u202e"} & set(out)


def test_only_what_still_holds_is_warned_of(recording: Recording) -> None:
    """Advice from before a later engine would undo what that has done since."""
    scenario = failed_and_skipped()
    old = ev.Warned(scenario.end, "", "to put it back: git branch -f orch/integration aaaa")
    new = ev.Warned(scenario.end + 9.0, "docs", "the disk was nearly full")
    recording.store(scenario.plan, [*scenario.events, old, ev.EngineStarted(scenario.end + 9.0, 2), new])
    out = recording.ask("status").out
    assert ("put it back" in out, "! docs: the disk was nearly full" in out) == (False, True)
    assert "put it back" in recording.ask("report", "--md").out
    assert "put it back" in recording.ask("logs").out


def test_nobody_drives_a_run_that_has_not_ended(recording: Recording) -> None:
    recording.store_scenario(broken_off())
    answer = recording.ask("status")
    assert answer.out.startswith(f"run {RUN} broke off: 0 of 4 features")
    assert "next    orchestrate resume" in answer.out
    assert recording.ask("status", "--json").json["status"] == "broken_off"


def test_what_was_at_work_is_cut_off_and_its_time_stands_still(recording: Recording) -> None:
    recording.store_scenario(SCENARIOS["under_way"]())
    api = next(line for line in recording.ask("status").out.splitlines() if "⊘ cut off" in line and " api " in line)
    assert "0:03" in api
    assert "working" not in api


def test_the_engine_is_named_while_it_lives(recording: Recording) -> None:
    recording.store_scenario(broken_off())
    with acquire(recording.state.engine_lock, this_process(run=RUN, command="orchestrate run", since=1.0)):
        answer = recording.ask("status")
        document = recording.ask("status", "--json").json
    assert answer.out.startswith(f"run {RUN} is running")
    assert f"engine  pid {os.getpid()} on " in answer.out
    assert (document["status"], document["engine"]["pid"]) == ("running", os.getpid())


def test_the_document_names_every_feature(recording: Recording) -> None:
    recording.store_scenario(limit())
    document = recording.ask("status", "--json").json
    assert document["schema"] == "orchestrate/status/v1"
    assert document["run"] == RUN
    assert {f["id"]: f["status"] for f in document["features"]} == {"db": "waiting", "web": "ready", "api": "waiting"}
    assert document["next"] == ["orchestrate resume"]


def test_the_newest_run_unless_another_is_named(recording: Recording) -> None:
    recording.store_scenario(limit(), OTHER)
    recording.store_scenario(happy_diamond())
    assert recording.ask("status").out.startswith(f"run {RUN} ")
    for given in (OTHER, "20261120", "00aa"):
        assert recording.ask("status", given).out.startswith(f"run {OTHER} ")


@pytest.mark.parametrize(
    ("given", "said", "hint"),
    [
        ("2026112", "2 runs begin with '2026112'", f"say which: {RUN}, {OTHER}"),
        ("20261121-111415-7f3b", "there is no run '20261121-111415-7f3b'", f"did you mean {RUN}"),
        ("nonsense", "there is no run 'nonsense'", "orchestrate history lists them"),
    ],
)
def test_a_run_that_is_not_there(recording: Recording, given: str, said: str, hint: str) -> None:
    recording.store_scenario(limit(), OTHER)
    recording.store_scenario(happy_diamond())
    answer = recording.ask("status", given)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert hint in answer.err


def test_looking_creates_nothing(recording: Recording) -> None:
    for command in (["status"], ["history"], ["logs", "api"], ["diff", "api"], ["report"], ["cleanup", "--dry-run"]):
        recording.ask(*command)
    assert not recording.state.root.exists()


def test_before_the_first_run(recording: Recording) -> None:
    answer = recording.ask("status")
    assert answer.code == 2
    assert "nothing has been run in this repository yet" in answer.err


def test_outside_of_a_repository(recording: Recording) -> None:
    nowhere = Recording(type(recording.repo)(recording.repo.path.parent))
    answer = nowhere.ask("status")
    assert answer.code == 2
    assert "is not inside a git repository" in answer.err
