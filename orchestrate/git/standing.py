"""How a repository stands before a run: what its user has not finished, how large its trees are.

Invariant: everything here reads; what is found stays as it is.
"""

from __future__ import annotations

from .repository import Repository
from .run import GitError

TREE_SIZES = ("ls-tree", "-r", "-z", "--format=%(objectsize)")
"""Arguments of the git command whose output `sum_sizes` adds up."""

_UNFINISHED = {
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase or `git am`",
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "BISECT_LOG": "a bisection",
}
"""What lies in a checkout's git directory → what is under way there. https://git-scm.com/docs/gitrepository-layout"""


def unfinished_work(repository: Repository) -> str:
    """What the user is in the middle of, in words; empty: nothing."""
    return next((what for name, what in _UNFINISHED.items() if (repository.git_dir / name).exists()), "")


def sum_sizes(output: bytes) -> int:
    """Bytes of all files of a tree. Submodules have no size."""
    return sum(int(size) for size in output.split(b"\0") if size.strip().isdigit())


def tree_bytes(repository: Repository, commit: str) -> int:
    """Bytes that a checkout of the commit takes, as far as is known here: not where objects would have to be fetched."""
    if repository.partial:
        return 0
    try:
        return sum_sizes(repository.git.run_now(*TREE_SIZES, commit).stdout)
    except GitError:
        return 0  # said where the commit is used
