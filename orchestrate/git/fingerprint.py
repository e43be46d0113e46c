"""What a run must not change in the user's repository, in a form that can be compared before and after.

Covers HEAD, the index, every ref but ours, configuration, hooks and info/. Not the files of the checkout: the user may go
on working while a run is under way.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrate.core.names import DEFAULT_PREFIX, PRIVATE_REFS

from .repository import Repository


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """parts: what it is, in words → digest or value."""

    parts: Mapping[str, str]

    def differences(self, later: Fingerprint) -> tuple[str, ...]:
        """What is not as it was, in words; empty when nothing changed."""
        found = []
        for name in sorted(self.parts.keys() | later.parts.keys()):
            before, after = self.parts.get(name), later.parts.get(name)
            if before == after:
                continue
            verb = "appeared" if before is None else "is gone" if after is None else "changed"
            found.append(f"{name} {verb}")
        return tuple(found)


def fingerprint(repository: Repository, *, branch_prefix: str = DEFAULT_PREFIX) -> Fingerprint:
    """One git process and a few small files: about 5 ms."""
    parts = {"HEAD": _digest(repository.git_dir / "HEAD"), "the index": _digest(repository.git_dir / "index")}
    if (repository.git_dir / "index.lock").exists():
        parts["index.lock"] = "there"
    for name in ("config", "config.worktree", "shallow"):
        if (repository.common_dir / name).exists():
            parts[name] = _digest(repository.common_dir / name)
    for directory in ("hooks", "info"):
        for path in _files(repository.common_dir / directory):
            mode = os.lstat(path).st_mode
            parts[f"{directory}/{path.name}"] = f"{mode:o} {_digest(path)}"
    out = repository.git.run_now("for-each-ref", "--format=%(refname)%00%(objectname)").stdout
    for line in os.fsdecode(out).splitlines():
        ref, _, commit = line.partition("\0")
        if not ref.startswith((f"refs/heads/{branch_prefix}/", f"{PRIVATE_REFS}/")):
            parts[ref] = commit
    return Fingerprint(parts)


def _files(directory: Path) -> Iterator[Path]:
    if directory.is_dir():
        yield from sorted(path for path in directory.iterdir() if path.is_file() and not path.is_symlink())


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
