"""What a command is given, and when it may ask."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrate.cli.context import Given, Session, build_session
from orchestrate.cli.printer import build_printer
from orchestrate.errors import OrchestrateError

ASK = (
    "import sys; from orchestrate.cli.context import Given, build_session, environment;"
    "session = build_session(Given(no_input='--no-input' in sys.argv), environment());"
    "print(session.confirm('Proceed?', flag='--yes'))"
)


def answered(typed: bytes) -> tuple[str, str]:
    """(what confirm() returned, what the terminal showed) when a person types that."""
    ours, theirs = pty.openpty()
    try:
        child = subprocess.Popen([sys.executable, "-c", ASK], stdin=theirs, stdout=subprocess.PIPE, stderr=theirs)
        os.close(theirs)
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(ours, 1024)
        os.write(ours, typed)
        out, _ = child.communicate(timeout=30)
    finally:
        os.close(ours)
    return out.decode().strip(), shown.decode()


@pytest.mark.parametrize(
    ("typed", "meant"), [(b"y\n", "True"), (b"Yes\n", "True"), (b"n\n", "False"), (b"\n", "False"), (b"\x04", "False")]
)
def test_a_person_is_asked(typed: bytes, meant: str) -> None:
    assert answered(typed) == (meant, "Proceed? [y/N] ")


def test_nobody_is_asked_without_a_terminal(tmp_path: Path) -> None:
    session = Session(tmp_path, {}, build_printer(None, None, environ={}))
    with pytest.raises(OrchestrateError, match="no terminal") as refused:
        session.confirm("Proceed?", flag="--yes")
    assert refused.value.hint == "answer with --yes"


def test_nobody_is_asked_under_no_input() -> None:
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0), open(theirs, "rb", buffering=0):
        done = subprocess.run(
            [sys.executable, "-c", ASK, "--no-input"], stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, check=False
        )
    assert done.returncode != 0
    assert done.stdout == b""


def test_directory_of_the_session(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    session = build_session(Given(directory=tmp_path), {})
    assert session.start == tmp_path.resolve()
    assert session.path(Path("inner")) == tmp_path.resolve() / "inner"
    assert session.path(Path("/etc")) == Path("/etc")


@pytest.mark.parametrize(("value", "debug"), [("", False), ("0", False), ("1", True)])
def test_debug_by_environment(tmp_path: Path, value: str, debug: bool) -> None:
    assert build_session(Given(directory=tmp_path), {"ORCHESTRATE_DEBUG": value}).debug is debug
    assert build_session(Given(directory=tmp_path, debug=True), {}).debug


def test_a_directory_that_is_gone(tmp_path: Path) -> None:
    program = "import os, sys; os.rmdir(os.getcwd()); from orchestrate.cli import main; sys.exit(main(['plan']))"
    gone = tmp_path / "gone"
    gone.mkdir()
    # -P: like the installed command, Python does not look for modules in the current directory.
    argv = [sys.executable, "-P", "-c", program]
    done = subprocess.run(argv, cwd=gone, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the current directory no longer exists\n  hint: ")
