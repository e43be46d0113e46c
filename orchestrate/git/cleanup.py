"""What earlier runs left in the repository: say what may go and why the rest stays, then remove exactly that.

Invariant: nothing is removed whose commits are not reachable from another ref and whose files are not clean or saved
under the attempt's private ref; the user's own worktrees and branches are not even candidates.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Literal

from orchestrate import failpoint
from orchestrate.core.names import (
    DEFAULT_PREFIX,
    PRIVATE_REFS,
    RUN_PATTERN,
    AttemptKey,
    checkpoint_ref,
    integration_branch,
    parse_attempt_branch,
    parse_attempt_key,
    worktree_dir,
)
from orchestrate.errors import OrchestrateError

from .checkpoint import keep, own_index, snapshot_tree, tips_under
from .leftovers import excludes_copy
from .link import INTEGRATION, Link, find_link, integration_key, links, mend_link, processes_inside
from .locking import FileLock
from .repository import Repository
from .run import Git, GitError
from .status import read_own_status, read_status
from .worktrees import make_writable

Mode = Literal["merged", "all"]


@dataclass(frozen=True, slots=True)
class Item:
    """One attempt's worktree and branch, or a run's integration worktree and branch (feature `integration`).

    path: of the worktree, None without one. branch: short name, empty without one. head: commit id of the worktree, else
    of the branch. held_by: ref that holds head beside the branch itself; empty: none does. saved: the private ref holds
    the files as they are. size_bytes: of the worktree's files. reason: why it goes, or why it stays.
    """

    key: AttemptKey
    path: Path | None = None
    branch: str = ""
    head: str = ""
    tip: str = ""
    dirty: bool = False
    saved: bool = False
    held_by: str = ""
    size_bytes: int = 0
    remove: bool = False
    reason: str = ""

    @property
    def is_integration(self) -> bool:
        return self.key.feature == INTEGRATION


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of one item. why: empty when it is gone."""

    item: Item
    why: str = ""
    kept_at: str = ""
    """Private ref under which its work can be found again."""


@dataclass(slots=True)
class _Found:
    """Parts of one item while they are collected."""

    link: Link | None = None
    branch: str = ""
    tip: str = ""


@dataclass(frozen=True, slots=True)
class _Survey:
    """What all items share, asked for once. tips: full ref name → commit. held: full ref name → those tips of ours that
    it holds. inside: worktree → process that works in it. elsewhere: branch → the user's checkout that stands on it."""

    repository: Repository
    mode: Mode
    prefix: str
    merged_into: tuple[str, ...]
    inside: Mapping[Path, int]
    elsewhere: Mapping[str, Path]
    tips: Mapping[str, str]
    held: Mapping[str, frozenset[str]]
    under_way: AbstractSet[AttemptKey]


async def survey(
    repository: Repository,
    *,
    merged_into: Sequence[str],
    mode: Mode = "merged",
    branch_prefix: str = DEFAULT_PREFIX,
    run: str = "",
    under_way: AbstractSet[AttemptKey] = frozenset(),
) -> tuple[Item, ...]:
    """Every worktree and branch of ours, each with a verdict. Removes nothing and moves no ref.

    merged_into: full ref names of what the user keeps (base and target branch). run: only that run's. under_way:
    attempts that an unfinished run goes on with; only mode `all` takes them. Raises GitError.
    """
    found, elsewhere = await _collect(repository, branch_prefix)
    paths = [item.link.path for item in found.values() if item.link]
    ours = f"refs/heads/{branch_prefix}/"
    tips = await tips_under(repository.git, ours, PRIVATE_REFS, *merged_into)
    meeting = [f"refs/heads/{integration_branch(key.run, branch_prefix)}" for key in found]
    held = {
        ref: await _held_by(repository, ref, ours) for ref in dict.fromkeys([*merged_into, *meeting]) if ref in tips
    }
    shared = _Survey(
        repository, mode, branch_prefix, tuple(merged_into), processes_inside(paths), elsewhere, tips, held, under_way
    )
    keys = sorted(found, key=lambda key: (key.run, key.feature, key.attempt))
    parts = [(key, part) for key in keys if run in ("", key.run) for part in _parts(key, found[key])]
    return tuple([await _judge(shared, key, part) for key, part in parts])


async def remove(
    repository: Repository, items: Sequence[Item], *, branch_prefix: str = DEFAULT_PREFIX
) -> tuple[Removal, ...]:
    """Remove the items whose verdict is to remove. Each is saved once more first, as it may have changed since."""
    lock = FileLock(repository.worktree_lock)
    removals = []
    for item in items:
        if not item.remove:
            continue
        try:
            async with lock.held():
                kept = await _remove_one(repository, item, branch_prefix)
            removals.append(Removal(item, kept_at=kept))
        except (OrchestrateError, OSError) as failed:
            removals.append(Removal(item, why=str(failed)))
    return tuple(removals)


