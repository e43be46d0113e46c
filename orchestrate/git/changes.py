"""Seal an attempt's work: bring it onto its branch as commits, and say from git alone what it amounts to.

Invariant: afterwards the branch descends from the base and the worktree stands on it with nothing left uncommitted; or
SealRefused says why not, and nothing was thrown away.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from orchestrate.core.names import TRAILER, AttemptKey
from orchestrate.core.scope import out_of_scope

from .checkpoint import keep_commit
from .link import Link, clear_stale_locks, mend_link, processes_inside
from .merges import merge_trees, subject_line, write_commit
from .repository import Repository
from .run import OBJECT_ID, Git, GitError
from .status import Status, all_but, read_status, unhide_changes

OUT_OF_SCOPE_SHOWN = 20


class SealRefused(Exception):
    """The work cannot be sealed as it stands; the message says why."""


@dataclass(frozen=True, slots=True)
class Diff:
    """Base against head. insertions, deletions: lines, of text files. gitlinks: paths that newly point at another
    repository's commit."""

    paths: tuple[str, ...] = ()
    insertions: int = 0
    deletions: int = 0
    gitlinks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class History:
    """commits: number since the base. descends: whether the base is among the ancestors of head."""

    commits: int
    head: str
    tree: str
    descends: bool


@dataclass(frozen=True, slots=True)
class Sealed:
    """committed: something was committed by us. out_of_scope: the first few. notices: what a person should know. beyond:
    files lie in the worktree that the commit does not hold."""

    head: str
    tree: str
    diff: Diff
    commits: int
    committed: bool
    out_of_scope: tuple[str, ...]
    notices: tuple[str, ...]
    beyond: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """One attempt's worktree as it is to be sealed. branch: short name. base: commit id. name: the feature's."""

    repository: Repository
    git: Git
    link: Link
    key: AttemptKey
    branch: str
    base: str
    name: str = ""
    touches: tuple[str, ...] = ()

    @property
    def ref(self) -> str:
        return f"refs/heads/{self.branch}"

    @property
    def message(self) -> str:
        return f"{subject_line(self.name, self.key.feature)}\n\n{TRAILER}: {self.key}\n"


async def seal(work: Work) -> Sealed:
    """Call when nothing of the attempt runs any more. Raises SealRefused, GitError."""
    notices = [found] if (found := mend_link(work.link)) else []
    _clear_locks(work.link)
    await unhide_changes(work.git, is_sparse=work.repository.sparse)
    status = await read_status(work.git)
    _refuse_unfinished(work.link, status)
    if status.branch != work.branch or not status.commit:
        notices.append(await _return_to_branch(work, status))
        status = await read_status(work.git)
    notices += [f"{path} is a repository of its own inside the worktree: not committed" for path in status.nested]
    if status.dirty or (work.link.admin / "MERGE_HEAD").exists():
        await _commit_rest(work, status)
    history, diff = await _one_commit(work) or await _many_commits(work)
    committed = history.head != status.commit
    if not history.descends:
        notices.append(await _rejoin(work, history.head))
        history, diff = await _many_commits(work)
        committed = True
    notices += [f"{path} was committed as a link to another repository; its files are not part of the work"
                for path in diff.gitlinks]  # fmt: skip
    outside = out_of_scope(diff.paths, work.touches)[:OUT_OF_SCOPE_SHOWN]
    beyond = status.ignored or bool(status.nested or diff.gitlinks)
    return Sealed(history.head, history.tree, diff, history.commits, committed, outside, tuple(notices), beyond)


# ── before ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _clear_locks(link: Link) -> None:
    """A killed git leaves its lock behind. One that a living process may hold is left alone."""
    if not (link.admin / "index.lock").exists():
        return
    inside = processes_inside([link.path]).get(link.path)
    if inside is not None:
        raise SealRefused(f"process {inside} still works in {link.path} and may hold the lock of its index")
    clear_stale_locks(link)


def _refuse_unfinished(link: Link, status: Status) -> None:
    if status.unmerged:
        shown = ", ".join(status.unmerged[:5])
        raise SealRefused(f"an unfinished merge was left with conflicts in {shown}")
    for name, what in (
        ("rebase-merge", "rebase"),
        ("rebase-apply", "rebase or am"),
        ("sequencer", "cherry-pick or revert"),
    ):
        if (link.admin / name).is_dir():
            raise SealRefused(f"an unfinished {what} was left in the worktree")


async def _return_to_branch(work: Work, status: Status) -> str:
    """HEAD is detached, on another branch, or on a branch without a commit. Bring it back onto the attempt's branch,
    with the commits it stands on where they descend from the base. No other branch is moved. Returns a notice."""
    git = work.git
    tip = await git.commit_of(work.ref)
    here = status.commit
    where = f"branch '{status.branch}'" if status.branch else f"commit {here[:12]}"
    if here and await git.is_ancestor(work.base, here):
        behind = bool(tip) and await git.is_ancestor(here, tip)
        if behind and not status.dirty:
            await git.run("checkout", "--quiet", "--no-recurse-submodules", work.branch, "--")
            return f"the worktree stood on {where}; back on its branch, which is further"
        if tip and not await git.is_ancestor(tip, here):
            await keep_commit(work.repository, work.key, tip)
        await git.run("update-ref", "--no-deref", work.ref, here, tip or work.repository.zero_id)
        await git.run("symbolic-ref", "HEAD", work.ref)
        return f"the work stood on {where}; its commits are now on the attempt's branch"
    if not here:
        return await _return_from_nothing(work, status, tip)
    if tip and tip != work.base and not status.dirty:
        await git.run("checkout", "--quiet", "--no-recurse-submodules", work.branch, "--")
        return f"the worktree stood on {where}, which does not descend from its base; back on its branch"
    raise SealRefused(f"the work stands on {where}, which does not descend from the attempt's base {work.base[:12]}")


