"""The one door to the git program: hardened environment, list arguments, errors in git's own words.

Invariant: no hook, prompt, pager, editor, background maintenance or signature of the user's configuration runs because
of us, and no inherited GIT_* variable points a command at another repository. Arguments that come from outside are full
ref names, commit ids, or stand behind `--`.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrate import failpoint
from orchestrate.errors import OrchestrateError
from orchestrate.process import Finished, run_command, run_command_now

from .foreign import explain_lock, lock_in_the_way

OLDEST_GIT = (2, 38)
"""`merge-tree --write-tree` came with it: https://github.com/git/git/blob/master/Documentation/RelNotes/2.38.0.txt"""

TIMEOUT_S = 900.0
"""Wall clock of one command, seconds: a checkout of a very large repository takes minutes, nothing takes this long."""

OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")

_KEPT_VARIABLES = frozenset(
    {
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_AUTHOR_NAME",
        "GIT_AUTHOR_EMAIL",
        "GIT_COMMITTER_NAME",
        "GIT_COMMITTER_EMAIL",
        "GIT_CEILING_DIRECTORIES",
        "GIT_EXEC_PATH",
    }
)
"""Of the GIT_* variables: who the user is and where the installation lies. A hook that calls us exports GIT_DIR too."""

_FIXED_VARIABLES = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "SSH_ASKPASS": "/bin/false",
    "GIT_EDITOR": "true",
    "GIT_SEQUENCE_EDITOR": "true",
    "GIT_PAGER": "cat",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C",
}

_FIXED_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "commit.gpgSign": "false",
    "submodule.recurse": "false",
    "protocol.ext.allow": "never",
    "advice.detachedHead": "false",
    "advice.addEmbeddedRepo": "false",
}

_TRANSIENT = re.compile(
    r"unable to create temporary file|unable to write file|\.lock': File exists|failed to read .*commondir"
    r"|could not lock config file",
    re.IGNORECASE,
)
"""Passes by itself: another git held a lock for a moment, or repacked a directory away under us."""

RETRY_AFTER_S = (0.15, 0.3, 0.6, 1.2, 2.4)
"""Pauses before what may pass by itself is tried again, seconds; but for locks, once. One that is held longer is told."""

EXCLUDES, EXCLUDES_SETTING = "orchestrate-excludes", "core.excludesFile"
"""File in the entry of a worktree, in the form of .gitignore: counts as ignored there, whoever asks through `at`."""

FALLBACK_NAME, FALLBACK_EMAIL = "orchestrate", "orchestrate@localhost"


class GitError(OrchestrateError):
    """A git command failed. words: what git said, without the prefix of the level."""

    def __init__(self, command: str, exit_code: int, words: str) -> None:
        super().__init__(f"git {command} failed: {words or f'exit code {exit_code}'}")
        self.exit_code = exit_code
        self.words = words


@dataclass(frozen=True, slots=True)
class Git:
    """Runs git in `cwd` with exactly `env`. Build one with build_git, others from it with `at` or `with_variables`."""

    cwd: Path
    env: Mapping[str, str]

    def at(self, path: Path, admin: Path) -> Git:
        """For a linked worktree. Both directories are pinned, so that git cannot walk up into the user's checkout when
        an agent has removed or replaced the worktree's `.git` file. What its EXCLUDES name counts as ignored."""
        inside = Git(path, {**self.env, "GIT_DIR": str(admin), "GIT_WORK_TREE": str(path)})
        excludes = admin / EXCLUDES
        return inside.with_setting(EXCLUDES_SETTING, str(excludes)) if excludes.exists() else inside

    def with_setting(self, name: str, value: str) -> Git:
        """One more setting, which wins over the same one in any file."""
        number = int(self.env.get("GIT_CONFIG_COUNT", "0"))
        more = {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
        return self.with_variables(GIT_CONFIG_COUNT=str(number + 1), **more)

    def with_variables(self, **variables: str) -> Git:
        return replace(self, env={**self.env, **variables})

    async def run(
        self, *args: str, stdin: bytes | None = None, ok: Collection[int] = (0,), timeout_s: float = TIMEOUT_S
    ) -> Finished:
        """Run to the end; raises GitError when the exit code is none of `ok`. Tries again, for seconds, what passes by itself."""
        argv = ["git", *args]
        failpoint.reach("git.*.before", *_points(args))
        done = await run_command(argv, cwd=self.cwd, env=self.env, stdin=stdin, timeout_s=timeout_s)
        for pause_s in RETRY_AFTER_S:
            if done.exit_code in ok or not _passes_by_itself(done, pause_s):
                break
            await asyncio.sleep(pause_s)
            done = await run_command(argv, cwd=self.cwd, env=self.env, stdin=stdin, timeout_s=timeout_s)
        if done.exit_code not in ok or done.timed_out:
            raise _error(args, done, timeout_s, self.cwd)
        failpoint.reach("git.*.after", *_points(args))
        return done

    def run_now(self, *args: str, ok: Collection[int] = (0,), timeout_s: float = TIMEOUT_S) -> Finished:
        """The same for code outside the loop."""
        argv = ["git", *args]
        failpoint.reach("git.*.before", *_points(args))
        done = run_command_now(argv, cwd=self.cwd, env=self.env, timeout_s=timeout_s)
        for pause_s in RETRY_AFTER_S:
            if done.exit_code in ok or not _passes_by_itself(done, pause_s):
                break
            time.sleep(pause_s)
            done = run_command_now(argv, cwd=self.cwd, env=self.env, timeout_s=timeout_s)
        if done.exit_code not in ok or done.timed_out:
            raise _error(args, done, timeout_s, self.cwd)
        failpoint.reach("git.*.after", *_points(args))
        return done

    async def line(self, *args: str, stdin: bytes | None = None) -> str:
        """The one line that the command prints."""
        return _text((await self.run(*args, stdin=stdin)).stdout).removesuffix("\n")

    async def commit_of(self, ref: str) -> str:
        """Commit id of a full ref name; empty when there is no such ref."""
        done = await self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}", ok=(0, 1))
        return _text(done.stdout).strip()

    async def is_ancestor(self, old: str, new: str) -> bool:
        """Whether commit `old` is `new` or among its ancestors."""
        if old == new:
            return True
        return (await self.run("merge-base", "--is-ancestor", old, new, ok=(0, 1))).exit_code == 0


