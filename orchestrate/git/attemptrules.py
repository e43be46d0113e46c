"""The rules of reconciliation for one attempt that goes on: its worktree, branch, index, commits and private ref.

Invariant: no commit and no file that was reachable before is out of reach afterwards. Asked for again, a rule finds nothing.
"""

from __future__ import annotations

import asyncio
import shutil
from typing import Literal

from .changes import SealRefused, Work, seal
from .checkpoint import INDEX_PREFIX, LARGEST_BYTES, keep, keep_commit, keep_files, tips_of
from .link import Link, belongs_elsewhere, clear_stale_locks, mend_link, processes_inside
from .restore import (
    State,
    entry_of,
    furnish_worktree,
    has_work,
    is_being_restored,
    is_sound,
    is_whole,
    last_of_log,
    newest_known,
    rebuild_if_broken,
    remake_worktree,
    set_branch,
)
from .run import OBJECT_ID
from .scene import Finding, Scene, Standing
from .status import read_own_status


async def tie_again(scene: Scene, a: Standing) -> list[Finding]:
    """The repository, the worktrees, or both have moved: entry and worktree point past one another."""
    path = scene.worktrees.path_of(a.key)
    if not a.works or not path.is_dir():
        return []
    link = scene.link_of(a)
    if link is None:
        marked = entry_of(scene.common, a.key)
        if marked is None or marked.path.is_dir():
            return []
        (marked.admin / "gitdir").write_text(f"{path / '.git'}\n", "utf-8")
        mend_link(Link(path, marked.admin, marked.owner))
        return [_of("R7", a, f"its worktree has moved to {path}; git knows again")]
    found = mend_link(link)
    return [_of("R7", a, found)] if found else []


async def move_back(scene: Scene, a: Standing) -> list[Finding]:
    """An agent's session can be resumed only where it began."""
    path, marked = scene.worktrees.path_of(a.key), entry_of(scene.common, a.key)
    if not a.works or path.exists() or marked is None or not marked.path.is_dir():
        return []
    if belongs_elsewhere(scene.common, marked.path):
        return []
    path.parent.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(shutil.move, marked.path, path)
    (marked.admin / "gitdir").write_text(f"{path / '.git'}\n", "utf-8")
    return [_of("R8", a, f"its worktree had been moved to {marked.path}; it is back at {path}")]


async def clear_leavings(scene: Scene, a: Standing) -> list[Finding]:
    link = scene.link_of(a) or entry_of(scene.common, a.key)
    if link is None:
        return []
    for left in (*link.admin.glob(f"{INDEX_PREFIX}*"), *link.admin.glob("*.new")):
        left.unlink(missing_ok=True)
    locks = [name for name in ("index.lock", "HEAD.lock", "config.worktree.lock") if (link.admin / name).exists()]
    if not locks:
        return []
    inside = processes_inside([link.path]).get(link.path)
    if inside is not None:
        words = f"{', '.join(locks)} of its worktree stays: process {inside} works there, and may hold it"
        return [Finding("R9", words, a.key.feature, is_open=True)]
    clear_stale_locks(link)
    return [_of("R9", a, f"{', '.join(locks)} of its worktree was left by a git that was killed; removed")]


async def rescue_from_lost_objects(scene: Scene, a: Standing) -> list[Finding]:
    """Commits of the attempt were deleted from the repository. The files are still there, and count as uncommitted work."""
    link = scene.link_of(a)
    if not a.works or link is None or not link.path.is_dir() or is_being_restored(link) or not has_work(link.path):
        return []
    head = await _commit_at(scene, link) if is_sound(link) else ""
    if not head or await is_whole(scene.git, head, a.base):
        return []
    await _fall_back(scene, a, link)
    words = f"its commits up to {head[:12]} are gone from the repository; its files are all there, and uncommitted"
    return [_of("R10", a, words)]


async def _fall_back(scene: Scene, a: Standing, link: Link) -> None:
    """The worktree stands on the attempt's branch, which is at the base; its files are as they were, and saved."""
    branch, git = f"refs/heads/{scene.worktrees.branch_of(a.key)}", scene.git.at(link.path, link.admin)
    await scene.git.run("update-ref", "--no-deref", branch, a.base)
    await git.run("symbolic-ref", "-m", "its commits are gone", "HEAD", branch)
    await keep_files(scene.repository, a.key, link, a.base)
    await git.run("read-tree", a.base)


async def rebuild_broken_entry(scene: Scene, a: Standing) -> list[Finding]:
    words = await rebuild_if_broken(scene.worktrees, a.key, base=a.base, logged=a.head)
    return [_of("R11", a, words)] if words else []


async def make_worktree_again(scene: Scene, a: Standing) -> list[Finding]:
    path, link = scene.worktrees.path_of(a.key), scene.link_of(a)
    if not a.works or (path.is_dir() and (has_work(path) or (link is not None and is_being_restored(link)))):
        return []
    state = await _newest(scene, a)
    if state is None:
        return [_of("R13", a, "nothing of its work is left: no worktree, no branch, no private ref", "anew")]
    if link is None:
        link = entry_of(scene.common, a.key)
    if link is not None and OBJECT_ID.fullmatch(link.head) and await is_whole(scene.git, link.head, a.base):
        await keep_commit(scene.repository, a.key, link.head)
    await remake_worktree(scene.worktrees, a.key, state)
    return [_of("R12", a, f"its worktree was gone; made again at {path} with what {state.left_from} holds")]


