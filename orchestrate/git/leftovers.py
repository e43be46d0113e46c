"""What setup leaves in a worktree without git ignoring it (`.venv`, `node_modules`): kept out of every commit there.

Invariant: nothing of the user's is written or configured; the list lies in the worktree's entry and holds there alone.
It is made before the agent starts, so that it can name no work of the agent's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from orchestrate.core.names import parse_attempt_key, worktree_dir

from .link import Link
from .repository import Repository
from .run import EXCLUDES, EXCLUDES_SETTING, Git, paths_of

PROBE = ".probe"
"""A name that nobody has: git judges a directory that does not exist by what would lie in it."""


async def set_aside(repository: Repository, link: Link) -> tuple[str, ...]:
    """Everything untracked in the worktree counts as ignored there from now on. Returns those paths, a directory with a
    slash at its end. Asked for again, it looks anew. Raises GitError, OSError."""
    excludes = link.admin / EXCLUDES
    excludes.unlink(missing_ok=True)
    git = repository.git.at(link.path, link.admin)
    out = await git.run("status", "--porcelain", "-z", "--untracked-files=normal", "--no-renames")
    paths = tuple(line.removeprefix("?? ") for line in paths_of(out.stdout) if line.startswith("?? "))
    if paths:
        # The setting takes one file only: what the user ignores everywhere must be in it, too.
        text = await _users_excludes(git) + b"\n" + b"".join(map(render_pattern, paths))
        unfinished = link.admin / f"{EXCLUDES}.new"
        unfinished.write_bytes(text)
        unfinished.replace(excludes)
        if copy := excludes_copy(repository, link.owner):
            copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            copy.write_bytes(text)
    return paths


def excludes_copy(repository: Repository, owner: str) -> Path | None:
    """Where the list lies a second time, for a worktree that has lost its entry. owner: what its MARKER says."""
    key = parse_attempt_key(owner)
    return repository.common_dir / "orchestrate" / "excludes" / worktree_dir(key) if key else None


def variables_for(link: Link) -> dict[str, str]:
    """With these, git as others run it in the worktree leaves the same things alone.
    https://git-scm.com/docs/git-config#Documentation/git-config.txt-GITCONFIGCOUNT"""
    excludes = link.admin / EXCLUDES
    if not excludes.exists():
        return {}
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": EXCLUDES_SETTING,
        "GIT_CONFIG_VALUE_0": str(excludes),
    }


def render_pattern(path: str) -> bytes:
    """One line that matches this path from the top and no other. https://git-scm.com/docs/gitignore

    A line cannot hold the end of a line: `?` stands for that, which matches any one character.
    """
    escaped = "".join("?" if c in "\n\r" else f"\\{c}" if c in "\\*?[ " else c for c in path)
    return os.fsencode(f"/{escaped}\n")


def not_ignored(repository: Repository, directories: Iterable[str]) -> tuple[str, ...]:
    """Those of the directories (plain names at the top of the user's checkout) in which git would not ignore a file."""
    probes = {f"{name}/{PROBE}": name for name in directories}
    if not probes:
        return ()
    done = repository.git.run_now("check-ignore", "--", *probes, ok=(0, 1, 128))
    if done.exit_code == 128:  # one of them is a symbolic link, beyond which git does not look
        return ()
    ignored = set(done.stdout.decode().splitlines())
    return tuple(name for probe, name in probes.items() if probe not in ignored)


async def _users_excludes(git: Git) -> bytes:
    """Contents of the file that core.excludesFile names, or of the one that git reads without that setting."""
    said = await git.run("config", "--type=path", "-z", "--get", EXCLUDES_SETTING, ok=(0, 1))
    if said.ok:
        path = git.cwd / os.fsdecode(said.stdout.removesuffix(b"\0"))
    else:
        home = git.env.get("XDG_CONFIG_HOME") or f"{git.env.get('HOME', '')}/.config"
        path = Path(home, "git", "ignore")
    try:
        return path.read_bytes()
    except OSError:
        return b""