def build_git(cwd: Path, environ: Mapping[str, str]) -> Git:
    """environ: the variables that this program was started with."""
    env = {name: value for name, value in environ.items() if not name.startswith("GIT_") or name in _KEPT_VARIABLES}
    env.update(_FIXED_VARIABLES)
    env["GIT_CONFIG_COUNT"] = str(len(_FIXED_SETTINGS))
    for number, (name, value) in enumerate(_FIXED_SETTINGS.items()):
        env[f"GIT_CONFIG_KEY_{number}"] = name
        env[f"GIT_CONFIG_VALUE_{number}"] = value
    return Git(cwd, env)


def with_identity(git: Git) -> Git:
    """The same, able to commit: as the user where git knows who that is, else under this program's name."""
    if all(git.run_now("var", name, ok=range(256)).ok for name in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT")):
        return git
    return git.with_variables(
        GIT_AUTHOR_NAME=FALLBACK_NAME,
        GIT_AUTHOR_EMAIL=FALLBACK_EMAIL,
        GIT_COMMITTER_NAME=FALLBACK_NAME,
        GIT_COMMITTER_EMAIL=FALLBACK_EMAIL,
    )


def paths_of(output: bytes) -> tuple[str, ...]:
    """NUL-terminated paths → text, any bytes kept (surrogateescape)."""
    return tuple(os.fsdecode(part) for part in output.split(b"\0") if part)


_WRITING = frozenset(
    [
        "add",
        "checkout",
        "clean",
        "commit",
        "commit-tree",
        "merge-tree",
        "reset",
        "symbolic-ref",
        "update-ref",
        "worktree",
        "write-tree",
    ]
)


def _points(args: tuple[str, ...]) -> tuple[str, ...]:
    """The fail point that a command is: its verb and, where that does many things, what for; none for one that reads."""
    if args[0] not in _WRITING or args[:2] == ("symbolic-ref", "--quiet"):
        return ()
    if args[0] == "worktree":
        return (f"worktree-{args[1]}",)
    if args[0] != "update-ref":
        return (args[0],)
    ref = next(arg for arg in args if arg.startswith("refs/"))
    kind = "private" if ref.startswith("refs/orchestrate/") else "merged" if ref.endswith("/integration") else "attempt"
    return (f"{'delete' if '-d' in args else 'update'}-ref-{kind}",)


def _text(output: bytes) -> str:
    return output.decode("utf-8", "replace")


def _passes_by_itself(done: Finished, pause_s: float) -> bool:
    said = _text(done.stderr)
    is_first = pause_s == RETRY_AFTER_S[0]
    return not done.timed_out and _TRANSIENT.search(said) is not None and (is_first or bool(lock_in_the_way(said)))


def _error(args: tuple[str, ...], done: Finished, timeout_s: float, cwd: Path) -> GitError:
    """In git's own words: its `fatal:` and `error:` lines where there are any, else the end of what it said."""
    command = " ".join(args[:2]) if args[0] == "worktree" else args[0]
    if done.timed_out:
        return GitError(command, done.exit_code, f"no end after {timeout_s:g} s")
    lines = [line.strip() for line in _text(done.stderr or done.stdout).splitlines() if line.strip()]
    marked = [line for line in lines if line.startswith(("fatal:", "error:"))]
    words = re.sub(r"(^|; )(?:fatal|error): ", r"\1", "; ".join((marked or lines)[-3:]))[:2000]
    if lock := lock_in_the_way(words):
        words = f"{words.removesuffix('.')}; {explain_lock(cwd / lock)}"
    return GitError(command, done.exit_code, words)
