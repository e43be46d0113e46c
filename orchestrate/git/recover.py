"""What of attempts can be brought back, wherever it lies: worktrees, branches, private refs; and bringing it back.

Invariant: looking moves no ref and touches no file; bringing back makes one new branch or one new worktree, and never in the
place of something that exists.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrate.core.names import PRIVATE_REFS, AttemptKey, parse_attempt_branch, parse_attempt_key
from orchestrate.errors import OrchestrateError

from .checkpoint import Saved, own_index, read_saved, snapshot_tree, tips_under
from .link import INTEGRATION, Link, links
from .locking import FileLock
from .merges import write_commit
from .repository import Repository
from .restore import is_whole, lay_over
from .run import Git, GitError, paths_of
from .status import read_own_status

AT_ONCE = 8
"""Attempts that are looked at side by side: each costs a few short git processes."""


@dataclass(frozen=True, slots=True)
class Recoverable:
    """The newest state of one attempt. head: commit id; tree: all its files, head's own unless something was not committed.
    path: of the worktree, None without one. branch, ref: full names, empty without one. uncommitted: files in the worktree
    that differ from head. commits: beyond the base. changed: files that differ from the base. held_by: a branch of the user's, or an
    integration branch, that holds all of it; empty: none does. at: Unix seconds. problem: why it cannot be brought back."""

    key: AttemptKey
    head: str = ""
    tree: str = ""
    base: str = ""
    path: Path | None = None
    branch: str = ""
    ref: str = ""
    uncommitted: int = 0
    commits: int = 0
    changed: int = 0
    held_by: str = ""
    at: int = 0
    problem: str = ""

    @property
    def where(self) -> tuple[str, ...]:
        """In words, the fullest place first."""
        places = (("worktree", self.path), ("branch", self.branch), ("private ref", self.ref))
        return tuple(word for word, place in places if place)


@dataclass(slots=True)
class _Places:
    link: Link | None = None
    branch: str = ""
    tip: str = ""
    ref: str = ""
    saved: str = ""


async def find_recoverable(
    repository: Repository, *, prefixes: Iterable[str], bases: Mapping[AttemptKey, str], run: str = ""
) -> tuple[Recoverable, ...]:
    """Every attempt of which anything is left, newest first. prefixes: of the branches of runs. bases: commit ids, as far as
    the log has them. run: only that run's. Raises GitError."""
    names = tuple(dict.fromkeys(prefixes))
    tips = await tips_under(repository.git, "refs/heads", "refs/remotes", "refs/tags", PRIVATE_REFS)
    places = {key: found for key, found in _collect(repository, names, tips).items() if run in ("", key.run)}
    ours = tuple(f"refs/heads/{prefix}/" for prefix in names)
    keepers = [
        ref for ref in tips
        if not ref.startswith((f"{PRIVATE_REFS}/", *ours)) or (ref.startswith(ours) and ref.endswith(f"/{INTEGRATION}"))
    ]  # fmt: skip
    turns = asyncio.Semaphore(AT_ONCE)

    async def look(key: AttemptKey, found: _Places) -> Recoverable:
        async with turns:
            try:
                return await _look(repository, key, found, bases.get(key, ""), keepers)
            except (GitError, OSError) as trouble:
                path = found.link.path if found.link else None
                return Recoverable(key, path=path, branch=found.branch, ref=found.ref, problem=str(trouble))

    items = await asyncio.gather(*(look(key, found) for key, found in places.items()))
    return tuple(sorted(items, key=lambda item: (-item.at, item.key.run, item.key.feature, -item.key.attempt)))


def _collect(repository: Repository, prefixes: tuple[str, ...], tips: Mapping[str, str]) -> dict[AttemptKey, _Places]:
    found: dict[AttemptKey, _Places] = {}
    for link in links(repository.common_dir):
        key = parse_attempt_key(link.owner) if link.owner else None
        if key is not None and key.feature != INTEGRATION and link.path.is_dir():
            found.setdefault(key, _Places()).link = link
    for ref, commit in tips.items():
        if ref.startswith(f"{PRIVATE_REFS}/"):
            key = parse_attempt_key(ref.removeprefix(f"{PRIVATE_REFS}/"))
            if key is not None and key.feature != INTEGRATION:
                place = found.setdefault(key, _Places())
                place.ref, place.saved = ref, commit
            continue
        for prefix in prefixes:
            key = parse_attempt_branch(ref.removeprefix("refs/heads/"), prefix)
            if key is not None:
                place = found.setdefault(key, _Places())
                place.branch, place.tip = ref, commit
    return found


async def _look(repository: Repository, key: AttemptKey, found: _Places, base: str, keepers: list[str]) -> Recoverable:
    git = repository.git
    item = Recoverable(key, path=found.link.path if found.link else None, branch=found.branch, ref=found.ref)
    newest = await _newest(git, key, found)
    touched: set[str] = set()
    if found.link is not None:
        async with own_index(repository, found.link) as own:
            status = await read_own_status(own)
        touched = {*status.changed, *status.untracked}
        uncommitted = len(touched)
        head = status.commit or (newest.head if newest else base)
        tree = newest.tree if newest is not None and newest.head == head else ""
        at = newest.at if newest else 0
        if uncommitted or newest is None or not await git.is_ancestor(newest.head, head):
            at = max(at, int(found.link.path.stat().st_mtime))
        item = replace(item, head=head, tree="" if uncommitted else tree, uncommitted=uncommitted, at=at)
    elif newest is not None:
        item = replace(item, head=newest.head, tree=newest.tree, at=newest.at)
    else:
        return replace(item, problem="its commits are gone from the repository")
    head_tree = await git.line("rev-parse", f"{item.head}^{{tree}}")
    item = replace(item, tree=item.tree or ("" if item.uncommitted else head_tree))
    base = base if base and await is_whole(git, base) else await _fork_point(git, item.head, keepers)
    is_clean = item.tree == head_tree
    holder = await _holder(git, item.head, keepers) if is_clean else ""
    commits = int(await git.line("rev-list", "--count", item.head, *(["--not", base] if base else [])))
    if base:
        differ = await git.run("diff-tree", "-r", "--name-only", "-z", base, item.tree or item.head)
        touched |= set(paths_of(differ.stdout))
    return replace(item, base=base, held_by=holder, commits=commits, changed=len(touched))


