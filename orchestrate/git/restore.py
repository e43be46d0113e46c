"""Make an attempt's worktree again, at its place and on its branch, with the newest of what is left of it.

Invariant: commits come back as commits and uncommitted work as uncommitted files; whatever is put in another's place is
kept first: commits under the private ref, a broken entry of git's beside the log. Asked for again, it finds its work done.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrate.core.names import AttemptKey, checkpoint_ref

from .checkpoint import INDEX_PREFIX, keep_commit, read_saved, tips_of
from .leftovers import excludes_copy, set_aside
from .link import Link, clear_stale_locks, find_link, first_line, links
from .repository import Repository
from .run import EXCLUDES, OBJECT_ID, Git
from .worktrees import Worktrees

RunSetup = Callable[[AttemptKey, Path], Awaitable[str]]
"""Runs the setup commands in a worktree that is ready otherwise. Answers why it failed, empty when it did not."""

RESTORING = "orchestrate-restoring"
"""File in the entry of a worktree that is being made again: `<head> <tree>`. Nobody can have worked there yet."""

REMADE = ".remade"
"""Ends the name of the place at which a new entry is made for files that lie elsewhere already."""


@dataclass(frozen=True, slots=True)
class State:
    """What a worktree held: commit `head`, and files as in `tree`, which is head's own when nothing was uncommitted. at: Unix
    seconds, 0 if unknown. left_from: in words, where it was found."""

    head: str
    tree: str
    at: int = 0
    left_from: str = ""


async def is_whole(git: Git, commit: str, known: str = "") -> bool:
    """Whether the commit and everything that came with it since `known` exist."""
    if not OBJECT_ID.fullmatch(commit):
        return False
    since = ("--not", known) if known else ()
    done = await git.run("rev-list", "--objects", "--quiet", commit, *since, ok=range(256))
    return done.ok


async def newest_state(
    git: Git, key: AttemptKey, *, branch: str, base: str, last: str = "", logged: str = ""
) -> State | None:
    """The newest of the branch (short name), the worktree's HEAD as it was `last`, the private ref, and the commit that the
    run's log names. A branch that holds none of the others was moved by somebody, and counts only if there are no others.
    None: nothing is left but perhaps the base."""
    tip, private = await tips_of(git, f"refs/heads/{branch}", checkpoint_ref(key))
    found: dict[str, State] = {}
    for commit, where in ((last, "its worktree's HEAD"), (logged, "the log"), (private, "its private ref")):
        if commit and commit not in found and await is_whole(git, commit, base):
            saved = await read_saved(git, key, commit)
            if where == "its private ref" or not saved.is_checkpoint:
                found[commit] = State(saved.head or base, saved.tree, saved.at, where)
    if tip and tip not in found and await is_whole(git, tip, base):
        is_ours = [await git.is_ancestor(state.head, tip) for state in found.values()]
        if any(is_ours) or not found:
            saved = await read_saved(git, key, tip)
            found = {tip: State(tip, await git.line("rev-parse", f"{tip}^{{tree}}"), saved.at, "its branch"), **found}
    newest = [
        state for commit, state in found.items()
        if not any([other != commit and await git.is_ancestor(commit, other) for other in found])
    ]  # fmt: skip
    # Of two as old as one another the first: what was committed.
    return max(newest, key=lambda state: state.at, default=None)


async def lay_over(git: Git, head: str, tree: str) -> None:
    """The worktree stands on `head`, clean: give it the files of `tree`, uncommitted."""
    if await git.line("rev-parse", f"{head}^{{tree}}") != tree:
        await git.run("read-tree", "-m", "-u", head, tree)
        await git.run("read-tree", head)


# ── entries ──────────────────────────────────────────────────────────────────────────────────────────────────────


def is_sound(link: Link) -> bool:
    """Whether git can work with the entry."""
    head = link.head
    named = head.startswith("ref: refs/") or OBJECT_ID.fullmatch(head) is not None
    return named and first_line(link.admin / "commondir") != ""


def entry_of(common_dir: Path, key: AttemptKey) -> Link | None:
    """The entry that is marked as the attempt's, wherever it points."""
    return next((link for link in links(common_dir) if link.owner == str(key)), None)


async def rebuild_if_broken(worktrees: Worktrees, key: AttemptKey, *, base: str, logged: str = "") -> str:
    """The directory has files, and git's entry for it is broken or gone: make it again, at the newest commit that is known.
    Returns what was done, empty when all was well. Raises GitError, OSError."""
    path, common = worktrees.path_of(key), worktrees.repository.common_dir
    link = find_link(common, path)
    if not path.is_dir() or not has_work(path) or (link is not None and is_sound(link)):
        return ""
    state = await newest_known(worktrees, key, base=base, logged=logged)
    await rebuild_entry(worktrees, key, state.head if state is not None else base)
    return "git's entry for its worktree was broken or gone; it is made again, and no file was touched"


async def newest_known(worktrees: Worktrees, key: AttemptKey, *, base: str, logged: str = "") -> State | None:
    """newest_state, with what its entry still tells. Raises GitError."""
    common = worktrees.repository.common_dir
    link = find_link(common, worktrees.path_of(key)) or entry_of(common, key)
    last = ""
    if link is not None:
        last = link.head if OBJECT_ID.fullmatch(link.head) else last_of_log(link)
    branch = worktrees.branch_of(key)
    return await newest_state(worktrees.repository.git, key, branch=branch, base=base, last=last, logged=logged)


