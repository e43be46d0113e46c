"""Refusals shown to a person: what is wrong, where, and what to do about it. Never raised for a bad outcome of work."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """How the command ended, for scripts. Documented in docs/exit-codes.md."""

    DONE = 0
    """Everything that was asked for is integrated, or the answer was given."""
    INCOMPLETE = 1
    """Some features were not integrated, or the user declined."""
    REFUSED = 2
    """Input, configuration or usage was refused; nothing was changed."""
    LIMIT = 3
    """A limit (cost, usage) stopped the run; it can be resumed."""
    BUG = 70
    """A defect of this program; the log is intact."""
    INTERRUPTED = 130
    """Ended by Ctrl-C."""
    TERMINATED = 143
    """Ended by SIGTERM."""


class OrchestrateError(Exception):
    """A refusal. Shown as two lines on stderr, without a traceback.

    message: what happened, to what; hint: what to do next, ready to paste where possible.
    """

    def __init__(self, message: str, *, hint: str = "", code: ExitCode = ExitCode.REFUSED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the input.

    source: file as the user wrote it, or `environment ORCHESTRATE_X`, or `--flag`; empty when none is at fault.
    line, column: 1-based, 0 when unknown. where: path inside the file, such as `features[2].depends_on`.
    """

    message: str
    hint: str = ""
    source: str = ""
    line: int = 0
    column: int = 0
    where: str = ""

    @property
    def place(self) -> str:
        """`file:line:column`, as far as it is known."""
        if not self.source:
            return ""
        if not self.line:
            return self.source
        return f"{self.source}:{self.line}:{self.column or 1}"


class InputRefused(OrchestrateError):
    """All problems of the input at once; exit code 2."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        count = len(problems)
        super().__init__(f"{count} problem{'s' if count != 1 else ''} in the input; nothing was changed")
        self.problems = problems