async def _return_from_nothing(work: Work, status: Status, tip: str) -> str:
    """HEAD names a branch without a commit: the attempt's own was deleted, or an orphan was begun. The files are all
    here: the branch is put back where it was, and what differs is uncommitted work."""
    if not tip:
        tip = await _last_commit_of_log(work) or work.base
        await work.git.run("update-ref", "--no-deref", work.ref, tip, work.repository.zero_id)
    await work.git.run("symbolic-ref", "HEAD", work.ref)
    if status.branch == work.branch:
        return f"the attempt's branch had been deleted; it is back at {tip[:12]}"
    return f"the worktree stood on '{status.branch}', a branch without commits; back on its own"


async def _last_commit_of_log(work: Work) -> str:
    """The newest commit in the worktree's log of HEAD that exists and descends from the base; empty if there is none.

    https://git-scm.com/docs/gitrepository-layout (logs): `<old> <new> <who> <when>\\t<what>`
    """
    try:
        lines = (work.link.admin / "logs" / "HEAD").read_bytes().splitlines()
    except OSError:
        return ""
    for line in reversed(lines[-200:]):
        commit = line.split(b" ", 2)[1].decode("ascii", "replace") if line.count(b" ") >= 2 else ""
        if OBJECT_ID.fullmatch(commit) and commit.strip("0"):
            done = await work.git.run("merge-base", "--is-ancestor", work.base, commit, ok=(0, 1, 128))
            if done.ok:
                return commit
    return ""


# ── committing ───────────────────────────────────────────────────────────────────────────────────────────────────


async def _commit_rest(work: Work, status: Status) -> None:
    # --sparse: in a sparse worktree an agent's new file may lie outside of what is checked out.
    await work.git.run("add", "-A", "--sparse", "--", *all_but(status.nested))
    args = ("--quiet", "--no-verify", "--cleanup=whitespace", "-F", "-")
    # Exit code 1: what looked changed is the same once line ends and filters are applied.
    await work.git.run("commit", *args, stdin=work.message.encode("utf-8", "replace"), ok=(0, 1))


async def _rejoin(work: Work, head: str) -> str:
    """The attempt's commits leave the base out (amended, reset, rebased away): merge the base back in, so that the work
    descends from it and loses nothing of it. Refused where that conflicts."""
    words = f"the attempt's commits do not descend from its base {work.base[:12]}"
    try:
        merged = await merge_trees(work.git, work.base, head)
    except GitError as failed:
        raise SealRefused(f"{words}: {failed.words}") from failed
    if merged.conflicts:
        raise SealRefused(f"{words}, and merging it back conflicts in {', '.join(merged.conflicts[:5])}")
    commit = await write_commit(work.git, merged.tree, (work.base, head), work.message)
    await work.git.run("reset", "--hard", "--quiet", "--no-recurse-submodules", commit)
    return f"{words}; it was merged back in"


# ── what it amounts to ───────────────────────────────────────────────────────────────────────────────────────────


async def _one_commit(work: Work) -> tuple[History, Diff] | None:
    """The answer in one process for the most frequent case, a single commit on top of the base; None for all others."""
    out = (await work.git.run("diff-tree", *_DIFF_FORM, "--root", "--format=%H %T %P", "HEAD")).stdout
    first, _, rest = out.partition(b"\0")
    head, tree, *parents = first.decode("ascii", "replace").split() or ("", "")
    return (History(1, head, tree, True), parse_diff(rest.lstrip(b"\n"))) if parents == [work.base] else None


async def _many_commits(work: Work) -> tuple[History, Diff]:
    history, out = await asyncio.gather(_history(work), work.git.run("diff-tree", *_DIFF_FORM, work.base, "HEAD"))
    return history, parse_diff(out.stdout)


async def _history(work: Work) -> History:
    """https://git-scm.com/docs/git-rev-list#Documentation/git-rev-list.txt---left-right"""
    args = ("--left-right", "--topo-order", "--no-commit-header", "--format=%m %H %T")
    lines = (
        (await work.git.run("rev-list", *args, f"{work.base}...HEAD")).stdout.decode("ascii", "replace").splitlines()
    )
    ours = [line[2:] for line in lines if line.startswith(">")]
    here = ours[0] if ours else await work.git.line("rev-list", "--no-walk", *args[2:3], "--format=%H %T", "HEAD")
    head, tree = here.split(" ")
    return History(len(ours), head, tree, not any(line.startswith("<") for line in lines))


_DIFF_FORM = ("-r", "--raw", "--numstat", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-abbrev")


def parse_diff(output: bytes) -> Diff:
    """Output of `diff-tree --raw --numstat -z --no-renames` → Diff. Raw: `:<mode> <mode> <id> <id> <letter>` NUL path."""
    fields = iter(output.split(b"\0"))
    paths: list[str] = []
    gitlinks: list[str] = []
    insertions = deletions = 0
    for field in fields:
        if field.startswith(b":"):
            old_mode, new_mode = field[1:].split(b" ", 2)[:2]
            path = os.fsdecode(next(fields))
            paths.append(path)
            if new_mode == b"160000" != old_mode:
                gitlinks.append(path)
        elif field.count(b"\t") >= 2:
            added, removed, _ = field.split(b"\t", 2)
            insertions += int(added) if added.isdigit() else 0
            deletions += int(removed) if removed.isdigit() else 0
    return Diff(tuple(paths), insertions, deletions, tuple(gitlinks))
