"""Where the files of a repository's runs lie. Every path of the state directory comes from here.

Invariant: only the writing methods create anything, for the owner's eyes only; a file written here is whole or absent.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path

from orchestrate import failpoint
from orchestrate.core.names import AttemptKey
from orchestrate.errors import ExitCode, OrchestrateError


@dataclass(frozen=True, slots=True)
class StateDir:
    """`<common git directory>/orchestrate`: shared by all checkouts of the repository, seen by none of them.

    ```
    log.sqlite3      engine.lock      worktree.lock    ballast
    backups/log-<events>-<sum>.sqlite3
    runs/<run>/plan.json  report.json  report.md
    runs/<run>/artifacts/<feature>/<attempt>/…
    ```
    """

    common_git_dir: Path

    @property
    def root(self) -> Path:
        return self.common_git_dir.resolve() / "orchestrate"

    @property
    def log(self) -> Path:
        return self.root / "log.sqlite3"

    @property
    def backups(self) -> Path:
        """Copies of the log, made when an engine starts."""
        return backups_of(self.log)

    @property
    def ballast(self) -> Path:
        """Space that is given up when the disk is full, so that the log can still say so."""
        return ballast_of(self.log)

    @property
    def engine_lock(self) -> Path:
        return self.root / "engine.lock"

    @property
    def worktree_lock(self) -> Path:
        return self.root / "worktree.lock"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    def run_dir(self, run: str) -> Path:
        return self.runs / _plain_name(run)

    def plan(self, run: str) -> Path:
        return self.run_dir(run) / "plan.json"

    def report_json(self, run: str) -> Path:
        return self.run_dir(run) / "report.json"

    def report_markdown(self, run: str) -> Path:
        return self.run_dir(run) / "report.md"

    def artifacts(self, run: str) -> Path:
        """Transcripts and outputs of the run's attempts."""
        return self.run_dir(run) / "artifacts"

    def attempt_dir(self, key: AttemptKey) -> Path:
        return self.artifacts(key.run) / _plain_name(key.feature) / str(key.attempt)

    def create(self) -> Path:
        """Make the state directory, for the owner alone. Commands that only read never call this."""
        return make_private(self.root)


def backups_of(log: Path) -> Path:
    return log.with_name("backups")


def ballast_of(log: Path) -> Path:
    return log.with_name("ballast")


def _plain_name(text: str) -> str:
    """A run id or feature id as one component of a path. Raises ValueError for anything that would lead elsewhere."""
    if not text or text in (".", "..") or "/" in text or "\0" in text:
        raise ValueError(f"{text!r} cannot be the name of a directory")
    return text


def make_private(directory: Path) -> Path:
    """Create the directory and its missing parents with mode 0700; those that exist stay as they are.

    Raises OSError, and OrchestrateError where something else lies there.
    """
    if not directory.is_dir():
        make_private(directory.parent)
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
        except FileExistsError as error:
            place = shlex.quote(str(directory))
            raise OrchestrateError(
                f"{directory} is no directory, so nothing can be kept in it",
                hint=f"see what it is: ls -ld {place}   and move it out of the way: mv {place} {shlex.quote(f'{directory}.foreign')}",
                code=ExitCode.INCOMPLETE,
            ) from error
    return directory


def write_atomically(path: Path, text: str) -> None:
    """Replace the file's content, mode 0600: a reader sees the old text or the new one, also after a loss of power.

    What cannot be written as UTF-8 (lone surrogates) is escaped. Raises OSError.
    """
    make_private(path.parent)
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(fd, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.write(text)
        put_in_place(Path(name), path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def put_in_place(aside: Path, path: Path) -> None:
    """Give a complete file its name: its content is synced first, then the name, then the directory that holds it."""
    sync(aside)
    point = path.name.partition("-")[0]  # `log` for all backups, whose names tell what is in them
    failpoint.reach("file.*.before", point)
    aside.replace(path)
    failpoint.reach("file.*.after", point)
    sync(path.parent)


def sync(path: Path) -> None:
    """What was written to the file, or the names in the directory, survive a loss of power from now on."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
