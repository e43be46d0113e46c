"""`orchestrate logs` without a feature: a run as it happened, also one that others steer."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from orchestrate.core import events as ev
from orchestrate.engine.lock import acquire, this_process
from tests.support.logs import ANNA, RUN, SCENARIOS, happy_diamond
from tests.support.statedir import Recording

OTHER = "20261120-080000-00aa"


def test_who_did_what_is_told_line_by_line_and_each_day_is_named(recording: Recording) -> None:
    recording.store_scenario(SCENARIOS["cancelled_and_retried"]())
    lines = recording.ask("logs").out.splitlines()
    days = [line for line in lines if line.startswith("20")]
    assert len(days) == 2 and lines[0] == days[0]
    said = [line[10:].strip() for line in lines]
    for words in (
        f"{ANNA} cancelled api, faq  → their work is kept",
        f"faq   cancelled by {ANNA}",
        f"{ANNA} asked for another try at api",
        "api   is to be tried again",
        "api   starts, try 1/2",
    ):
        assert words in said, lines


def test_words_of_others_are_harmless(recording: Recording) -> None:
    scenario = happy_diamond()
    hostile = ev.PauseRequested(scenario.end, "anna\x1b[31m@lap\u202etop", 1, why="\x1b]0;owned\x07tea")
    recording.store(scenario.plan, [*scenario.events, hostile])
    out = recording.ask("logs").out
    assert "anna@laptop paused the run; running agents finish: tea" in out
    assert not {"\x1b", "\x07", "\u202e"} & set(out)


def test_another_run_is_told_when_it_is_named(recording: Recording) -> None:
    recording.store_scenario(SCENARIOS["paused"](), OTHER)
    recording.store_scenario(happy_diamond())
    assert "paused the run" not in recording.ask("logs").out
    assert "paused the run" in recording.ask("logs", "--run", "@2").out


def test_a_run_that_goes_on_says_how_to_stay_with_it(recording: Recording) -> None:
    recording.store_scenario(SCENARIOS["under_way"]())
    with acquire(recording.state.engine_lock, this_process(run=RUN, command="orchestrate run", since=1.0)):
        assert f"orchestrate logs -f --run {RUN}" in recording.ask("logs").err
    broken_off = "\nbroken off: its engine is gone; go on with: orchestrate resume\n"
    assert recording.ask("logs", "-f").err == broken_off, "nobody is at it: there is nothing to stay for"


def test_who_follows_hears_what_comes_later(recording: Recording) -> None:
    scenario = happy_diamond()
    recording.store(scenario.plan, scenario.events[:8])
    command = [sys.executable, "-m", "orchestrate.cli", "-C", str(recording.repo.path), "logs", "-f"]
    with acquire(recording.state.engine_lock, this_process(run=RUN, command="orchestrate run", since=1.0)) as held:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        first = process.stdout.readline()  # it is there, and has read what there was
        recording.store(scenario.plan, [replace(event, at=event.at) for event in scenario.events[8:]])
        held.release()
        rest, _ = process.communicate(timeout=60)
    assert first.startswith("20")
    assert rest.rstrip().endswith("run done: everything is integrated")
    assert rest.count("engine") == 0


@pytest.mark.parametrize("option", [["--checks"], ["--raw"], ["--attempt", "1"]])
def test_what_is_about_a_feature_needs_one(recording: Recording, option: list[str]) -> None:
    recording.store_scenario(happy_diamond())
    answer = recording.ask("logs", *option)
    assert answer.code == 2
    assert "are about one feature" in answer.err
