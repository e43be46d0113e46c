"""A repository that was copied together with the entries of its worktrees leaves the worktrees to the first one."""

from __future__ import annotations

import shutil
from pathlib import Path

from orchestrate.git.link import belongs_elsewhere
from tests.support.repos import Repo


def test_worktrees_belong_to_the_repository_that_they_are_tied_to(tmp_path: Path) -> None:
    first = Repo.make(tmp_path / "first")
    worktree = tmp_path / "worktree"
    first.git("worktree", "add", "-q", "-b", "side", str(worktree))
    copy = Path(shutil.copytree(first.path, tmp_path / "copy", symlinks=True))
    assert belongs_elsewhere(copy / ".git", worktree)
    assert not belongs_elsewhere(first.path / ".git", worktree)
    assert not belongs_elsewhere(copy / ".git", tmp_path / "nothing")
    (worktree / ".git").rename(worktree / "kept")
    assert not belongs_elsewhere(copy / ".git", worktree), "tied to nobody"
    (worktree / "kept").rename(worktree / ".git")
    first.path.rename(tmp_path / "moved")
    assert not belongs_elsewhere(tmp_path / "moved" / ".git", worktree), (
        "where the first one was there is none any more"
    )