async def finish_making_again(scene: Scene, a: Standing) -> list[Finding]:
    link = scene.link_of(a)
    if not a.works or link is None or not is_being_restored(link):
        return []
    why = await furnish_worktree(scene.worktrees, a.key, scene.run_setup)
    return [_of("R13", a, f"its worktree cannot be set up again: {why}", "anew")] if why else []


async def mend_index(scene: Scene, a: Standing) -> list[Finding]:
    link = scene.link_of(a)
    if not a.works or link is None or not link.path.is_dir():
        return []
    git = scene.git.at(link.path, link.admin)
    if (
        link.index.exists()
        and (await git.run("ls-files", "--error-unmatch", "-z", ":/", ok=range(256))).exit_code != 128
    ):
        return []
    if link.index.exists():
        link.index.rename(link.admin / "index.broken")
    await git.run("read-tree", "HEAD", ok=(0, 128))
    return [_of("R14", a, "the index of its worktree could not be read; it is made again, and no file was touched")]


async def put_branch_back(scene: Scene, a: Standing) -> list[Finding]:
    """Deleted, with the worktree still there, or with nothing but the commit still to be integrated."""
    branch = scene.worktrees.branch_of(a.key)
    (tip,) = await tips_of(scene.git, f"refs/heads/{branch}")
    if tip:
        return []
    state = await _newest(scene, a)
    if state is None and not a.works:
        return []
    head = state.head if state is not None else a.base
    await set_branch(scene.worktrees, a.key, head)
    return [_of("R15", a, f"its branch {branch} had been deleted; it is back at {head[:12]}")]


async def follow_branch(scene: Scene, a: Standing) -> list[Finding]:
    """Somebody moved the branch under the worktree, whose files are still those of the commit before."""
    link = scene.link_of(a)
    branch = scene.worktrees.branch_of(a.key)
    if not a.works or link is None or link.head != f"ref: refs/heads/{branch}":
        return []
    tip, was = await scene.git.commit_of(f"refs/heads/{branch}"), last_of_log(link)
    if not was or was == tip or not await is_whole(scene.git, was, a.base):
        return []
    git = scene.git.at(link.path, link.admin)
    if await scene.git.is_ancestor(was, tip) and (await git.run("read-tree", "-m", "-u", was, tip, ok=(0, 128))).ok:
        await git.run("symbolic-ref", "-m", "followed its branch", "HEAD", f"refs/heads/{branch}")  # for its log
        return [_of("R16", a, f"{branch} was moved on to {tip[:12]}; its worktree has followed")]
    await keep_commit(scene.repository, a.key, tip)
    await scene.git.run("update-ref", "--no-deref", f"refs/heads/{branch}", was, tip)
    words = (
        f"{branch} had been moved to {tip[:12]}; it is back at {was[:12]}, and the other stays under the private ref"
    )
    return [_of("R16", a, words)]


async def keep_head(scene: Scene, a: Standing) -> list[Finding]:
    """What is to be integrated must exist; and if nothing else holds it, git would collect it one day."""
    if a.works or not a.head:
        return []
    if await is_whole(scene.git, a.head, a.base):
        return []
    link = scene.link_of(a)
    if link is not None and link.path.is_dir():
        await _fall_back(scene, a, link)
    return [_of("R17", a, f"commit {a.head[:12]}, which was to be integrated, is gone from the repository", "anew")]


async def save_again(scene: Scene, a: Standing) -> list[Finding]:
    """A dead engine could not."""
    path = scene.worktrees.path_of(a.key)
    await keep(scene.repository, a.key, path, branch_prefix=scene.prefix, largest=LARGEST_BYTES)
    return []


async def seal_again(scene: Scene, a: Standing) -> list[Finding]:
    """What is checked must be what is merged."""
    link = scene.link_of(a)
    if not a.awaits_checks or link is None:
        return []
    git = scene.git.at(link.path, link.admin)
    status = await read_own_status(git)
    if status.commit == a.head and not (status.dirty or status.unmerged):
        return []
    branch = scene.worktrees.branch_of(a.key)
    work = Work(scene.repository, git, link, a.key, branch, a.base, a.name, a.touches)
    try:
        sealed = await seal(work)
    except SealRefused as refused:
        words = f"its worktree was changed since its work was committed, and that cannot be committed: {refused}"
        return [Finding("R19", words, a.key.feature, is_open=True)]
    words = "its worktree was changed since its work was committed; what is there now counts"
    return [Finding("R19", words, a.key.feature, "resealed", sealed)]


# ── what the rules ask ───────────────────────────────────────────────────────────────────────────────────────────


async def _newest(scene: Scene, a: Standing) -> State | None:
    return await newest_known(scene.worktrees, a.key, base=a.base, logged=a.head)


async def _commit_at(scene: Scene, link: Link) -> str:
    """The commit that HEAD means, whether or not it exists; empty for a branch without one."""
    if not link.head.startswith("ref: "):
        return link.head
    (tip,) = await tips_of(scene.git, link.head.removeprefix("ref: "))
    return tip


def _of(rule: str, a: Standing, words: str, then: Literal["go on", "anew"] = "go on") -> Finding:
    return Finding(rule, words, a.key.feature, then)
