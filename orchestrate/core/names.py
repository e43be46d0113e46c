"""The one place where ids become branch, ref, directory and session names, and back. Pure; round trips are tested.

Every attempt's branch lies in a ref directory of its own, so that no two branches can clash as file and directory,
and one attempt's refs can be made writable alone.
"""

from __future__ import annotations

import re
import unicodedata
import uuid
from dataclasses import dataclass

ID_PATTERN = re.compile(r"[a-z0-9](?:(?:[a-z0-9_-]|\.(?!\.)){0,61}[a-z0-9])?", re.IGNORECASE | re.ASCII)
"""Stricter than git's own rule, which accepts `-D`, `$(id)`, `HEAD` and U+202E."""

RESERVED = frozenset(
    {"head", "all", "none", "integration", "con", "prn", "aux", "nul"}
    | {f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)}
)

DEFAULT_PREFIX = "orch"
PRIVATE_REFS = "refs/orchestrate"
TRAILER = "Orchestrate-Attempt"

_SESSION_SPACE = uuid.UUID("5f0c2e8e-6e0f-4c39-9a2c-0c6f6b1a8d11")


def id_problem(fid: str) -> str:
    """Why `fid` cannot be a feature id; empty when it can."""
    if not fid:
        return "is empty"
    if len(fid) > 63:
        return f"has {len(fid)} characters; at most 63 are allowed"
    if not fid.isascii() and re.fullmatch(ID_PATTERN.pattern, fid, re.IGNORECASE):
        return "contains letters that only look like ASCII"
    if not ID_PATTERN.fullmatch(fid):
        bad = sorted({c for c in fid if not re.fullmatch(r"[A-Za-z0-9_.-]", c)})
        if bad:
            return "contains " + ", ".join(_show_character(c) for c in bad[:4])
        return "must start and end with a letter or digit, without two dots in a row"
    if fid.lower().endswith(".lock"):
        return "ends with .lock, which git reserves"
    if fid.lower().split(".")[0] in RESERVED or fid.lower() in RESERVED:
        return "is a reserved word"
    return ""


def _show_character(c: str) -> str:
    return f"'{c}'" if c.isprintable() and c != " " else f"U+{ord(c):04X} ({unicodedata.name(c, 'control')})"


def fold_id(fid: str) -> str:
    """The form under which two ids are the same file on a case-insensitive disk."""
    return unicodedata.normalize("NFC", fid).casefold()


def render_run_id(year: int, month: int, day: int, hour: int, minute: int, second: int, noise: str) -> str:
    """`20261121-111415-7f3a`: sorts by time; `noise` is four hexadecimal digits."""
    return f"{year:04d}{month:02d}{day:02d}-{hour:02d}{minute:02d}{second:02d}-{noise}"


RUN_PATTERN = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{4}")


@dataclass(frozen=True, slots=True)
class AttemptKey:
    """Which try at which feature of which run."""

    run: str
    feature: str
    attempt: int

    def __str__(self) -> str:
        """`<run>/<feature>/<n>`, the value of the trailer on merge commits."""
        return f"{self.run}/{self.feature}/{self.attempt}"


def parse_attempt_key(text: str) -> AttemptKey | None:
    """Inverse of str(AttemptKey); None if it is none."""
    parts = text.strip().split("/")
    if len(parts) != 3 or not RUN_PATTERN.fullmatch(parts[0]) or not re.fullmatch(r"[1-9][0-9]*", parts[2]):
        return None
    if not parts[1]:
        return None
    return AttemptKey(parts[0], parts[1], int(parts[2]))


def attempt_branch(key: AttemptKey, prefix: str = DEFAULT_PREFIX) -> str:
    """Short branch name of one attempt's work: `orch/<run>/feature/<id>/<n>`."""
    return f"{prefix}/{key.run}/feature/{key.feature}/{key.attempt}"


def parse_attempt_branch(branch: str, prefix: str = DEFAULT_PREFIX) -> AttemptKey | None:
    """Inverse of attempt_branch; None if the branch is not one of ours."""
    head = f"{prefix}/"
    if not branch.startswith(head):
        return None
    parts = branch[len(head) :].split("/")
    if len(parts) != 4 or parts[1] != "feature":
        return None
    return parse_attempt_key(f"{parts[0]}/{parts[2]}/{parts[3]}")


def integration_branch(run: str, prefix: str = DEFAULT_PREFIX) -> str:
    """Short name of the branch where the run's features meet: `orch/<run>/integration`."""
    return f"{prefix}/{run}/integration"


def parse_integration_branch(branch: str, run: str) -> str:
    """The prefix that the run's integration branch was named with."""
    return branch.removesuffix(f"/{run}/integration")


def checkpoint_ref(key: AttemptKey) -> str:
    """Full private ref that keeps an attempt's last known work, committed or not."""
    return f"{PRIVATE_REFS}/{key.run}/{key.feature}/{key.attempt}"


def worktree_dir(key: AttemptKey) -> str:
    """Directory of an attempt's worktree, relative to the worktrees directory: `<run>/<id>.<n>`."""
    return f"{key.run}/{key.feature}.{key.attempt}"


def integration_dir(run: str) -> str:
    """Directory of the integration worktree, relative to the worktrees directory."""
    return f"{run}/integration"


def session_id(key: AttemptKey, number: int) -> str:
    """Agent session chosen by us: the same UUID for the same attempt and number, in every replay."""
    return str(uuid.uuid5(_SESSION_SPACE, f"{key}/{number}"))
