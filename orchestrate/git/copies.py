"""Ignored files of the user's checkout (`.env`, `node_modules`) that a worktree gets as copies.

Invariant: only what git ignores both in the checkout and in the worktree is copied, so that no commit of an agent can
hold it; a symbolic link is copied as a link, never followed, and not at all when it leads back into the user's checkout
by an absolute path: what is written through it would land there.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from .run import Git, paths_of


async def copy_ignored(checkout: Git, worktree: Git, globs: Sequence[str]) -> tuple[str, ...]:
    """Copy what the globs (relative to the top, `**` crosses directories) match. Returns notices.

    What is there already stays as it is: a second call after a crash finishes the first. Raises OSError.
    """
    if not globs:
        return ()
    pathspecs = [f":(top,glob){glob.strip('/')}" for glob in globs]
    listing = await checkout.run(
        "ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "--no-empty-directory", "-z", "--", *pathspecs
    )  # fmt: skip
    found = paths_of(listing.stdout)
    if not found:
        return ()
    ignored = await _ignored_there(worktree, found)
    notices = [f"{path} is not copied: it is not ignored in the worktree" for path in found if path not in ignored]
    notices += await asyncio.to_thread(
        _copy_all, checkout.cwd, worktree.cwd, [path for path in found if path in ignored]
    )
    return tuple(notices)


async def _ignored_there(worktree: Git, paths: Iterable[str]) -> frozenset[str]:
    """Those of the paths that the worktree's own rules ignore; a directory counts when a file in it would be ignored."""
    probes = {f"{path}.probe" if path.endswith("/") else path: path for path in paths}
    stdin = b"".join(os.fsencode(probe) + b"\0" for probe in probes)
    done = await worktree.run("check-ignore", "--stdin", "-z", stdin=stdin, ok=(0, 1))
    return frozenset(probes[probe] for probe in paths_of(done.stdout))


def _copy_all(source: Path, target: Path, paths: Sequence[str]) -> list[str]:
    notices = []
    for path in paths:
        name = path.rstrip("/")
        here, there = source / name, target / name
        if os.path.lexists(there):
            continue
        if _leads_back(here, source):
            notices.append(f"{name} is not copied: it is an absolute link into your checkout")
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        if not _stays_inside(there.parent, target):
            notices.append(f"{name} is not copied: its directory in the worktree is a link that leads out of it")
        elif here.is_symlink() or here.is_file():
            shutil.copy2(here, there, follow_symlinks=False)
        elif here.is_dir():
            shutil.copytree(here, there, symlinks=True, ignore=_left_out(source))
    return notices


def _left_out(source: Path) -> Callable[[str, list[str]], set[str]]:
    """For copytree: names of sockets, pipes and devices, and of links that lead back."""

    def left_out(directory: str, names: list[str]) -> set[str]:
        return {name for name in names if _is_special(path := Path(directory, name)) or _leads_back(path, source)}

    return left_out


def _is_special(path: Path) -> bool:
    mode = os.lstat(path).st_mode
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))


def _leads_back(path: Path, checkout: Path) -> bool:
    return path.is_symlink() and path.readlink().is_absolute() and _stays_inside(path, checkout)


def _stays_inside(path: Path, root: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))
