"""One engine a repository, however the last one died."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from orchestrate.engine.lock import UNNAMED, Held, Owner, acquire, is_here, owner, refusal, this_process
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
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return
        if not locked:
            path.unlink()
        locked.append(os.fstat(fd).st_ino)

    with acquire(path, me(), flock=flock) as held:
        assert len(locked) == 2
        assert path.stat().st_nlink == 1
        assert os.fstat(held._fd).st_ino == path.stat().st_ino


@pytest.mark.parametrize("what", ["the file", "the state directory"])
def test_an_engine_whose_lock_was_removed_is_still_the_only_one(path: Path, what: str) -> None:
    engine = start_engine(path)
    if what == "the file":
        path.unlink()
    else:
        shutil.rmtree(path.parent)
    words = r"^an engine is at work here; its lock file was removed$"
    with pytest.raises(OrchestrateError, match=words):
        acquire(path, me())
    driver = owner(path)
    assert driver is UNNAMED
    with pytest.raises(OrchestrateError, match=words):
        raise refusal(driver)
    assert not path.exists(), "another file of that name would hide that this one is gone"
    kill(engine)
    assert owner(path) is None
    acquire(path, me()).release()


def test_another_file_by_the_name_of_the_lock_frees_nothing(path: Path) -> None:
    with acquire(path, me()):
        path.unlink()
        path.touch()
        with pytest.raises(OrchestrateError, match="this repository is in use: another engine"):
            acquire(path, me())
        assert owner(path) is not None


def test_where_directories_cannot_be_locked_the_file_alone_does(path: Path) -> None:
    def flock(fd: int, how: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EBADF, "Bad file descriptor")  # NFS: a lock to write asks for a file open to write
        fcntl.flock(fd, how)

    with acquire(path, me(), flock=flock):
        assert owner(path, flock=flock) == me()
        with pytest.raises(OrchestrateError, match="is being driven by"):
            acquire(path, me(), flock=flock)
    assert owner(path, flock=flock) is None


def make_foreign(kind: str, path: Path) -> None:
    path.parent.mkdir()
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "dangling symlink":
            path.symlink_to("nowhere")
        case "symlink loop":
            path.symlink_to(path.name)


@pytest.mark.parametrize("kind", ["fifo", "directory", "dangling symlink", "symlink loop"])
def test_what_is_no_file_is_refused_as_the_lock(path: Path, kind: str) -> None:
    make_foreign(kind, path)
    for look in (lambda: acquire(path, me()), lambda: owner(path)):
        with pytest.raises(OrchestrateError, match=r"engine\.lock is no regular file") as refused:
            look()
        assert refused.value.code == 2
    assert not [f for f in psutil.Process().open_files() if f.path.startswith(str(path.parent))]


def test_a_reader_that_looks_at_the_wrong_moment_does_not_turn_an_engine_away(path: Path) -> None:
    calls = 0

    def flock(fd: int, how: int) -> None:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise BlockingIOError(errno.EWOULDBLOCK, "held")

    acquire(path, me(), flock=flock).release()
    assert calls == 4, "refused twice, then the repository and the file"


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


# ── who it is, really ────────────────────────────────────────────────────────────────────────────────────────────


def test_of_two_at_once_exactly_one_runs_and_the_other_says_who_a_hundred_times(path: Path) -> None:
    """Two processes that begin at the same moment, and again, without ever being started anew."""
    program = """
        import pathlib, sys
        from orchestrate.engine.lock import acquire, this_process
        from orchestrate.errors import OrchestrateError
        held = None
        for line in sys.stdin:
            if line == "go\\n":
                try:
                    held = acquire(pathlib.Path(sys.argv[1]), this_process(run="r", command="x", since=1.0))
                    print("held", flush=True)
                except OrchestrateError as refusal:
                    print(refusal.message, flush=True)
            elif held is not None:
                held.release()
                held = None
    """
    engines = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        )
        for _ in range(2)
    ]  # fmt: skip

    def tell(word: str) -> None:
        for engine in engines:
            assert engine.stdin is not None
            engine.stdin.write(f"{word}\n")

    try:
        for _ in range(100):
            tell("go")
            said = [engine.stdout.readline().strip() for engine in engines if engine.stdout is not None]
            winner = engines[said.index("held")]
            (refused,) = (words for words in said if words != "held")
            assert refused.startswith(f"run r is being driven by pid {winner.pid} on ")
            tell("release")
    finally:
        for engine in engines:
            engine.kill()
            engine.communicate()


def test_a_stopped_engine_is_told_and_how_it_goes_on(path: Path) -> None:
    engine = start_engine(path)
    engine.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, engine.pid, os.WSTOPPED | os.WNOWAIT)
    with pytest.raises(OrchestrateError, match=r"which is stopped \(Ctrl-Z, or SIGSTOP\)") as refused:
        acquire(path, me())
    assert f"kill -CONT {engine.pid}" in refused.value.hint
    engine.send_signal(signal.SIGCONT)
    os.waitid(os.P_PID, engine.pid, os.WCONTINUED)
    with pytest.raises(OrchestrateError) as refused:
        acquire(path, me())
    assert "orchestrate pause" in refused.value.hint
    kill(engine)


def test_a_process_is_told_from_another_with_its_number() -> None:
    mine = me()
    assert is_here(mine)
    assert not is_here(replace(mine, started="0")), "its number was given to us since"
    assert not is_here(replace(mine, boot="of another start")), "the machine was started anew since"
    assert not is_here(replace(mine, pid=0))


def noted(path: Path, other: Owner) -> None:
    """The note of an engine that was killed: its lock is gone, its words are not."""
    path.parent.mkdir()
    path.touch()
    fd = os.open(path, os.O_RDWR)
    Held(fd, path).note(other)
    os.close(fd)


ELSEWHERE = Owner(41, "7", "boot", "elsewhere", RUN, "orchestrate run", 1.0)


def test_where_locks_may_hold_for_one_host_only_the_note_of_another_counts(path: Path) -> None:
    noted(path, ELSEWHERE)
    with pytest.raises(
        OrchestrateError, match=f"run {RUN} was driven by pid 41 on elsewhere .*not been seen to end"
    ) as no:
        acquire(path, me(), kind_of=lambda _: "nfs4")
    assert no.value.hint == f"end it on elsewhere: orchestrate stop   only if that host is surely off: rm {path}"
    assert path.read_bytes(), "the note stays"
    path.unlink()  # as the hint says
    acquire(path, me(), kind_of=lambda _: "nfs4").release()


@pytest.mark.parametrize(
    ("other", "kind"),
    [
        (ELSEWHERE, "ext4"),  # no other host can be here: the machine was given another name
        (replace(ELSEWHERE, boot=me().boot), "nfs4"),  # another container of this machine: its locks are ours
        (replace(ELSEWHERE, host=me().host), "nfs4"),  # this host, before it was started anew
    ],
)
def test_otherwise_a_note_without_its_lock_is_nothing(path: Path, other: Owner, kind: str) -> None:
    noted(path, other)
    acquire(path, me(), kind_of=lambda _: kind).release()


def test_a_full_disk_is_no_matter_of_locks(path: Path) -> None:
    def full(fd: int, how: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        acquire(path, me(), flock=full)
    assert not [f for f in psutil.Process().open_files() if f.path == str(path)]
