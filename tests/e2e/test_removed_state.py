"""What somebody removes, moves or replaces under an engine that is at work, and what is told of it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest

from tests.e2e import diamond
from tests.e2e.project import RUN, Gate, Project

STATE = ".git/orchestrate"


def arrange(project: Project) -> Gate:
    """`base` is done at once; `left` has written its file when the gate is reached."""
    gate = project.gate("gate")
    left = [[diamond.write("left"), *gate.stop], []]
    project.arrange(diamond.features()[:2], script=diamond.script(left=left), max_parallel=1)
    return gate


def test_a_second_engine_is_refused_although_the_lock_was_removed(project: Project) -> None:
    gate = arrange(project)
    with project.running(*RUN) as run:
        gate.reached()
        (project.root / STATE / "engine.lock").unlink()
        second = project.orchestrate("run", "--resume", "--yes")
        gate.open()
        first = run.ended()
    assert second.code == 2 and "an engine is at work here; its lock file was removed" in second.stderr, str(second)
    assert first.code == 0, str(first)


@pytest.mark.parametrize("what", ["the log", "the state directory"])
def test_an_engine_whose_log_was_removed_ends_and_says_so(project: Project, what: str) -> None:
    gate = arrange(project)
    with project.running(*RUN) as run:
        run_id = str(run.wait_for("RunStarted")["run"])
        gate.reached()
        if what == "the log":
            for file in (project.root / STATE).glob("log.sqlite3*"):
                file.unlink()
        else:
            shutil.rmtree(project.root / STATE)
        ended = run.ended()
    assert ended.code == 1, str(ended)
    assert "log.sqlite3 was removed or replaced while the run was being driven" in ended.stdout
    assert not project.processes()
    (worktree,) = [place for place in project.worktrees() if "left" in place]
    assert (project.root / worktree / "left.py").exists()
    if what == "the log":
        again = project.orchestrate("run", "--dry-run")
        assert f"the log knows nothing of run {run_id}" in again.stderr


def test_a_repository_that_was_moved_is_gone_on_with_where_it_lies(project: Project) -> None:
    gate = arrange(project)
    moved = project.root.with_name("moved")
    with project.running(*RUN) as run:
        gate.reached()
        project.root.rename(moved)
        ended = run.ended()
    assert ended.code == 1, str(ended)
    assert "was removed or replaced while the run was being driven" in ended.stdout
    assert not (project.root / STATE).exists(), "nothing is made where it was"
    project.root = moved
    rest = project.orchestrate("resume", "--json")
    assert rest.code == 0, str(rest)
    assert rest.of("InvocationStarted", feature="base") == []
    assert [(e["attempt"], e["resume"]) for e in rest.of("InvocationStarted", feature="left")] == [(1, True)]


def test_a_request_that_nobody_wrote_does_not_end_the_engine(project: Project) -> None:
    gate = arrange(project)
    with project.running(*RUN) as run:
        gate.reached()
        run_id = str(run.wait_for("RunStarted")["run"])
        with closing(sqlite3.connect(project.root / STATE / "log.sqlite3")) as log, log:
            log.execute("INSERT INTO control VALUES (1, ?, 1.0, 'Junk', 'junk', x'00')", (run_id,))
        told = run.wait_for("Warned")
        gate.open()
        ended = run.ended()
    assert str(told["message"]).startswith("request 1 was left out")
    assert len(ended.of("Warned")) == 1
    assert ended.code == 0, str(ended)


def test_a_run_does_without_backups_that_cannot_be_made(project: Project) -> None:
    gate = arrange(project)
    gate.open()
    assert project.orchestrate(*RUN).code == 0
    backups = project.root / STATE / "backups"
    shutil.rmtree(backups, ignore_errors=True)
    backups.write_text("no directory")
    again = project.orchestrate(*RUN, "--new")
    assert again.code == 0, str(again)
    assert f"no backup of the log can be made in {backups}" in str(again.of("Warned")[0]["message"])


def test_reports_that_have_no_place_are_told_of(project: Project) -> None:
    gate = arrange(project)
    with project.running(*RUN) as run:
        gate.reached()
        runs = project.root / STATE / "runs"
        shutil.rmtree(runs)
        runs.write_text("no directory")
        gate.open()
        ended = run.ended()
    assert ended.code == 1, str(ended)
    assert "runs is no directory, so nothing can be kept in it" in ended.stdout
