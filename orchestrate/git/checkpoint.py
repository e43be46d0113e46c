"""Keep an attempt's last known state, committed or not, under its private ref.

Invariant: the agent's index, HEAD and files are not touched, also while it works; whatever the ref held before stays
reachable from it; and what the ref points at is complete.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrate.core.names import AttemptKey, attempt_branch, checkpoint_ref

from .link import Link, find_link
from .merges import write_commit
from .repository import Repository
from .run import Git, GitError
from .status import Status, all_but, read_own_status, unhide_changes

HEAD_TRAILER = "Orchestrate-Head"
"""In the message of a checkpoint: the commit that HEAD was at; what the tree differs from it was not committed."""

INDEX_PREFIX = "orchestrate-index-"
"""Begins the names of our own indexes, beside the agent's."""

LARGEST_BYTES = 256 * 1024 * 1024
"""An untracked file above this size is left out of checkpoints, and named, where the worktree stays: git would copy it
whole each time that it changes."""


@dataclass(frozen=True, slots=True)
class Kept:
    """commit: where the private ref points now; empty: there was nothing to keep. seen: digest of what was found, to be
    given back as `unless`. skipped: nothing was done, as `unless` says that all is as it was. left_out: untracked files that
    are too large."""

    commit: str = ""
    seen: str = ""
    skipped: bool = False
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Saved:
    """What a private ref holds. commit: what it points at. head: the commit that HEAD was at. tree: of all files. at: Unix
    seconds. Without uncommitted work, commit is head; head is empty where HEAD had no commit."""

    commit: str
    tree: str
    head: str
    at: int
    is_checkpoint: bool


async def keep(
    repository: Repository,
    key: AttemptKey,
    path: Path | None,
    *,
    branch_prefix: str,
    largest: int | None = None,
    unless: str = "",
) -> Kept:
    """Save the state of the attempt's worktree at `path`, or of its branch when the worktree is gone.

    largest: bytes of an untracked file above which it is left out; None: none is. Raises GitError, OSError.
    """
    try:
        return await _keep(repository, key, path, branch_prefix, largest, unless)
    except GitError:
        # Somebody's `git gc --prune=now` may have taken objects that nothing pointed at yet.
        return await _keep(repository, key, path, branch_prefix, largest, unless)


async def _keep(
    repository: Repository, key: AttemptKey, path: Path | None, prefix: str, largest: int | None, unless: str
) -> Kept:
    git, ref = repository.git, checkpoint_ref(key)
    tip, before = await tips_of(git, f"refs/heads/{attempt_branch(key, prefix)}", ref)
    link = find_link(repository.common_dir, path) if path is not None and path.is_dir() else None
    tree, heads, seen = "", [tip], ""
    large: tuple[str, ...] = ()
    if link is not None and (link.index.exists() or _has_files(link.path)):
        async with own_index(repository, link) as own:
            status = await read_own_status(own)
            seen = await asyncio.to_thread(_digest, link.path, status, tip)
            if unless and seen == unless:
                return Kept(before, seen, skipped=True)
            large = await asyncio.to_thread(_larger, link.path, status.untracked, largest)
            heads.insert(0, status.commit)
            if status.dirty or status.unmerged or status.nested:
                tree = await _tree(own, status, large)
    heads = [head for head in dict.fromkeys(heads) if head]
    if not heads and not tree:
        return Kept(before, seen)
    commit = await _checkpoint(git, key, tree, heads, before)
    if commit != before:
        await git.run("update-ref", "--no-deref", ref, commit, before or repository.zero_id)
        await _require_whole(git, commit, [*heads, before])
    return Kept(commit, seen, left_out=large)


