"""Runs that are steered from another terminal: paused, stopped, cancelled, tried again, moved elsewhere."""

from __future__ import annotations

import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrate.core import events as ev
from orchestrate.store.log import SqliteEventLog
from tests.e2e import diamond
from tests.e2e.project import RUN, Gate, Json, Project, Running
from tests.e2e.terminal import at_terminal


def arrange(project: Project, **waits: Gate) -> None:
    """The diamond; the named features stop at their gates before they do their work."""
    plays = {name: [[*gate.stop, diamond.write(name)]] for name, gate in waits.items()}
    project.arrange(diamond.features(), script=diamond.script(**plays))


def started(lines: list[Json]) -> list[str]:
    return [event["feature"] for event in lines if event["kind"] == "InvocationStarted"]


def seq(ended_lines: list[Json], kind: str, **fields: object) -> int:
    """Place in the log of the first such event."""
    return next(
        int(e["seq"]) for e in ended_lines if e["kind"] == kind and all(e.get(k) == v for k, v in fields.items())
    )


def asked_for(project: Project) -> list[ev.Control]:
    """What the log of the newest run holds of requests."""
    with SqliteEventLog(project.root / ".git/orchestrate/log.sqlite3", read_only=True) as log:
        return [stored.event for stored in log.read(log.runs()[-1]) if isinstance(stored.event, ev.Control)]


def kill(run: Running) -> None:
    run.signal(signal.SIGKILL)
    run.ended()


# ── pause and resume ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_pause_lets_agents_finish_and_starts_nothing_until_it_is_ended(project: Project) -> None:
    gate = project.gate("gate")
    arrange(project, base=gate)
    with project.running(*RUN) as run:
        gate.reached()
        paused = project.orchestrate("pause", "--json").document
        heard = run.wait_for("PauseRequested")
        assert heard["control"] == paused["control"] == 1 and "@" in heard["by"]
        assert (paused["working"], paused["waiting"], paused["held"]) == (1, 3, ["operator"])
        gate.open()
        run.wait_for("AttemptEnded", feature="base", outcome="integrated")
        assert project.orchestrate("status", "--json").document["counts"] == {"integrated": 1, "ready": 2, "waiting": 1}
        resumed = project.orchestrate("resume")
        ended = run.ended()
    assert resumed.code == 0 and "goes on" in resumed.stdout
    assert ended.code == 0, str(ended)
    again = seq(ended.lines, "ResumeRequested")
    assert all(event["seq"] > again for event in ended.of("AttemptStarted") if event["feature"] != "base")


def test_a_pause_now_ends_agents_who_go_on_in_their_session(project: Project) -> None:
    gate = project.gate("gate")
    arrange(project, base=gate)
    with project.running(*RUN) as run:
        gate.reached()
        assert "is ended and its work is kept" in project.orchestrate("pause", "--now").stdout
        run.wait_for("AttemptParked", feature="base")
        gate.open()
        assert project.orchestrate("resume").code == 0
        ended = run.ended()
    assert ended.code == 0, str(ended)
    first, second = ended.of("InvocationStarted", feature="base")
    assert (second["phase"], second["resume"], second["session"]) == ("proceed", True, first["session"])
    assert len(ended.of("AttemptStarted", feature="base")) == 1


def test_a_pause_survives_the_death_of_the_engine_until_somebody_resumes(project: Project) -> None:
    gate = project.gate("gate")
    arrange(project, base=gate)
    with project.running(*RUN) as run:
        gate.reached()
        project.orchestrate("pause", "--now")
        run.wait_for("AttemptParked", feature="base")
        kill(run)
    gate.open()

    with project.running(*RUN) as again:  # nobody asked this one to end the pause
        again.wait_for("EngineStarted")
        stands = project.orchestrate("status", "--json").document
        assert stands["engine"] and stands["counts"]["paused"] == 1
        second = project.orchestrate("run")
        assert second.code == 2 and "is being driven by pid" in second.stderr and "orchestrate stop" in second.stderr
        assert project.orchestrate("stop").code == 0
        ended = again.ended()
    assert (ended.code, started(ended.lines)) == (130, []), str(ended)

    done = project.orchestrate("resume", "--json")
    assert done.code == 0, str(done)
    assert done.of("ResumeRequested")[0]["control"] == 0
    assert sorted(started(done.lines)) == ["base", "left", "right", "top"]
    assert [f["outcome"] for f in project.report()["features"]] == ["integrated"] * 4


