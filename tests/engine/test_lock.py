"""One engine a repository, however the last one died."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from orchestrate.engine.lock import Held, Owner, acquire, owner, this_process
from orchestrate.errors import OrchestrateError
from orchestrate.process import start_time

ROOT = Path(__file__).parents[2]
RUN = "20261121-111415-7f3a"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "engine.lock"


def me(run: str = RUN) -> Owner:
    return this_process(run=run, command="orchestrate run", since=1_795_000_000.0)


def start_engine(path: Path, run: str = RUN, then: str = "sys.stdin.read()") -> subprocess.Popen[str]:
    """Another process that takes the lock, says so, and does `then`."""
    program = f"""
        import os, pathlib, subprocess, sys
        from orchestrate.engine.lock import acquire, this_process
        held = acquire(pathlib.Path(sys.argv[1]), this_process(run={run!r}, command="x", since=1.0))
        print(os.getpid(), flush=True)
        {then}
    """
    engine = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
    )
    assert engine.stdout is not None
    assert int(engine.stdout.readline()) == engine.pid
    return engine


def kill(engine: subprocess.Popen[str]) -> None:
    engine.send_signal(signal.SIGKILL)
    engine.communicate()


def test_the_owner_is_noted_and_gone_after_release(path: Path) -> None:
    with acquire(path, me()) as held:
        assert owner(path) == me()
        assert (me().pid, me().started) == (os.getpid(), start_time(os.getpid()))
        held.note(me("another"))
        assert owner(path) == me("another")
    assert owner(path) is None
    assert path.exists(), "the file is never unlinked"
    acquire(path, me()).release()


def test_release_may_be_repeated(path: Path) -> None:
    held = acquire(path, me())
    held.release()
    held.release()
    assert owner(path) is None


def test_a_second_engine_is_refused_with_the_name_of_the_first(path: Path) -> None:
    engine = start_engine(path)
    with pytest.raises(OrchestrateError) as refusal:
        acquire(path, me("20270101-000000-0000"))
    noted = owner(path)
    kill(engine)
    assert noted is not None
    assert noted.pid == engine.pid
    assert refusal.value.message.startswith(f"run {RUN} is being driven by pid {engine.pid} on {noted.host} since 19")
    assert "orchestrate pause" in refusal.value.hint and "orchestrate stop" in refusal.value.hint


def test_a_command_that_drives_no_run_is_named_by_its_words(path: Path) -> None:
    words = "`orchestrate cleanup` is at work on this repository: pid"
    cleaner = this_process(run="", command="orchestrate cleanup", since=1.0)
    with acquire(path, cleaner), pytest.raises(OrchestrateError, match=words):
        acquire(path, me())


def test_nobody_is_there_before_the_first_engine(path: Path) -> None:
    assert owner(path) is None
    assert not path.parent.exists(), "looking makes nothing"


def test_kill_9_leaves_no_stale_lock(path: Path) -> None:
    for round_ in range(20):
        engine = start_engine(path, f"run-{round_}")
        noted = owner(path)
        assert noted is not None and (noted.pid, noted.run) == (engine.pid, f"run-{round_}")
        kill(engine)
        assert owner(path) is None, "although its note is still in the file"
        assert path.stat().st_size > 0
        acquire(path, me()).release()


def test_a_child_does_not_inherit_the_lock(path: Path) -> None:
    engine = start_engine(
        path, then="c = subprocess.Popen(['cat'], close_fds=False); print(c.pid, flush=True); sys.stdin.read()"
    )
    assert engine.stdout is not None
    orphan = int(engine.stdout.readline())
    engine.send_signal(signal.SIGKILL)
    engine.wait()
    try:
        acquire(path, me()).release()
        os.kill(orphan, 0)  # it outlived its engine: otherwise this proves nothing
    finally:
        os.kill(orphan, signal.SIGKILL)
        engine.communicate()


def test_of_many_at_once_one_wins(path: Path) -> None:
    program = """
        import pathlib, sys
        from orchestrate.engine.lock import acquire, this_process
        from orchestrate.errors import OrchestrateError
        sys.stdin.readline()
        try:
            held = acquire(pathlib.Path(sys.argv[1]), this_process(run="r", command="x", since=1.0))
        except OrchestrateError:
            print("refused", flush=True)
        else:
            print("held", flush=True)
        sys.stdin.read()
    """
    engines = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        )
        for _ in range(5)
    ]  # fmt: skip
    for engine in engines:
        assert engine.stdin is not None
        engine.stdin.write("go\n")
        engine.stdin.flush()
    said = [engine.stdout.readline().strip() for engine in engines if engine.stdout is not None]
    for engine in engines:
        engine.communicate()
    assert sorted(said) == ["held", *["refused"] * 4]


def test_a_file_that_was_unlinked_meanwhile_is_not_the_lock(path: Path) -> None:
    """The other engine's file vanishes between our open and our lock: what we hold then is nobody's lock."""
    locked: list[int] = []

    def flock(fd: int, how: int) -> None:
        if not locked:
            path.unlink()
        locked.append(os.fstat(fd).st_ino)

    with acquire(path, me(), flock=flock) as held:
        assert len(locked) == 2
        assert path.stat().st_nlink == 1
        assert os.fstat(held._fd).st_ino == path.stat().st_ino


def test_a_reader_that_looks_at_the_wrong_moment_does_not_turn_an_engine_away(path: Path) -> None:
    calls = 0

    def flock(fd: int, how: int) -> None:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise BlockingIOError(errno.EWOULDBLOCK, "held")

    acquire(path, me(), flock=flock).release()
    assert calls == 3


def unsupported(fd: int, how: int) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


def test_a_file_system_without_locks_is_refused(path: Path) -> None:
    with pytest.raises(OrchestrateError, match=r"cannot lock files, so a second engine could not be kept out$"):
        acquire(path, me(), flock=unsupported)


def test_an_engine_on_another_host_is_named_where_locks_do_not_work(path: Path) -> None:
    path.parent.mkdir()
    there = Owner(41, "7", "boot", "elsewhere", RUN, "orchestrate run", 1.0)
    path.touch()
    fd = os.open(path, os.O_RDWR)
    Held(fd, path).note(there)
    os.close(fd)
    with pytest.raises(OrchestrateError, match="last driven by pid 41 on elsewhere since 1970-01-01"):
        acquire(path, me(), flock=unsupported)
    assert owner(path, flock=unsupported) is None


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"{",
        b"[]",
        b'{"pid": "x"}',
        b'{"pid":"1","started":"","boot":"","host":"","run":"","command":"","since":"x"}',
    ],
)
def test_a_note_that_cannot_be_read_does_not_open_the_lock(path: Path, note: bytes) -> None:
    with acquire(path, me()):
        path.write_bytes(note)
        noted = owner(path)
        assert noted is not None and noted.pid == 0
        with pytest.raises(OrchestrateError, match="this repository is in use: another engine"):
            acquire(path, me())
    assert owner(path) is None


def test_a_lock_that_may_not_be_opened_is_an_error(tmp_path: Path) -> None:
    def denied(fd: int, how: int) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with pytest.raises(OrchestrateError, match=r"cannot lock .*: Permission denied"):
        acquire(tmp_path / "engine.lock", me(), flock=denied)
    with pytest.raises(PermissionError):
        owner(tmp_path / "engine.lock", flock=denied)
