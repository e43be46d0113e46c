"""Worktrees: make one for an attempt, make it again after a crash, check a commit out for the merge checks.

Invariant: entries, branches and config are written by one git at a time, across processes; files are checked out outside
that lock. A failure leaves no branch behind, and nothing that could be somebody's work is removed before it is kept.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from orchestrate import failpoint
from orchestrate.core.names import AttemptKey, attempt_branch, integration_dir, worktree_dir
from orchestrate.errors import OrchestrateError

from .checkpoint import keep, keep_commit, tips_of
from .copies import copy_ignored
from .link import Link, clear_stale_locks, find_link, integration_key, mend_link
from .locking import FileLock
from .repository import Repository
from .run import Git, GitError
from .settings import GitSettings
from .standing import TREE_SIZES, sum_sizes
from .status import read_status


class NoSpace(OrchestrateError):
    """The disk is too full for another worktree."""


@dataclass(slots=True)
class Worktrees:
    """All worktrees of ours in one repository. Holds no knowledge that the disk does not hold too."""

    repository: Repository
    settings: GitSettings
    lock: FileLock = field(init=False)
    _tree_bytes: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.lock = FileLock(self.repository.worktree_lock)

    def path_of(self, key: AttemptKey) -> Path:
        return self.settings.worktrees_dir / worktree_dir(key)

    def branch_of(self, key: AttemptKey) -> str:
        return attempt_branch(key, self.settings.branch_prefix)

    def inside(self, path: Path) -> tuple[Git, Link]:
        """What runs git in the worktree at `path`, and its entry. Raises OrchestrateError when there is none."""
        link = find_link(self.repository.common_dir, path)
        if link is None or not path.is_dir():
            raise OrchestrateError(f"there is no worktree at {path} any more")
        return self.repository.git.at(path, link.admin), link

    async def add(self, key: AttemptKey, base: str) -> tuple[str, ...]:
        """The attempt's worktree, on its own branch at commit `base`, with the copied files. Returns notices.

        Asked for again after a crash, it takes up what is there. Raises GitError, NoSpace, OSError.
        """
        path, branch = self.path_of(key), self.branch_of(key)
        await self.require_space(base)
        async with self.lock.held():
            await self._add_entry(key, path, branch, base)
        git, _ = self.inside(path)
        await git.run("reset", "--hard", "--quiet", "--no-recurse-submodules", base)
        return await self.copy_into(git)

    async def check_out_merge(self, run: str, commit: str) -> tuple[Path, bool]:
        """The run's integration worktree with the files of `commit`, detached. True: it is new, or was never finished
        (see finish_merge_checkout). Files that git ignores stay from one commit to the next."""
        path = self.settings.worktrees_dir / integration_dir(run)
        link = find_link(self.repository.common_dir, path)
        if link is not None and path.is_dir():
            mend_link(link)
            clear_stale_locks(link)
            if not link.owner:  # made by an engine that died before it had marked it
                self.mark(path, str(integration_key(run)))
            git = self.repository.git.at(path, link.admin)
            await git.run("checkout", "--detach", "--force", "--quiet", "--no-recurse-submodules", commit)
            await git.run("clean", "-ffdq")
            return path, not (link.admin / _READY).exists()
        await self.require_space(commit)
        async with self.lock.held():
            if link is not None:
                await self._remove_entry(link.path)
            await self._clear_path(path)
            await self._worktree_add("--detach", path, commit)
            self.mark(path, str(integration_key(run)))
        git, link = self.inside(path)
        await git.run("reset", "--hard", "--quiet", "--no-recurse-submodules", commit)
        await self.copy_into(git)
        return path, True

    async def copy_into(self, git: Git) -> tuple[str, ...]:
        """Give a fresh worktree the ignored files that it needs. Returns notices."""
        return await copy_ignored(self.repository.git, git, self.settings.copy)

    def finish_merge_checkout(self, path: Path) -> None:
        """The integration worktree is set up: from now on only commits change in it."""
        _, link = self.inside(path)
        (link.admin / _READY).touch()

    # ── one entry ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _add_entry(self, key: AttemptKey, path: Path, branch: str, base: str) -> None:
        """Under the lock. First the plain way, one process; only what is in its way is looked at."""
        loose_ref = self.repository.common_dir / "refs" / "heads" / branch
        in_the_way = os.path.lexists(path) or loose_ref.exists()
        if in_the_way and await self._take_up(key, path, branch, base):
            return
        try:
            await self._worktree_add("-b", branch, path, base)
        except GitError:
            # An entry whose directory is gone, or a branch that was packed away, shows only now.
            registered = find_link(self.repository.common_dir, path) is not None
            if in_the_way or not (registered or await self._branch_tip(branch)):
                raise
            await self._take_up(key, path, branch, base)
            await self._worktree_add("-b", branch, path, base)
        self.mark(path, str(key))

    async def _worktree_add(self, *args: str | Path) -> None:
        """`args`: (--detach | -b branch) path commit. A branch made by an add that then failed is taken back."""
        *options, path, commit = map(str, args)
        flags = ("--no-checkout", "--no-track") if "-b" in options else ("--no-checkout",)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        branch = f"refs/heads/{options[1]}" if "-b" in options else ""
        try:
            await self.repository.git.run("worktree", "add", "--quiet", *flags, *options, "--", path, commit)
        except GitError as failed:
            if branch and "already exists" not in failed.words:
                await self.repository.git.run("update-ref", "-d", branch, commit, ok=range(256))
            raise

    async def _take_up(self, key: AttemptKey, path: Path, branch: str, base: str) -> bool:
        """Something of the attempt is there already: True when it can be used as it is; else it is kept and cleared."""
        repository = self.repository
        link = find_link(repository.common_dir, path)
        if link is not None and path.is_dir():
            mend_link(link)
            clear_stale_locks(link)
            if link.head == f"ref: refs/heads/{branch}" and await self._branch_tip(branch) == base:
                git = repository.git.at(path, link.admin)
                # Without an index the first checkout never ended, so nobody can have worked here.
                if not link.index.exists() or await _is_clean(git):
                    self.mark(path, str(key))
                    return True
        await keep(repository, key, path, branch_prefix=self.settings.branch_prefix)
        if link is not None:
            await self._remove_entry(link.path)
        await self._clear_path(path)
        tip = await self._branch_tip(branch)
        if tip:
            await keep_commit(repository, key, tip)
            await repository.git.run("update-ref", "--no-deref", "-d", f"refs/heads/{branch}", tip)
        return False

    async def _remove_entry(self, path: Path) -> None:
        """The files were kept before; `--force` because what is left of them need not be clean."""
        make_writable(path)
        await self.repository.git.run("worktree", "remove", "--force", "--", str(path))

    async def _clear_path(self, path: Path) -> None:
        """Make room. A directory that is no worktree any more may hold anything: it is moved aside, not removed."""
        if not os.path.lexists(path):
            return
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()
            return
        number = 1
        while os.path.lexists(aside := path.with_name(f"{path.name}.found-{number}")):
            number += 1
        await asyncio.to_thread(shutil.move, path, aside)

    def mark(self, path: Path, owner: str) -> None:
        _, link = self.inside(path)
        failpoint.reach("worktree.*.marked.before", "integration" if "/integration/" in owner else "attempt")
        link.mark(owner)

    async def _branch_tip(self, branch: str) -> str:
        return (await tips_of(self.repository.git, f"refs/heads/{branch}"))[0]

    async def require_space(self, commit: str) -> None:
        """At least the settings' spare_bytes, or twice the tree, must be free; the tree is measured once, as trees of one
        run are alike. Asked to spare nothing, it is left to be seen whether it fits."""
        if not self.settings.spare_bytes:
            return
        if self._tree_bytes is None:
            self._tree_bytes = sum_sizes((await self.repository.git.run(*TREE_SIZES, commit)).stdout)
        free = shutil.disk_usage(_existing(self.settings.worktrees_dir)).free
        needed = max(self.settings.spare_bytes, 2 * self._tree_bytes)
        if free < needed:
            raise NoSpace(
                f"no space left for a worktree: {free / 1e9:.1f} GB are free at {self.settings.worktrees_dir}, "
                f"{needed / 1e9:.1f} GB are needed",
                hint="make room: orchestrate cleanup --merged",
            )


_READY = "orchestrate-ready"
"""File in the integration worktree's entry: setup ran to its end there."""


def make_writable(path: Path) -> None:
    """Give the owner back the right to delete below `path`: agents and package caches leave read-only directories."""
    for directory, names, _ in os.walk(path):
        for name in [".", *names]:
            inner = Path(directory, name)
            if not inner.is_symlink() and not os.access(inner, os.W_OK | os.X_OK | os.R_OK):
                inner.chmod(0o700)


async def _is_clean(git: Git) -> bool:
    status = await read_status(git)
    return not (status.dirty or status.unmerged or status.nested)


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
