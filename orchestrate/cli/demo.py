"""`orchestrate demo`: a whole run in a throw-away repository, through the ordinary commands."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from orchestrate.cli.context import Session
from orchestrate.errors import ExitCode, OrchestrateError

FORGOTTEN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
"""Variables that would lead git elsewhere."""


def demo(
    session: Session,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="DIR", help="Make the repository there (new or empty).")
    ] = None,
) -> ExitCode:
    """Watch a whole run in a throw-away repository: six features in four waves, one of them mended by feedback.

    The agent is a scripted stand-in; nothing is spent, and no network is used. Your own files stay as they are.

    \b
      orchestrate demo
      orchestrate demo --keep ~/tally
    """
    from orchestrate.app.demo import build_demo

    directory = _empty_directory(session, keep)
    environ = demo_environment(session.environ, directory)
    try:
        build_demo(directory, environ)
    except OSError as failed:
        raise OrchestrateError(
            f"the demo repository could not be made: {failed}", hint="orchestrate doctor"
        ) from failed
    # The worktrees lie beside the repository; in a temporary directory of our own the whole of it can go.
    traces = (directory.parent,) if keep is None else (directory, directory.with_name(f"{directory.name}.worktrees"))
    tour = _Tour(session, directory, environ, traces)
    tour.say(f"A small program and a plan for it, in {directory}")
    if code := tour.orchestrate("plan"):
        return ExitCode(code)
    if code := tour.orchestrate("run", "--yes"):
        return ExitCode(code)
    return tour.conclude()


def _empty_directory(session: Session, keep: Path | None) -> Path:
    if keep is None:
        directory = Path(tempfile.mkdtemp(prefix="orchestrate-demo-")).resolve() / "tally"
    else:
        directory = session.path(keep.expanduser()).resolve()
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise OrchestrateError(f"--keep {keep}: is not empty", hint="name a directory that does not exist yet")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as failed:
        raise OrchestrateError(f"--keep {keep}: {failed.strerror}", hint="name another directory") from failed
    return directory


def demo_environment(environ: Mapping[str, str], directory: Path) -> dict[str, str]:
    """The user's environment without what would change the demo: settings of ours, and of git's."""
    kept = {k: v for k, v in environ.items() if not k.startswith("ORCHESTRATE_") and k not in FORGOTTEN}
    return kept | {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Demo",
        "GIT_AUTHOR_EMAIL": "demo@localhost",
        "GIT_COMMITTER_NAME": "Demo",
        "GIT_COMMITTER_EMAIL": "demo@localhost",
        "XDG_CONFIG_HOME": str(directory.parent / "no-config"),
    }


class _Tour:
    """Shows each command before it is run, as the user would type it."""

    def __init__(self, session: Session, directory: Path, environ: dict[str, str], traces: tuple[Path, ...]) -> None:
        self._printer, self._directory, self._environ = session.printer, directory, environ
        self._traces = traces

    def say(self, text: str) -> None:
        self._printer.say(text)

    def orchestrate(self, *args: str) -> int:
        """One of our own commands, as a process of its own on this terminal. Returns its exit status."""
        return self._run(("orchestrate", *args), (sys.executable, "-m", "orchestrate.cli", *args))

    def _run(self, shown: tuple[str, ...], argv: tuple[str, ...]) -> int:
        from orchestrate.process import run_attached

        err = self._printer.err
        self.say("\n" + err.paint(f"$ {shlex.join(shown)}", "bold"))
        return run_attached(argv, cwd=self._directory, env=self._environ)

    def conclude(self) -> ExitCode:
        """Land the result, as the user would, and show that it works."""
        from orchestrate.app.unfinished import newest_result

        branch, report = newest_result(self._directory, self._environ)
        self.say("\nThe result is one branch. Landing it is your act; here it is done for you:")
        for command in (
            ("git", "log", "--oneline", "--graph", "--first-parent", f"main..{branch}"),
            ("git", "merge", "-q", "--ff-only", branch),
            ("python3", "-m", "unittest", "-q"),
            ("python3", "-m", "tally", "README.md"),
        ):
            argv = (sys.executable, *command[1:]) if command[0] == "python3" else command
            if code := self._run(command, argv):
                self._printer.refuse(f"{shlex.join(command)} failed with exit code {code}")
                return ExitCode.INCOMPLETE
        self.say(f"\nreport      {report}")
        self.say(f"repository  {self._directory}")
        self.say("the agent was a scripted stand-in: its tokens and dollars are made up")
        self.say(f"all of it may be deleted: rm -rf {shlex.join(map(str, self._traces))}")
        self.say("\nnext, in your own repository: orchestrate init && orchestrate plan && orchestrate run")
        return ExitCode.DONE