async def _newest(git: Git, key: AttemptKey, found: _Places) -> Saved | None:
    """Of branch and private ref: the one that holds the other, else the later one."""
    saved = await read_saved(git, key, found.saved) if found.saved and await is_whole(git, found.saved) else None
    tip = await read_saved(git, key, found.tip) if found.tip and await is_whole(git, found.tip) else None
    if saved is None or tip is None:
        return saved or tip
    if await git.is_ancestor(tip.commit, saved.commit):
        return saved
    return tip if tip.at >= saved.at or await git.is_ancestor(saved.commit, tip.commit) else saved


async def _holder(git: Git, commit: str, keepers: list[str]) -> str:
    """One of the refs that holds the commit, in short; empty when none does."""
    if not keepers:
        return ""
    args = ("for-each-ref", f"--contains={commit}", "--count=1", "--format=%(refname:short)")
    return os.fsdecode((await git.run(*args, *keepers)).stdout).strip()


async def _fork_point(git: Git, head: str, keepers: list[str]) -> str:
    """Where the work left what people keep, for runs that the log does not know; empty when it shares nothing with that."""
    branches = [ref for ref in keepers if ref.startswith("refs/heads/")]
    if not branches:
        return ""
    done = await git.run("merge-base", head, *branches[:50], ok=(0, 1))
    return os.fsdecode(done.stdout).strip()


# ── bringing back ────────────────────────────────────────────────────────────────────────────────────────────────


async def tree_of(repository: Repository, item: Recoverable) -> str:
    """All files of the state; of a worktree with uncommitted work as they lie there now. Raises GitError."""
    if item.tree:
        return item.tree
    link = next((link for link in links(repository.common_dir) if link.owner == str(item.key)), None)
    if link is None or not link.path.is_dir():
        raise OrchestrateError(f"the worktree {item.path} is gone since it was looked at", hint="try again")
    async with own_index(repository, link) as own:
        return await snapshot_tree(own, await read_own_status(own))


async def bring_into_branch(repository: Repository, item: Recoverable, name: str) -> str:
    """A new branch with the state, what was uncommitted as one more commit. Returns its tip. Raises OrchestrateError."""
    await _require_free_name(repository, name)
    tree, git = await tree_of(repository, item), repository.git
    tip = item.head
    if await git.line("rev-parse", f"{item.head}^{{tree}}") != tree:
        tip = await write_commit(
            git, tree, (item.head,), f"What {item.key.feature} had not committed\n\nOf attempt {item.key}.\n"
        )
    await _create_branch(repository, name, tip)
    return tip


async def bring_into_worktree(repository: Repository, item: Recoverable, path: Path, name: str = "") -> None:
    """A new worktree at `path` with the state, what was uncommitted as uncommitted files; on a new branch `name`, else
    detached. Raises OrchestrateError."""
    if os.path.lexists(path):
        raise OrchestrateError(f"{path} exists already", hint="name a directory that does not: --worktree DIR")
    if path.resolve().is_relative_to(repository.common_dir.resolve()):
        raise OrchestrateError(f"{path} is git's own place", hint="name another directory: --worktree DIR")
    if name:
        await _require_free_name(repository, name)
    tree = await tree_of(repository, item)
    on = ("--no-track", "-b", name) if name else ("--detach",)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OrchestrateError(
            f"{path} cannot be made: {error.strerror}: {error.filename}", hint="name another directory: --worktree DIR"
        ) from error
    async with FileLock(repository.worktree_lock).held():
        await repository.git.run("worktree", "add", "--quiet", "--no-checkout", *on, "--", str(path), item.head)
    link = next(link for link in links(repository.common_dir) if link.path == path.resolve() or link.path == path)
    inside = repository.git.at(path, link.admin)
    await inside.run("reset", "--hard", "--quiet", "--no-recurse-submodules")
    await lay_over(inside, item.head, tree)


async def _require_free_name(repository: Repository, name: str) -> None:
    git = repository.git
    is_odd = name.startswith(("-", "refs/")) or name in ("@", "HEAD")
    if is_odd or not (await git.run("check-ref-format", "--branch", name, ok=range(256))).ok:
        raise OrchestrateError(f"'{name}' cannot be the name of a branch", hint="such as: --branch rescued")
    if await git.commit_of(f"refs/heads/{name}"):
        raise OrchestrateError(f"the branch '{name}' exists already", hint="name one that does not: --branch NAME")


async def _create_branch(repository: Repository, name: str, commit: str) -> None:
    try:
        await repository.git.run("update-ref", "--no-deref", f"refs/heads/{name}", commit, repository.zero_id)
    except GitError as failed:
        raise OrchestrateError(
            f"the branch '{name}' cannot be made: {failed.words}", hint="choose another name"
        ) from failed
