"""A repository that nothing can be done in is told from one in which something fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrate.git.locking import FileLock
from orchestrate.git.repository import Repository, open_repository
from orchestrate.git.usable import why_unusable
from tests.support.repos import Repo, frozen_environ


@pytest.fixture
def repository(repo: Repo) -> Repository:
    return open_repository(repo.path, environ=frozen_environ())


def test_one_that_is_well(repository: Repository) -> None:
    assert why_unusable(repository, closely=False) == why_unusable(repository, closely=True) == ""


@pytest.mark.parametrize("name", [".", ".git", ".git/HEAD", ".git/objects"])
def test_what_is_missing_is_named_until_it_is_back(repository: Repository, tmp_path: Path, name: str) -> None:
    place, away = repository.toplevel / name, tmp_path / "away"
    place.rename(away)
    why = why_unusable(repository, closely=False)
    assert why == f"the repository at {repository.toplevel} cannot be used: {place} is not there"
    away.rename(place)
    assert why_unusable(repository, closely=True) == ""


def test_one_that_git_refuses(repository: Repository) -> None:
    repository.git.run_now("config", "core.repositoryformatversion", "99")
    assert why_unusable(repository, closely=False) == ""
    assert "99" in why_unusable(repository, closely=True)


def test_another_one_further_up_is_not_taken_for_it(tmp_path: Path) -> None:
    outer = Repo.make(tmp_path / "outer")
    inner = open_repository(Repo.make(outer.path / "inner").path, environ=frozen_environ())
    (inner.common_dir / "refs").rename(tmp_path / "refs")
    assert f"git takes {outer.path / '.git'} for it" in why_unusable(inner, closely=True)


async def test_one_that_was_moved_is_not_begun_again_in_its_old_place(repository: Repository, tmp_path: Path) -> None:
    repository.toplevel.rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        async with FileLock(repository.worktree_lock).held():
            pass
    assert not repository.toplevel.exists()
