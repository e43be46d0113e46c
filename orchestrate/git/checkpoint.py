"""Keep an attempt's last known state, committed or not, under its private ref.

Invariant: the agent's index, HEAD and files are not touched, and whatever the ref held before stays reachable from it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from orchestrate import failpoint
from orchestrate.core.names import AttemptKey, attempt_branch, checkpoint_ref

from .link import find_link
from .merges import write_commit
from .repository import Repository
from .run import Git
from .status import Status, all_but, read_status, unhide_changes


async def keep(repository: Repository, key: AttemptKey, path: Path | None, *, branch_prefix: str) -> str:
    """Save the state of the attempt's worktree at `path`, or of its branch when the worktree is gone.

    Returns the commit that the private ref points at now; empty when there was nothing to keep. Raises GitError.
    """
    git, ref = repository.git, checkpoint_ref(key)
    tip, before = await tips_of(git, f"refs/heads/{attempt_branch(key, branch_prefix)}", ref)
    link = find_link(repository.common_dir, path) if path is not None and path.is_dir() else None
    tree, heads = "", [tip]
    if link is not None and link.index.exists():
        inside = git.at(link.path, link.admin)
        await unhide_changes(inside, is_sparse=repository.sparse)
        status = await read_status(inside)
        heads.insert(0, status.commit)
        if status.dirty or status.unmerged or status.nested:
            tree = await snapshot_tree(inside, link.index, status)
    heads = [head for head in dict.fromkeys(heads) if head]
    if not heads:
        return before
    commit = await _checkpoint(git, key, tree, heads, before)
    if commit != before:
        await git.run("update-ref", "--no-deref", ref, commit, before or repository.zero_id)
    return commit


async def keep_commit(repository: Repository, key: AttemptKey, commit: str) -> None:
    """Make one more commit reachable from the attempt's private ref."""
    git, ref = repository.git, checkpoint_ref(key)
    _, before = await tips_of(git, "", ref)
    if before and await git.is_ancestor(commit, before):
        return
    wanted = await _checkpoint(git, key, "", [commit], before)
    if wanted != before:
        await git.run("update-ref", "--no-deref", ref, wanted, before or repository.zero_id)


async def snapshot_tree(inside: Git, index: Path, status: Status) -> str:
    """Tree of everything in the worktree that is tracked or not ignored, made with an index of our own."""
    descriptor, name = tempfile.mkstemp(prefix="orchestrate-index-", dir=index.parent)
    os.close(descriptor)
    own = inside.with_variables(GIT_INDEX_FILE=name)
    try:
        await asyncio.to_thread(shutil.copyfile, index, name)
        failpoint.reach("checkpoint.index-copied")
        # Unreadable files are left out rather than failing the rest: exit code 1.
        await own.run("add", "-A", "--ignore-errors", "--", *all_but(status.nested), ok=(0, 1))
        return await own.line("write-tree")
    finally:
        Path(name).unlink(missing_ok=True)


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
    tree = tree or await git.line("rev-parse", f"{heads[0]}^{{tree}}")
    if before and await git.line("rev-parse", f"{before}^{{tree}}") == tree and await _holds(git, before, heads):
        return before
    parents = [*heads, before] if before else list(heads)
    if len(parents) > 1:
        independent = set((await git.run("merge-base", "--independent", *parents)).stdout.decode().split())
        parents = [parent for parent in dict.fromkeys(parents) if parent in independent]
    if len(parents) == 1 and await git.line("rev-parse", f"{parents[0]}^{{tree}}") == tree:
        return parents[0]
    return await write_commit(git, tree, parents, f"Checkpoint of {key}\n")


async def _holds(git: Git, commit: str, heads: Sequence[str]) -> bool:
    return all([await git.is_ancestor(head, commit) for head in heads])