# ── collecting ───────────────────────────────────────────────────────────────────────────────────────────────────


async def _collect(repository: Repository, prefix: str) -> tuple[dict[AttemptKey, _Found], dict[str, Path]]:
    """Ours, by attempt; and which branches the user's own checkouts stand on."""
    found: dict[AttemptKey, _Found] = {}
    elsewhere: dict[str, Path] = {}
    for link in links(repository.common_dir):
        branch = link.head.removeprefix("ref: refs/heads/")
        key = parse_attempt_key(link.owner) if link.owner else _unmarked_key(link, branch, prefix)
        if key is None:
            elsewhere[branch] = link.path
        else:
            found.setdefault(key, _Found()).link = link
    elsewhere[_head_branch(repository)] = repository.toplevel
    out = await repository.git.run(
        "for-each-ref", "--format=%(refname:lstrip=2)%00%(objectname)", f"refs/heads/{prefix}/"
    )
    for line in os.fsdecode(out.stdout).splitlines():
        branch, _, tip = line.partition("\0")
        key = parse_attempt_branch(branch, prefix) or _integration_key(branch, prefix)
        if key is not None:
            item = found.setdefault(key, _Found())
            item.branch, item.tip = branch, tip
    return found, elsewhere


def _unmarked_key(link: Link, branch: str, prefix: str) -> AttemptKey | None:
    """An entry that was made, but not marked any more before a crash, is told by branch and place together."""
    key = parse_attempt_branch(branch, prefix)
    return key if key is not None and link.path.parts[-2:] == PurePath(worktree_dir(key)).parts else None


def _parts(key: AttemptKey, found: _Found) -> list[_Found]:
    """The integration worktree goes without its branch: it is only a checkout for checks."""
    if key.feature != INTEGRATION or not (found.link and found.branch):
        return [found]
    return [_Found(link=found.link), _Found(branch=found.branch, tip=found.tip)]


def _integration_key(branch: str, prefix: str) -> AttemptKey | None:
    run = branch.removeprefix(f"{prefix}/").split("/")[0]
    if branch != integration_branch(run, prefix):
        return None
    return integration_key(run) if RUN_PATTERN.fullmatch(run) else None


def _head_branch(repository: Repository) -> str:
    return (repository.common_dir / "HEAD").read_text("utf-8", "replace").strip().removeprefix("ref: refs/heads/")


# ── judging ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def _judge(shared: _Survey, key: AttemptKey, found: _Found) -> Item:
    link = found.link
    there = link is not None and link.path.is_dir()
    item = Item(key, link.path if link else None, found.branch, found.tip, found.tip)
    why_not = ""
    if link is not None and there:
        item, why_not = await _look_inside(shared, item, link)
    if not why_not and found.branch in shared.elsewhere and found.branch:
        why_not = f"its branch is checked out in {shared.elsewhere[found.branch]}"
    if not why_not and link is not None and (link.admin / "locked").exists():
        why_not = "the worktree is locked (git worktree unlock)"
    if not why_not and link is not None and link.path in shared.inside:
        why_not = f"process {shared.inside[link.path]} works in it"
    item = replace(item, held_by=await _holder(shared, item))
    if why_not:
        return replace(item, reason=why_not)
    if shared.mode == "merged" and key in shared.under_way:
        return replace(item, reason="its run is unfinished and goes on with it: orchestrate resume")
    remove_it, reason = _verdict(shared.mode, item)
    return replace(item, remove=remove_it, reason=reason)


async def _look_inside(shared: _Survey, item: Item, link: Link) -> tuple[Item, str]:
    """Fill in what the worktree shows; and why it must stay, if that is already clear."""
    git = shared.repository.git.at(link.path, link.admin)
    size, repositories = await asyncio.to_thread(_measure, link.path)
    item = replace(item, size_bytes=size)
    try:
        status = await read_status(git)
        own = await _not_ignored(git, repositories)
        dirty = link.index.exists() and (status.dirty or bool(status.unmerged))
        saved = dirty and await _is_saved(shared, link, item.key)
    except GitError as failed:
        return item, f"git cannot read it: {failed.words}"
    item = replace(item, head=status.commit or item.tip, dirty=dirty, saved=saved)
    return item, f"it holds a repository of its own, {own[0]}" if own else ""


