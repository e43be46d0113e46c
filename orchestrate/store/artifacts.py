"""Where the files of a repository's runs lie. Every path of the state directory comes from here.

Invariant: only the writing methods create anything, for the owner's eyes only; a file written here is whole or absent.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from orchestrate import failpoint
from orchestrate.core.names import AttemptKey


@dataclass(frozen=True, slots=True)
class StateDir:
    """`<common git directory>/orchestrate`: shared by all checkouts of the repository, seen by none of them.

    ```
    log.sqlite3      engine.lock      worktree.lock
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


def _plain_name(text: str) -> str:
    """A run id or feature id as one component of a path. Raises ValueError for anything that would lead elsewhere."""
    if not text or text in (".", "..") or "/" in text or "\0" in text:
        raise ValueError(f"{text!r} cannot be the name of a directory")
    return text


def make_private(directory: Path) -> Path:
    """Create the directory and its missing parents with mode 0700; those that exist stay as they are."""
    if not directory.is_dir():
        make_private(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
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
            file.flush()
            os.fsync(file.fileno())
        failpoint.reach("file.*.before", path.name)
        Path(name).replace(path)
        failpoint.reach("file.*.after", path.name)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
