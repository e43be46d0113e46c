"""From a command line to an exit code: every way in which a command can end, said to a person or to a program.

Invariant: no exception leaves run_arguments (TAB completion alone exits by itself); stdout stays one JSON document when --json was asked for.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrate import failpoint
from orchestrate.cli.context import Given, environment, session_printer
from orchestrate.errors import ExitCode, InputRefused, OrchestrateError, Problem

if TYPE_CHECKING:
    from typer import TyperException

    from orchestrate.cli.app import Invocation
    from orchestrate.cli.printer import Printer


Run = Callable[[Sequence[str], "Invocation"], int]
"""How a command line is parsed and called; returns its exit code or raises."""


def run_arguments(arguments: Sequence[str], *, run: Run | None = None) -> int:
    """Run one command line; returns the exit code."""
    environ = environment()
    failpoint.arm(environ)
    wants_json = is_json_asked_for(arguments)
    if refusal := platform_refusal(sys.platform) or descriptor_refusal():
        return _refuse(refusal, session_printer(Given(), environ), wants_json=wants_json)

    import typer

    from orchestrate.cli.app import PIPE_CLOSED, Invocation, run_typer

    invocation = Invocation()

    def call() -> int:
        try:
            code = (run or run_typer)(arguments, invocation)
            if code != PIPE_CLOSED:
                _flush()
        except OrchestrateError as refusal:
            code = _refuse(refusal, _printer(invocation, environ), wants_json=wants_json)
        except typer.TyperException as usage:
            code = _refuse(_usage_refusal(usage, arguments), _printer(invocation, environ), wants_json=wants_json)
        return code

    try:
        code = call()
    except BrokenPipeError:
        code = PIPE_CLOSED
    except SystemExit as end:
        if not isinstance(end.__context__, OSError):
            raise
        code = PIPE_CLOSED  # Typer has met it first, while printing help
        if not isinstance(end.__context__, BrokenPipeError):
            code = _machine_code(end.__context__, arguments, invocation, environ, wants_json=wants_json)
    except (KeyboardInterrupt, typer.Abort):
        code = ExitCode.INTERRUPTED
    except OSError as error:
        code = _machine_code(error, arguments, invocation, environ, wants_json=wants_json)
    except Exception as defect:  # noqa: BLE001 - the last line of defence: said, kept in a file, exit code 70
        code = _confess(defect, arguments, invocation, environ, wants_json=wants_json)
    if code == PIPE_CLOSED or _unwritable_stream():
        _abandon_output(1, 2)
    return code


def platform_refusal(platform: str) -> OrchestrateError | None:
    """Why the program cannot work on this system (as sys.platform names it); None where it can."""
    if platform not in ("win32", "cygwin"):
        return None
    return OrchestrateError(
        "Windows is not supported: it lacks the means by which agents are kept in their place",
        hint="run orchestrate inside WSL 2",
    )


LEAST_DESCRIPTORS = 24
"""Open at the same time by a command that only looks: its streams, the log, pipes to git."""


def descriptor_refusal() -> OrchestrateError | None:
    """Why nothing can be done when too few files may be open at once; None when enough may."""
    from orchestrate.descriptors import raise_descriptor_limit

    limit = raise_descriptor_limit()
    if limit >= LEAST_DESCRIPTORS:
        return None
    return OrchestrateError(
        f"only {limit} files may be open at once, which is not enough (at least {LEAST_DESCRIPTORS})",
        hint="raise the limit: ulimit -n 1024",
    )


def is_json_asked_for(arguments: Sequence[str]) -> bool:
    """Whether errors are to be JSON too; known before the command line has been understood."""
    words = list(arguments)[: list(arguments).index("--")] if "--" in arguments else list(arguments)
    asked = {"--json", "--format=json"} & set(words)
    return bool(asked) or ("--format", "json") in itertools.pairwise(words)


def _printer(invocation: Invocation, environ: Mapping[str, str]) -> Printer:
    return invocation.session.printer if invocation.session else session_printer(invocation.given, environ)


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _refuse(refusal: OrchestrateError, printer: Printer, *, wants_json: bool) -> int:
    problems = refusal.problems if isinstance(refusal, InputRefused) else ()
    if wants_json:
        printer.document({"error": error_document(refusal)})
    else:
        for problem in problems:
            printer.refuse(problem_line(problem), hint=problem.hint)
        if len(problems) != 1:
            printer.refuse(refusal.message, hint=refusal.hint)
    return int(refusal.code)


def error_document(refusal: OrchestrateError) -> dict[str, object]:
    """What a program reads: {code, message, hint, problems}."""
    problems = refusal.problems if isinstance(refusal, InputRefused) else ()
    return {
        "code": int(refusal.code),
        "message": refusal.message,
        "hint": refusal.hint,
        "problems": [
            {
                "message": p.message,
                "hint": p.hint,
                "source": p.source,
                "line": p.line,
                "column": p.column,
                "where": p.where,
            }
            for p in problems
        ],
    }


def problem_line(problem: Problem) -> str:
    """`file:line:column: message`, as far as the place is known."""
    return f"{problem.place}: {problem.message}" if problem.place else problem.message


def _usage_refusal(usage: TyperException, arguments: Sequence[str]) -> OrchestrateError:
    """Bad usage, in our words: Typer's message, and the command whose --help tells more."""
    message = usage.format_message().rstrip(".?").replace("Value error, ", "")
    message = re.sub(r"Input should be a valid (\w+).*", r"expected a valid \1", message)
    message, _, near = message.partition(". Did you mean ")
    prefix, _, rest = message.partition(": ")
    if prefix.startswith("Invalid value for "):
        option = prefix.removeprefix("Invalid value for ").split(" / ")[0].strip("'")
        message = f"{option}: {rest}"
    else:
        message = message[:1].lower() + message[1:]
    from orchestrate.cli.app import COMMANDS

    ctx = getattr(usage, "ctx", None)
    called = next((f"orchestrate {word}" for word in arguments if word in COMMANDS), "orchestrate")
    command = ctx.command_path if ctx else called
    return OrchestrateError(message, hint=f"did you mean {near}?" if near else f"{command} --help")


