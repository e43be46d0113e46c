"""Runs stay readable when everything but the log is gone, in a place that cannot be written, and beside a writing engine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrate.core import events as ev
from orchestrate.core.names import AttemptKey, attempt_branch, checkpoint_ref
from tests.support.logs import RUN, SCENARIOS, a_plan, failed_and_skipped, happy_diamond
from tests.support.statedir import Recording, said

READING = (
    ["status"],
    ["status", "--json"],
    ["report"],
    ["report", "--md"],
    ["report", "--json"],
    ["history"],
    ["history", "--json"],
    ["logs"],
    ["logs", "db"],
    ["logs", "db", "--checks"],
)


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_nothing_but_the_log_is_left(recording: Recording, command: list[str]) -> None:
    recording.store_scenario(failed_and_skipped())
    shutil.rmtree(recording.state.root / "runs", ignore_errors=True)
    answer = recording.ask(*command)
    assert answer.code == 0, answer.err
    assert answer.out


def test_files_that_are_gone_are_named(recording: Recording) -> None:
    recording.store_scenario(failed_and_skipped())
    first, second, third = (recording.transcript("db", said("hello"), invocation=number) for number in (1, 2, 3))
    assert "is gone" not in recording.ask("logs", "db").err
    second.unlink()
    answer = recording.ask("logs", "db")
    assert answer.err.splitlines()[0] == f"its transcript is gone: {second}"
    assert (answer.err.count("is gone"), answer.out.count("hello")) == (1, 2)
    assert first.exists() and third.exists()
    checks = recording.ask("logs", "db", "--checks").out
    assert "    (the file with all of it is gone; this is its end)" in checks
    assert "    FAILED tests/test_api.py::test_sum" in checks


def test_a_change_whose_commits_are_gone_is_refused_with_the_reason(recording: Recording) -> None:
    recording.store_scenario(failed_and_skipped())
    answer = recording.ask("diff", "db")
    assert answer.code == 2
    assert "the commits of attempt 1 at db are gone" in answer.err
    assert "orchestrate recover" in answer.err


def test_history_says_what_goes_on_and_what_is_kept(recording: Recording, tmp_path: Path) -> None:
    """A run with a worktree and its branches; one that was cleaned up, whose private refs are left; one without a trace."""
    old, cleaned = "20261119-080000-00aa", "20261120-080000-00bb"
    repo, head = recording.repo, recording.repo.head()
    key = AttemptKey(RUN, "ui", 1)
    recording.store_scenario(happy_diamond(), old)
    recording.store_scenario(failed_and_skipped(), cleaned)
    repo.git("update-ref", checkpoint_ref(AttemptKey(cleaned, "db", 1)), head)
    repo.git("worktree", "add", "-q", "-b", attempt_branch(key), str(tmp_path / "ui.1"))
    begun = (
        ev.RunStarted(1.0, RUN, "shop", head, "main", f"orch/{RUN}/integration", ""),
        ev.EngineStarted(1.0, 1),
        ev.AttemptStarted(2.0, "ui", 1, 1, (head,)),
        ev.WorktreePrepared(3.0, "ui", 1, head, attempt_branch(key), str(tmp_path / "ui.1")),
    )
    recording.store(a_plan(("ui",)), begun)
    runs = recording.ask("history", "--json").json["runs"]
    assert [(r["goes_on_by"], r["worktrees"], r["branches"], r["recoverable"], r["cleaned_up"]) for r in runs] == [
        ("resume", 1, 1, 0, False),
        ("retry", 0, 0, 1, True),
        ("", 0, 0, 0, True),
    ]
    newest, middle, oldest = recording.ask("history").out.splitlines()[1:]
    assert newest.endswith("resume  1 worktree")
    assert middle.endswith("retry   recoverable")
    assert oldest.split()[3:6] == ["✓", "done", "4/4"] and ":" in oldest.split()[-1]


def test_runs_are_counted_back(recording: Recording) -> None:
    other = "20261120-080000-00aa"
    recording.store_scenario(failed_and_skipped(), other)
    recording.store_scenario(happy_diamond())
    assert recording.ask("status", "@1").out.startswith(f"run {RUN} ")
    assert recording.ask("status", "@2").out.startswith(f"run {other} ")
    assert f"orchestrate retry --run {other}" in recording.ask("status", "@2").out, "what is typed next says which run"
    for wrong in ("@0", "@3", "@x", "@", "@-1"):
        answer = recording.ask("status", wrong)
        assert (answer.code, "@1 is the newest, @2 the oldest" in answer.err) == (2, True)


def test_what_was_asked_and_not_taken_up_yet_is_shown(recording: Recording) -> None:
    from orchestrate.store.log import SqliteEventLog

    recording.store_scenario(SCENARIOS["standing_still"]())
    with SqliteEventLog(recording.state.log) as log:
        log.request(RUN, ev.PauseRequested(1.0, "anna@laptop"))  # 1: in the log already
        log.request(RUN, ev.ResumeRequested(2.0, "bob@desk pts/3"))
    assert "asked   bob@desk pts/3 resumed the run; not taken up yet" in recording.ask("status").out.splitlines()
    assert [p["by"] for p in recording.ask("status", "--json").json["pending"]] == ["bob@desk pts/3"]


def test_who_was_at_a_run_that_broke_off_is_said(recording: Recording) -> None:
    recording.store_scenario(SCENARIOS["under_way"]())
    engine = next(line for line in recording.ask("status").out.splitlines() if line.startswith("engine"))
    assert engine.startswith("engine  none; pid 100 on laptop died after 20")


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_place_that_cannot_be_written_can_be_read(recording: Recording, command: list[str]) -> None:
    recording.store_scenario(failed_and_skipped())
    place = recording.repo.path
    script = (
        f'mount --bind "{place}" "{place}" && mount -o remount,ro,bind "{place}" && ! touch "{place}/x" && exec "$@"'
    )
    isolated = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*isolated, script, "sh", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mounts of our own on this machine")
    asked = [sys.executable, "-m", "orchestrate.cli", "-C", str(place), *command]
    done = subprocess.run([*isolated, script, "sh", *asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == recording.ask(*command).out or "generated_at" in done.stdout
