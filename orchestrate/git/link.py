"""The tie between a linked worktree and its entry `<common>/worktrees/<name>`: find it, mend it, see who is inside.

Invariant: the entry, which agents have no business with, is what counts; the `.git` file inside the worktree, which an
agent may have removed or replaced, is only believed when the entry points back at it.
https://git-scm.com/docs/gitrepository-layout (worktrees/<id>/gitdir)
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrate.core.names import AttemptKey

INTEGRATION = "integration"
"""Stands where a feature's id stands in the key of a run's integration worktree; no feature can be called that."""

MARKER = "orchestrate"
"""File in the entry of every worktree of ours; holds the attempt it belongs to. No agent's `git add` can see it."""


@dataclass(frozen=True, slots=True)
class Link:
    """path: the worktree, absolute. admin: its entry in the common directory. owner: what MARKER says; empty: not ours."""

    path: Path
    admin: Path
    owner: str = ""

    @property
    def index(self) -> Path:
        return self.admin / "index"

    @property
    def head(self) -> str:
        """Contents of HEAD: a commit id, or `ref: refs/heads/…`; empty when unreadable."""
        return first_line(self.admin / "HEAD")

    def mark(self, owner: str) -> None:
        (self.admin / MARKER).write_text(f"{owner}\n", "utf-8")


def links(common_dir: Path) -> Iterator[Link]:
    """All linked worktrees, the user's own too."""
    for name in entry_names(common_dir):
        admin = common_dir / "worktrees" / name
        pointer = _contents(admin / "gitdir")
        if pointer:
            dot_git = Path(os.path.normpath(admin / pointer))
            yield Link(dot_git.parent, admin, first_line(admin / MARKER))


def integration_key(run: str) -> AttemptKey:
    """Under which a run's integration worktree is marked, set up and kept."""
    return AttemptKey(run, INTEGRATION, 1)


def entry_names(common_dir: Path) -> list[str]:
    """Names of the entries of all linked worktrees."""
    try:
        return sorted(os.listdir(common_dir / "worktrees"))
    except OSError:
        return []


def find_link(common_dir: Path, path: Path) -> Link | None:
    """The entry of the worktree at `path`, whether or not its `.git` file is still there."""
    said = _contents(path / ".git")
    if said.startswith("gitdir: "):
        admin = Path(os.path.normpath(path / said.removeprefix("gitdir: ")))
        pointer = _contents(admin / "gitdir")
        if _same(admin.parent, common_dir / "worktrees") and pointer and _same((admin / pointer).parent, path):
            return Link(path, admin, first_line(admin / MARKER))
    return next((Link(path, link.admin, link.owner) for link in links(common_dir) if _same(link.path, path)), None)


def belongs_elsewhere(common_dir: Path, path: Path) -> bool:
    """Whether the worktree is tied to another repository that is still there: this one is a copy of that one."""
    said = _contents(path / ".git")
    if not said.startswith("gitdir: "):
        return False
    admin = Path(os.path.normpath(path / said.removeprefix("gitdir: ")))
    pointer = _contents(admin / "gitdir")
    is_tied = bool(pointer) and _same((admin / pointer).parent, path)
    return is_tied and not _same(admin.parent, common_dir / "worktrees")


def mend_link(link: Link) -> str:
    """Put the worktree's `.git` file right again; what stood in its place is moved into the entry, never deleted.

    Returns what was found, empty when all was well.
    """
    dot_git = link.path / ".git"
    wanted = f"gitdir: {link.admin}"
    said = _contents(dot_git)
    if said.startswith("gitdir: ") and _same(link.path / said.removeprefix("gitdir: "), link.admin):
        return ""
    found = "its .git file was gone"
    if os.path.lexists(dot_git):
        number = 1
        while os.path.lexists(link.admin / f"found-{number}"):
            number += 1
        shutil.move(dot_git, link.admin / f"found-{number}")
        found = f"its .git file had been replaced (what was there is kept in {link.admin / f'found-{number}'})"
        if said.startswith("gitdir: ") and said.endswith(f"/worktrees/{link.admin.name}"):
            found = "the repository has moved, and its worktree knows again where it is"
    dot_git.write_text(wanted + "\n", "utf-8")
    return found


def clear_stale_locks(link: Link) -> None:
    """Remove locks that a killed git left in the entry. Call only when nothing of the attempt runs any more."""
    for name in ("index.lock", "HEAD.lock", "config.worktree.lock"):
        (link.admin / name).unlink(missing_ok=True)


def processes_inside(paths: list[Path]) -> dict[Path, int]:
    """For each of the directories that some living process has as its working directory or above it: one such pid."""
    roots = {Path(os.path.realpath(path)): path for path in paths}
    found: dict[Path, int] = {}
    for pid, cwd in _working_directories():
        for above in (cwd, *cwd.parents):
            if above in roots:
                found.setdefault(roots[above], pid)
    return found


def _working_directories() -> Iterator[tuple[int, Path]]:
    if sys.platform != "linux":
        yield from _working_directories_portably()
        return
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                yield int(name), Path(f"/proc/{name}/cwd").readlink()
            except OSError:
                continue


def _working_directories_portably() -> Iterator[tuple[int, Path]]:
    import psutil

    for process in psutil.process_iter():
        try:
            yield process.pid, Path(process.cwd())
        except psutil.Error:
            continue


def _contents(path: Path) -> str:
    """Text of a small regular file without its last newline; empty for anything else (a FIFO would block for ever)."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return ""
        return os.fsdecode(path.read_bytes()[:65_536]).removesuffix("\n")
    except OSError:
        return ""


def first_line(path: Path) -> str:
    """First line of a small regular file; empty when it cannot be read."""
    return _contents(path).split("\n", 1)[0]


def _same(one: Path, other: Path) -> bool:
    """Whether both lead to one place; where they read alike, the disk need not be asked."""
    return one == other or os.path.realpath(one) == os.path.realpath(other)
