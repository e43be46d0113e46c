"""What an agent said and did: from its transcript, while it grows too, and harmless for a terminal."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from orchestrate.cli.logs import TOLD_LINES, Tail, render_told
from orchestrate.core import events as ev
from orchestrate.core.feedback import after_breach, after_no_change
from orchestrate.engine.lock import acquire, this_process
from tests.support.logs import (
    FAILURE,
    RUN,
    Scenario,
    Teller,
    a_plan,
    conflict,
    failed_and_skipped,
    happy_diamond,
    interrupted,
    retry,
    rework,
)
from tests.support.repos import frozen_environ
from tests.support.statedir import Recording, called, said


def test_the_story_of_an_attempt(recording: Recording) -> None:
    scenario = rework()
    recording.store_scenario(scenario)
    path = next(e.path for e in scenario.events if isinstance(e, ev.WorktreePrepared))
    recording.transcript("api", said("I look first."), called("Read", file_path=f"{path}/src/a.py"))
    recording.transcript("api", said("Now it is right."), invocation=2)
    answer = recording.ask("logs", "api")
    shown = [line for line in answer.out.splitlines() if line]
    assert [line.split(" · ")[0:3] for line in shown if " · " in line] == [
        ["api", "attempt 1", "edit"],
        ["checks", shown[3].split(" · ")[1], "check tests failed (exit 1): 1 failed, 2 passed"],
        ["api", "attempt 1", "rework"],
        ["checks", shown[10].split(" · ")[1], "passed"],
        ["checks on the merged tree", shown[11].split(" · ")[1], "passed"],
    ]
    assert shown[1:3] == ["I look first.", "→ Read(src/a.py)"]
    assert shown[5:9] == ["  told:", *(f"    {line}" for line in FAILURE.splitlines())]
    assert shown[9] == "Now it is right."
    assert "attempt 1: integrated" in answer.err


def test_hostile_words_are_neutralised(recording: Recording) -> None:
    recording.store_scenario(happy_diamond())
    recording.transcript("api", said("\x1b]0;owned\x07\x1b[2Jplain \u202etxt"), b"\x1b[31mno json\x9b\n")
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(recording.ask("logs", "api").out)


def test_raw_is_byte_for_byte_in_a_pipe(recording: Recording) -> None:
    recording.store_scenario(happy_diamond())
    path = recording.transcript("api", said("one"), b"\x1b[31m\xff not json\n", said("no end of line"))
    assert recording.ask("logs", "api", "--raw").raw == path.read_bytes()


def test_checks_show_what_failed(recording: Recording) -> None:
    recording.store_scenario(failed_and_skipped())
    out = recording.ask("logs", "db", "--checks").out
    assert out.count("✗ tests (exit 1, 0:05): pytest -q") == 3
    assert "    FAILED tests/test_api.py::test_sum" in out.splitlines()
    assert "agent" not in out


def test_checks_show_the_whole_output_where_it_is_kept(recording: Recording) -> None:
    scenario = failed_and_skipped()
    kept = recording.state.run_dir(RUN) / "artifacts" / "db" / "1" / "check.log"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"first of many lines\n\x1b[31mred\n")

    def pointed(event: ev.Event) -> ev.Event:
        if not isinstance(event, ev.ChecksFinished):
            return event
        return replace(event, checks=tuple(replace(check, artifact=str(kept)) for check in event.checks))

    recording.store(scenario.plan, [pointed(event) for event in scenario.events])
    lines = recording.ask("logs", "db", "--checks").out.splitlines()
    assert "    first of many lines" in lines
    assert "    red" in lines


@pytest.mark.parametrize(
    ("arguments", "said_why"),
    [
        (["nope"], "has no feature 'nope'"),
        (["dahs"], "did you mean dash?"),
        (["dash"], "feature dash has not been started in this run"),
        (["db", "--attempt", "7"], "feature db has no attempt 7 in this run"),
        (["db", "--attempt", "x"], "expected a whole number"),
        (["db", "--checks", "-f"], "--checks shows what is over"),
        (["db", "--run", "2019"], "there is no run '2019'"),
    ],
)
def test_what_is_not_there(recording: Recording, arguments: list[str], said_why: str) -> None:
    recording.store_scenario(failed_and_skipped())
    answer = recording.ask("logs", *arguments)
    assert answer.code == 2
    assert said_why in answer.err


def test_an_attempt_that_broke_off_says_so(recording: Recording) -> None:
    scenario = happy_diamond()
    recording.store(scenario.plan, scenario.events[:5])
    recording.transcript("db", said("half a"), b'{"type":"assi')
    answer = recording.ask("logs", "db", "-f")
    assert "half a" in answer.out
    assert "broken off: its engine is gone; go on with: orchestrate resume" in answer.err


def test_of_a_run_that_was_stopped_it_is_said_by_whom(recording: Recording) -> None:
    recording.store_scenario(interrupted())
    answer = recording.ask("logs", "api")
    assert answer.err.endswith("the run was interrupted (stopped by Ctrl-C); go on with: orchestrate resume\n")


def test_following_shows_lines_as_they_come_and_ends_with_the_attempt(recording: Recording) -> None:
    scenario = rework()
    events = list(scenario.events)
    first = next(n for n, e in enumerate(events) if isinstance(e, ev.InvocationFinished))
    command = [sys.executable, "-m", "orchestrate.cli", "-C", str(recording.repo.path), "logs", "api", "-f"]
    with acquire(recording.state.engine_lock, this_process(run=RUN, command="run", since=1.0)):
        recording.store(scenario.plan, events[:first])
        recording.transcript("api", said("one"), b'{"type":"assistant","message":')
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=frozen_environ()
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline().startswith("api · attempt 1 · edit · ".encode())
            assert child.stdout.readline() == b"one\n"
            recording.transcript("api", b'{"content":[{"type":"text","text":"two"}]}}\n')
            assert child.stdout.readline() == b"two\n"
            recording.transcript("api", said("three"), invocation=2)
            recording.store(scenario.plan, events[first:])
            rest = child.stdout.read()
            assert child.wait() == 0
    assert b"three" in rest


def test_a_tail_gives_whole_lines_and_the_rest_at_the_end(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("tail") / "agent-1.jsonl"
    tail = Tail(path)
    assert list(tail.lines(to_the_end=False)) == []
    path.write_bytes(b"one\ntw")
    assert list(tail.lines(to_the_end=False)) == [b"one"]
    with path.open("ab") as file:
        file.write(b"o\n\nthr" + b"e" * (3 << 20))
    assert list(tail.lines(to_the_end=False)) == [b"two", b""]
    assert list(tail.lines(to_the_end=True)) == [b"thr" + b"e" * (3 << 20)]


def reworked(feedback: str) -> Scenario:
    t = Teller(a_plan(("api",)))
    t.begin()
    t.start("api")
    t.prepare("api")
    t.invoke("api")
    t.finish("api")
    t.seal("api")
    t.invoke("api", "rework", feedback=feedback)
    t.finish("api")
    return t.scenario()


@pytest.mark.parametrize(
    "feedback", [after_breach(("docs/a.md",), ("src/**",)), after_no_change(("Bash(rm)",))], ids=["breach", "no change"]
)
def test_a_rework_begins_with_what_the_agent_was_told(recording: Recording, feedback: str) -> None:
    recording.store_scenario(reworked(feedback))
    shown = recording.ask("logs", "api").out.splitlines()
    at = shown.index("  told:")
    assert " · rework · " in shown[at - 1]
    assert shown[at + 1 :][: len(feedback.splitlines())] == [f"    {line}" for line in feedback.splitlines()]


def test_much_feedback_is_shown_with_its_beginning_and_its_end() -> None:
    told = render_told("\n".join(f"line {n}" for n in range(100)) + "\n")
    assert len(told) == TOLD_LINES + 1
    assert (told[1], told[6:8], told[-1]) == ("    line 0", ["    line 5", "    … 89 more lines"], "    line 99")
    assert render_told("\x1b[31mred\n") == ["  told:", "    red"]
    assert render_told("") == []


def test_a_failed_setup_shows_its_output_once_as_it_was_printed(recording: Recording) -> None:
    t = Teller(a_plan(("api",)))
    t.begin()
    t.start("api")
    why = "npm ci (exit code 1)\nnpm ERR! code E404\n  not found"
    t.tell(ev.WorktreeFailed(t.now, "api", 1, "setup", why))
    t.conclude("api", "failed", why)
    recording.store_scenario(t.scenario())
    answer = recording.ask("logs", "api")
    assert answer.out.splitlines() == ["    npm ERR! code E404", "      not found"]
    assert answer.err.splitlines() == [
        "the agent was not started: setup failed: npm ci (exit code 1)",
        "",
        "attempt 1: failed",
    ]


def test_a_conflict_is_told_with_the_way_out(recording: Recording) -> None:
    scenario = conflict()
    recording.store_scenario(scenario)
    branch = next(e.branch for e in scenario.events if isinstance(e, ev.WorktreePrepared) and e.feature == "web")
    lines = recording.ask("logs", "web").err.splitlines()
    assert "attempt 1: conflicted: conflicts in app.py and we`ird|.py with api" in lines
    assert f"    git merge {branch}" in lines
    assert any(f"Orchestrate-Attempt: {RUN}/web/1" in line for line in lines)


def test_a_failing_service_is_followed_by_the_time_of_the_next_try(recording: Recording) -> None:
    t = Teller(a_plan(("api",)))
    t.begin()
    t.start("api")
    t.prepare("api")
    phases: tuple[ev.Phase, ...] = ("edit", "proceed")
    for phase in phases:
        t.invoke("api", phase)
        t.finish("api", "transient", why="API Error: 529 Overloaded")
    recording.store_scenario(t.scenario())
    shown = recording.ask("logs", "api").out.splitlines()
    assert [line for line in shown if "529" in line] == [f"· service failing (529), again in {s} s" for s in (2, 4)]
    assert "529" not in recording.ask("logs", "api", "--raw").out


def test_an_attempt_is_named_as_in_recover(recording: Recording) -> None:
    recording.store_scenario(retry())
    feature = next(e.feature for e in retry().events if isinstance(e, ev.AttemptStarted) and e.attempt == 2)
    assert recording.ask("logs", f"{feature}@1").out == recording.ask("logs", feature, "-n", "1").out
    assert recording.ask("logs", f"{feature}@1").out != recording.ask("logs", feature).out
    refused = recording.ask("logs", f"{feature}@1", "-n", "2")
    assert refused.code == 2 and "contradict each other" in refused.err
    assert "there is: 1, 2" in recording.ask("logs", f"{feature}@9").err
