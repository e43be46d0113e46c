"""The user's repository as found: where it lies, what it is, which commit a name means; refusals before anything is made.

Invariant: everything here reads; nothing writes.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from orchestrate.core.names import DEFAULT_PREFIX, parse_attempt_branch
from orchestrate.errors import OrchestrateError
from orchestrate.process import TAG

from .link import INTEGRATION, MARKER
from .run import OLDEST_GIT, Git, GitError, build_git, with_identity


@dataclass(frozen=True, slots=True)
class Repository:
    """toplevel: the checkout that the user stands in. common_dir: what all its worktrees share. git_dir: of this checkout.
    git: runs in toplevel, able to commit. notices: what a person should know about this kind of repository."""

    toplevel: Path
    common_dir: Path
    git_dir: Path
    git: Git
    version: tuple[int, ...]
    object_format: str = "sha1"
    shallow: bool = False
    partial: bool = False
    sparse: bool = False
    submodules: bool = False
    lfs: bool = False
    notices: tuple[str, ...] = ()

    def of_run(self, run: str) -> Repository:
        """The same, whose commands are known as the run's: what an engine that dies leaves of them is ended by the next."""
        tag = f"{run}.{INTEGRATION}.git"  # no feature is called that
        return replace(self, git=self.git.with_variables(**{TAG: tag}))

    @property
    def zero_id(self) -> str:
        """The object id that means "none"."""
        return "0" * (64 if self.object_format == "sha256" else 40)

    @property
    def worktree_lock(self) -> Path:
        return self.common_dir / "orchestrate" / "worktree.lock"

    @property
    def default_worktrees_dir(self) -> Path:
        """Beside the checkout, so that searches and tests of the user's own tree do not wander into it; never below
        `.git`, where agents refuse to write."""
        return self.toplevel.parent / f"{self.toplevel.name}.worktrees"


@dataclass(frozen=True, slots=True)
class Base:
    """What a run starts from. name: as the user would write it. commit: the id that counts from here on."""

    name: str
    kind: Literal["branch", "remote branch", "tag", "commit"]
    commit: str


def open_repository(path: Path, *, environ: Mapping[str, str], branch_prefix: str = DEFAULT_PREFIX) -> Repository:
    """The repository that `path` (an existing directory) lies in. Raises OrchestrateError with a hint.

    environ: the variables that this program was started with.
    """
    git = build_git(path, environ)
    version = _version(git)
    toplevel, git_dir, common_dir = _places(git, path)
    git = Git(toplevel, git.env)
    settings = _settings(git)
    partial = any(re.fullmatch(r"extensions\.partialclone|remote\..*\.promisor", key) for key in settings)
    if not partial:
        # A missing object is then a fault to report, not a reason to go to the network.
        git = git.with_variables(GIT_NO_LAZY_FETCH="1")
    _refuse_inside_worktree_of_ours(git_dir, common_dir, branch_prefix)
    _refuse_blocked_prefix(git, branch_prefix)
    if not os.access(common_dir, os.W_OK):
        raise OrchestrateError(
            f"cannot write to {common_dir}", hint="branches and worktrees are recorded there; check its permissions"
        )
    facts = {
        "shallow": (common_dir / "shallow").exists(),
        "partial": partial,
        "sparse": settings.get("core.sparsecheckout", "").lower() in ("true", "yes", "on", "1"),
        "submodules": (toplevel / ".gitmodules").exists(),
        "lfs": _uses_lfs(toplevel),
    }
    return Repository(
        toplevel=toplevel,
        common_dir=common_dir,
        git_dir=git_dir,
        git=with_identity(git),
        version=version,
        object_format=settings.get("extensions.objectformat", "sha1"),
        notices=_notices(facts, settings),
        **facts,
    )


