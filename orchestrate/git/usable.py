"""Whether the repository as a whole can be used, which no feature is to blame for: it may have been moved, or damaged.

Invariant: reads only. A repository further up, which git would find in place of one that is damaged, is not taken for it.
"""

from __future__ import annotations

import os
from pathlib import Path

from .repository import Repository
from .run import GitError

ASK_S = 10.0
"""For git to say where the repository is, seconds."""


def why_unusable(repository: Repository, closely: bool) -> str:
    """In words, with the repository's place; empty if it can be used. Without `closely` a few files are looked for."""
    why = _what_is_missing(repository) or (_what_git_says(repository) if closely else "")
    return f"the repository at {repository.toplevel} cannot be used: {why}" if why else ""


def _what_is_missing(repository: Repository) -> str:
    common = repository.common_dir
    places = (repository.toplevel, common, common / "HEAD", common / "objects")
    return next((f"{place} is not there" for place in places if not os.path.lexists(place)), "")


def _what_git_says(repository: Repository) -> str:
    try:
        said = repository.git.run_now("rev-parse", "--path-format=absolute", "--git-common-dir", timeout_s=ASK_S)
    except GitError as failed:
        return failed.words or str(failed)
    except OSError:
        return ""  # that is git's own, or the machine's: what failed says so itself
    found = Path(os.fsdecode(said.stdout).removesuffix("\n"))
    if os.path.realpath(found) == os.path.realpath(repository.common_dir):
        return ""
    return f"git takes {found} for it"
