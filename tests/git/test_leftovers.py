"""What setup leaves behind in a worktree gets into no commit, whoever makes it; what an agent writes does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestrate.core import events as ev
from orchestrate.core.effects import PrepareWorktree
from orchestrate.core.plan import Command, Feature
from orchestrate.git.cleanup import survey
from orchestrate.git.leftovers import not_ignored, render_pattern
from tests.support.repos import Repo, frozen_environ

from .conftest import RUN, World, build_world

LEFT = {".venv/bin/python": "x\n", "weird [name]*": "x\n", "ends in a space ": "x\n", "two\nlines": "x\n"}


def set_up(world: World, fid: str = "login") -> None:
    world.setup_files = dict(LEFT)
    world.features[fid] = Feature(id=fid, name=f"The {fid}", setup=(Command("make", "make venv"),))


def as_agent(world: World, fid: str, *args: str) -> str:
    """git as an agent runs it in the attempt's worktree."""
    env = {**frozen_environ(), **world.performer.variables_of(world.key(fid))}
    return subprocess.run(
        ["git", *args], cwd=world.path(fid), env=env, capture_output=True, check=True, text=True
    ).stdout


@pytest.mark.parametrize("commits_itself", [True, False])
async def test_only_what_the_agent_wrote_is_sealed(world: World, commits_itself: bool) -> None:
    set_up(world)
    await world.prepare("login")
    # Names that patterns would match too, were they not taken literally.
    written = {"login.py": "1\n", "weird n": "1\n", "sub/weird [name]*": "1\n"}
    world.repo.write(written, world.path("login"))
    if commits_itself:
        as_agent(world, "login", "add", "-A")
        as_agent(world, "login", "commit", "--quiet", "-m", "Log in")
    sealed = await world.seal("login")
    assert sealed.error == "" and sealed.committed is not commits_itself
    assert world.repo.files(sealed.head).keys() - world.repo.files(world.repo.head()).keys() == written.keys()
    assert sealed.beyond, "the checks of the merged tree must not rely on it"
    assert (world.path("login") / ".venv/bin/python").exists()


async def test_cleanup_and_checkpoints_do_not_take_it_for_work(world: World) -> None:
    set_up(world)
    await world.prepare("login")
    world.repo.write({"half.py": "1\n"}, world.path("login"))
    await world.keep("login")
    assert world.repo.files(world.private("login")).keys() - {"README.md", "calc.py"} == {"half.py"}
    (world.path("login") / "half.py").unlink()
    [item] = await survey(world.repository, merged_into=["refs/heads/main"])
    assert not item.dirty


async def test_of_a_setup_that_failed_nothing_is_kept_either(world: World) -> None:
    set_up(world)
    world.setup_answer = "make: exit code 2"
    failed = await world.try_prepare("login")
    assert isinstance(failed, ev.WorktreeFailed) and failed.why == "make: exit code 2"
    await world.keep("login")
    assert world.repo.files(world.private("login")).keys() == {"README.md", "calc.py"}


async def test_prepared_again_after_a_crash_it_is_the_same(world: World) -> None:
    set_up(world)
    await world.prepare("login")
    world.restarted()
    await world.prepare("login")
    assert as_agent(world, "login", "status", "--porcelain") == ""
    assert len(world.setup_runs) == 2 and not list(world.path("login").parent.glob("*.found-*"))


async def test_it_is_said_once_for_all_features(world: World) -> None:
    said: list[ev.Event] = []
    for fid in ("a", "b"):
        set_up(world, fid)
        key = world.key(fid)
        said += await world.events_of(PrepareWorktree(f"{RUN}.{fid}.1.1", key, (world.repo.head(),)))
    [warning] = [event for event in said if isinstance(event, ev.Warned)]
    assert "setup leaves .venv/, " in warning.message and "and 1 more" in warning.message


async def test_without_setup_nothing_is_looked_for(world: World) -> None:
    world.setup_files = dict(LEFT)
    await world.prepare("login")
    assert world.performer.variables_of(world.key("login")) == {}


async def test_the_integration_worktree_keeps_it_from_one_merge_to_the_next(world: World) -> None:
    world.setup_files = dict(LEFT)
    head = world.repo.head()
    later = world.repo.side_commit(head, {"calc.py": "2\n", "new.py": "1\n"})
    path = await world.performer.integration_worktree(RUN, later)
    assert await world.performer.integration_worktree(RUN, head) == path
    assert len(world.setup_runs) == 1
    assert (path / ".venv/bin/python").exists() and not (path / "new.py").exists()


@pytest.mark.parametrize("named", [True, False])
async def test_what_the_user_ignores_everywhere_stays_ignored(repo: Repo, tmp_path: Path, named: bool) -> None:
    ignore = tmp_path / "home" / ("my-ignores" if named else ".config/git/ignore")
    config = tmp_path / "gitconfig"
    repo.write({str(ignore): "*.swp", str(config): f"[core]\n\texcludesFile = {ignore}\n" if named else ""})
    world = build_world(
        repo, tmp_path / "worktrees", HOME=str(tmp_path / "home"), XDG_CONFIG_HOME="", GIT_CONFIG_GLOBAL=str(config)
    )
    set_up(world)
    await world.prepare("login")
    repo.write({"x.py.swp": "1\n", "x.py": "1\n"}, world.path("login"))
    assert as_agent(world, "login", "status", "--porcelain", "-uall") == "?? x.py\n"
    sealed = await world.seal("login")
    assert "x.py" in repo.files(sealed.head) and "x.py.swp" not in repo.files(sealed.head)


def test_patterns_are_taken_literally() -> None:
    assert render_pattern("a b/[x]*?\\\n") == b"/a\\ b/\\[x]\\*\\?\\\\?\n"


def test_whether_a_directory_that_is_not_there_would_be_ignored(repo: Repo, tmp_path: Path) -> None:
    repo.write({".gitignore": "node_modules/\n"})
    repository = build_world(repo, tmp_path / "worktrees").repository
    assert not_ignored(repository, [".venv", "node_modules"]) == (".venv",)
    assert not_ignored(repository, []) == ()
    (repo.path / ".venv").symlink_to(tmp_path)
    assert not_ignored(repository, [".venv"]) == ()
