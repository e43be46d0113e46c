"""What a machine can do to a log: each fault has its own words, and what to do about it."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrate.core import events as ev
from orchestrate.errors import ExitCode, OrchestrateError
from orchestrate.store import refusals
from orchestrate.store.log import SqliteEventLog

ROOT = Path(__file__).parents[2]


def fill(path: Path, *messages: str) -> None:
    with SqliteEventLog(path) as log:
        log.append("r", [ev.Warned(1.0, "a", message) for message in messages])


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """All file descriptors of this process are used up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("read_only", [False, True])
def test_without_file_descriptors(log_path: Path, *, read_only: bool) -> None:
    fill(log_path, "one")
    with no_more_files(), pytest.raises(OrchestrateError, match="Too many open files") as e:
        SqliteEventLog(log_path, read_only=read_only)
    assert "ulimit -n" in e.value.hint and e.value.code == ExitCode.INCOMPLETE
    with SqliteEventLog(log_path) as log:
        assert len(log.read("r")) == 1


def test_an_open_log_goes_on_without_file_descriptors(log_path: Path) -> None:
    with SqliteEventLog(log_path) as log:
        log.append("r", [ev.Warned(1.0, "a", "one")])
        with no_more_files():
            log.append("r", [ev.Warned(2.0, "a", "two")])
            assert len(log.read("r")) == 2


