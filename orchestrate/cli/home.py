"""`orchestrate` alone: where this repository stands, and the next sensible command."""

from __future__ import annotations

from orchestrate.cli.context import Session
from orchestrate.errors import ExitCode


def home(session: Session) -> ExitCode:
    session.printer.answer("…")
    return ExitCode.DONE