def resolve_base(repository: Repository, name: str = "") -> Base:
    """The commit that a branch, remote branch, tag or commit id means now; empty: the default branch.

    Raises OrchestrateError, with the nearest names, when it means none.
    """
    git = repository.git
    if not name:
        name = default_branch(repository)
    if not name:
        commit = _commit(git, "HEAD")
        if not commit:
            raise _no_commits(repository)
        return Base(commit, "commit", commit)
    kinds: tuple[tuple[Literal["branch", "remote branch", "tag", "commit"], str], ...] = (
        ("branch", f"refs/heads/{name}"),
        ("remote branch", f"refs/remotes/{name}"),
        ("tag", f"refs/tags/{name}"),
    )
    for kind, ref in kinds:
        if commit := _commit(git, ref):
            return Base(name, kind, commit)
    if re.fullmatch(r"[0-9a-f]{7,64}", name) and (commit := _commit(git, name)):
        return Base(name, "commit", commit)
    known = _branches(git)
    if not known and not _commit(git, "HEAD"):
        raise _no_commits(repository)
    near = difflib.get_close_matches(name, known, 3) or known[:3]
    raise OrchestrateError(
        f"the base branch '{name}' does not exist in {repository.toplevel}",
        hint=("did you mean " + " or ".join(near) + "?" if near else "") or "set base_branch to an existing branch",
    )


def default_branch(repository: Repository) -> str:
    """The branch that work starts from unless told otherwise: what the remote calls its own, else main or master, else
    the one that is checked out; empty with a detached HEAD and none of these."""
    git = repository.git
    local = set(_branches(git))
    remote = git.run_now("symbolic-ref", "--quiet", "refs/remotes/origin/HEAD", ok=(0, 1, 128))
    named = _line(remote.stdout).removeprefix("refs/remotes/origin/") if remote.ok else ""
    current = git.run_now("symbolic-ref", "--quiet", "HEAD", ok=(0, 1))
    checked_out = _line(current.stdout).removeprefix("refs/heads/") if current.ok else ""
    return next((name for name in (named, "main", "master", checked_out) if name in local), "")


def branch_holds(repository: Repository, branch: str, commit: str) -> bool:
    """Whether the commit is reachable from the branch (short name); False as well when either is gone."""
    args = ("merge-base", "--is-ancestor", commit, f"refs/heads/{branch}")
    return repository.git.run_now(*args, ok=(0, 1, 128)).ok


# ── where it is ──────────────────────────────────────────────────────────────────────────────────────────────────


def _version(git: Git) -> tuple[int, ...]:
    wanted = ".".join(map(str, OLDEST_GIT))
    try:
        said = _line(git.run_now("--version").stdout)
    except OSError as missing:
        if not git.cwd.is_dir():
            raise OrchestrateError(f"{git.cwd} is no directory") from missing
        raise OrchestrateError("git cannot be started", hint=f"install git {wanted} or newer") from missing
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", said)
    version = tuple(int(part) for part in found.groups() if part) if found else ()
    if version < OLDEST_GIT:
        raise OrchestrateError(f"git {wanted} or newer is needed; this is {said!r}", hint="upgrade git")
    return version


def _places(git: Git, path: Path) -> tuple[Path, Path, Path]:
    """toplevel, git_dir and common_dir. One command each: a path may hold a newline."""
    try:
        git_dir = _place(git, "--git-dir")
    except GitError as failed:
        raise _refusal(failed, path) from failed
    common_dir = _place(git, "--git-common-dir")
    try:
        return _place(git, "--show-toplevel"), git_dir, common_dir
    except GitError as failed:
        if _line(git.run_now("rev-parse", "--is-bare-repository").stdout) == "true":
            raise OrchestrateError(
                f"{path} is a bare repository: there is no checkout to take settings and ignored files from",
                hint="run in a clone, or in a worktree of it: git worktree add ../checkout",
            ) from failed
        raise OrchestrateError(
            f"{path} lies inside a .git directory", hint="go to the repository's checkout"
        ) from failed


