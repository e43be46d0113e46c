"""What a command is given: where it stands, the environment, the printer, and whether it may ask.

The only place that reads the process's environment; everybody else is handed the value.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrate.cli.printer import ColorWish, Printer, build_printer
from orchestrate.errors import ExitCode, OrchestrateError

if TYPE_CHECKING:
    from orchestrate.spec.load import Loaded
    from orchestrate.spec.settings import Settings


@dataclass(frozen=True, slots=True)
class Given:
    """The options that every command takes, before or after its name; None or 0: not given."""

    directory: Path | None = None
    color: ColorWish | None = None
    ascii_only: bool = False
    quiet: int = 0
    verbose: int = 0
    no_input: bool = False
    debug: bool = False

    def merged(self, later: Given) -> Given:
        """Both together; what was said later wins."""
        said = {f.name: getattr(later, f.name) for f in fields(later) if getattr(later, f.name)}
        said |= {"quiet": self.quiet + later.quiet, "verbose": self.verbose + later.verbose}
        if self.directory and later.directory:
            said["directory"] = self.directory / later.directory
        return replace(self, **said)


@dataclass(frozen=True, slots=True)
class Session:
    """One command line at work. start: the directory it is about, absolute. can_ask: a person is there to answer."""

    start: Path
    environ: Mapping[str, str]
    printer: Printer
    can_ask: bool = False
    debug: bool = False

    def path(self, given: Path) -> Path:
        """A path as the user typed it, seen from -C."""
        return self.start / given

    def load(self, config: Path | None = None, flags: Mapping[str, object] | None = None) -> Loaded:
        """Feature list and settings, complete and checked. Raises InputRefused with every problem at once.

        flags: settings given on the command line, by setting name; None values are left out.
        """
        from orchestrate.spec.load import load_project

        given = {name: value for name, value in (flags or {}).items() if value is not None}
        return load_project(start=self.start, config=config, environ=self.environ, flags=given)

    def settings_at_hand(self) -> Settings:
        """The settings for a command that brings work back or clears it away, which a mistake in a file must not keep from
        it: then those that nobody gave."""
        from orchestrate.spec.load import load_settings
        from orchestrate.spec.settings import Settings

        try:
            return load_settings(start=self.start, environ=self.environ, flags={})[0]
        except OrchestrateError as mistake:
            self.printer.warn(f"the settings are left out: {mistake.message}", hint="see them all: orchestrate plan")
            return Settings()

    def confirm(self, question: str, *, flag: str) -> bool:
        """Ask a person. Without one: OrchestrateError that names the flag which answers (exit code 2)."""
        if not self.can_ask:
            raise OrchestrateError(
                f"a person has to answer this, and there is no terminal to ask at: {question}",
                hint=f"answer with {flag}",
            )
        stream = self.printer.err
        stream.file.write(f"{question} [y/N] ")
        stream.file.flush()
        answer = sys.stdin.readline()
        if not answer.endswith("\n"):
            stream.line()
        return answer.strip().lower() in ("y", "yes")

    def choose(self, question: str, answers: Mapping[str, str]) -> str:
        """Ask a person which of them it is; can_ask must hold. answers: what each letter means. Empty: none of them."""
        stream = self.printer.err
        stream.line(question)
        for letter, meaning in answers.items():
            stream.line(f"  {stream.paint(letter, 'bold')}  {meaning}")
        stream.file.write(f"which? [{'/'.join(answers)}] ")
        stream.file.flush()
        answer = sys.stdin.readline()
        if not answer.endswith("\n"):
            stream.line()
        letter = answer.strip().lower()[:1]
        return letter if letter in answers else ""


def environment() -> dict[str, str]:
    """A copy of this process's environment."""
    return dict(os.environ)


def build_session(given: Given, environ: Mapping[str, str]) -> Session:
    """Raises OrchestrateError if the directory of -C is none."""
    start = _start_directory(given.directory)
    printer = session_printer(given, environ)
    has_terminal = sys.stdin is not None and sys.stdin.isatty() and printer.err.is_terminal
    debug = given.debug or environ.get("ORCHESTRATE_DEBUG", "") not in ("", "0")
    return Session(start, environ, printer, can_ask=has_terminal and not given.no_input, debug=debug)


def session_printer(given: Given, environ: Mapping[str, str]) -> Printer:
    """The printer alone, for refusals that come before there is a session."""
    return build_printer(
        sys.stdout,
        sys.stderr,
        environ=environ,
        color=given.color or "auto",
        ascii_only=given.ascii_only,
        verbosity=given.verbose - given.quiet,
    )


def _start_directory(directory: Path | None) -> Path:
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise OrchestrateError(
            "the current directory no longer exists", hint="cd somewhere else, or use -C DIR", code=ExitCode.REFUSED
        ) from None
    start = here / directory if directory else here
    if not start.is_dir():
        raise OrchestrateError(f"-C {directory}: there is no such directory")
    return start.resolve()