async def keep_commit(repository: Repository, key: AttemptKey, commit: str) -> None:
    """Make one more commit reachable from the attempt's private ref, without making it the newest state."""
    git, ref = repository.git, checkpoint_ref(key)
    _, before = await tips_of(git, "", ref)
    if before and await git.is_ancestor(commit, before):
        return
    wanted = commit
    if before and not await git.is_ancestor(before, commit):
        saved = await read_saved(git, key, before)
        wanted = await write_commit(git, saved.tree, (before, commit), _message(key, saved.head))
    await git.run("update-ref", "--no-deref", ref, wanted, before or repository.zero_id)


async def keep_files(repository: Repository, key: AttemptKey, link: Link, base: str) -> str:
    """Save the files of a worktree whose commits are gone from the repository, on top of `base`. Returns the commit that the
    private ref points at now. Raises GitError, OSError."""
    git, ref = repository.git, checkpoint_ref(key)
    _, before = await tips_of(git, "", ref)
    async with own_index(repository, link, of=base) as own:
        tree = await snapshot_tree(own, await read_own_status(own))
    parents = [base]
    if before and (await git.run("rev-list", "--objects", "--quiet", before, "--not", base, ok=range(256))).ok:
        parents.append(before)
    commit = await write_commit(git, tree, parents, _message(key, base))
    # No check of the old value: what it names may not exist any more.
    await git.run("update-ref", "--no-deref", ref, commit)
    return commit


async def read_saved(git: Git, key: AttemptKey, commit: str) -> Saved:
    """What the commit of a private ref says. Checkpoints of before 0.2 do not name their head: it is then the first
    ancestor along first parents that is no checkpoint. Raises GitError."""
    at, tree, when = commit, "", 0
    while True:
        form = "--format=%T%x00%ct%x00%P%x00%B"
        out = await git.run("rev-list", "--no-walk", "--no-commit-header", form, at)
        its_tree, date, parents, message = os.fsdecode(out.stdout).split("\0", 3)
        tree, when = tree or its_tree, when or int(date)
        lines = message.strip().splitlines()
        if not lines or lines[0] != _subject(key):
            return Saved(commit, tree, at, when, at != commit)
        heads = [line.partition(":")[2].strip() for line in lines if line.startswith(f"{HEAD_TRAILER}:")]
        if heads:
            return Saved(commit, tree, heads[0], when, is_checkpoint=True)
        at = parents.split(" ")[0]
        if not at:
            return Saved(commit, tree, commit, when, is_checkpoint=False)


# ── an index of our own ──────────────────────────────────────────────────────────────────────────────────────────


@contextlib.asynccontextmanager
async def own_index(repository: Repository, link: Link, *, of: str = "") -> AsyncIterator[Git]:
    """What runs git in the worktree with a copy of its index, in which no change is hidden, or with one of the commit `of`.
    The agent may go on working."""
    inside = repository.git.at(link.path, link.admin)
    descriptor, name = tempfile.mkstemp(prefix=INDEX_PREFIX, dir=link.admin)
    os.close(descriptor)
    # Not split: a part of it would be a file of the agent's. https://git-scm.com/docs/git-update-index#_split_index
    own = inside.with_variables(GIT_INDEX_FILE=name).with_setting("core.splitIndex", "false")
    try:
        try:
            await asyncio.to_thread(_copy_index, link.index, name)
            await unhide_changes(own, is_sparse=repository.sparse)
        except (FileNotFoundError, GitError):  # it is gone, or garbage: the files are what counts
            of = of or "HEAD"
        if of:
            Path(name).unlink(missing_ok=True)
            await own.run("read-tree", of, ok=(0, 128))
        yield own
    finally:
        Path(name).unlink(missing_ok=True)
        Path(f"{name}.lock").unlink(missing_ok=True)


async def snapshot_tree(own: Git, status: Status) -> str:
    """Tree of everything in the worktree that is tracked or not ignored. own: see own_index."""
    return await _tree(own, status, ())


