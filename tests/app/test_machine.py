"""doctor's rows on the machine, and how many agents fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrate.app.machine import build_health, machine_rows, parallel_here
from orchestrate.core import events as ev
from orchestrate.engine.clock import SystemClock
from orchestrate.spec.settings import Disk, Settings
from orchestrate.store.artifacts import StateDir
from tests.support.repos import Repo, frozen_environ


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo.make(tmp_path / "project")


def rows(repo: Repo, settings: Settings) -> dict[str, tuple[str, str, str]]:
    return {name: rest for name, *rest in machine_rows(repo.path, settings, frozen_environ())}  # type: ignore[misc]


def test_a_machine_with_room_is_fine(repo: Repo) -> None:
    found = rows(repo, Settings(disk=Disk(1)))
    assert {name: verdict for name, (verdict, _, _) in found.items()} == {"disk": "ok", "files": "ok", "memory": "ok"}
    assert " free at " in found["disk"][1] and "enough for 3 agents" in found["files"][1]


def test_a_disk_with_less_than_is_to_stay_free_is_missing(repo: Repo) -> None:
    verdict, text, hint = rows(repo, Settings(disk=Disk(1_048_576)))["disk"]
    assert verdict == "missing" and text.startswith("only ") and "cleanup --merged" in hint


def test_more_agents_than_fit_are_worth_a_note(repo: Repo) -> None:
    verdict, text, hint = rows(repo, replace(Settings(), max_parallel=100_000))["files"]
    assert verdict == "note" and "of 100000 agents" in text and hint.startswith("ulimit -n")


def test_outside_of_a_repository_there_is_no_row_on_its_disks(tmp_path: Path) -> None:
    assert "disk" not in {name for name, *_ in machine_rows(tmp_path, Settings(), frozen_environ())}


def test_as_many_agents_work_at_once_as_fit() -> None:
    assert parallel_here(2) == 2
    assert 1 < parallel_here(10**9) < 10**5


def test_the_health_of_a_run_looks_at_its_own_disks(repo: Repo, tmp_path: Path) -> None:
    state = StateDir(repo.path / ".git")
    state.create()
    fine = build_health(state, tmp_path / "trees", Settings(disk=Disk(1)), SystemClock())
    assert fine.look() == []
    short = build_health(state, tmp_path / "trees", Settings(disk=Disk(1_048_576)), SystemClock())
    (held,) = short.look()
    assert isinstance(held, ev.PauseRequested) and held.cause == "disk" and str(state.root) in held.why