async def _is_saved(shared: _Survey, link: Link, key: AttemptKey) -> bool:
    ref = checkpoint_ref(key)
    if ref not in shared.tips:
        return False
    async with own_index(shared.repository, link) as own:
        tree = await snapshot_tree(own, await read_own_status(own))
    return await shared.repository.git.line("rev-parse", f"{ref}^{{tree}}") == tree


async def _not_ignored(git: Git, paths: Sequence[str]) -> list[str]:
    if not paths:
        return []
    stdin = b"".join(os.fsencode(f"{path}/.probe") + b"\0" for path in paths)
    out = (await git.run("check-ignore", "--stdin", "-z", stdin=stdin, ok=(0, 1))).stdout
    ignored = {os.fsdecode(name) for name in out.split(b"\0")}
    return [path for path in paths if f"{path}/.probe" not in ignored]


async def _holder(shared: _Survey, item: Item) -> str:
    """A ref, other than the item's own branch, that holds both the worktree's commit and the branch's tip."""
    wanted = {commit for commit in (item.head, item.tip) if commit}
    private = checkpoint_ref(item.key)
    own = f"refs/heads/{integration_branch(item.key.run, shared.prefix)}"
    itself = f"refs/heads/{item.branch}"
    candidates = [ref for ref in (*shared.merged_into, own, private) if ref != itself]
    for ref in candidates:
        if ref in shared.tips and wanted and all([await _holds(shared, ref, commit) for commit in wanted]):
            return ref
    return ""


async def _holds(shared: _Survey, ref: str, commit: str) -> bool:
    if commit in shared.held.get(ref, ()):
        return True
    return await shared.repository.git.is_ancestor(commit, shared.tips[ref])


async def _held_by(repository: Repository, ref: str, under: str) -> frozenset[str]:
    """Tips of the refs under a prefix that are reachable from `ref`: one process for all of them."""
    out = await repository.git.run("for-each-ref", f"--merged={ref}", "--format=%(objectname)", under)
    return frozenset(out.stdout.decode("ascii").split())


def _verdict(mode: Mode, item: Item) -> tuple[bool, str]:
    """Whether it may go, and why or why not."""
    held = item.held_by.removeprefix("refs/heads/")
    private = item.held_by.startswith(f"{PRIVATE_REFS}/")
    if item.is_integration and item.path is not None:
        return True, "it is only a checkout for checks"
    if item.is_integration:
        landed = bool(held) and not private
        return landed, f"its commits are in {held}" if landed else "its work is not in the base branch yet"
    if mode == "all":
        return True, f"its commits are in {held}" if held and not item.dirty else "its work stays under a private ref"
    if not held or private:
        return False, "its work is not merged" + ("; kept under a private ref" if private else "")
    if item.dirty:
        saved = "are saved" if item.saved else "are saved first"
        return True, f"its commits are in {held}; its uncommitted changes {saved}"
    return True, f"its commits are in {held}"


def _measure(root: Path) -> tuple[int, list[str]]:
    """Bytes of all files below, and the directories (relative) that are repositories of their own."""
    total, repositories = 0, []
    for directory, names, files in os.walk(root):
        if directory != str(root) and (".git" in names or ".git" in files):
            repositories.append(os.path.relpath(directory, root))
        for name in files:
            try:
                total += Path(directory, name).lstat().st_size
            except OSError:
                continue
    return total, repositories


# ── removing ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def _remove_one(repository: Repository, item: Item, prefix: str) -> str:
    """Save, then remove worktree and branch. Returns the private ref that keeps the work; empty for a merged branch."""
    kept = ""
    failpoint.reach("cleanup.item.begin")
    if item.path is not None or not item.is_integration:
        await keep(repository, item.key, item.path, branch_prefix=prefix)
        kept = checkpoint_ref(item.key)
        failpoint.reach("cleanup.item.kept")
    if item.path is not None:
        await _remove_worktree(repository, item.path)
        if copy := excludes_copy(repository, str(item.key)):
            copy.unlink(missing_ok=True)
    if item.branch:
        await repository.git.run("update-ref", "--no-deref", "-d", f"refs/heads/{item.branch}", item.tip)
    failpoint.reach("cleanup.item.end")
    return kept


async def _remove_worktree(repository: Repository, path: Path) -> None:
    link = find_link(repository.common_dir, path)
    if link is not None and path.is_dir():
        mend_link(link)
        await asyncio.to_thread(make_writable, path)
    await repository.git.run("worktree", "remove", "--force", "--", str(path))
    for above in (path.parent, repository.default_worktrees_dir):
        if above.is_dir() and not any(above.iterdir()):
            above.rmdir()