# ── stop ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("how", "outcome"), [((), "integrated"), (("--now",), None)])
def test_a_run_is_stopped_from_elsewhere_and_gone_on_with(
    project: Project, how: tuple[str, ...], outcome: str | None
) -> None:
    gate = project.gate("gate")
    arrange(project, base=gate)
    with project.running(*RUN) as run:
        gate.reached()
        assert project.orchestrate("stop", *how).code == 0
        run.wait_for("StopRequested")
        gate.open()
        ended = run.ended()
    assert ended.code == 130 and ended.outcomes.get("base") == outcome, str(ended)
    assert project.report()["run"]["status"] == "interrupted"
    rest = project.orchestrate("resume", "--json")
    assert rest.code == 0, str(rest)
    assert [f["attempts"] for f in project.report()["features"]] and not rest.of("AttemptStarted", feature="base")


# ── cancel and retry ─────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_cancelled_is_tried_again_on_the_same_branch_and_nothing_else_is(project: Project) -> None:
    gate = project.gate("gate")
    arrange(project, left=gate)
    with project.running(*RUN) as run:
        gate.reached()
        assert "top is skipped" in project.orchestrate("cancel", "left").stdout
        ended = run.ended()
    assert ended.code == 1, str(ended)
    assert ended.outcomes == {"base": "integrated", "left": "cancelled", "right": "integrated", "top": "skipped"}
    assert "cancelled by" in ended.of("AttemptEnded", feature="left")[0]["why"]
    gate.open()

    plain = project.orchestrate("run", "--dry-run")
    assert "this repeats base, right" in plain.stderr and "orchestrate retry" in plain.stderr
    again = project.orchestrate("retry", "--yes", "--json")
    assert again.code == 0, str(again)
    assert [event["feature"] for event in again.of("FeatureReopened")] == ["left", "top"]
    assert [(type(event), event.control) for event in asked_for(project)] == [
        (ev.CancelRequested, 1),
        (ev.RetryRequested, 2),
    ]
    assert all("@" in event.by for event in asked_for(project))
    assert sorted(started(again.lines)) == ["left", "top"]
    with project.checked_out(ended.integration_branch) as out:
        assert project.python("import top; print(top.TOTAL)", out) == "5"
    assert len(project.orchestrate("history", "--json").document["runs"]) == 1


def test_a_feature_is_tried_again_while_the_run_goes_on(project: Project) -> None:
    left, right = project.gate("left"), project.gate("right")
    arrange(project, left=left, right=right)
    with project.running(*RUN) as run:
        left.reached()
        right.reached()
        project.orchestrate("cancel", "left")
        run.wait_for("FeatureSkipped", feature="top")
        left.open()
        said = project.orchestrate("retry", "left", "--json").document
        assert said["features"] == ["left", "top"]
        run.wait_for("AttemptEnded", feature="left", outcome="integrated")
        right.open()
        ended = run.ended()
    assert ended.code == 0, str(ended)


def test_a_run_that_nobody_drives_can_be_given_up(project: Project) -> None:
    gate = project.gate("gate")
    arrange(project, base=gate)
    with project.running(*RUN) as run:
        gate.reached()
        kill(run)
    done = project.orchestrate("cancel", "--yes", "--json")
    assert done.code == 0 and done.document["next"] == "orchestrate status", str(done)
    report = project.report()
    assert report["run"]["status"] == "incomplete"
    assert {f["outcome"] for f in report["features"]} == {"cancelled"}
    assert "is over" in project.orchestrate("resume").stderr
    gate.open()
    assert project.orchestrate("retry", "--yes", "--json").code == 0


def test_an_answer_reaches_the_agent_with_its_next_invocation(project: Project) -> None:
    gate = project.gate("gate")
    arrange(project, base=gate)
    with project.running(*RUN) as run:
        gate.reached()
        assert project.orchestrate("answer", "base", "Mind the gap.").code == 0
        run.wait_for("AnswerGiven", feature="base")
        project.orchestrate("pause", "--now")
        run.wait_for("AttemptParked", feature="base")
        gate.open()
        project.orchestrate("resume")
        ended = run.ended()
    first, second = ended.of("InvocationStarted", feature="base")
    assert "Mind the gap." not in first["feedback"] and "Mind the gap." in second["feedback"]


# ── several at once ──────────────────────────────────────────────────────────────────────────────────────────────


