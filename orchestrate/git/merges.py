"""Merging in memory: trees and commits are made in the object database, no checkout and no ref is touched."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from .run import OBJECT_ID, Git, GitError


@dataclass(frozen=True, slots=True)
class MergedTree:
    """tree: object id, complete only when `conflicts` (paths) is empty. why: the conflicts, one a line, in git's words."""

    tree: str
    conflicts: tuple[str, ...] = ()
    why: str = ""


class MergeConflict(Exception):
    """Commits that were to become one base do not merge."""

    def __init__(self, ours: str, theirs: str, merged: MergedTree) -> None:
        super().__init__(f"{ours[:10]} and {theirs[:10]} do not merge: {merged.why}")
        self.paths = merged.conflicts


async def merge_trees(git: Git, ours: str, theirs: str) -> MergedTree:
    """The tree that merging commit `theirs` into commit `ours` gives. Raises GitError, such as for unrelated histories.

    https://git-scm.com/docs/git-merge-tree#OUTPUT
    """
    done = await git.run("merge-tree", "--write-tree", "-z", "--name-only", "--messages", ours, theirs, ok=(0, 1))
    fields = os.fsdecode(done.stdout).split("\0")
    if not OBJECT_ID.fullmatch(fields[0]):
        raise GitError("merge-tree", done.exit_code, done.stderr.decode("utf-8", "replace").strip())
    if done.exit_code == 0:
        return MergedTree(fields[0])
    end = fields.index("", 1)
    paths = tuple(dict.fromkeys(fields[1:end]))
    return MergedTree(fields[0], paths, _conflicts(fields[end + 1 :]) or ", ".join(paths))


def _conflicts(fields: Sequence[str]) -> str:
    """Messages `<count> <path>… <kind> <text>` → the texts of those that speak of a conflict."""
    found, at = [], 0
    while at < len(fields) and fields[at].isdigit():
        kind_at = at + 1 + int(fields[at])
        if kind_at + 1 >= len(fields):
            break
        if fields[kind_at].startswith("CONFLICT"):
            found.append(fields[kind_at + 1].strip())
        at = kind_at + 2
    return "\n".join(found)


async def write_commit(
    git: Git, tree: str, parents: Sequence[str], message: str, *, date: str = "", name: str = "", email: str = ""
) -> str:
    """A commit object that no ref points at yet; its id. date: `<Unix seconds> +0000`, empty for now."""
    variables: dict[str, str] = {}
    if date:
        variables |= {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    if name:
        variables |= {"GIT_AUTHOR_NAME": name, "GIT_COMMITTER_NAME": name}
        variables |= {"GIT_AUTHOR_EMAIL": email, "GIT_COMMITTER_EMAIL": email}
    doer = git.with_variables(**variables) if variables else git
    args = [argument for parent in parents for argument in ("-p", parent)]
    return await doer.line("commit-tree", tree, *args, "-F", "-", stdin=message.encode("utf-8", "replace"))


async def join_commits(git: Git, parents: Sequence[str]) -> str:
    """One commit that holds all of `parents`: the one that contains the others, else their merge.

    The same parents in the same order give the same commit, whenever and however often it is asked for.
    Raises MergeConflict.
    """
    unique = tuple(dict.fromkeys(parents))
    if len(unique) > 1:
        out = (await git.run("merge-base", "--independent", *unique)).stdout.decode()
        independent = set(out.split())
        unique = tuple(parent for parent in unique if parent in independent)
    if len(unique) == 1:
        return unique[0]
    shown = await git.run("rev-list", "--no-walk", "--no-commit-header", "--format=%ct", *unique)
    date = f"{max(int(line) for line in shown.stdout.split())} +0000"
    joined = unique[0]
    for parent in unique[1:]:
        merged = await merge_trees(git, joined, parent)
        if merged.conflicts:
            raise MergeConflict(joined, parent, merged)
        message = f"Join {joined[:12]} and {parent[:12]}\n"
        joined = await write_commit(git, merged.tree, (joined, parent), message, date=date)
    return joined


def subject_line(text: str, fallback: str) -> str:
    """A name that a person wrote → one line fit for a commit's subject."""
    line = re.sub(r"[\x00-\x1f\x7f-\x9f\s]+", " ", text).strip().lstrip("#").strip()
    return (line if len(line) <= 120 else line[:119].rstrip() + "…") or fallback