async def _tree(own: Git, status: Status, left_out: Iterable[str]) -> str:
    # Unreadable files are left out rather than failing the rest: exit code 1.
    await own.run("add", "-A", "--sparse", "--ignore-errors", "--", *all_but((*status.nested, *left_out)), ok=(0, 1))
    return await own.line("write-tree")


def _copy_index(index: Path, name: str) -> None:
    """With its time: by that git tells which entries to look at again, because the file may have changed in the same
    tick of the clock. https://git-scm.com/docs/racy-git"""
    with index.open("rb") as source, open(name, "wb") as copy:
        shutil.copyfileobj(source, copy)
        times = os.fstat(source.fileno())
    os.utime(name, ns=(times.st_atime_ns, times.st_mtime_ns))


def _digest(root: Path, status: Status, tip: str) -> str:
    """Of what git says has changed, and of the files themselves as far as the disk tells without reading them."""
    digest = hashlib.sha1(usedforsecurity=False)
    for text in (tip, status.commit, status.branch, *status.nested):
        digest.update(os.fsencode(text) + b"\0")
    for path in (*status.changed, *status.untracked):
        try:
            found = os.lstat(root / path)
            stamp = f"{found.st_mode} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"
        except OSError:
            stamp = "gone"
        digest.update(os.fsencode(path) + b"\0" + stamp.encode() + b"\0")
    return digest.hexdigest()


def _larger(root: Path, paths: Sequence[str], largest: int | None) -> tuple[str, ...]:
    return () if largest is None else tuple(path for path in paths if _size(root / path) > largest)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _has_files(path: Path) -> bool:
    return any(name != ".git" for name in os.listdir(path))


# ── the commit ───────────────────────────────────────────────────────────────────────────────────────────────────


async def tips_of(git: Git, *refs: str) -> tuple[str, ...]:
    """What each full ref name points at; empty where there is none. One process."""
    found = await tips_under(git, *(ref for ref in refs if ref))
    return tuple(found.get(ref, "") for ref in refs)


async def tips_under(git: Git, *prefixes: str) -> dict[str, str]:
    """Full name → object id of every ref that is one of `prefixes` or lies below one."""
    done = await git.run("for-each-ref", "--format=%(refname)%00%(objectname)", *prefixes)
    return {
        name: commit for name, _, commit in (line.partition("\0") for line in os.fsdecode(done.stdout).splitlines())
    }


async def _checkpoint(git: Git, key: AttemptKey, tree: str, heads: Sequence[str], before: str) -> str:
    """The commit to point at: the head itself when it holds everything, else a new one above all that must be kept."""
    if not before and not tree and len(heads) == 1:
        return heads[0]
    head = heads[0] if heads else ""
    head_tree = await git.line("rev-parse", f"{head}^{{tree}}") if head else ""
    tree = tree or head_tree
    if before:
        saved = await read_saved(git, key, before)
        if (saved.tree, saved.head) == (tree, head) and await _holds(git, before, heads):
            return before
    parents = [*heads, before] if before else list(heads)
    if len(parents) > 1:
        independent = set((await git.run("merge-base", "--independent", *parents)).stdout.decode().split())
        parents = [parent for parent in dict.fromkeys(parents) if parent in independent]
    if parents == [head] and tree == head_tree:
        return head
    return await write_commit(git, tree, parents, _message(key, head))


def _subject(key: AttemptKey) -> str:
    return f"Checkpoint of {key}"


def _message(key: AttemptKey, head: str) -> str:
    return f"{_subject(key)}\n\n{HEAD_TRAILER}: {head}\n"


async def _holds(git: Git, commit: str, heads: Sequence[str]) -> bool:
    return all([await git.is_ancestor(head, commit) for head in heads])


async def _require_whole(git: Git, commit: str, known: Sequence[str]) -> None:
    """Every object that is new with the commit exists. Raises GitError: a prune took one before the ref pointed at it."""
    await git.run("rev-list", "--objects", "--quiet", commit, "--not", *dict.fromkeys(old for old in known if old))
