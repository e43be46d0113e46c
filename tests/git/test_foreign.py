"""Lock files that other git commands left behind, or hold: told with age and remedy, never removed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from orchestrate.git.foreign import explain_lock, git_processes, lock_in_the_way
from orchestrate.git.repository import open_repository
from orchestrate.git.run import GitError
from tests.support.repos import Repo, frozen_environ


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo.make(tmp_path / "project")


@pytest.mark.parametrize(
    ("words", "lock"),
    [
        ("Unable to create '/r/.git/packed-refs.lock': File exists.", "/r/.git/packed-refs.lock"),
        ("cannot lock ref 'refs/heads/x': Unable to create '/r/.git/refs/heads/x.lock': File exists.", "/r/.git/refs/heads/x.lock"),
        ("could not lock config file /r/.git/config: File exists", "/r/.git/config.lock"),
        ("Unable to create '/r/.git/index.lock': Permission denied", None),
        ("not a git repository", None),
    ],
)  # fmt: skip
def test_the_lock_is_named_by_git_itself(words: str, lock: str | None) -> None:
    assert lock_in_the_way(words) == (Path(lock) if lock else None)


@pytest.mark.parametrize(
    ("lock", "command"),
    [
        ("packed-refs.lock", ("pack-refs", "--all")),
        ("refs/heads/new.lock", ("update-ref", "refs/heads/new", "HEAD")),
        ("config.lock", ("config", "--local", "a.b", "c")),
        ("HEAD.lock", ("symbolic-ref", "HEAD", "refs/heads/elsewhere")),
    ],
)
async def test_a_lock_left_behind_is_told_with_its_age_and_what_to_do(
    repo: Repo, lock: str, command: tuple[str, ...]
) -> None:
    git = open_repository(repo.path, environ=frozen_environ()).git
    left = repo.path / ".git" / lock
    left.touch()
    os.utime(left, (0, left.stat().st_mtime - 7205))
    with pytest.raises(GitError) as refused:
        await git.run(*command)
    assert f"; {left} has been there for 2:00:" in refused.value.message
    assert refused.value.message.endswith(f"one that died left it behind; remove it: rm {left}")
    assert left.exists(), "it is not ours to remove"


async def test_a_lock_that_is_held_for_a_moment_is_waited_for(repo: Repo) -> None:
    git = open_repository(repo.path, environ=frozen_environ()).git
    left = repo.path / ".git/config.lock"
    left.touch()
    remover = subprocess.Popen(["sh", "-c", 'sleep 0.3; rm "$0"', str(left)])
    await git.run("config", "--local", "a.b", "c")
    assert remover.wait() == 0
    assert repo.git("config", "a.b") == "c"


def test_a_git_command_that_is_at_work_there_is_named(repo: Repo) -> None:
    lock = repo.path / ".git/packed-refs.lock"
    lock.touch()
    at_work = subprocess.Popen(
        ["git", "cat-file", "--batch"], cwd=repo.path, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    try:
        assert git_processes(lock) == [at_work.pid]
        assert f"at work there: git (pid {at_work.pid}): wait for it to end" in explain_lock(lock)
    finally:
        at_work.communicate()
    assert git_processes(lock) == []
    lock.unlink()
    assert explain_lock(lock) == "the lock is gone by now: try again"
