"""What a person should know about their checkout before agents start from a commit of it: changes that are not in it, and
what setup will make there without git ignoring it.

Invariant: nothing is changed, and nothing of this is a reason to refuse.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from orchestrate.git.leftovers import not_ignored
from orchestrate.git.repository import Base, Repository
from orchestrate.git.run import GitError
from orchestrate.git.status import read_changes

_ENVIRONMENT = re.compile(r"(?:-m venv|\bvirtualenv)\s+(?:-\S+\s+)*([\w.-]+)(?=[\s;&|]|$)")
_NODE_PACKAGES = re.compile(r"\b(?:npm (?:ci|install|i)|(?:pnpm|yarn|bun) install)\b(?!.*\s(?:-g|--global)\b)")
_ELSEWHERE = re.compile(r"\bcd\s|--prefix|--cwd|--dir")


def uncommitted_notices(repository: Repository, base: Base, inputs: Sequence[Path]) -> tuple[str, ...]:
    """When the user stands on the base with changes that agents will not see. inputs: files that are read from the
    checkout, so that a change in them does count."""
    if base.kind != "branch":
        return ()
    try:
        branch, changed = read_changes(repository.git)
    except GitError as unreadable:
        return (f"what is changed in your checkout cannot be told: {unreadable.words}; agents start from the commit",)
    read = {os.path.relpath(path.resolve(), repository.toplevel) for path in inputs}
    paths = [path for path in changed if path not in read]
    if branch != base.name or not paths:
        return ()
    shown = ", ".join(paths[:3]) + (", …" if len(paths) > 3 else "")
    are = "changed file is" if len(paths) == 1 else "changed files are"
    return (
        f"{len(paths)} {are} not part of {base.name} at {base.commit[:10]} ({shown}); agents start from the commit",
    )


def setup_notices(repository: Repository, commands: Iterable[str]) -> tuple[str, ...]:
    """commands: shell commands of the setup."""
    return tuple(
        f"setup makes {name}, which git does not ignore; it is kept out of the agents' commits, "
        f"but better add a line to .gitignore: {name}/"
        for name in not_ignored(repository, usual_products(commands))
    )


def usual_products(commands: Iterable[str]) -> tuple[str, ...]:
    """Directories at the top of the repository that such commands make, as far as their names tell."""
    found: dict[str, None] = {}
    for command in commands:
        if _ELSEWHERE.search(command):
            continue
        found.update(dict.fromkeys(_ENVIRONMENT.findall(command)))
        if _NODE_PACKAGES.search(command):
            found["node_modules"] = None
    return tuple(found)