def test_two_terminals_at_once_are_both_heard(project: Project) -> None:
    gate = project.gate("gate")
    arrange(project, base=gate)
    with project.running(*RUN) as run:
        gate.reached()
        with ThreadPoolExecutor(4) as terminals:
            asked = [terminals.submit(project.orchestrate, "answer", "base", f"word {n}", "--json") for n in range(4)]
            numbers = {done.result().document["control"] for done in asked}
        assert numbers == {1, 2, 3, 4}
        heard = [run.wait_for("AnswerGiven")["control"] for _ in range(4)]
        assert heard == [1, 2, 3, 4]
        gate.open()
        assert run.ended().code == 0


def test_of_two_who_resume_one_drives_and_the_other_is_told(project: Project) -> None:
    gate, top = project.gate("gate"), project.gate("top")
    arrange(project, base=gate, top=top)
    with project.running(*RUN) as run:
        gate.reached()
        kill(run)
    gate.open()
    with project.running("resume", "--json") as first:
        top.reached()
        second = project.orchestrate("resume", "--json").document
        top.open()
        assert first.ended().code == 0
    assert "is not paused: it is driven by pid" in second["message"]


def test_requests_that_race_with_the_end_of_a_run_are_recorded_or_refused_but_never_lost(project: Project) -> None:
    project.arrange([{"id": "solo", "prompt": "Alone."}], script={"solo": [[{"write": {"path": "x", "text": "x\n"}}]]})
    for _ in range(5):
        with project.running("run", "--new", "--yes", "--json") as run:
            of = run.wait_for("WorkSealed")["run"]
            asked = project.orchestrate("pause", of, "--json")
            if asked.code == 0:  # it was in time, perhaps so early that the run now waits
                project.orchestrate("resume", of, "--json")
            else:
                assert "is over" in asked.document["error"]["message"], str(asked)
            assert run.ended().code == 0
    history = project.orchestrate("history", "--json").document["runs"]
    assert [run["status"] for run in history] == ["done"] * 5


# ── a repository that was moved, a question that is asked ────────────────────────────────────────────────────────


def stopped(project: Project, worktrees_dir: str = "") -> Path:
    """A run whose first agent was ended, and a copy of its repository."""
    gate = project.gate("gate")
    script = diamond.script(base=[[*gate.stop, diamond.write("base")]])
    project.arrange(diamond.features(), script=script, worktrees_dir=worktrees_dir)
    with project.running(*RUN) as run:
        gate.reached()
        project.orchestrate("stop", "--now")
        run.ended()
    gate.open()
    return Path(shutil.copytree(project.root, project.root.parent / "copy", symlinks=True))


def what_is_there(project: Project) -> tuple[object, ...]:
    """Of the run and its work, in the first repository."""
    status = project.orchestrate("status", "--json").document
    tops = [Path(top) for top in project.worktrees()]
    files = {str(file): file.read_bytes() for top in tops for file in top.rglob("*") if file.is_file()}
    return status["status"], status["counts"], project.git("for-each-ref"), files


def test_a_run_goes_on_in_a_copy_of_its_repository_and_leaves_the_first_one_alone(project: Project) -> None:
    copy = str(stopped(project))
    before = what_is_there(project)
    unfinished = project.orchestrate("-C", copy, "run")
    assert "is unfinished" in unfinished.stderr and "inputs have changed" not in unfinished.stderr
    done = project.orchestrate("-C", copy, "resume", "--json")
    assert done.code == 0, str(done)
    assert what_is_there(project) == before


def test_a_copy_does_not_go_on_in_the_worktrees_of_the_first_one(project: Project) -> None:
    copy = str(stopped(project, worktrees_dir=str(project.root.parent / "shared")))
    before = what_is_there(project)
    refused = project.orchestrate("-C", copy, "resume")
    assert refused.code == 2 and "of which this one is a copy" in refused.stderr, str(refused)
    assert what_is_there(project) == before


@pytest.mark.skipif(shutil.which("setsid") is None, reason="needs setsid, of util-linux")
def test_at_a_terminal_an_unfinished_run_is_asked_about(project: Project) -> None:
    gate = project.gate("gate")
    arrange(project, base=gate)
    with project.running(*RUN) as run:
        gate.reached()
        kill(run)
    gate.open()
    with at_terminal(project, "run") as terminal:
        terminal.see("is unfinished")
        terminal.see("which? [r/n/q]")
        terminal.type("q\n")
        assert terminal.ended() == 1
    with at_terminal(project, "run", "--progress", "plain") as terminal:
        terminal.see("which? [r/n/q]")
        terminal.type("r\n")
        terminal.see("going on with run")
        assert terminal.ended() == 0, terminal.screen
    assert [f["outcome"] for f in project.report()["features"]] == ["integrated"] * 4
