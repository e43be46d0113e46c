"""Throw-away repositories in a frozen world: fixed dates, identity by environment, nobody's configuration."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

FROZEN = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "LC_ALL": "C",
    "TZ": "UTC",
}

FIRST_DATE = 1_700_000_000
"""Unix seconds of the first commit; each further one is a minute later."""


def frozen_environ(**more: str) -> dict[str, str]:
    """What the program under test is told that its environment is."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **FROZEN, **more}


@dataclass
class Repo:
    """A repository at `path`, driven by the git program itself."""

    path: Path
    commits: int = field(default=0)

    @classmethod
    def make(
        cls, path: Path, files: Mapping[str, str] | None = None, *, branch: str = "main", args: tuple[str, ...] = ()
    ):
        """With one commit of `files`, unless they are empty."""
        path.mkdir(parents=True, exist_ok=True)
        repo = cls(path)
        repo.git("init", "--quiet", f"--initial-branch={branch}", *args)
        if files != {}:
            repo.commit(
                "first", files or {"README.md": "# Calculator\n", "calc.py": "def add(a, b):\n    return a + b\n"}
            )
        return repo

    def git(self, *args: str, cwd: Path | None = None, ok: bool = True) -> str:
        """Output without the last newline."""
        date = f"{FIRST_DATE + 60 * self.commits} +0000"
        env = frozen_environ(GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date)
        done = subprocess.run(["git", *args], cwd=cwd or self.path, env=env, capture_output=True, check=False)
        assert done.returncode == 0 or not ok, f"git {' '.join(args)}: {os.fsdecode(done.stderr)}"
        return os.fsdecode(done.stdout).removesuffix("\n")

    def write(self, files: Mapping[str, str], cwd: Path | None = None) -> None:
        for name, text in files.items():
            path = (cwd or self.path) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, message: str, files: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
        """Commit everything; the new commit's id."""
        self.write(files or {}, cwd)
        self.git("add", "-A", cwd=cwd)
        self.git("commit", "--quiet", "--allow-empty", "-m", message, cwd=cwd)
        self.commits += 1
        return self.head(cwd)

    def side_commit(self, parent: str, files: Mapping[str, str], message: str = "side") -> str:
        """A commit on top of `parent` that no branch points at, made without touching the checkout."""
        index = self.path / ".git" / "side-index"
        env = {"GIT_INDEX_FILE": str(index)}
        self._plumb("read-tree", parent, env=env)
        for name, text in files.items():
            blob = self._plumb("hash-object", "-w", "--stdin", env=env, stdin=text)
            self._plumb("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", env=env)
        tree = self._plumb("write-tree", env=env)
        index.unlink()
        self.commits += 1
        return self.git("commit-tree", tree, "-p", parent, "-m", message)

    def _plumb(self, *args: str, env: Mapping[str, str], stdin: str = "") -> str:
        done = subprocess.run(
            ["git", *args],
            cwd=self.path,
            env=frozen_environ(**env),
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def head(self, cwd: Path | None = None) -> str:
        return self.git("rev-parse", "HEAD", cwd=cwd)

    def tip(self, ref: str) -> str:
        """Commit id of a ref, empty when there is none."""
        return self.git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", ok=False)

    def refs(self, under: str = "refs") -> list[str]:
        return self.git("for-each-ref", "--format=%(refname)", under).split()

    def files(self, commit: str) -> dict[str, str]:
        """Path → text of everything in a commit."""
        names = self.git("ls-tree", "-r", "--name-only", "-z", commit).split("\0")
        return {name: self.git("cat-file", "blob", f"{commit}:{name}") for name in names if name}

    def contains(self, commit: str, ancestor: str) -> bool:
        return self.git("merge-base", "--is-ancestor", ancestor, commit, ok=False) == "" and (
            ancestor in self.git("rev-list", commit).split()
        )


def snapshot(repo: Repo, *, prefix: str = "orch") -> dict[str, str]:
    """Every file of the checkout and of .git that is the user's, byte for byte, with its mode; and every ref of theirs."""
    common = Path(repo.git("rev-parse", "--path-format=absolute", "--git-common-dir"))
    seen = {}
    for directory, names, files in os.walk(repo.path):
        if Path(directory) == repo.path:
            names[:] = [name for name in names if name != ".git"]
        for name in files:
            seen[os.path.join(directory, name)] = _digest(Path(directory, name))
    for name in (
        "HEAD",
        "index",
        "config",
        "config.worktree",
        "ORIG_HEAD",
        "MERGE_HEAD",
        "packed-refs",
        "info/exclude",
    ):
        seen[name] = _digest(common / name)
    for hook in sorted((common / "hooks").glob("*")):
        seen[f"hook {hook.name}"] = _digest(hook)
    for line in repo.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines():
        if not line.startswith((f"refs/heads/{prefix}/", "refs/orchestrate/")):
            seen[line.split(" ")[0]] = line.split(" ")[1]
    return seen


@contextmanager
def assert_untouched(repo: Repo, *, prefix: str = "orch") -> Iterator[None]:
    """The user's checkout, index, HEAD, branches and configuration are the same, byte for byte, after the block."""
    before = snapshot(repo, prefix=prefix)
    yield
    after = snapshot(repo, prefix=prefix)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    assert not changed, f"the user's repository changed: {changed}"


def _digest(path: Path) -> str:
    if path.is_symlink():
        return f"-> {os.readlink(path)}"
    if not path.is_file():
        return "none"
    return f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
