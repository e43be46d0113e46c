"""What stands in a worktree beside its commits. https://git-scm.com/docs/git-status#_porcelain_format_version_2"""

from __future__ import annotations

from dataclasses import dataclass

from .run import Git, paths_of


@dataclass(frozen=True, slots=True)
class Status:
    """commit: of HEAD, empty when there is none. branch: short name, empty when detached. nested: untracked directories
    with a repository of their own. unmerged: paths with conflicts left open. ignored: there are files that git ignores.
    changed: tracked paths that differ from HEAD, unmerged ones too. untracked: paths of files that git does not know."""

    commit: str
    branch: str
    dirty: bool
    nested: tuple[str, ...] = ()
    unmerged: tuple[str, ...] = ()
    ignored: bool = False
    changed: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()


async def read_status(git: Git) -> Status:
    return parse_status((await git.run("status", *_FORM, "--ignored=matching")).stdout)


async def read_own_status(git: Git) -> Status:
    """The same, without asking whether there are files that git ignores."""
    return parse_status((await git.run("status", *_FORM)).stdout)


_FORM = ("--porcelain=v2", "--branch", "--untracked-files=all", "--ignore-submodules=dirty", "-z")


async def unhide_changes(git: Git, *, is_sparse: bool) -> None:
    """Take back the marks by which an agent can keep a tracked file's changes from git's sight (`update-index
    --assume-unchanged`, `--skip-worktree`): what the checks see must be what is committed. In a sparse checkout
    skip-worktree is git's own. https://git-scm.com/docs/git-ls-files (-v)
    """
    listed = (await git.run("ls-files", "-v", "-z")).stdout
    usual = b"HMRCK?S" if is_sparse else b"HMRCK?"
    marked = [entry[2:] for entry in listed.split(b"\0") if entry and entry[0] not in usual]
    if marked:
        flags = ("--no-assume-unchanged",) if is_sparse else ("--no-assume-unchanged", "--no-skip-worktree")
        for flag in flags:  # git takes one of them at a time
            await git.run("update-index", flag, "-z", "--stdin", stdin=b"\0".join(marked) + b"\0")


def parse_status(output: bytes) -> Status:
    """Output of `status --porcelain=v2 --branch --untracked-files=all --ignored=matching -z` → Status.

    git does not walk into a repository inside the worktree: with every untracked file listed, only such a directory
    still ends with a slash.
    """
    commit = branch = ""
    ignored = False
    nested: list[str] = []
    unmerged: list[str] = []
    changed: list[str] = []
    untracked: list[str] = []
    skip = False
    for field in paths_of(output):
        if skip:
            skip = False
        elif field.startswith("# branch.oid "):
            commit = field[13:].replace("(initial)", "")
        elif field.startswith("# branch.head "):
            branch = field[14:].replace("(detached)", "")
        elif field.startswith("? ") and field.endswith("/"):
            nested.append(field[2:])
        elif field.startswith("! "):
            ignored = True
        elif field.startswith("u "):
            unmerged.append(field.split(" ", 10)[10])
        elif field.startswith("? "):
            untracked.append(field[2:])
        elif field[:1] in ("1", "2"):
            skip = field[0] == "2"  # a renamed entry is followed by the path that it had
            changed.append(field.split(" ", 9 if skip else 8)[-1])
    return Status(
        commit, branch, bool(changed or untracked), tuple(nested), tuple(unmerged), ignored,
        (*changed, *unmerged), tuple(untracked),
    )  # fmt: skip


def read_changes(git: Git) -> tuple[str, tuple[str, ...]]:
    """The branch that is checked out (short name, empty when detached) and the tracked files that differ from its commit,
    for code outside the loop."""
    args = ("--porcelain=v2", "--branch", "--untracked-files=no", "--ignore-submodules=dirty", "--no-renames", "-z")
    fields = paths_of(git.run_now("status", *args).stdout)
    branch = next((f[14:] for f in fields if f.startswith("# branch.head ")), "").replace("(detached)", "")
    spaces_before_path = {"1": 8, "u": 10}
    changed = (f.split(" ", spaces_before_path[f[0]])[-1] for f in fields if f[0] in spaces_before_path)
    return branch, tuple(changed)


def all_but(nested: tuple[str, ...]) -> tuple[str, ...]:
    """Pathspecs for `git add -A --`: everything but repositories inside the worktree, which would become broken links."""
    return (":/", *(f":(top,exclude,literal){path.rstrip('/')}" for path in nested))
