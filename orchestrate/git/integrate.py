"""Bring verified work into the run's integration branch: find what is there already, merge in memory, compare and swap.

Invariant: the branch only ever moves forward from the commit that the caller saw, and never while somebody has it
checked out. Every merge is a merge commit whose trailer names the attempt, so that after a crash it is found again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from orchestrate.core.names import TRAILER, AttemptKey
from orchestrate.errors import OrchestrateError

from .link import MARKER, entry_names, first_line
from .merges import merge_trees, subject_line, write_commit
from .repository import Repository
from .run import GitError


@dataclass(frozen=True, slots=True)
class Integrated:
    """merged: commit and tree are given · conflict: paths are · present: commit is the branch's tip · moved: somebody
    else moved the branch; commit is its tip."""

    kind: Literal["merged", "conflict", "present", "moved"]
    commit: str = ""
    tree: str = ""
    paths: tuple[str, ...] = ()
    why: str = ""


class SetBack(OrchestrateError):
    """Somebody moved the branch to where it lacks what was integrated before: going on from there would lose that."""


@dataclass(frozen=True, slots=True)
class IntegrationBranch:
    """One run's integration branch. name: short."""

    repository: Repository
    name: str
    _ours: set[str] = field(default_factory=set)
    """Names of worktree entries that are known to be ours: their HEADs need not be read again."""

    async def merge(self, key: AttemptKey, *, name: str, head: str, onto: str) -> Integrated:
        """Merge commit `head` of the feature called `name` into commit `onto`, the branch's tip as the caller knows it.

        No ref moves. Raises GitError, SetBack.
        """
        git = self.repository.git
        tip = await self.tip()
        if tip not in ("", onto):
            await self._require_forward(onto, tip)
            if await self._has_merge(key, onto, tip):
                return Integrated("present", tip, await git.line("rev-parse", f"{tip}^{{tree}}"))
            return Integrated("moved", tip, why=f"{self.name} has moved from {onto[:12]} to {tip[:12]}")
        merged = await merge_trees(git, onto, head)
        if merged.conflicts:
            return Integrated("conflict", paths=merged.conflicts, why=merged.why)
        message = f"{_title(key, name)}\n\n{TRAILER}: {key}\n"
        commit = await write_commit(git, merged.tree, (onto, head), message)
        return Integrated("merged", commit, merged.tree)

    async def publish(self, commit: str, onto: str) -> str:
        """Move the branch from `onto` (or from nowhere, when it does not exist yet) to `commit`.

        Returns why it was not moved; empty when its tip is `commit` now, or holds it. Raises GitError, SetBack.
        """
        git, ref = self.repository.git, f"refs/heads/{self.name}"
        if holder := self.checkout():
            return f"{self.name} is checked out in {holder}: moving it would change that checkout"
        tip = await self.tip()
        try:
            await git.run("update-ref", "--no-deref", ref, commit, onto if tip else self.repository.zero_id)
        except GitError as failed:
            tip = await git.commit_of(ref)
            if tip and await git.is_ancestor(commit, tip):
                return ""
            if tip == onto:
                raise
            if tip:
                await self._require_forward(onto, tip)
            return f"{self.name} is not at {onto[:12]} but at {tip[:12] or 'no commit'}: {failed.words}"
        return ""

    async def tip(self) -> str:
        """Commit id, empty when the branch does not exist. A loose ref is read as the file it is, which wins over a
        packed one: https://git-scm.com/docs/gitrepository-layout (refs)"""
        try:
            said = (self.repository.common_dir / "refs" / "heads" / self.name).read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            said = ""
        if len(said) == len(self.repository.zero_id):
            return said
        return await self.repository.git.commit_of(f"refs/heads/{self.name}")

    async def _require_forward(self, onto: str, tip: str) -> None:
        if not await self.repository.git.is_ancestor(onto, tip):
            raise SetBack(
                f"{self.name} was set to {tip[:12]}, which lacks what was integrated before; "
                f"to put it back: git branch -f {self.name} {onto[:12]}"
            )

    async def _has_merge(self, key: AttemptKey, onto: str, tip: str) -> bool:
        """Whether the attempt's merge is on the branch between `onto` and its tip. Only the branch's own line is looked
        at: commits that were made for agents, further down, carry the same trailer."""
        form = f"--format=%(trailers:key={TRAILER},valueonly,separator=%x2C)"
        args = ("--first-parent", "--merges", "--no-commit-header", form, f"{onto}..{tip}")
        out = await self.repository.git.run("rev-list", *args)
        return any(str(key) in line.split(",") for line in os.fsdecode(out.stdout).splitlines())

    def checkout(self) -> str:
        """Path of a checkout of the user's whose HEAD is the branch; empty when there is none. Reads files only."""
        wanted = f"ref: refs/heads/{self.name}"
        common = self.repository.common_dir
        if first_line(common / "HEAD") == wanted:
            return str(common.parent)
        for name in entry_names(common):
            if name in self._ours:
                continue
            admin = common / "worktrees" / name
            if (admin / MARKER).exists():
                self._ours.add(name)
            elif first_line(admin / "HEAD") == wanted:
                return str(Path(first_line(admin / "gitdir")).parent)
        return ""


def _title(key: AttemptKey, name: str) -> str:
    subject = subject_line(name, "")
    return f"Merge feature {key.feature}" + (f": {subject}" if subject not in ("", key.feature) else "")
