"""What the git adapter needs to know of the configuration.

Invariant: paths are absolute; nothing here is read from the environment later.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrate.core.names import DEFAULT_PREFIX


@dataclass(frozen=True, slots=True)
class GitSettings:
    """worktrees_dir: absolute, holds every worktree of ours, `<run>/<feature>.<n>`. copy: globs of ignored files that
    worktrees get from the user's checkout. ports_first, ports_count: blocks of so many ports from there on, one an
    attempt; a count of 0 gives none. spare_bytes: free space without which no worktree is made; 0: not looked at."""

    worktrees_dir: Path
    branch_prefix: str = DEFAULT_PREFIX
    copy: tuple[str, ...] = ()
    ports_first: int = 41_000
    ports_count: int = 10
    spare_bytes: int = 512 * 2**20
