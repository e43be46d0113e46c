"""The rules of reconciliation for a run as a whole: its base, its integration branch, locks, entries of git's.

Invariant: what only a person can settle is refused before anything is changed; locks and entries that may be somebody
else's are left alone.
"""

from __future__ import annotations

from pathlib import Path

from orchestrate.core.names import PRIVATE_REFS, integration_branch, integration_dir, worktree_dir

from .checkpoint import INDEX_PREFIX
from .integrate import IntegrationBranch
from .link import Link, belongs_elsewhere, clear_stale_locks, entry_names, find_link, first_line, integration_key, links
from .repository import Repository
from .restore import entry_of, is_sound, put_entry_aside
from .run import Git
from .scene import CannotGoOn, Finding, Record, Scene


async def require_sound(repository: Repository, record: Record, *, branch_prefix: str) -> None:
    """Whether the run can be gone on with at all. Reads only. Raises CannotGoOn."""
    await _require_base(repository.git, record)
    branch = IntegrationBranch(repository, integration_branch(record.run, branch_prefix))
    await _require_integrated(repository.git, record, branch)


def require_own_worktrees(scene: Scene) -> None:
    """In a copy of a repository, git's entries name the worktrees of the original. Raises CannotGoOn."""
    for attempt in scene.record.standing:
        path = scene.worktrees.path_of(attempt.key)
        if attempt.works and belongs_elsewhere(scene.common, path):
            raise CannotGoOn(
                f"{path} is the worktree of another repository, of which this one is a copy",
                hint='go on there, or give this one a place of its own: "worktrees_dir": "../copy.worktrees"',
            )


async def _require_base(git: Git, record: Record) -> None:
    run, base = record.run, record.base
    if not await _exists(git, base):
        raise CannotGoOn(
            f"run {run} started from commit {base[:12]}, which is not in the repository any more",
            hint=f"bring it back (git fetch <remote> {base[:12]}), or start anew: orchestrate run --new",
        )


async def _require_integrated(git: Git, record: Record, branch: IntegrationBranch) -> None:
    if record.head == record.base:
        return
    if not await _exists(git, record.head):
        raise CannotGoOn(
            f"{branch.name} was at {record.head[:12]}, which is not in the repository any more",
            hint="bring it back (git fetch from a clone that has it), or start anew: orchestrate run --new",
        )
    tip = await branch.tip()
    if tip and await git.is_ancestor(record.head, tip):
        return
    if holder := branch.checkout():
        raise CannotGoOn(
            f"{branch.name} lacks what was integrated, up to {record.head[:12]}, and is checked out in {holder}",
            hint=f"there: git switch --detach; then again: orchestrate resume {record.run}",
        )
    if tip and not await git.is_ancestor(tip, record.head):
        raise CannotGoOn(
            f"{branch.name} was set to {tip[:12]}, which lacks what was integrated, up to {record.head[:12]}",
            hint=f"to keep both: git switch {branch.name} && git merge {record.head[:12]} && git switch -; "
            f"to put it back: git branch -f {branch.name} {record.head[:12]} (first, to keep yours: "
            f"git branch mine {tip[:12]})",
        )


async def _exists(git: Git, commit: str) -> bool:
    done = await git.run("cat-file", "-e", f"{commit}^{{commit}}", ok=range(256))
    return done.ok


async def put_integration_branch_back(scene: Scene) -> list[Finding]:
    """It may only be gone, or behind: everything else was refused."""
    record, branch = scene.record, scene.integration
    tip = await branch.tip()
    if record.head == record.base or (tip and await scene.git.is_ancestor(record.head, tip)):
        return []
    old = tip or scene.repository.zero_id
    await scene.git.run("update-ref", "--no-deref", f"refs/heads/{branch.name}", record.head, old)
    was = f"had been moved back to {tip[:12]}" if tip else "had been deleted"
    return [Finding("R2", f"{branch.name} {was}; it is at {record.head[:12]} again")]


async def clear_locks_of_refs(scene: Scene) -> list[Finding]:
    """No process of ours is alive, and nobody else has any business with the refs of a run."""
    for link in links(scene.common):
        if link.owner.startswith(f"{scene.record.run}/"):
            for left in link.admin.glob(f"{INDEX_PREFIX}*"):  # a save of ours was cut off
                left.unlink(missing_ok=True)
    found = []
    for namespace in (f"refs/heads/{scene.prefix}/{scene.record.run}", f"{PRIVATE_REFS}/{scene.record.run}"):
        for lock in sorted((scene.common / namespace).rglob("*.lock")):
            lock.unlink(missing_ok=True)
            found.append(
                Finding("R3", f"{lock.relative_to(scene.common)} was left by a git that was killed; it is removed")
            )
    return found


async def name_locks_of_others(scene: Scene) -> list[Finding]:
    found = []
    for name in ("packed-refs.lock", "config.lock", "shallow.lock"):
        lock = scene.common / name
        if lock.exists():
            words = (
                f"{lock} is held by a git at work, or was left by one that was killed; until it is gone, branches may not "
                f"be moved. If no git is at work here: rm {lock}"
            )
            found.append(Finding("R4", words, is_open=True))
    return found


async def put_half_made_entries_aside(scene: Scene) -> list[Finding]:
    """An entry is marked as locked while git makes it; such a one, or one that cannot be read, disturbs every git here."""
    found = []
    others = {scene.worktrees.path_of(a.key) for a in scene.record.standing}  # they have rules of their own
    others.add(scene.worktrees.settings.worktrees_dir / integration_dir(scene.record.run))
    ours = {worktree_dir(key).rpartition("/")[2] for key in scene.record.attempts}
    for name in entry_names(scene.common):
        admin = scene.common / "worktrees" / name
        pointer = first_line(admin / "gitdir")
        path = Path(pointer).parent if pointer else None
        is_half = first_line(admin / "locked") == "initializing" or not is_sound(Link(admin, admin))
        is_ours = name in ours if path is None else scene.run_dir in path.parents and path not in others
        if path is not None and path.is_dir() and any(entry.name != ".git" for entry in path.iterdir()):
            continue  # somebody has worked there
        if not (is_half and is_ours):
            continue
        put_entry_aside(scene.repository, admin)
        if path is not None and path.is_dir() and [entry.name for entry in path.iterdir()] == [".git"]:
            (path / ".git").unlink()
            path.rmdir()
        found.append(
            Finding("R5", f"the worktree {path or name} was never finished; git's entry for it is out of the way")
        )
    return found


async def mend_integration_worktree(scene: Scene) -> list[Finding]:
    """It is only a checkout for checks, and made again when it is needed; what lies there may be somebody's all the same."""
    path = scene.worktrees.settings.worktrees_dir / integration_dir(scene.record.run)
    link = find_link(scene.common, path) or entry_of(scene.common, integration_key(scene.record.run))
    if link is None:
        return []
    if is_sound(link) and link.path == path:
        clear_stale_locks(link)
        git = scene.git.at(path, link.admin)
        if not path.is_dir() or (await git.run("status", "--porcelain", ok=range(256))).ok:
            return []
    put_entry_aside(scene.repository, link.admin)
    return [
        Finding("R6", f"git's entry for the worktree {path}, where merges are checked, was broken; it is made again")
    ]