# ── the machine ──────────────────────────────────────────────────────────────────────────────────────────────────


def _machine_code(
    error: OSError, arguments: Sequence[str], invocation: Invocation, environ: Mapping[str, str], *, wants_json: bool
) -> int:
    """An error of the system that no code expected: said if it is the machine's, a defect of ours otherwise."""
    if stream := _unwritable_stream():
        refusal: OrchestrateError | None = OrchestrateError(
            f"{stream} cannot be written: {error.strerror or error}",
            hint="send it to another place" if stream == "stdout" else "",
            code=ExitCode.INCOMPLETE,
        )
        wants_json = False
        _abandon_output(1 if stream == "stdout" else 2)
    else:
        refusal = machine_refusal(error)
    if refusal is None:
        return _confess(error, arguments, invocation, environ, wants_json=wants_json)
    try:
        return _refuse(refusal, _printer(invocation, environ), wants_json=wants_json)
    except OSError:
        return int(refusal.code)  # nobody can be told


def machine_refusal(error: OSError) -> OrchestrateError | None:
    """What the system lacks, in words; None for an error that need not be the machine's."""
    where = f": {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            words = "no space left on the disk" if error.errno == errno.ENOSPC else "the disk quota is used up"
            hint = "make room (orchestrate cleanup --merged), then go on: orchestrate resume"
        case errno.EROFS:
            words, hint = "the file system is mounted read-only", "mount it for writing; `dmesg` tells if it has failed"
        case errno.EMFILE | errno.ENFILE:
            words, hint = "too many files are open", "raise the limit: ulimit -n 1024; then go on: orchestrate resume"
        case errno.ENOMEM:
            words, hint = "the memory is used up", "close other programs, then go on: orchestrate resume"
        case errno.EIO:
            words, hint = "the disk cannot be read or written", "look at the disk: `dmesg` tells what has failed"
        case errno.EACCES | errno.EPERM if where:
            words, hint = "access is denied", f"check who owns it: ls -ld {shlex.quote(os.fsdecode(error.filename))}"
        case _:
            return None
    return OrchestrateError(f"{words}{where}", hint=hint, code=ExitCode.INCOMPLETE)


def _unwritable_stream() -> str:
    """Name of the stream that does not take what was written to it; empty: both do."""
    for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr)):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            return name
        except ValueError:
            continue  # closed by us
    return ""


# ── defects ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _confess(
    defect: Exception,
    arguments: Sequence[str],
    invocation: Invocation,
    environ: Mapping[str, str],
    *,
    wants_json: bool,
) -> int:
    """Say that this is our fault, and where the traceback lies."""
    from orchestrate.redact import Redactor, secret_values

    redact = Redactor(secret_values(environ)).redact
    text = redact("".join(traceback.format_exception(defect)))
    words = redact(" ".join(arguments))
    file = write_crash_file(f"orchestrate {words}\n\n{text}")
    message = f"this is a defect of orchestrate: {type(defect).__name__}: {redact(str(defect))}"
    hint = f"please report it with {file}" if file else "repeat it with --debug and report what it shows"
    printer = _printer(invocation, environ)
    asked = invocation.given.debug or environ.get("ORCHESTRATE_DEBUG", "") not in ("", "0")
    if asked:
        printer.err.line(text.rstrip())
    _refuse(OrchestrateError(message, hint=hint, code=ExitCode.BUG), printer, wants_json=wants_json)
    return ExitCode.BUG


def write_crash_file(text: str) -> Path | None:
    """Keep the traceback in the user's state directory, readable by the user only; None if that cannot be written."""
    import platformdirs

    try:
        directory = Path(platformdirs.user_state_dir("orchestrate")) / "crashes"
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = directory / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as f:
            f.write(text)
    except OSError:
        return None
    return file


# ── the streams ──────────────────────────────────────────────────────────────────────────────────────────────────


def _flush() -> None:
    """Now, while a closed pipe can still be told from a defect; not at interpreter exit."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _abandon_output(*descriptors: int) -> None:
    """The reader has left, or the disk is full: what is still buffered goes nowhere, and the interpreter does not complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        try:
            os.dup2(nowhere, descriptor)
        except OSError:
            continue
    os.close(nowhere)