def last_of_log(link: Link) -> str:
    """The last commit that the worktree's log of HEAD names; empty where there is none.

    https://git-scm.com/docs/gitrepository-layout (logs): `<old> <new> <who> <when>\\t<what>`
    """
    try:
        lines = (link.admin / "logs" / "HEAD").read_bytes().splitlines()
    except OSError:
        return ""
    named = (line.split(b" ", 2)[1].decode("ascii", "replace") for line in reversed(lines) if line.count(b" ") >= 2)
    return next((commit for commit in named if OBJECT_ID.fullmatch(commit) and commit.strip("0")), "")


def has_work(path: Path) -> bool:
    """Whether anything lies there beside the tie to git."""
    return any(entry.name != ".git" for entry in path.iterdir())


def put_entry_aside(repository: Repository, admin: Path) -> Path:
    """Out of git's sight, with everything in it. Returns where it lies."""
    directory = repository.common_dir / "orchestrate" / "entries"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    number = 1
    while os.path.lexists(aside := directory / f"{admin.name}-{number}"):
        number += 1
    admin.rename(aside)
    for left in aside.glob(f"{INDEX_PREFIX}*"):
        left.unlink(missing_ok=True)
    return aside


async def rebuild_entry(worktrees: Worktrees, key: AttemptKey, head: str) -> None:
    """The directory is there, git's entry for it is broken or gone: make a new one on the attempt's branch at commit `head`.
    No file is touched; what differs from the commit is uncommitted. Raises GitError, OSError."""
    repository, path = worktrees.repository, worktrees.path_of(key)
    place = path.with_name(path.name + REMADE)
    async with worktrees.lock.held():
        kept = excludes_copy(repository, str(key))
        excludes = _contents(kept) if kept else b""
        for old in (find_link(repository.common_dir, path), entry_of(repository.common_dir, key)):
            if old is not None and old.admin.is_dir():
                excludes = _contents(old.admin / EXCLUDES) or excludes
                put_entry_aside(repository, old.admin)
        half = find_link(repository.common_dir, place)
        if half is not None:
            put_entry_aside(repository, half.admin)
        shutil.rmtree(place, ignore_errors=True)  # holds nothing but a .git file: see below
        await set_branch(worktrees, key, head)
        await _worktree_add(repository, place, worktrees.branch_of(key))
        link = find_link(repository.common_dir, place)
        assert link is not None, place
        if excludes:
            (link.admin / EXCLUDES).write_bytes(excludes)
        if os.path.lexists(path / ".git"):
            shutil.move(path / ".git", link.admin / "found-1")
        (place / ".git").rename(path / ".git")
        (link.admin / "gitdir").write_text(f"{path / '.git'}\n", "utf-8")
        place.rmdir()
        link.mark(str(key))
    inside, _ = worktrees.inside(path)
    await inside.run("read-tree", "HEAD")


async def remake_worktree(worktrees: Worktrees, key: AttemptKey, state: State) -> None:
    """The directory is gone: make it again, empty, on the attempt's branch at state.head, to be furnished. Raises GitError,
    NoSpace, OSError."""
    repository, path = worktrees.repository, worktrees.path_of(key)
    await worktrees.require_space(state.head)
    async with worktrees.lock.held():
        for old in (find_link(repository.common_dir, path), entry_of(repository.common_dir, key)):
            if old is not None and old.admin.is_dir():
                put_entry_aside(repository, old.admin)
        if path.is_dir():
            (path / ".git").unlink(missing_ok=True)  # there is nothing else: see reconcile
        await set_branch(worktrees, key, state.head)
        await _worktree_add(repository, path, worktrees.branch_of(key))
        _, link = worktrees.inside(path)
        (link.admin / RESTORING).write_text(f"{state.head} {state.tree}\n", "ascii")
        worktrees.mark(path, str(key))


async def furnish_worktree(worktrees: Worktrees, key: AttemptKey, run_setup: RunSetup) -> str:
    """What remake_worktree began, to its end: files, copies, setup, uncommitted work. Returns why setup failed, if it did."""
    path = worktrees.path_of(key)
    inside, link = worktrees.inside(path)
    head, tree = first_line(link.admin / RESTORING).split(" ")
    clear_stale_locks(link)
    await inside.run("reset", "--hard", "--quiet", "--no-recurse-submodules", head)
    await worktrees.copy_into(inside)
    if why := await run_setup(key, path):
        return why
    await set_aside(worktrees.repository, link)  # before the agent's own files come: those are its work
    inside, _ = worktrees.inside(path)
    await lay_over(inside, head, tree)
    (link.admin / RESTORING).unlink()
    return ""


def is_being_restored(link: Link) -> bool:
    return (link.admin / RESTORING).exists()


async def set_branch(worktrees: Worktrees, key: AttemptKey, head: str) -> None:
    """The attempt's branch is at `head` afterwards; commits that only it held are under the private ref."""
    git, branch = worktrees.repository.git, worktrees.branch_of(key)
    (tip,) = await tips_of(git, f"refs/heads/{branch}")
    if tip == head:
        return
    if tip and await is_whole(git, tip, head) and not await git.is_ancestor(tip, head):
        await keep_commit(worktrees.repository, key, tip)
    await git.run("update-ref", "--no-deref", f"refs/heads/{branch}", head, tip or worktrees.repository.zero_id)


async def _worktree_add(repository: Repository, path: Path, branch: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    await repository.git.run("worktree", "add", "--quiet", "-f", "-f", "--no-checkout", "--", str(path), branch)


def _contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