def as_nobody(program: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    """Runs it as a user whom permissions keep out, also when these tests are run by root."""
    source = """
        import os, pathlib, sys, urllib.parse  # while we may still read where Python lies
        from orchestrate.core import events as ev
        from orchestrate.errors import OrchestrateError
        from orchestrate.store.log import SqliteEventLog
        if os.geteuid() == 0:
            os.setgroups([]), os.setgid(65534), os.setuid(65534)
        path = pathlib.Path(sys.argv[1])
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source) + textwrap.dedent(program), *map(str, arguments)],
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


TRY = """
    try:
        with SqliteEventLog(path) as log:
            log.append("r", [ev.Warned(1.0, "a", "two")])
        print("written")
    except OrchestrateError as refused:
        print(refused.message, "|", refused.hint)
"""


@pytest.fixture
def public_log() -> Iterator[Path]:
    """In a directory that other users can reach (pytest's own are private)."""
    directory = Path(tempfile.mkdtemp(prefix="orchestrate-test-", dir="/tmp"))
    directory.chmod(0o755)
    fill(directory / "log.sqlite3", "one")
    yield directory / "log.sqlite3"
    directory.chmod(0o755)
    shutil.rmtree(directory)


@pytest.mark.parametrize(("of_file", "of_directory"), [(0o444, 0o555), (0o666, 0o555), (0o000, 0o555)])
def test_a_log_that_may_not_be_written(public_log: Path, of_file: int, of_directory: int) -> None:
    before = public_log.read_bytes()
    public_log.chmod(of_file)
    public_log.parent.chmod(of_directory)
    tried = as_nobody(TRY, public_log)
    assert (tried.returncode, tried.stderr) == (0, "")
    assert f"the log {public_log} cannot be used: Permission denied" in tried.stdout
    assert "check who owns it: ls -ld" in tried.stdout
    public_log.chmod(0o644)
    assert public_log.read_bytes() == before


ALONE = ("unshare", "--user", "--map-root-user", "--mount")

SMALL_DISK = 100
"""MiB."""


def on_a_small_disk(program: str, at: Path) -> subprocess.CompletedProcess[str]:
    """Runs it with a file system of its own at `at`: `fill()` fills it, `again(read_only)` opens the log anew."""
    source = f"""
        import os, pathlib, subprocess, sys
        from orchestrate.core import events as ev
        from orchestrate.errors import OrchestrateError
        from orchestrate.store.ballast import keep_ballast
        from orchestrate.store.log import SqliteEventLog
        at = pathlib.Path(sys.argv[1])
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size={SMALL_DISK}m", "tmpfs", at])
        if mounted.returncode:
            sys.exit(77)
        path = at / "log.sqlite3"
        def fill():
            with open(at / "filling", "ab") as file:
                for size in (2**20, 2**12):
                    try:
                        while True:
                            os.write(file.fileno(), bytes(size))
                    except OSError:
                        pass
        def warned(count):
            return [ev.Warned(1.0, "a", "x" * 1000)] * count
        def attempt(what):
            try:
                print(what())
            except OrchestrateError as refused:
                print("refused:", refused.message, "|", refused.hint)
    """
    return subprocess.run(
        [*ALONE, sys.executable, "-c", textwrap.dedent(source) + textwrap.dedent(program), str(at)],
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    if shutil.which("unshare") is None or on_a_small_disk("", tmp_path).returncode:
        pytest.skip("no file system can be mounted here")
    return tmp_path


def test_a_full_disk_leaves_room_for_what_must_be_said(small_disk: Path) -> None:
    tried = on_a_small_disk(
        """
        with SqliteEventLog(path) as log:
            log.append("r", warned(10))
            print(keep_ballast(at / "ballast"))
            fill()
            attempt(lambda: len(log.append("r", warned(100))))
            print((at / "ballast").exists())
            fill()
            attempt(lambda: len(log.append("r", warned(100))))
            attempt(lambda: log.verify())
        """,
        small_disk,
    )
    assert tried.stderr == ""
    made, appended, still_there, refused, whole = tried.stdout.splitlines()
    assert (made, appended, still_there, whole) == ("True", "100", "False", "110")
    assert refused.startswith("refused: no space left to write the log") and "free some space (df -h" in refused


def test_a_log_is_opened_on_a_full_disk(small_disk: Path) -> None:
    tried = on_a_small_disk(
        """
        with SqliteEventLog(path) as log:
            log.append("r", warned(10))
        fill()
        def look():
            with SqliteEventLog(path, read_only=True) as log:
                return len(log.read("r")), log.verify()
        def write():
            with SqliteEventLog(path) as log:
                return len(log.append("r", warned(1)))
        attempt(look)
        attempt(write)
        (at / "filling").unlink()
        attempt(write)
        attempt(look)
        """,
        small_disk,
    )
    assert tried.stderr == ""
    looked, refused, written, whole = tried.stdout.splitlines()
    assert (looked, written, whole) == ("(10, 10)", "1", "(11, 11)")
    assert refused.startswith("refused: no space left to write the log")


def test_a_disk_that_was_made_read_only(small_disk: Path) -> None:
    tried = on_a_small_disk(
        """
        with SqliteEventLog(path) as log:
            log.append("r", warned(10))
        subprocess.run(["mount", "-o", "remount,ro", at], check=True)
        def look():
            with SqliteEventLog(path, read_only=True) as log:
                return len(log.read("r")), log.verify()
        attempt(look)
        attempt(lambda: SqliteEventLog(path))
        """,
        small_disk,
    )
    assert tried.stderr == ""
    looked, refused = tried.stdout.splitlines()
    assert looked == "(10, 10)"
    assert "Read-only file system" in refused and "findmnt -T" in refused


@pytest.mark.parametrize(
    ("number", "said", "hint"),
    [
        (errno.ENOSPC, "no space left", "df -h"),
        (errno.EDQUOT, "no space left", "df -h"),
        (errno.EMFILE, "Too many open files", "ulimit -n"),
        (errno.EROFS, "Read-only file system", "findmnt"),
        (errno.EACCES, "Permission denied", "ls -ld"),
        (errno.EIO, "Input/output error", "ls -ld"),
    ],
)
def test_what_the_system_says_is_passed_on(log_path: Path, number: int, said: str, hint: str) -> None:
    refused = refusals.from_system(log_path, OSError(number, os.strerror(number)))
    assert said in refused.message and hint in refused.hint


def test_a_failing_disk_is_named_as_such_with_the_way_back(log_path: Path) -> None:
    fill(log_path, "one")
    with SqliteEventLog(log_path) as log:
        log.back_up(0.0)
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_READ"
    refused = refusals.from_sqlite(log_path, error)
    assert "dmesg" in refused.hint and "to put it in place: cd " in refused.hint