def _place(git: Git, what: str) -> Path:
    out = git.run_now("rev-parse", "--path-format=absolute", what).stdout
    return Path(os.fsdecode(out.removesuffix(b"\n")))


def _refusal(failed: GitError, path: Path) -> OrchestrateError:
    if "dubious ownership" in failed.words:
        return OrchestrateError(
            f"git refuses the repository at {path}: another user owns it",
            hint=f"if you trust it: git config --global --add safe.directory {path}",
        )
    if "not a git repository" in failed.words:
        return OrchestrateError(f"{path} is not inside a git repository", hint="go to one, or make one: git init")
    return OrchestrateError(f"git cannot read the repository at {path}: {failed.words}")


def _no_commits(repository: Repository) -> OrchestrateError:
    return OrchestrateError(
        f"the repository at {repository.toplevel} has no commits yet",
        hint="make the first one: git add -A && git commit -m 'first'",
    )


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────


def _refuse_inside_worktree_of_ours(git_dir: Path, common_dir: Path, prefix: str) -> None:
    if git_dir == common_dir:
        return
    head = (git_dir / "HEAD").read_text("utf-8", "replace").strip().removeprefix("ref: refs/heads/")
    if (git_dir / MARKER).exists() or parse_attempt_branch(head, prefix):
        raise OrchestrateError(
            "this is a worktree that a run made for one of its features",
            hint=f"go to your own checkout: cd {common_dir.parent}",
        )


def _refuse_blocked_prefix(git: Git, prefix: str) -> None:
    """`orch` as a branch leaves no room for `orch/…`: refs are files and directories."""
    parts = prefix.split("/")
    for count in range(1, len(parts) + 1):
        branch = "/".join(parts[:count])
        if _commit(git, f"refs/heads/{branch}"):
            raise OrchestrateError(
                f"the branch '{branch}' leaves no room for branches below '{prefix}/'",
                hint='choose another prefix: "branch_prefix": "work", or rename that branch',
            )


# ── what it is like ──────────────────────────────────────────────────────────────────────────────────────────────


def _settings(git: Git) -> dict[str, str]:
    pattern = r"^(core\.sparsecheckout|extensions\.|remote\..*\.promisor|filter\.lfs\.)"
    out = git.run_now("config", "-z", "--get-regexp", pattern, ok=(0, 1)).stdout
    pairs = (entry.partition("\n") for entry in os.fsdecode(out).split("\0") if entry)
    return {key: value for key, _, value in pairs}


def _uses_lfs(toplevel: Path) -> bool:
    try:
        return b"filter=lfs" in (toplevel / ".gitattributes").read_bytes()
    except OSError:
        return False


def _notices(facts: Mapping[str, bool], settings: Mapping[str, str]) -> tuple[str, ...]:
    notices = []
    if facts["submodules"]:
        notices.append(
            "the repository has submodules; worktrees do not check them out: "
            'add "git submodule update --init" to setup if features need them'
        )
    if facts["lfs"] and not (settings.get("filter.lfs.process") and shutil.which("git-lfs")):
        notices.append(
            "the repository uses Git LFS, which is not installed here: such files stay pointers in worktrees"
        )
    if facts["sparse"]:
        notices.append("your checkout is sparse; worktrees may be sparse in the same way")
    if facts["shallow"]:
        notices.append("the history is shallow; merges of old branches may lack their common ancestor")
    if facts["partial"]:
        notices.append("the repository is a partial clone; git may fetch missing files from its remote")
    return tuple(notices)


def _branches(git: Git) -> list[str]:
    out = git.run_now("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads", "refs/remotes").stdout
    return os.fsdecode(out).split()


def _commit(git: Git, ref: str) -> str:
    done = git.run_now("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}", ok=(0, 1, 128))
    return _line(done.stdout) if done.ok else ""


def _line(out: bytes) -> str:
    return os.fsdecode(out).removesuffix("\n")
