"""`orchestrate run`: what a later engine of a run goes on with, and what cannot be changed any more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrate.engine.lock import acquire, this_process
from orchestrate.store.artifacts import StateDir
from tests.support.repos import Repo

from .conftest import Cli

LIST = {
    "project": {"name": "Calculator", "agent": "scripted"},
    "scripted": {"script": "config/script.json"},
    "features": [
        {"id": "one", "prompt": "One."},
        {"id": "two", "prompt": "Two.", "depends_on": ["one"]},
        {"id": "three", "prompt": "Three.", "depends_on": ["two"]},
    ],
}
WRITES = [[{"write": {"path": "@FEATURE@.txt", "text": "x\n"}}, {"usage": {"cost": 0.02}}]]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """The feature list stands in a file of another name than the default one."""
    script = json.dumps({"version": 1, "features": {"*": WRITES}})
    return Repo.make(tmp_path / "calc", {"config/my.json": json.dumps(LIST), "config/script.json": script})


def run(cli: Cli, repo: Repo, *arguments: str) -> tuple[int, str]:
    """Exit status and narration."""
    done = cli("run", "--progress", "none", *arguments, at=repo.path)
    return done.code, done.err


def test_resume_needs_no_word_of_how_the_run_was_started(cli: Cli, repo: Repo) -> None:
    code, _ = run(cli, repo, "-c", "config/my.json", "--yes", "--max-cost", "0.05", "-j", "1")
    assert code == 3
    code, _ = run(cli, repo, "--resume")
    assert code == 3, "the limit holds for every engine of the run"
    code, _ = run(cli, repo, "--resume", "--max-cost", "1")
    assert code == 0
    report = cli("report", "--json", at=repo.path).json
    assert [f["outcome"] for f in report["features"]] == ["integrated"] * 3


def test_a_run_goes_on_where_its_repository_was_moved_to(cli: Cli, repo: Repo) -> None:
    assert run(cli, repo, "-c", "config/my.json", "--yes", "--max-cost", "0.05")[0] == 3
    moved = Repo(repo.path.rename(repo.path.parent / "moved"))
    code, err = run(cli, moved, "-c", "config/my.json")
    assert code == 2 and "is unfinished" in err and "inputs have changed" not in err
    assert run(cli, moved, "--resume", "--max-cost", "1")[0] == 0
    assert cli("report", "--json", at=moved.path).json["run"]["status"] == "done"


def test_it_is_said_what_has_changed_since_a_run_was_planned(cli: Cli, repo: Repo) -> None:
    assert run(cli, repo, "-c", "config/my.json", "--yes", "--max-cost", "0.05")[0] == 3
    features = repo.path / "config/my.json"
    listed = json.loads(features.read_text())
    first, *_, last = listed["features"]
    first["prompt"] = "Do something else."
    last["id"] = "another"
    features.write_text(json.dumps(listed))
    code, err = run(cli, repo, "-c", "config/my.json", "--no-input")
    assert code == 2 and f"changed since: {first['id']} differs, another is new, three is gone" in err
    assert "as it was planned: orchestrate resume " in err


@pytest.mark.parametrize("how", [("--yes",), ("--resume",), ("--new", "--yes")])
def test_while_a_run_is_driven_nothing_is_said_to_begin(cli: Cli, repo: Repo, how: tuple[str, ...]) -> None:
    assert run(cli, repo, "-c", "config/my.json", "--yes", "--max-cost", "0.05")[0] == 3
    newest = cli("history", "--json", at=repo.path).json["runs"][0]["run"]
    lock = StateDir(repo.path / ".git").engine_lock
    config = () if how == ("--resume",) else ("-c", "config/my.json")
    with acquire(lock, this_process(run=newest, command="orchestrate run", since=1.0)):
        code, err = run(cli, repo, *config, *how)
    assert code == 2 and err.startswith(f"error: run {newest} is being driven by pid"), err


def test_a_list_of_another_repository_is_not_gone_on_with(cli: Cli, repo: Repo, shop: Repo) -> None:
    assert run(cli, repo, "-c", "config/my.json", "--yes", "--max-cost", "0.05")[0] == 3
    refused = cli("resume", "-c", str(shop.path / "config/feature_list.json"), at=repo.path)
    assert refused.code == 2 and "is about another repository" in refused.err and "--config" in refused.err


def test_a_plain_run_that_goes_on_keeps_the_limit_too(cli: Cli, repo: Repo) -> None:
    assert run(cli, repo, "-c", "config/my.json", "--yes", "--max-cost", "0.05")[0] == 3
    assert run(cli, repo, "-c", "config/my.json", "--yes")[0] == 3


@pytest.mark.parametrize("given", [("--agent", "claude"), ("--select", "one"), ("--base", "main"), ("plan.json",)])
def test_what_was_planned_cannot_be_changed_on_the_way(cli: Cli, repo: Repo, given: tuple[str, ...]) -> None:
    code, err = run(cli, repo, "--resume", *given)
    assert code == 2 and "cannot be changed" in err and "--new" in err


def test_there_must_be_a_run_to_resume(cli: Cli, repo: Repo) -> None:
    code, err = run(cli, repo, "--resume", "-c", "config/my.json")
    assert code == 2 and "no unfinished run" in err


@pytest.mark.parametrize("dollars", ["0", "-1", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(cli: Cli, repo: Repo, dollars: str) -> None:
    code, err = run(cli, repo, "-c", "config/my.json", "--yes", "--max-cost", dollars)
    assert code == 2 and "--max-cost: expected dollars" in err


def test_a_dry_run_in_json_is_one_document(cli: Cli, repo: Repo) -> None:
    done = cli("run", "--json", "--dry-run", "-c", "config/my.json", at=repo.path)
    assert done.json["kind"] == "result" and done.json["plan"]["waves"] == [["one"], ["two"], ["three"]]


def test_plan_says_how_to_run_that_very_plan(cli: Cli, repo: Repo) -> None:
    planned = cli("plan", "-c", "config/my.json", "-j", "2", "--base", "main", "-s", "one", at=repo.path)
    assert "next: orchestrate run --config config/my.json -j 2 --base main --select 'one'" in planned.err


def test_a_frozen_plan_overwrites_nothing_but_a_frozen_plan(cli: Cli, repo: Repo, tmp_path: Path) -> None:
    before = (repo.path / "config/my.json").read_text()
    refused = cli("plan", "-c", "config/my.json", "--out", "config/my.json", at=repo.path)
    assert refused.code == 2 and "no frozen plan" in refused.err
    assert (repo.path / "config/my.json").read_text() == before
    out = tmp_path / "plan.json"
    assert [cli("plan", "-c", "config/my.json", "--out", out, at=repo.path).code for _ in range(2)] == [0, 0]
